"""Pooling kernels against the reference, over geometry, channels, NaN and ties, threads and vector widths."""

import os
import platform
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numbacnn.dims import PoolDims
from numbacnn.kernels import reference
from numbacnn.kernels.cpu import pool
from tests.kernels.guard import assert_same_bits, threads, written
from tests.strategies import arrays, dtypes, pool_cases

#: Relative to the largest: rounding of sums over a window, or over the windows that meet a pixel.
TOLERANCE = {np.dtype(np.float32): 2e-6, np.dtype(np.float64): 4e-15}

values = st.sampled_from(["normal", "negative", "ties", "wild"])


def fill(kind: str, seed: int, *shapes: tuple[int, ...], dtype: type) -> list[np.ndarray]:
    """Arrays of which the first is an input of this kind."""
    results = arrays(seed, *shapes, dtype=dtype)
    rng, x = np.random.default_rng(seed), results[0]
    if kind == "negative":  # padding that won would be seen
        x[...] -= 10
    elif kind == "ties":
        x[...] = rng.integers(-1, 2, x.shape)
    elif kind == "wild":
        x[...] = rng.choice(
            [-np.inf, -0.0, 0.0, 1.0, np.inf, np.nan], x.shape, p=[0.3, 0.2, 0.2, 0.1, 0.1, 0.1]
        )
    return results


def check_max(dims: PoolDims, seed: int, dtype: type, kind: str = "normal") -> None:
    """Forward pass exactly, and gradient within rounding, are the reference's."""
    x, dy = fill(kind, seed, dims.input_shape, dims.output_shape, dtype=dtype)
    y, expected = (
        written(pool.max_pool_forward, dims, x, shapes=dims.output_shape, dtype=dtype),
        np.empty_like(dy),
    )
    reference.max_pool_forward(dims, x, expected)
    np.testing.assert_array_equal(y, expected)
    dx = written(pool.max_pool_backward, dims, x, y, dy, shapes=dims.input_shape, dtype=dtype)
    slope = np.empty(dims.input_shape)
    reference.max_pool_backward(dims, x, y, dy, slope)
    close(dx, slope)


def check_average(dims: PoolDims, seed: int, dtype: type) -> None:
    x, dy = arrays(seed, dims.input_shape, dims.output_shape, dtype=dtype)
    for count_include_pad in (False, True):

        def forward(x, y, count_include_pad=count_include_pad):
            pool.avg_pool_forward(dims, x, y, count_include_pad)

        def backward(dy, dx, count_include_pad=count_include_pad):
            pool.avg_pool_backward(dims, dy, dx, count_include_pad)

        y, dx = np.empty(dims.output_shape), np.empty(dims.input_shape)
        reference.avg_pool_forward(dims, x, y, count_include_pad)
        reference.avg_pool_backward(dims, dy, dx, count_include_pad)
        close(written(forward, x, shapes=dims.output_shape, dtype=dtype), y)
        close(written(backward, dy, shapes=dims.input_shape, dtype=dtype), dx)


def close(got: np.ndarray, expected: np.ndarray) -> None:
    size = np.abs(expected).max(initial=0)
    np.testing.assert_allclose(got, expected, rtol=0, atol=TOLERANCE[got.dtype] * size)


@given(pool_cases(ranks=(1, 2), most_channels=70), dtypes, values)
def test_max_pooling_of_any_geometry_is_the_references(case, dtype, kind):
    check_max(case.dims, case.seed, dtype, kind)


@given(pool_cases(ranks=(1, 2), most_channels=70), dtypes)
def test_average_pooling_of_any_geometry_is_the_references(case, dtype):
    check_average(case.dims, case.seed, dtype)


# What small draws do not reach: several parts, bands of the gradient with and without windows from the band
# above, bands that start in the padding or end past it, gaps between windows, several vectors of channels.
LARGE = [
    ((64, 28, 28, 6), {"kernel": 2}),
    ((1, 90, 40, 40), {"kernel": (3, 2), "stride": (2, 1), "padding": ((1, 0), (0, 1))}),
    ((2, 200, 30, 16), {"kernel": 3, "stride": 1, "padding": "same"}),
    ((1, 150, 20, 33), {"kernel": (4, 3), "stride": (1, 2), "dilation": (3, 2)}),
    ((1, 400, 90, 1), {"kernel": (12, 2), "stride": (3, 5), "padding": ((11, 11), (1, 1))}),
    ((1, 70, 70, 64), {"kernel": 2, "stride": 3}),
    ((1, 7, 7, 2048), {"kernel": 7}),
    ((2, 30000, 3), {"kernel": 5, "stride": 2, "padding": 2}),
]


@pytest.mark.parametrize(("shape", "options"), LARGE)
@pytest.mark.parametrize("count", [1, 2])
def test_large_shapes_give_the_references_results(shape, options, count):
    dims = PoolDims.of(shape, **options)
    with threads(count):
        check_max(dims, 3, np.float32, "ties")
        check_average(dims, 3, np.float32)


@pytest.mark.parametrize(("shape", "options"), LARGE)
def test_bits_do_not_depend_on_the_threads_or_the_run(shape, options):
    dims = PoolDims.of(shape, **options)
    x, dy = arrays(5, dims.input_shape, dims.output_shape, dtype=np.float32)

    def results():
        y, mean = np.empty_like(dy), np.empty_like(dy)
        dx, shares = np.empty_like(x), np.empty_like(x)
        pool.max_pool_forward(dims, x, y)
        pool.max_pool_backward(dims, x, y, dy, dx)
        pool.avg_pool_forward(dims, x, mean, False)
        pool.avg_pool_backward(dims, dy, shares, False)
        return [y, dx, mean, shares]

    assert_same_bits(results)


@given(pool_cases(ranks=(1, 2), most_channels=20), st.booleans())
def test_average_pooling_and_its_gradient_are_adjoint(case, count_include_pad):
    dims = case.dims
    x, dy = arrays(case.seed, dims.input_shape, dims.output_shape)
    y, dx = np.empty(dims.output_shape), np.empty(dims.input_shape)
    pool.avg_pool_forward(dims, x, y, count_include_pad)
    pool.avg_pool_backward(dims, dy, dx, count_include_pad)
    assert np.vdot(x, dx) == pytest.approx(np.vdot(y, dy), abs=1e-9)


def test_ties_go_to_the_first_pixel_and_nan_wins():
    dims = PoolDims.of((1, 2, 4, 1), 2)
    x = np.array([1.0, 3.0, 0.0, np.nan, 3.0, 3.0, np.nan, 9.0]).reshape(dims.input_shape)
    y, dx = np.empty(dims.output_shape), np.empty(dims.input_shape)
    pool.max_pool_forward(dims, x, y)
    np.testing.assert_array_equal(y.ravel(), [3, np.nan])
    pool.max_pool_backward(dims, x, y, np.array([5.0, 7.0]).reshape(y.shape), dx)
    assert dx.ravel().tolist() == [0, 5, 0, 7, 0, 0, 0, 0]


FAMILY = """
import numpy as np
from numbacnn.dims import PoolDims
from numbacnn.kernels.cpu import simd
from tests.kernels.test_pool import LARGE, check_average, check_max

assert simd.VECTOR_BYTES == {bytes}, simd.VECTOR_BYTES
for shape, options in LARGE:
    check_max(PoolDims.of(shape, **options), 3, np.float32, "ties")
    check_average(PoolDims.of(shape, **options), 3, np.float32)
dims = PoolDims.of((3, 9, 11, 13), (3, 2), (2, 1), ((1, 2), (0, 1)))
for kind in ("negative", "wild"):
    check_max(dims, 4, np.float64, kind)
check_average(dims, 4, np.float64)
print("right")
"""


@pytest.mark.parametrize(
    ("cpu", "width"), [("haswell", 32), pytest.param("nehalem", 16, marks=pytest.mark.slow)]
)
def test_narrower_vectors_are_right_too(cpu, width, tmp_path):
    """They have code for full vectors beside that for leftovers."""
    if platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("names CPUs of the x86-64 family")
    # without NUMBA_CPU_FEATURES that CPU would be given the host's instructions
    family = {"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": "", "NUMBACNN_CACHE_DIR": str(tmp_path)}
    environment = {**os.environ, **family}
    child = subprocess.run(
        [sys.executable, "-c", FAMILY.format(bytes=width)], env=environment, capture_output=True, text=True
    )
    assert child.stdout == "right\n", child.stderr

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
from numbacnn.pool_dims import PoolGeometry, WindowDims
from tests.kernels.guard import assert_same_bits, threads, written
from tests.strategies import arrays, dtypes, pool_cases, seeds, window_dims

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


def check_max(dims: PoolGeometry, seed: int, dtype: type, kind: str = "normal") -> None:
    """Forward pass exactly, and gradient within rounding, are the reference's."""
    x, dy = fill(kind, seed, dims.input_shape, dims.output_shape, dtype=dtype)
    y, expected = (
        written(pool.max_pool_forward, dims, x, shapes=dims.output_shape, dtype=dtype),
        np.empty_like(dy),
    )
    reference.max_pool_forward(dims, x, expected)
    np.testing.assert_array_equal(y, expected)
    found = np.empty(dims.output_shape, np.int64)
    reference.max_pool_indices(dims, x, y, found)
    indices = written(pool.max_pool_indices, dims, x, y, shapes=dims.output_shape, dtype=np.int64)
    np.testing.assert_array_equal(indices, found)
    dx = written(pool.max_pool_backward, dims, x, y, dy, shapes=dims.input_shape, dtype=dtype)
    slope = np.empty(dims.input_shape)
    reference.max_pool_backward(dims, x, y, dy, slope)
    close(dx, slope)


def check_average(dims: PoolGeometry, seed: int, dtype: type) -> None:
    x, dy = arrays(seed, dims.input_shape, dims.output_shape, dtype=dtype)
    for options in ((False, 0.0), (True, 0.0), (False, 3.5)):

        def forward(x, y, options=options):
            pool.avg_pool_forward(dims, x, y, *options)

        def backward(dy, dx, options=options):
            pool.avg_pool_backward(dims, dy, dx, *options)

        y, dx = np.empty(dims.output_shape), np.empty(dims.input_shape)
        reference.avg_pool_forward(dims, x, y, *options)
        reference.avg_pool_backward(dims, dy, dx, *options)
        close(written(forward, x, shapes=dims.output_shape, dtype=dtype), y)
        close(written(backward, dy, shapes=dims.input_shape, dtype=dtype), dx)


def close(got: np.ndarray, expected: np.ndarray) -> None:
    size = np.abs(expected).max(initial=0)
    np.testing.assert_allclose(got, expected, rtol=0, atol=TOLERANCE[got.dtype] * size)


@given(pool_cases(most_channels=70), dtypes, values)
def test_max_pooling_of_any_geometry_is_the_references(case, dtype, kind):
    check_max(case.dims, case.seed, dtype, kind)


@given(pool_cases(most_channels=70), dtypes)
def test_average_pooling_of_any_geometry_is_the_references(case, dtype):
    check_average(case.dims, case.seed, dtype)


@given(window_dims(most_channels=40), seeds, dtypes, values)
def test_max_pooling_of_windows_placed_one_by_one_is_the_references(dims, seed, dtype, kind):
    check_max(dims, seed, dtype, kind)


@given(window_dims(most_channels=40), seeds, dtypes)
def test_average_pooling_of_windows_placed_one_by_one_is_the_references(dims, seed, dtype):
    check_average(dims, seed, dtype)


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
    ((1, 40, 36, 9, 7), {"kernel": 3, "stride": (1, 2, 1), "padding": 1, "ceil_mode": True}),
    ((1, 3, 40, 41, 20), {"kernel": (2, 3, 3), "stride": (2, 1, 2), "dilation": (1, 2, 1)}),
    ((1, 40, 36, 18, 3), {"kernel": 2}),
    ((1, 300, 6, 5, 3), {"kernel": (20, 2, 2), "stride": (3, 2, 2)}),
]
PLACED = [
    WindowDims.adaptive((2, 57, 61, 24), (7, 9)),
    WindowDims.adaptive((1, 120, 130, 5), 1),
    WindowDims.fractional((1, 90, 70, 3), (60, 50), (0.4, 0.9), (2, 3)),
    WindowDims.fractional((1, 30, 20, 17, 12), (21, 13, 12), (0.1, 0.5, 0.8)),
]
ALL = [*(PoolDims.of(shape, **options) for shape, options in LARGE), *PLACED]


@pytest.mark.parametrize("dims", ALL, ids=lambda dims: str(dims.input_shape))
@pytest.mark.parametrize("count", [1, 2])
def test_large_shapes_give_the_references_results(dims, count):
    with threads(count):
        check_max(dims, 3, np.float32, "ties")
        check_average(dims, 3, np.float32)


@pytest.mark.parametrize("dims", ALL, ids=lambda dims: str(dims.input_shape))
def test_bits_do_not_depend_on_the_threads_or_the_run(dims):
    x, dy = arrays(5, dims.input_shape, dims.output_shape, dtype=np.float32)

    def results():
        y, mean = np.empty_like(dy), np.empty_like(dy)
        dx, shares = np.empty_like(x), np.empty_like(x)
        pool.max_pool_forward(dims, x, y)
        pool.max_pool_backward(dims, x, y, dy, dx)
        indices = np.empty(dims.output_shape, np.int64)
        pool.max_pool_indices(dims, x, y, indices)
        pool.avg_pool_forward(dims, x, mean, False, 0.0)
        pool.avg_pool_backward(dims, dy, shares, False, 0.0)
        return [y, indices, dx, mean, shares]

    assert_same_bits(results)


@given(pool_cases(most_channels=20).map(lambda case: case.dims) | window_dims(), st.booleans(), seeds)
def test_average_pooling_and_its_gradient_are_adjoint(dims, count_include_pad, seed):
    x, dy = arrays(seed, dims.input_shape, dims.output_shape)
    y, dx = np.empty(dims.output_shape), np.empty(dims.input_shape)
    pool.avg_pool_forward(dims, x, y, count_include_pad, 0.0)
    pool.avg_pool_backward(dims, dy, dx, count_include_pad, 0.0)
    assert np.vdot(x, dx) == pytest.approx(np.vdot(y, dy), abs=1e-9)


def test_ties_go_to_the_first_pixel_and_nan_wins():
    dims = PoolDims.of((1, 2, 4, 1), 2)
    x = np.array([1.0, 3.0, 0.0, np.nan, 3.0, 3.0, np.nan, 9.0]).reshape(dims.input_shape)
    y, dx = np.empty(dims.output_shape), np.empty(dims.input_shape)
    pool.max_pool_forward(dims, x, y)
    np.testing.assert_array_equal(y.ravel(), [3, np.nan])
    pool.max_pool_backward(dims, x, y, np.array([5.0, 7.0]).reshape(y.shape), dx)
    assert dx.ravel().tolist() == [0, 5, 0, 7, 0, 0, 0, 0]


def test_where_windows_overlap_nan_and_infinity_are_told_apart():
    """Full groups without NaN take another way than those with one."""
    dims = PoolDims.of((1, 3, 3, 70), 2, 1)
    x, dy = arrays(0, dims.input_shape, dims.output_shape, dtype=np.float32)
    x[0, 0, 0, ::3], x[0, 1, 1, ::2] = np.inf, np.nan
    y, dx, expected = np.empty_like(dy), np.empty_like(x), np.empty(x.shape)
    pool.max_pool_forward(dims, x, y)
    assert np.isnan(y[..., ::2]).all()
    assert not np.isnan(y[..., 1::2]).any()
    pool.max_pool_backward(dims, x, y, dy, dx)
    reference.max_pool_backward(dims, x, y, dy, expected)
    close(dx, expected)


FAMILY = """
import numpy as np
from numbacnn.dims import PoolDims
from numbacnn.kernels.cpu import simd
from tests.kernels.test_lp_pool import check_norm
from tests.kernels.test_pool import ALL, check_average, check_max

assert simd.VECTOR_BYTES == {bytes}, simd.VECTOR_BYTES
for dims in ALL:
    check_max(dims, 3, np.float32, "ties")
    check_average(dims, 3, np.float32)
dims = PoolDims.of((3, 9, 11, 13), (3, 2), (2, 1), ((1, 2), (0, 1)))
for kind in ("negative", "wild"):
    check_max(dims, 4, np.float64, kind)
check_average(dims, 4, np.float64)
check_norm(dims, 4, np.float32, 2.0)
print("right")
"""


@pytest.mark.parametrize(("cpu", "width"), [("haswell", 32), ("nehalem", 16)])
@pytest.mark.slow
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

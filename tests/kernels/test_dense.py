"""Dense products against the reference: over sizes, threads and vector widths, and as convolutions."""

import os
import platform
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numbacnn.dims import ConvDims
from numbacnn.kernels import reference
from numbacnn.kernels.cpu import conv, dense
from numbacnn.kernels.cpu.small_product import (
    MOST_SAMPLES,
    MOST_SAMPLES_NEAR,
    _forward_plan,
    small_product_rows,
)
from tests.kernels.guard import assert_same_bits, threads, written
from tests.strategies import arrays, dtypes, seeds

#: Relative to the largest sum of absolute products.
TOLERANCE = {np.dtype(np.float32): 2e-6, np.dtype(np.float64): 4e-15}

# What small draws do not reach: splits of the inputs, with and without a chunk of columns each, blocks of
# columns of the data gradient, several parts, rows of fewer columns than a vector, one row, one column; and
# through the tile several blocks of sums, chunks of columns and of samples.
LARGE = [
    (1, 3000, 700),
    (3, 700, 9001),
    (8, 1030, 1030),
    (7, 40, 20000),
    (5, 30001, 3),
    (1, 30001, 10),
    (2, 5000, 1),
    (4, 1, 5000),
    (1, 100003, 5),
    (17, 1200, 300),
    (9, 600, 1100),
    (300, 130, 150),
    (150, 5, 1100),
]


def check(n: int, inputs: int, outputs: int, seed: int, dtype: type) -> None:
    """All products are the reference's within rounding of their sums, and written whole."""
    x, w, b, dy = arrays(seed, (n, inputs), (inputs, outputs), (outputs,), (n, outputs), dtype=dtype)
    for name, shape, args in (
        ("dense_forward", (n, outputs), (x, w, b)),
        ("dense_forward", (n, outputs), (x, w, None)),
        ("dense_backward_data", (n, inputs), (dy, w)),
        ("dense_backward_weights", (inputs, outputs), (x, dy)),
    ):
        got = written(getattr(dense, name), *args, shapes=shape, dtype=dtype)
        expected, size = np.empty(shape), np.empty(shape)
        getattr(reference, name)(*args, expected)
        getattr(reference, name)(*(None if a is None else abs(a) for a in args), size)
        error = np.abs(got - expected).max(initial=0)
        assert error <= TOLERANCE[np.dtype(dtype)] * size.max(initial=0), name


samples, extents = st.one_of(st.integers(0, 40), st.integers(17, 300)), st.integers(1, 70)


@given(samples, extents, extents, seeds, dtypes)
def test_any_sizes_give_the_references_results(n, inputs, outputs, seed, dtype):
    check(n, inputs, outputs, seed, dtype)


@given(st.integers(1, MOST_SAMPLES_NEAR), st.integers(1, 300), st.integers(1, 300), seeds, dtypes)
def test_few_samples_give_the_references_results(n, inputs, outputs, seed, dtype):
    check(n, inputs, outputs, seed, dtype)


@pytest.mark.parametrize(("n", "inputs", "outputs"), LARGE)
@pytest.mark.parametrize("count", [1, 2])
def test_large_sizes_give_the_references_results(n, inputs, outputs, count):
    with threads(count):
        check(n, inputs, outputs, 3, np.float32)


@pytest.mark.parametrize(("n", "inputs", "outputs"), LARGE)
def test_bits_do_not_depend_on_the_threads_or_the_run(n, inputs, outputs):
    x, w, b, dy = arrays(5, (n, inputs), (inputs, outputs), (outputs,), (n, outputs), dtype=np.float32)

    def results():
        y, dx, dw = np.empty_like(dy), np.empty_like(x), np.empty_like(w)
        dense.dense_forward(x, w, b, y)
        dense.dense_backward_data(dy, w, dx)
        dense.dense_backward_weights(x, dy, dw)
        return [y, dx, dw]

    assert_same_bits(results)


def test_the_large_sizes_are_cut_in_every_way():
    plans = [_forward_plan(*sizes, 4) for sizes in LARGE]
    cuts = {(splits > 1, parts > splits) for splits, _, _, parts in plans}
    assert cuts == {(False, False), (False, True), (True, False), (True, True)}


@given(st.integers(1, 3), st.integers(1, 40), st.integers(1, 40), seeds)
def test_the_data_gradient_is_adjoint(n, inputs, outputs, seed):
    x, w, dy = arrays(seed, (n, inputs), (inputs, outputs), (n, outputs))
    y, dx, dw = np.empty_like(dy), np.empty_like(x), np.empty_like(w)
    dense.dense_forward(x, w, None, y)
    dense.dense_backward_data(dy, w, dx)
    dense.dense_backward_weights(x, dy, dw)
    assert np.vdot(x, dx) == pytest.approx(np.vdot(y, dy), abs=1e-10)
    assert np.vdot(w, dw) == pytest.approx(np.vdot(y, dy), abs=1e-10)


@pytest.mark.parametrize("n", [1, MOST_SAMPLES])
def test_what_is_not_finite_stays_in_its_row_and_column(n):
    """Lanes beyond the columns, and what neighbours hold, never enter a sum."""
    x, w, dy = arrays(1, (n, 37), (37, 21), (n, 21), dtype=np.float32)
    x[0, 5] = w[9, 4] = dy[0, 7] = np.inf
    y, dx, dw = np.empty_like(dy), np.empty_like(x), np.empty_like(w)
    dense.dense_forward(x, w, None, y)
    dense.dense_backward_data(dy, w, dx)
    dense.dense_backward_weights(x, dy, dw)
    for got, row, column in ((y, 0, 4), (dx, 0, 9), (dw, 5, 7)):
        finite = np.isfinite(got)
        assert not finite[row].any() and not finite[:, column].any()
        finite[row], finite[:, column] = True, True
        assert finite.all()


PLAIN = [
    ((1, 1, 1, 30), (1, 1, 30, 20), {}, 1),
    ((2, 2, 2, 30), (1, 1, 30, 20), {}, 8),
    ((1, 8, 30), (1, 30, 20), {}, 8),
    ((3, 5, 4, 6), (5, 4, 6, 9), {"stride": 2}, 3),
    ((8, 2, 2, 2, 3), (2, 2, 2, 3, 1), {"stride": (1, 2, 3)}, 8),
    ((2, 3, 3, 30), (1, 1, 30, 20), {}, 0),
    ((17, 2, 2, 3), (2, 2, 3, 4), {}, 0),
    ((9, 1, 1, 600), (1, 1, 600, 500), {}, 0),
    ((1, 2, 2, 30), (1, 1, 30, 20), {"stride": 2}, 0),
    ((1, 1, 1, 30), (1, 1, 15, 20), {"groups": 2}, 0),
    ((1, 1, 1, 30), (3, 3, 30, 20), {"padding": 1}, 0),
    ((1, 1, 1, 30), (1, 1, 30, 20), {"padding": ((0, 1), (0, 0))}, 0),
    ((0, 1, 1, 30), (1, 1, 30, 20), {}, 0),
]


@pytest.mark.parametrize(("x_shape", "w_shape", "options", "rows"), PLAIN)
def test_convolutions_that_are_small_products_are_right(x_shape, w_shape, options, rows):
    dims = ConvDims.of(x_shape, w_shape, **options)
    assert small_product_rows(dims) == rows
    if rows == 0:
        return  # the convolutions' own tests
    x, w, b, dy = arrays(2, x_shape, w_shape, (dims.c_out,), dims.output_shape, dtype=np.float32)
    for name, shape, args in (
        ("conv_forward", dims.output_shape, (x, w, b)),
        ("conv_backward_data", x_shape, (dy, w)),
        ("conv_backward_weights", w_shape, (x, dy)),
    ):
        got = written(getattr(conv, name), dims, *args, shapes=shape, dtype=np.float32)
        expected = np.empty(shape)
        getattr(reference, name)(dims, *args, expected)
        np.testing.assert_allclose(got, expected, rtol=0, atol=3e-5)


FAMILY = """
import numpy as np
from numbacnn.kernels.cpu import simd
from tests.kernels.test_dense import LARGE, check

assert simd.VECTOR_BYTES == {bytes}, simd.VECTOR_BYTES
for n, inputs, outputs in LARGE:
    check(n, inputs, outputs, 3, np.float32)
for n in (1, 6):
    for inputs, outputs in ((1, 1), (3, 5), (33, 17), (70, 200)):
        check(n, inputs, outputs, 4, np.float64)
print("right")
"""


@pytest.mark.parametrize(("cpu", "width"), [("haswell", 32), ("nehalem", 16)])
@pytest.mark.slow
def test_narrower_vectors_are_right_too(cpu, width, tmp_path):
    """They have other tiles, and whole vectors where wider ones are masked."""
    if platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("names CPUs of the x86-64 family")
    # without NUMBA_CPU_FEATURES that CPU would be given the host's instructions
    family = {"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": "", "NUMBACNN_CACHE_DIR": str(tmp_path)}
    environment = {**os.environ, **family}
    child = subprocess.run(
        [sys.executable, "-c", FAMILY.format(bytes=width)], env=environment, capture_output=True, text=True
    )
    assert child.stdout == "right\n", child.stderr

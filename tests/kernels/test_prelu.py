"""Rectifiers with learned slopes against the reference; bits over threads."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from numbacnn.kernels import reference
from numbacnn.kernels.cpu import prelu
from tests.kernels.guard import assert_same_bits, written
from tests.strategies import arrays, dtypes, seeds


def check(shape, slopes, seed, dtype):
    x, dy, slope = arrays(seed, shape, shape, (slopes,), dtype=dtype)
    y, dx, dslope = np.empty(shape), np.empty(shape), np.empty(slopes)
    reference.prelu_forward(x, slope, y)
    reference.prelu_backward(x, slope, dy, dx, dslope)
    eps = np.finfo(dtype).eps
    got = written(prelu.prelu_forward, x, slope, shapes=shape, dtype=dtype)
    np.testing.assert_allclose(got, y, rtol=eps)
    got, sums = written(prelu.prelu_backward, x, slope, dy, shapes=[shape, (slopes,)], dtype=dtype)
    np.testing.assert_allclose(got, dx, rtol=eps)
    size = abs(x * dy).reshape(-1, slopes).sum(axis=0)
    np.testing.assert_array_less(abs(sums - dslope), 20 * eps * size + 1e-30)


@settings(max_examples=50)
@given(
    st.lists(st.integers(0, 9), max_size=3), st.integers(1, 70) | st.just(300), st.booleans(), seeds, dtypes
)
def test_any_shape_gives_the_references_results(leading, channels, shared, seed, dtype):
    check((*leading, channels), 1 if shared else channels, seed, dtype)


def test_many_parts_and_a_rest():
    check((3, 77, 151, 6), 6, 1, np.float32)
    check((3, 77, 151, 6), 1, 1, np.float32)


def test_bits_do_not_depend_on_the_threads():
    x, dy, slope = arrays(3, (3001, 70), (3001, 70), (70,), dtype=np.float32)

    def results():
        y, dx, dslope = np.empty_like(x), np.empty_like(x), np.empty_like(slope)
        prelu.prelu_forward(x, slope, y)
        prelu.prelu_backward(x, slope, dy, dx, dslope)
        return [y, dx, dslope]

    assert_same_bits(results)


def test_sums_of_many_pixels_keep_their_places():
    """A running float32 sum of so many would lose three of them."""
    x = -np.random.default_rng(0).random((300_001, 3), dtype=np.float32)
    ones, slope = np.ones_like(x), np.full(3, 0.25, np.float32)
    dx, dslope = np.empty_like(x), np.empty_like(slope)
    prelu.prelu_backward(x, slope, ones, dx, dslope)
    np.testing.assert_allclose(dslope, x.sum(axis=0, dtype=np.float64), rtol=2e-6)


def test_extremes():
    x, slope = np.array([[-np.inf, -1.0, -0.0, 0.0, 2.0, np.inf, np.nan]]), np.array([-0.5])
    got = written(prelu.prelu_forward, x, slope, shapes=x.shape, dtype=x.dtype)
    np.testing.assert_array_equal(got, [[np.inf, 0.5, 0, 0, 2, np.inf, np.nan]])
    x, dy = x[:, 1:5].copy(), np.full((1, 4), 3.0)
    got, sums = written(prelu.prelu_backward, x, slope, dy, shapes=[x.shape, (1,)], dtype=x.dtype)
    assert got.tolist() == [[-1.5, -1.5, -1.5, 3]]
    assert sums.tolist() == [-3]

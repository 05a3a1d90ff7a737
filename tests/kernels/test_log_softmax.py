"""The logarithm of softmax against the reference; extremes; bits over threads."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbacnn.kernels import reference
from numbacnn.kernels.cpu import log_softmax
from tests.kernels.guard import assert_same_bits, written
from tests.strategies import arrays, dtypes, seeds


@settings(max_examples=50)
@given(st.lists(st.integers(0, 9), max_size=3), st.integers(1, 70), seeds, dtypes)
def test_any_shape_gives_the_references_results(leading, classes, seed, dtype):
    shape = (*leading, classes)
    x, dy = arrays(seed, shape, shape, dtype=dtype)
    x *= 5
    y, dx = np.empty(shape), np.empty(shape)
    reference.log_softmax_forward(x, y)
    eps = np.finfo(dtype).eps
    got = written(log_softmax.log_softmax_forward, x, shapes=shape, dtype=dtype)
    np.testing.assert_allclose(got, y, rtol=8 * eps, atol=16 * eps)
    reference.log_softmax_backward(got, dy, dx)
    slope = written(log_softmax.log_softmax_backward, got, dy, shapes=shape, dtype=dtype)
    np.testing.assert_allclose(slope, dx, rtol=8 * eps, atol=64 * eps)


def test_bits_do_not_depend_on_the_threads():
    x, dy = arrays(3, (3001, 37), (3001, 37), dtype=np.float32)

    def results():
        y, dx = np.empty_like(x), np.empty_like(x)
        log_softmax.log_softmax_forward(x, y)
        log_softmax.log_softmax_backward(y, dy, dx)
        return [y, dx]

    assert_same_bits(results)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extremes(dtype):
    x = np.array([[1e4, 0, -1e4], [-1e4, -1e4, -np.inf], [0, np.nan, 1], [-2, -2, -2]], dtype)
    y = written(log_softmax.log_softmax_forward, x, shapes=x.shape, dtype=dtype)
    half, third = np.log(dtype(0.5)), -np.log(dtype(3))
    wanted = [[0, -1e4, -2e4], [half, half, -np.inf], [np.nan] * 3, [third] * 3]
    np.testing.assert_allclose(y, np.array(wanted), rtol=1e-6)
    dy = np.ones((1, 3), dtype)
    dx = written(log_softmax.log_softmax_backward, y[1:2].copy(), dy, shapes=(1, 3), dtype=dtype)
    np.testing.assert_allclose(dx, [[-0.5, -0.5, 1]], rtol=1e-6)

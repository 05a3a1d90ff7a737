"""Softmax, cross-entropy and squared error against the reference; slopes; bits over threads."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numbacnn.kernels import reference
from numbacnn.kernels.cpu import softmax
from tests.kernels.guard import assert_same_bits, threads, written
from tests.strategies import arrays, dtypes, seeds

RELATIVE = {np.dtype(np.float32): 3e-6, np.dtype(np.float64): 1e-14}

rows, classes, smoothings = st.integers(0, 7), st.integers(1, 40), st.sampled_from([0.0, 0.1, 0.5])


def close(got, expected, size=1.0):
    np.testing.assert_allclose(got, expected, rtol=0, atol=RELATIVE[got.dtype] * size)


def targets(n, k, integers, seed, dtype):
    rng = np.random.default_rng(seed)
    return rng.integers(0, k, n) if integers else rng.dirichlet(np.ones(k), n).astype(dtype)


def check_softmax(shape, seed, dtype):
    x, dy = arrays(seed, shape, shape, dtype=dtype)
    x *= 5
    y, expected = written(softmax.softmax_forward, x, shapes=shape, dtype=dtype), np.empty(shape)
    reference.softmax_forward(x, expected)
    np.testing.assert_allclose(y, expected, rtol=RELATIVE[y.dtype] * 4)
    dx = written(softmax.softmax_backward, y, dy, shapes=shape, dtype=dtype)
    reference.softmax_backward(y, dy, expected)
    close(dx, expected)


def check_cross_entropy(n, k, smoothing, integers, seed, dtype):
    (x,) = arrays(seed, (n, k), dtype=dtype)
    target = targets(n, k, integers, seed, dtype)

    def forward(x, loss, p):
        softmax.softmax_cross_entropy_forward(x, target, smoothing, loss, p)

    loss, p = written(forward, x, shapes=[(n,), (n, k)], dtype=dtype)
    exact_loss, exact_p = np.empty(n), np.empty((n, k))
    reference.softmax_cross_entropy_forward(x, target, smoothing, exact_loss, exact_p)
    close(loss, exact_loss, size=4)
    close(p, exact_p)
    args = p, target, smoothing, 0.25
    dx = written(softmax.softmax_cross_entropy_backward, *args, shapes=(n, k), dtype=dtype)
    reference.softmax_cross_entropy_backward(*args, exact_p)
    close(dx, exact_p)


def check_squared_error(shape, seed, dtype):
    x, target = arrays(seed, shape, shape, dtype=dtype)
    loss = written(softmax.mean_squared_error_forward, x, target, shapes=shape[:1], dtype=dtype)
    exact = np.empty(shape[0])
    reference.mean_squared_error_forward(x, target, exact)
    np.testing.assert_allclose(loss, exact, rtol=RELATIVE[loss.dtype])
    dx = written(softmax.mean_squared_error_backward, x, target, 0.75, shapes=shape, dtype=dtype)
    slope = np.empty(shape)
    reference.mean_squared_error_backward(x, target, 0.75, slope)
    np.testing.assert_allclose(dx, slope, rtol=RELATIVE[dx.dtype], atol=1e-300)


@given(st.lists(st.integers(0, 5), max_size=2), classes, seeds, dtypes)
def test_softmax_of_any_shape_is_the_references(leading, k, seed, dtype):
    check_softmax((*leading, k), seed, dtype)


@given(rows, classes, smoothings, st.booleans(), seeds, dtypes)
def test_cross_entropy_of_any_shape_is_the_references(n, k, smoothing, integers, seed, dtype):
    check_cross_entropy(n, k, smoothing, integers, seed, dtype)


@given(st.integers(1, 5), st.lists(st.integers(1, 6), max_size=2), seeds, dtypes)
def test_squared_error_of_any_shape_is_the_references(n, rest, seed, dtype):
    check_squared_error((n, *rest), seed, dtype)


@pytest.mark.parametrize("count", [1, 2])
def test_many_parts_give_the_references_results(count):
    with threads(count):
        check_softmax((130, 501), 1, np.float32)
        check_cross_entropy(3000, 10, 0.1, True, 1, np.float32)
        check_cross_entropy(70, 1000, 0.1, False, 1, np.float32)
        check_squared_error((9, 10_007), 1, np.float32)


def test_bits_do_not_depend_on_the_threads_or_the_run():
    n, k = 3001, 37
    x, dy = arrays(2, (n, k), (n, k), dtype=np.float32)
    target = targets(n, k, True, 2, np.float32)

    def results():
        y, dx, p, dp, ds = (np.empty((n, k), np.float32) for _ in range(5))
        loss, squares = np.empty(n, np.float32), np.empty(n, np.float32)
        softmax.softmax_forward(x, y)
        softmax.softmax_backward(y, dy, dx)
        softmax.softmax_cross_entropy_forward(x, target, 0.1, loss, p)
        softmax.softmax_cross_entropy_backward(p, target, 0.1, 0.5, dp)
        softmax.mean_squared_error_forward(x, dy, squares)
        softmax.mean_squared_error_backward(x, dy, 0.5, ds)
        return [y, dx, loss, p, dp, squares, ds]

    assert_same_bits(results)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extremes(dtype):
    x = np.array([[1e4, 0.0, -1e4], [-1e4, -1e4, -np.inf], [0.0, np.nan, 1.0]], dtype)
    y = written(softmax.softmax_forward, x, shapes=x.shape, dtype=dtype)
    np.testing.assert_array_equal(y, [[1, 0, 0], [0.5, 0.5, 0], [np.nan] * 3])
    x, loss, p = np.array([[1000.0, 0.0], [1000.0, 0.0]], dtype), np.empty(2, dtype), np.empty((2, 2), dtype)
    softmax.softmax_cross_entropy_forward(x, np.array([0, 1]), 0.0, loss, p)
    assert loss.tolist() == [0.0, 1000.0]


@given(st.integers(1, 5), st.integers(1, 12), smoothings, st.booleans(), seeds)
def test_cross_entropy_gradient_is_its_slope(n, k, smoothing, integers, seed):
    x, direction = arrays(seed, (n, k), (n, k))
    target, step = targets(n, k, integers, seed, np.float64), 1e-6
    loss, p, dx = np.empty(n), np.empty((n, k)), np.empty((n, k))

    def total(x):
        softmax.softmax_cross_entropy_forward(x, target, smoothing, loss, p)
        return 0.25 * loss.sum()

    numeric = (total(x + step * direction) - total(x - step * direction)) / (2 * step)
    total(x)
    softmax.softmax_cross_entropy_backward(p, target, smoothing, 0.25, dx)
    assert np.vdot(dx, direction) == pytest.approx(numeric, rel=1e-6, abs=1e-8)


def test_squared_error_of_long_rows_keeps_its_places():
    rng = np.random.default_rng(0)
    x, target = rng.random((2, 1_000_001), np.float32), np.zeros((2, 1_000_001), np.float32)
    loss = np.empty(2, np.float32)
    softmax.mean_squared_error_forward(x, target, loss)
    np.testing.assert_allclose(loss, (x.astype(np.float64) ** 2).mean(axis=1), rtol=3e-7)

"""Softmax and cross-entropy against the reference; slopes; bits over threads."""

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


def ignoring(target, seed):
    """Some of the classes are -100, which is ignored."""
    there = np.random.default_rng(seed + 1).random(len(target)) < 0.8
    return np.where(there, target, -100) if target.ndim == 1 else target


def class_weights(k, weighted, seed, dtype):
    return np.random.default_rng(seed).uniform(0.1, 3.0, k).astype(dtype) if weighted else None


def check_cross_entropy(n, k, smoothing, integers, seed, dtype, weighted=False):
    (x,) = arrays(seed, (n, k), dtype=dtype)
    target, weights = targets(n, k, integers, seed, dtype), class_weights(k, weighted, seed, dtype)
    target, divisor = (ignoring(target, seed), np.array(3.0, dtype)) if weighted else (target, None)

    def forward(x, loss, p):
        softmax.softmax_cross_entropy_forward(x, target, weights, -100, smoothing, loss, p)

    loss, p = written(forward, x, shapes=[(n,), (n, k)], dtype=dtype)
    exact_loss, exact_p = np.empty(n), np.empty((n, k))
    reference.softmax_cross_entropy_forward(x, target, weights, -100, smoothing, exact_loss, exact_p)
    close(loss, exact_loss, size=12 if weighted else 4)
    close(p, exact_p)
    args = p, target, weights, -100, smoothing, divisor, 0.25
    dx = written(softmax.softmax_cross_entropy_backward, *args, shapes=(n, k), dtype=dtype)
    reference.softmax_cross_entropy_backward(*args, exact_p)
    close(dx, exact_p)


def check_focal(n, k, gamma, weighted, seed, dtype):
    (x,) = arrays(seed, (n, k), dtype=dtype)
    x *= 4
    target, weights = (
        ignoring(targets(n, k, True, seed, dtype), seed),
        class_weights(k, weighted, seed, dtype),
    )

    def forward(x, loss, p):
        softmax.focal_cross_entropy_forward(x, target, weights, -100, gamma, loss, p)

    loss, p = written(forward, x, shapes=[(n,), (n, k)], dtype=dtype)
    exact_loss, exact_p = np.empty(n), np.empty((n, k))
    reference.focal_cross_entropy_forward(x, target, weights, -100, gamma, exact_loss, exact_p)
    close(loss, exact_loss, size=20)
    args = p, target, weights, -100, gamma, None, 0.25
    dx = written(softmax.focal_cross_entropy_backward, *args, shapes=(n, k), dtype=dtype)
    reference.focal_cross_entropy_backward(*args, exact_p)
    close(dx, exact_p, size=4)


@given(st.lists(st.integers(0, 5), max_size=2), classes, seeds, dtypes)
def test_softmax_of_any_shape_is_the_references(leading, k, seed, dtype):
    check_softmax((*leading, k), seed, dtype)


@given(rows, classes, smoothings, st.booleans(), seeds, dtypes)
def test_cross_entropy_of_any_shape_is_the_references(n, k, smoothing, integers, seed, dtype):
    check_cross_entropy(n, k, smoothing, integers, seed, dtype)


@given(rows, classes, smoothings, st.booleans(), seeds, dtypes)
def test_weighted_cross_entropy_with_ignored_classes_is_the_references(
    n, k, smoothing, integers, seed, dtype
):
    check_cross_entropy(n, k, smoothing, integers, seed, dtype, weighted=True)


@given(rows, classes, st.sampled_from([0.0, 0.5, 2.0]), st.booleans(), seeds, dtypes)
def test_focal_cross_entropy_of_any_shape_is_the_references(n, k, gamma, weighted, seed, dtype):
    check_focal(n, k, gamma, weighted, seed, dtype)


@given(rows, st.integers(1, 9), st.booleans(), seeds, dtypes)
def test_weights_of_targets_are_the_references(n, k, weighted, seed, dtype):
    target, weights = (
        ignoring(targets(n, k, True, seed, dtype), seed),
        class_weights(k, weighted, seed, dtype),
    )
    share = written(softmax.target_weights, target, weights, -100, shapes=(n,), dtype=dtype)
    exact = np.empty(n)
    reference.target_weights(target, weights, -100, exact)
    np.testing.assert_array_equal(share, exact)


@pytest.mark.parametrize("count", [1, 2])
def test_many_parts_give_the_references_results(count):
    with threads(count):
        check_softmax((130, 501), 1, np.float32)
        check_cross_entropy(3000, 10, 0.1, True, 1, np.float32)
        check_cross_entropy(70, 1000, 0.1, False, 1, np.float32)
        check_cross_entropy(3000, 10, 0.1, True, 1, np.float32, weighted=True)
        check_focal(3000, 10, 2.0, True, 1, np.float32)


def test_bits_do_not_depend_on_the_threads_or_the_run():
    n, k = 3001, 37
    x, dy = arrays(2, (n, k), (n, k), dtype=np.float32)
    target = targets(n, k, True, 2, np.float32)

    def results():
        y, dx, p, dp, ds = (np.empty((n, k), np.float32) for _ in range(5))
        loss, focal = np.empty(n, np.float32), np.empty(n, np.float32)
        weights = class_weights(k, True, 2, np.float32)
        softmax.softmax_forward(x, y)
        softmax.softmax_backward(y, dy, dx)
        softmax.softmax_cross_entropy_forward(x, target, weights, 3, 0.1, loss, p)
        softmax.softmax_cross_entropy_backward(p, target, weights, 3, 0.1, None, 0.5, dp)
        softmax.focal_cross_entropy_forward(x, target, weights, 3, 1.5, focal, p)
        softmax.focal_cross_entropy_backward(p, target, weights, 3, 1.5, None, 0.5, ds)
        return [y, dx, loss, p, dp, focal, ds]

    assert_same_bits(results)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extremes(dtype):
    x = np.array([[1e4, 0.0, -1e4], [-1e4, -1e4, -np.inf], [0.0, np.nan, 1.0]], dtype)
    y = written(softmax.softmax_forward, x, shapes=x.shape, dtype=dtype)
    np.testing.assert_array_equal(y, [[1, 0, 0], [0.5, 0.5, 0], [np.nan] * 3])
    x, loss, p = np.array([[1000.0, 0.0], [1000.0, 0.0]], dtype), np.empty(2, dtype), np.empty((2, 2), dtype)
    softmax.softmax_cross_entropy_forward(x, np.array([0, 1]), None, -1, 0.0, loss, p)
    assert loss.tolist() == [0.0, 1000.0]
    softmax.softmax_cross_entropy_backward(p, np.array([1, 1]), None, 1, 0.0, None, 1.0, p)
    assert not p.any()  # all are ignored
    for gamma in (0.0, 0.5, 2.0):
        softmax.focal_cross_entropy_forward(x, np.array([0, 1]), None, -1, gamma, loss, p)
        assert loss.tolist() == [0.0, 1000.0]
        dx = np.empty_like(p)
        softmax.focal_cross_entropy_backward(p, np.array([0, 1]), None, -1, gamma, None, 1.0, dx)
        np.testing.assert_allclose(dx, [[0, 0], [1, -1]])


@given(st.integers(1, 5), st.integers(1, 12), smoothings, st.booleans(), st.booleans(), seeds)
def test_cross_entropy_gradient_is_its_slope(n, k, smoothing, integers, weighted, seed):
    x, direction = arrays(seed, (n, k), (n, k))
    target, step = ignoring(targets(n, k, integers, seed, np.float64), seed), 1e-6
    weights = class_weights(k, weighted, seed, np.float64)
    loss, p, dx = np.empty(n), np.empty((n, k)), np.empty((n, k))

    def total(x):
        softmax.softmax_cross_entropy_forward(x, target, weights, -100, smoothing, loss, p)
        return 0.25 * loss.sum()

    numeric = (total(x + step * direction) - total(x - step * direction)) / (2 * step)
    total(x)
    softmax.softmax_cross_entropy_backward(p, target, weights, -100, smoothing, None, 0.25, dx)
    assert np.vdot(dx, direction) == pytest.approx(numeric, rel=1e-6, abs=1e-8)


@given(st.integers(1, 5), st.integers(1, 12), st.sampled_from([0.0, 0.5, 2.0]), st.booleans(), seeds)
def test_focal_gradient_is_its_slope(n, k, gamma, weighted, seed):
    x, direction = arrays(seed, (n, k), (n, k))
    target, step = ignoring(targets(n, k, True, seed, np.float64), seed), 1e-6
    weights = class_weights(k, weighted, seed, np.float64)
    loss, p, dx = np.empty(n), np.empty((n, k)), np.empty((n, k))

    def total(x):
        softmax.focal_cross_entropy_forward(x, target, weights, -100, gamma, loss, p)
        return 0.25 * loss.sum()

    numeric = (total(x + step * direction) - total(x - step * direction)) / (2 * step)
    total(x)
    softmax.focal_cross_entropy_backward(p, target, weights, -100, gamma, None, 0.25, dx)
    assert np.vdot(dx, direction) == pytest.approx(numeric, rel=1e-6, abs=1e-8)

"""Softmax, cross-entropy and squared error on a simulated GPU, against the reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbacnn.kernels import reference
from numbacnn.kernels.cuda import memory, softmax
from tests.strategies import seeds

from .arrays import computed, put
from .both import BFLOAT16, ROUNDING, TYPES, both, double, normal, types

F16, F32, F64 = np.dtype(np.float16), np.dtype(np.float32), np.dtype(np.float64)
RELATIVE = {F32: 3e-6, F64: 1e-14, F16: 1.01 * ROUNDING[F16], BFLOAT16: 1.01 * ROUNDING[BFLOAT16]}
SMALL = {F32: 0.0, F64: 0.0, F16: 2.0**-25, BFLOAT16: 0.0}  # below the normal numbers

rows, classes, smoothings = st.integers(0, 7), st.integers(1, 40), st.sampled_from([0.0, 0.1, 0.5])


def targets(n, k, integers, seed, dtype):
    """Classes, or rows of probabilities of few classes."""
    rng = np.random.default_rng(seed)
    if integers:
        return rng.integers(0, k, n)
    weights = rng.random((n, k)) * (rng.random((n, k)) < 0.5) + np.eye(n, k)
    return (weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-30)).astype(dtype)


def check_softmax(shape, seed, dtype):
    x, dy = normal(seed, shape, dtype), normal(seed + 1, shape, dtype)
    x = (5 * double(x)).astype(dtype)
    y, expected = computed(softmax.softmax_forward, (x,), shape, dtype), np.empty(shape)
    reference.softmax_forward(double(x), expected)
    np.testing.assert_allclose(double(y), expected, rtol=4 * RELATIVE[dtype], atol=SMALL[dtype])
    dx = computed(softmax.softmax_backward, (y, dy), shape, dtype)
    reference.softmax_backward(double(y), double(dy), expected)
    np.testing.assert_allclose(double(dx), expected, rtol=0, atol=RELATIVE[dtype] * 4)


def check_cross_entropy(n, k, smoothing, integers, seed, dtype):
    x, target = normal(seed, (n, k), dtype), targets(n, k, integers, seed, dtype)
    kept = F64 if dtype == F64 else F32  # 16-bit scores have float32 losses

    def forward():
        loss, p = memory.empty((n,), kept), memory.empty((n, k), dtype)
        softmax.softmax_cross_entropy_forward(put(x), put(target), smoothing, loss, p)
        return [loss.numpy(), p.numpy()]

    loss, p = both(forward)
    exact = target if target.ndim == 2 else (target[:, None] == np.arange(k)).astype(np.float64)
    exact_loss, exact_p = np.empty(n), np.empty((n, k))
    reference.softmax_cross_entropy_forward(double(x), double(exact), smoothing, exact_loss, exact_p)
    np.testing.assert_allclose(loss, exact_loss, rtol=0, atol=RELATIVE[kept] * 4)
    np.testing.assert_allclose(double(p), exact_p, rtol=0, atol=RELATIVE[dtype])
    args = p, target, smoothing, 0.25
    dx = computed(softmax.softmax_cross_entropy_backward, args, (n, k), dtype)
    reference.softmax_cross_entropy_backward(double(p), double(exact), smoothing, 0.25, exact_p)
    np.testing.assert_allclose(double(dx), exact_p, rtol=0, atol=RELATIVE[dtype] / 2)


def check_squared_error(shape, seed, dtype):
    x, target = normal(seed, shape, dtype), normal(seed + 1, shape, dtype)
    loss = computed(softmax.mean_squared_error_forward, (x, target), shape[:1], dtype)
    exact = np.empty(shape[0])
    reference.mean_squared_error_forward(double(x), double(target), exact)
    np.testing.assert_allclose(double(loss), exact, rtol=RELATIVE[dtype])
    dx = computed(softmax.mean_squared_error_backward, (x, target, 0.75), shape, dtype)
    slope = np.empty(shape)
    reference.mean_squared_error_backward(double(x), double(target), 0.75, slope)
    np.testing.assert_allclose(double(dx), slope, rtol=RELATIVE[dtype], atol=max(SMALL[dtype], 1e-300))


@settings(max_examples=20)
@given(st.lists(st.integers(0, 5), max_size=2), classes, seeds, types)
def test_softmax_of_any_shape_is_the_references(leading, k, seed, dtype):
    check_softmax((*leading, k), seed, dtype)


@settings(max_examples=20)
@given(rows, classes, smoothings, st.booleans(), seeds, types)
def test_cross_entropy_of_any_shape_is_the_references(n, k, smoothing, integers, seed, dtype):
    check_cross_entropy(n, k, smoothing, integers, seed, dtype)


@settings(max_examples=20)
@given(st.integers(1, 5), st.lists(st.integers(1, 6), max_size=2), seeds, types)
def test_squared_error_of_any_shape_is_the_references(n, rest, seed, dtype):
    check_squared_error((n, *rest), seed, dtype)


@pytest.mark.parametrize("n, k", [(300, 1), (130, 2), (33, 16), (9, 33), (3, 513), (2, 1025), (1, 8193)])
def test_each_layout_gives_the_references_results(n, k):
    """From a lane per row, of which a block has 256, to a block of 1024 threads with the row in registers."""
    check_softmax((n, k), k, F32)


def test_rows_past_what_registers_hold_are_read_again():
    check_softmax((1, 17000), 1, F64)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_losses_of_many_classes_of_each_type(dtype):
    check_cross_entropy(2, 1100, 0.1, True, 1, dtype)


@pytest.mark.parametrize("integers", [True, False])
def test_losses_of_rows_past_what_registers_hold(integers, monkeypatch):
    monkeypatch.setattr(softmax, "_layout", lambda x, arrays: (1024, 0))
    check_cross_entropy(2, 5000, 0.1, integers, 1, F32)


@pytest.mark.parametrize("shape", [(9, 31), (3, 1024), (3, 1025), (2, 1028), (1, 20001), (2, 16388)])
def test_squared_error_of_each_layout(shape):
    """From groups of lanes to rows that several blocks sum, in vectors and in elements."""
    check_squared_error(shape, 1, F32)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_extremes(dtype):
    top = 1e4
    x = np.array([[top, 0.0, -top], [-top, -top, -np.inf], [0.0, np.nan, 1.0], [-np.inf] * 3], dtype)
    y = computed(softmax.softmax_forward, (x,), x.shape, dtype)
    np.testing.assert_array_equal(double(y), [[1, 0, 0], [0.5, 0.5, 0], [np.nan] * 3, [np.nan] * 3])
    loss, p = memory.empty((2,), dtype), memory.empty((2, 2), dtype)
    x, target = np.array([[1000.0, 0.0], [1000.0, 0.0]], dtype), np.array([0, 1])
    softmax.softmax_cross_entropy_forward(put(x), put(target), 0.0, loss, p)
    assert double(loss.numpy()).tolist() == [0.0, 1000.0]

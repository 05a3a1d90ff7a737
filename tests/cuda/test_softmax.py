"""Softmax and cross-entropy on a simulated GPU, against the reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbacnn.kernels import reference
from numbacnn.kernels.cuda import memory, softmax
from numbacnn.kernels.cuda.weighted_mean import weighted_mean
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


def weighted_targets(target, k, seed, kept):
    """Some of the classes are 255, which is ignored; weights of the classes; a divisor."""
    rng = np.random.default_rng(seed + 1)
    if target.ndim == 1:
        target = np.where(rng.random(len(target)) < 0.8, target, 255)
    return target, rng.uniform(0.1, 3.0, k).astype(kept), np.array(3.0, kept)


def on_device(value):
    return None if value is None else put(value)


def check_cross_entropy(n, k, smoothing, integers, seed, dtype, weighted=False):
    x, target = normal(seed, (n, k), dtype), targets(n, k, integers, seed, dtype)
    kept = F64 if dtype == F64 else F32  # 16-bit scores have float32 losses
    weights = divisor = None
    if weighted:
        target, weights, divisor = weighted_targets(target, k, seed, kept)

    def forward():
        loss, p = memory.empty((n,), kept), memory.empty((n, k), dtype)
        softmax.softmax_cross_entropy_forward(
            put(x), put(target), on_device(weights), 255, smoothing, loss, p
        )
        return [loss.numpy(), p.numpy()]

    loss, p = both(forward)
    exact = target if target.ndim == 1 else double(target)
    exact_loss, exact_p = np.empty(n), np.empty((n, k))
    given_ = exact, weights, 255, smoothing
    reference.softmax_cross_entropy_forward(double(x), *given_, exact_loss, exact_p)
    np.testing.assert_allclose(loss, exact_loss, rtol=0, atol=RELATIVE[kept] * (12 if weighted else 4))
    np.testing.assert_allclose(double(p), exact_p, rtol=0, atol=RELATIVE[dtype])
    args = p, target, weights, 255, smoothing, divisor, 0.25
    dx = computed(softmax.softmax_cross_entropy_backward, args, (n, k), dtype)
    reference.softmax_cross_entropy_backward(double(p), *given_, divisor, 0.25, exact_p)
    np.testing.assert_allclose(double(dx), exact_p, rtol=0, atol=RELATIVE[dtype] / 2)


def check_focal(n, k, gamma, weighted, seed, dtype):
    x, target = normal(seed, (n, k), dtype), targets(n, k, True, seed, dtype)
    kept = F64 if dtype == F64 else F32
    target, weights, divisor = weighted_targets(target, k, seed, kept)
    weights, divisor = (weights, divisor) if weighted else (None, None)

    def forward():
        loss, p = memory.empty((n,), kept), memory.empty((n, k), dtype)
        given_ = put(target), on_device(weights), 255, gamma
        softmax.focal_cross_entropy_forward(put(x), *given_, loss, p)
        return [loss.numpy(), p.numpy()]

    loss, p = both(forward)
    exact_loss, exact_p = np.empty(n), np.empty((n, k))
    reference.focal_cross_entropy_forward(double(x), target, weights, 255, gamma, exact_loss, exact_p)
    np.testing.assert_allclose(loss, exact_loss, rtol=0, atol=RELATIVE[kept] * 20)
    args = p, target, weights, 255, gamma, divisor, 0.25
    dx = computed(softmax.focal_cross_entropy_backward, args, (n, k), dtype)
    reference.focal_cross_entropy_backward(double(p), *args[1:], exact_p)
    np.testing.assert_allclose(double(dx), exact_p, rtol=0, atol=2 * RELATIVE[dtype])


@settings(max_examples=20)
@given(st.lists(st.integers(0, 5), max_size=2), classes, seeds, types)
def test_softmax_of_any_shape_is_the_references(leading, k, seed, dtype):
    check_softmax((*leading, k), seed, dtype)


@settings(max_examples=20)
@given(rows, classes, smoothings, st.booleans(), seeds, types)
def test_cross_entropy_of_any_shape_is_the_references(n, k, smoothing, integers, seed, dtype):
    check_cross_entropy(n, k, smoothing, integers, seed, dtype)


@settings(max_examples=15)
@given(rows, classes, smoothings, st.booleans(), seeds, types)
def test_weights_and_ignored_classes(n, k, smoothing, integers, seed, dtype):
    check_cross_entropy(n, k, smoothing, integers, seed, dtype, weighted=True)


@settings(max_examples=15)
@given(rows, classes, st.sampled_from([0.0, 0.5, 2.0]), st.booleans(), seeds, types)
def test_focal_cross_entropy_is_the_references(n, k, gamma, weighted, seed, dtype):
    check_focal(n, k, gamma, weighted, seed, dtype)


@pytest.mark.parametrize("weighted", [True, False])
def test_weights_of_targets_are_the_references(weighted):
    target, weights, _ = weighted_targets(np.arange(300) % 7, 7, 0, F32)
    args = target, weights if weighted else None, 255
    share, exact = computed(softmax.target_weights, args, (300,), F32), np.empty(300)
    reference.target_weights(*args, exact)
    np.testing.assert_array_equal(share, exact)


@pytest.mark.parametrize("dtype", [F32, F64], ids=str)
def test_weighted_means(dtype):
    loss, share = normal(0, (700,), dtype), np.abs(normal(1, (700,), dtype))

    def run(share):
        divisor, value = memory.empty((), dtype), memory.empty((), dtype)
        weighted_mean(put(loss[: len(share)]), put(share), divisor, value)
        return [value.numpy(), divisor.numpy()]

    value, divisor = both(lambda: run(share))
    total = share.sum(dtype=np.float64)
    np.testing.assert_allclose([value, divisor], [loss.sum(dtype=np.float64) / total, total], rtol=1e-5)
    for nothing in (np.zeros(700, dtype), share[:0]):
        assert [float(a) for a in both(lambda given_=nothing: run(given_))] == [0.0, 0.0]


@pytest.mark.parametrize("n, k", [(300, 1), (130, 2), (33, 16), (9, 33), (3, 513), (2, 1025), (1, 8193)])
def test_each_layout_gives_the_references_results(n, k):
    """From a lane per row, of which a block has 256, to a block of 1024 threads with the row in registers."""
    check_softmax((n, k), k, F32)


def test_rows_past_what_registers_hold_are_read_again():
    check_softmax((1, 17000), 1, F64)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_losses_of_many_classes_of_each_type(dtype):
    check_cross_entropy(2, 1100, 0.1, True, 1, dtype, weighted=dtype == F32)
    check_focal(2, 1100, 2.0, True, 1, dtype)


@pytest.mark.parametrize("integers", [True, False])
def test_losses_of_rows_past_what_registers_hold(integers, monkeypatch):
    monkeypatch.setattr(softmax, "_layout", lambda x, arrays: (1024, 0))
    check_cross_entropy(2, 5000, 0.1, integers, 1, F32, weighted=True)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_extremes(dtype):
    top = 1e4
    x = np.array([[top, 0.0, -top], [-top, -top, -np.inf], [0.0, np.nan, 1.0], [-np.inf] * 3], dtype)
    y = computed(softmax.softmax_forward, (x,), x.shape, dtype)
    np.testing.assert_array_equal(double(y), [[1, 0, 0], [0.5, 0.5, 0], [np.nan] * 3, [np.nan] * 3])
    loss, p = memory.empty((2,), dtype), memory.empty((2, 2), dtype)
    x, target = np.array([[1000.0, 0.0], [1000.0, 0.0]], dtype), np.array([0, 1])
    softmax.softmax_cross_entropy_forward(put(x), put(target), None, -1, 0.0, loss, p)
    assert double(loss.numpy()).tolist() == [0.0, 1000.0]

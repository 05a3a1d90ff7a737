"""Connectionist temporal classification: the reference against all paths, the kernels against it."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbacnn.kernels import reference
from numbacnn.kernels.cpu import ctc
from tests.kernels.guard import assert_same_bits, threads, written
from tests.strategies import arrays, dtypes, seeds

CLOSE = {np.dtype(np.float32): 4e-6, np.dtype(np.float64): 1e-13}
F64 = np.float64


def targets(seed, n, t, k, s, blank, classes=None):
    """Labels of few classes, so that they repeat, and lengths: -1 where labels do not count."""
    rng = np.random.default_rng(seed)
    names = np.delete(np.arange(k), blank)[:classes]
    counts = rng.integers(0, s + 1, n) if len(names) else np.zeros(n, np.int64)
    times = rng.integers(0, t + 1, n)
    labels = rng.choice(names, (n, s)) if len(names) else np.full((n, s), -1)
    labels[np.arange(s) >= counts[:, None]] = -1
    return labels.astype(np.int64), counts, times


def forward(module, x, wanted, blank=0, by_length=False, zero=False):
    (n, t, _), s = x.shape, wanted[0].shape[1]
    kept = np.full((n, t), np.nan), np.full((n, t, 2 * s + 1), np.nan)
    call = module.ctc_forward
    loss = written(
        lambda out: call(x, *wanted, blank, by_length, zero, out, *kept), shapes=(n,), dtype=x.dtype
    )
    return loss, *kept


def merged(path, blank):
    """What a path stands for."""
    return tuple(k for k, _ in itertools.groupby(path) if k != blank)


@pytest.mark.parametrize("time", range(5))
@pytest.mark.parametrize("labels", [(), (0,), (0, 2), (2, 2), (0, 2, 0), (0, 0, 0)])
def test_the_reference_sums_over_all_paths(labels, time):
    k, blank = 3, 1
    (x,) = arrays(time, (1, 4, k))
    p = np.exp(x[0]) / np.exp(x[0]).sum(axis=1, keepdims=True)
    likelihood, passing = 0.0, np.zeros((4, k))
    for path in itertools.product(range(k), repeat=time):
        if merged(path, blank) == labels:
            chance = np.prod([p[t, c] for t, c in enumerate(path)])
            likelihood += chance
            for t, c in enumerate(path):
                passing[t, c] += chance
    wanted = np.array([labels], np.int64).reshape(1, -1), None, np.array([time])
    loss, norm, prefixes = forward(reference, x, wanted, blank)
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(loss[0], -np.log(likelihood), rtol=1e-12, atol=1e-14)
    dx = np.empty_like(x)
    reference.ctc_backward(x, *wanted, norm, prefixes, blank, False, 0.5, dx)
    slopes = 0.5 * (p - passing / likelihood) if likelihood else np.zeros((4, k))
    slopes[time:] = 0
    np.testing.assert_allclose(dx[0], slopes, rtol=1e-11, atol=1e-13)
    assert forward(reference, x, wanted, blank, zero=True)[0][0] == (loss[0] if likelihood else 0.0)


def check(x, wanted, blank, by_length, zero):
    loss, norm, prefixes = forward(ctc, x, wanted, blank, by_length, zero)
    close, (exact, level, paths) = (
        CLOSE[x.dtype],
        forward(reference, x.astype(F64), wanted, blank, by_length, zero),
    )
    np.testing.assert_allclose(loss, exact, rtol=close, atol=close)
    np.testing.assert_allclose(norm, level, rtol=close, atol=close)  # NaN where neither wrote
    np.testing.assert_allclose(prefixes, paths, rtol=close, atol=10 * close)
    args = blank, by_length, 0.75
    dx = written(ctc.ctc_backward, x, *wanted, norm, prefixes, *args, shapes=x.shape, dtype=x.dtype)
    slope = np.empty(x.shape)
    reference.ctc_backward(x, *wanted, level, paths, *args, slope)
    # of logarithms as large as the loss the last places are lost
    most = close * (20 + 0.1 * exact[np.isfinite(exact)].max(initial=0))
    np.testing.assert_allclose(dx, slope, rtol=most, atol=most)


@settings(max_examples=40)
@given(
    st.integers(0, 4), st.integers(0, 9), st.integers(1, 7), st.integers(0, 5), seeds, dtypes, st.booleans(),
    st.booleans(), st.booleans(), st.booleans(),
)  # fmt: skip
def test_losses_of_any_shape_are_the_references(n, t, k, s, seed, dtype, by_length, zero, counted, timed):
    (x,), blank = arrays(seed, (n, t, k), dtype=dtype), seed % k
    labels, counts, times = targets(seed, n, t, k, s, blank, 2)
    check(x, (labels, counts if counted else None, times if timed else None), blank, by_length, zero)


@pytest.mark.parametrize("count", [1, 2])
def test_many_steps_and_labels_give_the_references_results(count):
    (x,) = arrays(1, (5, 150, 20), dtype=np.float32)
    with threads(count):
        check(4 * x, targets(1, 5, 150, 20, 60, 3), 3, True, False)


def test_long_unlikely_sequences_do_not_underflow():
    (x,) = arrays(2, (1, 900, 6), dtype=np.float64)
    x[..., 0] += 60.0  # blanks are all but sure: log probabilities to -60 * 300
    labels = np.random.default_rng(3).integers(1, 6, (1, 300))
    check(x, (labels, None, None), 0, False, False)
    assert 17000 < forward(ctc, x, (labels, None, None))[0][0] < 19000


def test_nan_and_impossible_scores_stay_with_their_example():
    (x,) = arrays(3, (3, 6, 4), dtype=np.float32)
    clean = x.copy()
    x[0, 2, 1] = np.nan
    x[1, :, 2] = -np.inf  # a label that cannot be
    wanted = np.array([[1, 2, 1], [3, 2, 3], [1, 1, 3]]), None, None
    loss, norm, prefixes = forward(ctc, x, wanted)
    assert np.isnan(loss[0]) and loss[1] == np.inf
    dx = np.empty_like(x)
    ctc.ctc_backward(x, *wanted, norm, prefixes, 0, False, 1.0, dx)
    assert np.isnan(dx[0]).any() and not dx[1].any()
    assert loss[2] == forward(ctc, clean, wanted)[0][2] and np.isfinite(dx[2]).all()


def test_bits_do_not_depend_on_the_threads_or_the_run():
    (x,) = arrays(4, (9, 30, 11), dtype=np.float32)
    wanted = targets(4, 9, 30, 11, 8, 0)

    def results():
        loss, norm, prefixes = forward(ctc, x, wanted, 0, True)
        dx = np.empty_like(x)
        ctc.ctc_backward(x, *wanted, norm, prefixes, 0, True, 0.5, dx)
        return [loss, dx]

    assert_same_bits(results)

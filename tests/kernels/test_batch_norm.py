"""Batch normalisation against the reference: shapes, activations, large means, guards, bits over threads."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numbacnn.epilogue import Activation
from numbacnn.kernels import reference
from numbacnn.kernels.cpu import batch_norm
from tests.kernels.guard import assert_same_bits, threads, written
from tests.strategies import arrays, dtypes, seeds

RELATIVE = {np.dtype(np.float32): 5e-6, np.dtype(np.float64): 1e-14}
#: Each kind is a kernel of its own, so not every type has every kind here.
KINDS = {
    np.float32: [None, Activation("relu"), Activation("clip", -0.5, 1.0), Activation("leaky_relu", 0.25)],
    np.float64: [None, Activation("relu"), Activation("clip", 0.0, 6.0), Activation("silu")],
}
shapes = st.lists(st.integers(1, 6), min_size=1, max_size=3).flatmap(
    lambda rest: st.sampled_from([1, 2, 3, 8, 17, 70, 513, 1030]).map(lambda c: (*rest, c))
)


def close(got, expected):
    size = max(1.0, np.abs(expected).max(initial=0))
    np.testing.assert_allclose(got, expected, rtol=0, atol=RELATIVE[got.dtype] * size)


def away_from_kinks(x, args, activation):
    """Move what the activation would be applied to within rounding of a kink."""
    z = np.empty(x.shape)
    reference.batch_norm_forward(x, *args, None, z)
    kind, low, high = activation or ("silu", 0, 0)
    for point in () if kind == "silu" else (0.0,) if kind == "leaky_relu" else (low, high):
        x[np.abs(z - point) < 1e-3] += 0.1


def check(shape, seed, dtype, activation, residual, constant, learned=True):
    c = shape[-1]
    x, dy, r, other = arrays(seed, *[shape] * 4, dtype=dtype)
    mean, gamma, beta, old = arrays(seed + 1, *[(c,)] * 4, dtype=dtype)
    x += 3
    variance, gamma, beta = mean**2 + 0.5, *((gamma, beta) if learned else (None, None))
    args = mean, variance, gamma, beta, 1e-3, (r if residual else None)
    away_from_kinks(x, args, activation)
    y = written(batch_norm.batch_norm_forward, x, *args, activation, shapes=shape, dtype=dtype)
    expected, exact = np.empty(shape), [np.empty(shape), np.empty(shape), np.empty(c), np.empty(c)]
    reference.batch_norm_forward(x, *args, activation, expected)
    close(y, expected)
    given = x, *args, activation, constant, dy

    def backward(dx, dr, dgamma, dbeta):
        batch_norm.batch_norm_backward(*given, dx, dr if residual else other, dgamma, dbeta)

    kept = other.copy()
    results = written(backward, shapes=[shape, shape, (c,), (c,)], dtype=dtype)
    reference.batch_norm_backward(*given, *exact)
    for k, (got, true) in enumerate(zip(results, exact, strict=True)):
        if k == 1 and not residual:
            np.testing.assert_array_equal(other, kept)
            continue
        close(got, true)
    running = [old.copy(), variance.copy()], [old.astype(np.float64), variance.astype(np.float64)]
    moments = written(
        lambda m, v: batch_norm.batch_norm_statistics(x, 0.75, *running[0], m, v),
        shapes=[(c,), (c,)],
        dtype=dtype,
    )
    reference.batch_norm_statistics(x, 0.75, *running[1], *exact[2:])
    for got, true in zip([*moments, *running[0]], [*exact[2:], *running[1]], strict=True):
        close(got, true)


@given(shapes, seeds, dtypes, st.integers(0, 3), st.booleans(), st.booleans(), st.booleans())
def test_any_shape_is_the_references(shape, seed, dtype, kind, residual, constant, learned):
    check(shape, seed, dtype, KINDS[dtype][kind], residual, constant, learned)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("shape", [(3, 41, 43, 64), (2, 45, 3000), (70001, 3), (5, 37, 29, 40)])
def test_many_parts_give_the_references_results(shape, count):
    with threads(count):
        check(shape, 1, np.float32, KINDS[np.float32][1], False, False)
        check(shape, 2, np.float32, KINDS[np.float32][1], True, False)


@pytest.mark.parametrize(("dtype", "large"), [(np.float32, 1e4), (np.float64, 1e9)])
@pytest.mark.parametrize("shape", [(9, 40, 40, 8), (700, 300)])
def test_a_large_mean_costs_no_places_of_the_variance(shape, dtype, large):
    x = (large + np.random.default_rng(0).standard_normal(shape)).astype(dtype)
    x[0, ..., 0] = large + 300  # nor does a first value far away
    mean, variance = np.empty(shape[-1], dtype), np.empty(shape[-1], dtype)
    batch_norm.batch_norm_statistics(x, 0.9, None, None, mean, variance)
    axes = tuple(range(x.ndim - 1))
    exact = x.astype(np.longdouble) - large
    np.testing.assert_allclose(mean, (exact.mean(axis=axes) + large).astype(np.float64), rtol=6e-8)
    np.testing.assert_allclose(variance, exact.var(axis=axes).astype(np.float64), rtol=1e-5)


def test_bits_do_not_depend_on_the_threads_or_the_run():
    shape, c = (3, 61, 67, 24), 24
    x, dy = arrays(2, shape, shape, dtype=np.float32)
    gamma, beta = arrays(3, (c,), (c,), dtype=np.float32)

    def results():
        mean, variance, dgamma, dbeta, running, spread = (np.ones(c, np.float32) for _ in range(6))
        y, dx = np.empty_like(x), np.empty_like(x)
        batch_norm.batch_norm_statistics(x, 0.9, running, spread, mean, variance)
        args = x, mean, variance, gamma, beta, 1e-5, None, KINDS[np.float32][1]
        batch_norm.batch_norm_forward(*args, y)
        batch_norm.batch_norm_backward(*args, False, dy, dx, None, dgamma, dbeta)
        return [mean, variance, running, spread, y, dx, dgamma, dbeta]

    assert_same_bits(results)


def test_nothing_leaves_the_running_statistics():
    running, spread, mean, variance = np.full(3, 7.0), np.full(3, 5.0), np.empty(3), np.empty(3)
    batch_norm.batch_norm_statistics(np.empty((0, 3)), 0.5, running, spread, mean, variance)
    assert (running[0], spread[0], mean[0], variance[0]) == (7, 5, 0, 0)
    batch_norm.batch_norm_statistics(np.ones((1, 3)), 0.5, running, spread, mean, variance)
    assert (running[0], spread[0], mean[0], variance[0]) == (7, 5, 1, 0)
    dgamma, dbeta, none = np.ones(3), np.ones(3), np.empty((0, 3))
    args = none, mean, variance, None, None, 1e-5, None, None
    batch_norm.batch_norm_forward(*args, none)
    batch_norm.batch_norm_backward(*args, False, none, none, None, dgamma, dbeta)
    assert not dgamma.any() and not dbeta.any()


def test_gradients_that_are_not_wanted_are_not_written():
    x, dy, dx, r = arrays(1, *[(4, 5)] * 4, dtype=np.float32)
    dgamma = np.ones(5, np.float32)
    mean, variance = np.zeros(5, np.float32), np.ones(5, np.float32)
    args = x, mean, variance, None, None, 1e-5
    batch_norm.batch_norm_backward(*args, None, None, True, dy, dx, None, None, None)
    np.testing.assert_allclose(dx, dy, rtol=1e-4)
    batch_norm.batch_norm_backward(*args, None, None, False, dy, None, None, dgamma, None)
    np.testing.assert_allclose(dgamma, (dy * x).sum(axis=0), rtol=1e-4)
    batch_norm.batch_norm_backward(*args, r, None, True, dy, None, dx, None, None)
    np.testing.assert_array_equal(dx, dy)


def test_nan_stays():
    x = np.array([[1.0, np.nan], [2.0, 3.0]], np.float32)
    mean, variance, y = np.empty(2, np.float32), np.empty(2, np.float32), np.empty((2, 2), np.float32)
    batch_norm.batch_norm_statistics(x, 0.9, None, None, mean, variance)
    batch_norm.batch_norm_forward(x, mean, variance, None, None, 1e-5, None, KINDS[np.float32][1], y)
    assert np.isnan([mean[1], variance[1], *y[:, 1]]).all() and np.isfinite(y[:, 0]).all()

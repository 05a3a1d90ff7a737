"""Losses of elements against the reference: values, slopes, extremes; bits over threads."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numbacnn.kernels import reference
from numbacnn.kernels.cpu import pointwise
from tests.kernels.guard import assert_same_bits, threads, written
from tests.strategies import arrays, dtypes, seeds

RELATIVE = {np.dtype(np.float32): 4e-6, np.dtype(np.float64): 2e-14}


def chances(rng, shape, dtype):
    """Probabilities, many of them 0 or 1."""
    return np.clip(rng.uniform(-0.5, 1.5, shape), 0, 1).astype(dtype)


def weights(rng, channels, dtype):
    return rng.uniform(0.2, 3.0, channels).astype(dtype)


# Of each loss: what follows the predictions and targets, how targets are drawn ("near" the predictions).
LOSSES = {
    "mean_squared_error": ((), "any"),
    "mean_absolute_error": ((), "near"),
    "huber": ((0.7,), "any"),
    "binary_cross_entropy": (("weights",), "chances"),
    "focal": ((0.3, 0.6, 1.5), "chances"),
    "kl_divergence": ((False,), "chances"),
}
CASES = [
    *((name, *case) for name, case in LOSSES.items()),
    ("binary_cross_entropy", ("weight",), "chances"),
    ("focal", (1.0, 1.0, 0.0), "chances"),
    ("focal", (0.25, 0.75, 2.0), "bits"),
    ("kl_divergence", (True,), "logarithms"),
]


def drawn(kind, x, rng):
    if kind == "any":
        return rng.standard_normal(x.shape).astype(x.dtype)
    if kind == "near":
        return np.where(rng.random(x.shape) < 0.3, x, rng.standard_normal(x.shape)).astype(x.dtype)
    if kind == "bits":
        return rng.integers(0, 2, x.shape).astype(x.dtype)
    return (
        -3 * rng.random(x.shape).astype(x.dtype) if kind == "logarithms" else chances(rng, x.shape, x.dtype)
    )


def options_of(options, x, rng):
    channels = {"weights": x.shape[-1], "weight": 1}
    return tuple(weights(rng, channels[o], x.dtype) if o in channels else o for o in options)


def check(name, options, kind, shape, seed, dtype):
    (x,) = arrays(seed, shape, dtype=dtype)
    x *= 3
    rng = np.random.default_rng(seed)
    target, options = drawn(kind, x, rng), options_of(options, x, rng)
    loss = written(getattr(pointwise, f"{name}_forward"), x, target, *options, shapes=shape[:1], dtype=dtype)
    exact = np.empty(shape[0])
    getattr(reference, f"{name}_forward")(x, target, *options, exact)
    size = x[0].size if name == "kl_divergence" else 1  # of a sum, terms cancel
    np.testing.assert_allclose(loss, exact, rtol=RELATIVE[loss.dtype], atol=8 * size * RELATIVE[loss.dtype])
    given_ = (target,) if name == "kl_divergence" else (x, target)
    dx = written(getattr(pointwise, f"{name}_backward"), *given_, *options, 0.75, shapes=shape, dtype=dtype)
    slope = np.empty(shape)
    getattr(reference, f"{name}_backward")(*given_, *options, 0.75, slope)
    np.testing.assert_allclose(dx, slope, rtol=RELATIVE[dx.dtype], atol=RELATIVE[dx.dtype])


@pytest.mark.parametrize(("name", "options", "kind"), CASES)
@given(st.integers(1, 5), st.lists(st.integers(1, 6), min_size=1, max_size=2), seeds, dtypes)
def test_losses_of_any_shape_are_the_references(name, options, kind, n, rest, seed, dtype):
    check(name, options, kind, (n, *rest), seed, dtype)


@pytest.mark.parametrize(("name", "options", "kind"), CASES)
def test_many_parts_give_the_references_results(name, options, kind):
    for count in (1, 2):
        with threads(count):
            check(name, options, kind, (3, 1501, 7), 1, np.float32)


@pytest.mark.parametrize("name", LOSSES)
def test_empty_batches_are_left_alone(name):
    x, loss, dx = np.empty((0, 3)), np.empty(0), np.empty((0, 3))
    options = options_of(LOSSES[name][0], x, np.random.default_rng(0))
    getattr(pointwise, f"{name}_forward")(x, x, *options, loss)
    getattr(pointwise, f"{name}_backward")(*((x,) if name == "kl_divergence" else (x, x)), *options, 1.0, dx)


def test_bits_do_not_depend_on_the_threads_or_the_run():
    rng = np.random.default_rng(2)
    x = rng.standard_normal((5, 40, 101)).astype(np.float32)

    def results():
        found = []
        for name, options, kind in CASES:
            rng = np.random.default_rng(3)
            target, given_ = drawn(kind, x, rng), options_of(options, x, rng)
            loss, dx = np.empty(5, np.float32), np.empty_like(x)
            getattr(pointwise, f"{name}_forward")(x, target, *given_, loss)
            both = (target,) if name == "kl_divergence" else (x, target)
            getattr(pointwise, f"{name}_backward")(*both, *given_, 0.5, dx)
            found += [loss, dx]
        return found

    assert_same_bits(results)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_logits_do_not_overflow_and_keep_small_costs(dtype):
    x = np.array([[1e4], [-1e4], [1e4], [-1e4], [20.0], [-20.0], [np.nan]], dtype)
    target = np.array([[1], [0], [0], [1], [1], [0], [1]], dtype)
    one, loss, dx = np.ones(1, dtype), np.empty(7, dtype), np.empty((7, 1), dtype)
    pointwise.binary_cross_entropy_forward(x, target, one, loss)
    tail = np.log1p(np.exp(-20.0))
    np.testing.assert_allclose(loss, [0, 0, 1e4, 1e4, tail, tail, np.nan], rtol=1e-5)
    pointwise.binary_cross_entropy_backward(x, target, one, 1.0, dx)
    np.testing.assert_allclose(dx[:, 0], [0, 0, 1, -1, -tail, tail, np.nan], rtol=1e-5, atol=1e-12)
    for gamma in (0.0, 0.5, 2.0):
        pointwise.focal_forward(x, target, 1.0, 1.0, gamma, loss)
        wrong = np.exp(-20.0)
        np.testing.assert_allclose(loss[:4], [0, 0, 1e4, 1e4])
        np.testing.assert_allclose(loss[4:6], wrong ** (1 + gamma), rtol=1e-4, atol=1e-37)
        pointwise.focal_backward(x, target, 1.0, 1.0, gamma, 1.0, dx)
        np.testing.assert_allclose(dx[:4, 0], [0, 0, 1, -1])
        assert np.isfinite(dx[:6]).all()


def test_long_rows_keep_their_places():
    rng = np.random.default_rng(0)
    x, target = rng.random((2, 1_000_001), np.float32), np.zeros((2, 1_000_001), np.float32)
    loss = np.empty(2, np.float32)
    pointwise.mean_squared_error_forward(x, target, loss)
    np.testing.assert_allclose(loss, (x.astype(np.float64) ** 2).mean(axis=1), rtol=3e-7)
    pointwise.mean_absolute_error_forward(x, target, loss)
    np.testing.assert_allclose(loss, x.astype(np.float64).mean(axis=1), rtol=3e-7)


@pytest.mark.parametrize(("name", "options", "kind"), CASES)
@given(seeds)
def test_gradients_are_slopes(name, options, kind, seed):
    shape, step = (3, 2, 4), 1e-6
    x, direction = arrays(seed, shape, shape)
    rng = np.random.default_rng(seed)
    target = drawn("any" if kind == "near" else kind, x, rng)
    options, loss, dx = options_of(options, x, rng), np.empty(3), np.empty(shape)
    if kind == "near":  # away from the corner
        target += np.copysign(1e-3, target - x)

    def total(x):
        getattr(pointwise, f"{name}_forward")(np.ascontiguousarray(x), target, *options, loss)
        return 0.25 * loss.sum()

    numeric = (total(x + step * direction) - total(x - step * direction)) / (2 * step)
    both = (target,) if name == "kl_divergence" else (x, target)
    getattr(pointwise, f"{name}_backward")(*both, *options, 0.25, dx)
    assert np.vdot(dx, direction) == pytest.approx(numeric, rel=1e-6, abs=1e-8)

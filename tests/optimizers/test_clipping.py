"""Clipping by value and by the norm of all gradients."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbacnn.errors import ArgumentError
from numbacnn.optimizers import SGD, Adam
from numbacnn.parameter import Parameter
from numbacnn.regularizers import L1L2
from numbacnn.tensor import Tensor
from tests.kernels.guard import assert_same_bits
from tests.strategies import dtypes, seeds


def stepped(optimizer, gradients, dtype=np.float64, penalty=None):
    parameters = [Parameter(np.ones(np.shape(g), dtype), str(k)) for k, g in enumerate(gradients)]
    given = [np.array(g, dtype) for g in gradients]
    for p, g in zip(parameters, given, strict=True):
        p.grad, p.penalty = Tensor(g.copy()), penalty
    optimizer.step(parameters)
    for p, g in zip(parameters, given, strict=True):
        np.testing.assert_array_equal(p.grad.numpy(), g)
    return [p.value.numpy() for p in parameters]


@settings(max_examples=25)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=4), st.floats(0.1, 20), seeds, dtypes)
def test_one_factor_bounds_the_norm_of_all_gradients(sizes, most, seed, dtype):
    rng = np.random.default_rng(seed)
    gradients = [rng.standard_normal(size).astype(dtype) for size in sizes]
    moves = [1 - w for w in stepped(SGD(1.0, clip_norm=most), gradients, dtype)]
    norm = np.sqrt(sum(float(np.vdot(g, g)) for g in gradients))
    factor = min(1.0, most / (norm + 1e-6))
    for move, g in zip(moves, gradients, strict=True):
        np.testing.assert_allclose(
            move, factor * g, rtol=0, atol=8 * np.finfo(dtype).eps * (1 + abs(g).max(initial=0))
        )


def test_a_norm_below_the_bound_changes_no_bit():
    gradients = [np.full(5, 0.3), np.full((2, 3), -0.1)]
    for a, b in zip(stepped(SGD(0.7, clip_norm=9.0), gradients), stepped(SGD(0.7), gradients), strict=True):
        np.testing.assert_array_equal(a, b)


def test_penalties_and_decay_are_added_after_clipping():
    (by_norm,) = stepped(SGD(0.1, clip_norm=1.0, weight_decay=0.5), [[3.0, -4.0]], penalty=L1L2(0.25, 0.125))
    np.testing.assert_allclose(by_norm, 1 - 0.1 * (np.array([0.6, -0.8]) + 0.875), rtol=1e-6)
    (by_value,) = stepped(SGD(0.1, clip_value=2.0, weight_decay=0.5), [[3.0, -4.0, 1.0]])
    np.testing.assert_allclose(by_value, 1 - 0.1 * (np.array([2.0, -2.0, 1.0]) + 0.5))


def test_frozen_parameters_do_not_count():
    trained, frozen = Parameter(np.ones(1), "a"), Parameter(np.ones(1), "b", trainable=False)
    trained.grad, frozen.grad = Tensor(np.full(1, 0.5)), Tensor(np.full(1, 100.0))
    SGD(1.0, clip_norm=1.0).step([trained, frozen])
    np.testing.assert_array_equal(trained.value.numpy(), 0.5)


def test_large_float32_gradients_have_a_norm():
    """Their squares are past float32's range."""
    (w,) = stepped(SGD(1.0, clip_norm=0.5), [np.full(4, 1e30, np.float32)], np.float32)
    np.testing.assert_allclose(w, 0.75, rtol=1e-6)


def test_a_norm_that_is_not_finite_spreads():
    finite, infinite = stepped(SGD(1.0, clip_norm=1.0), [[3.0], [np.inf]])
    assert finite == 1.0 and np.isnan(infinite)
    for w in stepped(SGD(1.0, clip_norm=1.0), [[3.0], [np.nan]]):
        assert np.isnan(w)


def test_bits_do_not_depend_on_the_threads():
    rng = np.random.default_rng(0)
    gradients = [rng.standard_normal(70_003), rng.standard_normal(33)]
    assert_same_bits(lambda: stepped(Adam(clip_norm=1.0), gradients, np.float32))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"clip_value": 0.0}, "SGD: expected a finite clip_value above 0, got 0.0"),
        ({"clip_norm": -1.0}, "clip_norm"),
        ({"clip_norm": float("inf")}, "clip_norm"),
        ({"clip_value": 1.0, "clip_norm": 1.0}, "SGD: expected clip_value or clip_norm, got both"),
    ],
)
def test_bad_bounds_are_refused(arguments, said):
    with pytest.raises(ArgumentError, match=said):
        SGD(0.1, **arguments)

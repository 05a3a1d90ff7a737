"""Optimizer steps and penalties on a simulated GPU, against the reference over several steps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbacnn.kernels import reference
from numbacnn.kernels.cuda import update
from tests.kernels.test_update import RULES
from tests.strategies import seeds

from .arrays import put
from .both import BFLOAT16, ROUNDING, TYPES, both, double, normal, types

F32, F64 = TYPES[0], TYPES[1]
RELATIVE = {F32: 3e-6, F64: 1e-14, TYPES[2]: 8 * ROUNDING[TYPES[2]], BFLOAT16: 8 * ROUNDING[BFLOAT16]}


def steps(rule, start, gradients):
    """The weights and states after all gradients, which stay as they are."""
    name, states, factors = RULES[rule]
    w, *kept = (put(array) for array in (start, *[np.zeros_like(start)] * states))
    for number, gradient in enumerate(gradients, 1):
        g = put(gradient)
        getattr(update, name)(w, g, *kept, *factors, *([number] if name == "adam_update" else []))
        assert g.numpy().tobytes() == gradient.tobytes()
    return [array.numpy() for array in (w, *kept)]


def check(rule, size, seed, dtype):
    start, gradients = normal(seed, size, dtype), normal(seed + 1, (3, size), dtype)
    got = both(lambda: steps(rule, start, gradients))
    name, states, factors = RULES[rule]
    expected = [double(start), *(np.zeros(size) for _ in range(states))]
    for number, g in enumerate(double(gradients), 1):
        w, *kept = expected
        step = [number] if name == "adam_update" else []
        getattr(reference, name)(w, g, *kept, *factors, *step)
        if dtype.itemsize == 2:  # each step's results are rounded
            expected = [double(a.astype(dtype)) for a in expected]
    for a, b in zip(got, expected, strict=True):
        near = RELATIVE[dtype] * np.abs(b).max(initial=0)
        np.testing.assert_allclose(double(a), b, rtol=0, atol=near)


@pytest.mark.parametrize("rule", RULES)
@settings(max_examples=8)
@given(st.integers(0, 100), seeds, types)
def test_several_steps_are_the_references(rule, size, seed, dtype):
    check(rule, size, seed, dtype)


@pytest.mark.parametrize("rule", RULES)
def test_blocks_meet_without_a_gap(rule):
    check(rule, 2051, 1, F32)


def test_early_steps_of_adam_keep_their_places():
    """beta2^step near 1 is not rounded to float32: 1 - 0.99999^1 would lose two places there."""
    w, g, m, v = (put(np.full(3, value, np.float32)) for value in (1.0, 0.5, 0.0, 0.0))
    update.adam_update(w, g, m, v, 0.01, 0.9, 0.99999, 1e-12, 0.0, 1)
    np.testing.assert_allclose(w.numpy(), 0.99, rtol=2e-7)


@settings(max_examples=15)
@given(st.integers(0, 100), st.floats(0, 2), st.floats(0, 2), seeds, types)
def test_penalties_are_the_references(size, l1, l2, seed, dtype):
    rng = np.random.default_rng(seed)
    w = rng.choice([0.0, -0.0, -0.5, 1.5], size).astype(dtype)
    g = normal(seed, size, dtype)
    expected = double(g)
    reference.add_penalty(double(w), expected, l1, l2)

    def run():
        total, weights = put(g), put(w)
        update.add_penalty(weights, total, l1, l2)
        value = update.penalty_value(weights, l1, l2)
        assert value.shape == () and weights.numpy().tobytes() == w.tobytes()
        return [total.numpy(), value.numpy()]

    total, value = both(run)
    np.testing.assert_allclose(double(total), expected, rtol=0, atol=10 * ROUNDING[dtype])
    assert value.dtype == (F64 if dtype == F64 else F32)
    relative = 1e-14 if dtype == F64 else 2e-6
    assert float(value) == pytest.approx(reference.penalty_value(double(w), l1, l2), rel=relative)


def test_penalties_of_many_weights():
    """More than a block sums."""
    w = normal(0, 16384 * 2 + 77, F32)
    (value,) = both(lambda: [update.penalty_value(put(w), 0.3, 0.7).numpy()])
    assert float(value) == pytest.approx(reference.penalty_value(double(w), 0.3, 0.7), rel=5e-7)

"""Optimizer steps and penalties against the reference over several steps; bits over threads."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numbacnn.kernels import reference
from numbacnn.kernels.cpu import update
from tests.kernels.guard import GUARD, POISON, assert_same_bits, threads
from tests.strategies import dtypes, seeds

RELATIVE = {np.dtype(np.float32): 3e-6, np.dtype(np.float64): 1e-14}
#: Per rule: how many state arrays, and the factors that follow them (a step counter goes to Adam last).
RULES = {
    "sgd": ("sgd_update", 1, (0.1, 0.9, False)),
    "sgd without momentum": ("sgd_update", 1, (0.1, 0.0, False)),
    "nesterov": ("sgd_update", 1, (0.1, 0.9, True)),
    "rmsprop": ("rmsprop_update", 1, (0.01, 0.9, 1e-7)),
    "adam": ("adam_update", 2, (0.01, 0.9, 0.999, 1e-7, 0.0)),
    "adamw": ("adam_update", 2, (0.01, 0.8, 0.99, 1e-6, 0.1)),
}


def guarded(size, dtype):
    memory = np.full(size + 2 * GUARD, POISON, dtype)
    memory[GUARD : GUARD + size] = 0
    return memory, memory[GUARD : GUARD + size]


def steps(module, rule, start, gradients, dtype):
    """The weights and states after all gradients, checked to be all that changed."""
    name, states, factors = RULES[rule]
    memories, (w, *kept) = zip(*(guarded(start.size, dtype) for _ in range(states + 1)), strict=True)
    w[...] = start
    for step, g in enumerate(gradients, 1):
        before = g.copy()
        getattr(module, name)(w, g, *kept, *factors, *([step] if name == "adam_update" else []))
        np.testing.assert_array_equal(g, before)
    for memory in memories:
        for side in (memory[:GUARD], memory[len(memory) - GUARD :]):
            np.testing.assert_array_equal(side, memory.dtype.type(POISON))
    return [w, *kept]


def check(rule, size, seed, dtype):
    rng = np.random.default_rng(seed)
    start = rng.standard_normal(size)
    gradients = rng.standard_normal((4, size)).astype(dtype)
    got = steps(update, rule, start.astype(dtype), gradients, dtype)
    expected = steps(reference, rule, start.astype(dtype), gradients, np.float64)
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=RELATIVE[a.dtype] * np.abs(b).max(initial=0))


@pytest.mark.parametrize("rule", RULES)
@given(st.integers(0, 100), seeds, dtypes)
def test_several_steps_are_the_references(rule, size, seed, dtype):
    check(rule, size, seed, dtype)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("count", [1, 2])
def test_many_parts_are_the_references(rule, count):
    with threads(count):
        check(rule, 100_003, 1, np.float32)


@pytest.mark.parametrize("rule", RULES)
def test_bits_do_not_depend_on_the_threads_or_the_run(rule):
    rng = np.random.default_rng(2)
    start = rng.standard_normal(100_003).astype(np.float32)
    gradients = rng.standard_normal((2, start.size)).astype(np.float32)
    assert_same_bits(lambda: steps(update, rule, start, gradients, np.float32))


def test_late_steps_of_adam_keep_their_places():
    """beta2^step near 1 is not rounded to float32: 1 - 0.999^1 would lose four places there."""
    w, g, m, v = (np.full(3, value, np.float32) for value in (1.0, 0.5, 0.0, 0.0))
    update.adam_update(w, g, m, v, 0.01, 0.9, 0.99999, 1e-12, 0.0, 1)
    np.testing.assert_allclose(w, 0.99, rtol=2e-7)


@given(st.integers(0, 100), st.floats(0, 2), st.floats(0, 2), seeds, dtypes)
def test_penalties_are_the_references(size, l1, l2, seed, dtype):
    rng = np.random.default_rng(seed)
    w = rng.choice([0.0, -0.0, -0.5, 1.5], size).astype(dtype)
    g = rng.standard_normal(size).astype(dtype)
    expected = g.astype(np.float64)
    reference.add_penalty(w, expected, l1, l2)
    update.add_penalty(w, g, l1, l2)
    np.testing.assert_allclose(g, expected, rtol=0, atol=10 * np.finfo(dtype).eps)
    value = update.penalty_value(w, l1, l2)
    assert type(value) is float
    assert value == pytest.approx(reference.penalty_value(w, l1, l2), rel=1e-12)


def test_penalties_of_many_weights():
    w = np.random.default_rng(0).standard_normal(100_003).astype(np.float32)
    value = update.penalty_value(w, 0.3, 0.7)
    assert value == pytest.approx(reference.penalty_value(w, 0.3, 0.7), rel=1e-12)

    def result():
        g = np.ones_like(w)
        update.add_penalty(w, g, 0.3, 0.7)
        return [g, np.array(update.penalty_value(w, 0.3, 0.7))]

    assert_same_bits(result)

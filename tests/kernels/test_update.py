"""Optimizer steps and penalties against the reference over several steps; bits over threads."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbacnn.kernels import reference
from numbacnn.kernels.cpu import update
from numbacnn.update_rules import RULES, Numbers
from tests.kernels.guard import GUARD, POISON, assert_same_bits, threads
from tests.strategies import dtypes, seeds

RELATIVE = {np.dtype(np.float32): 1e-5, np.dtype(np.float64): 1e-13}
_OWN = {
    "adam": {"eps": 1e-7, "beta1": 0.8, "beta2": 0.99},
    "lion": {"beta1": 0.85, "beta2": 0.97},
    "rmsprop": {"beta1": 0.7, "beta2": 0.9, "eps": 1e-3},
    "sgd": {"beta1": 0.9},
}
_FULL = {"gain": 0.7, "limit": 1.1, "l1": 0.03, "l2": 0.2, "decay": 0.4, "share": 0.1}
#: A rule and its numbers; those of all rules are away from what leaves things as they are.
CASES = {
    **{rule: (rule, Numbers(0.02, **_OWN["adam"], **_FULL, lr_decay=0.1)) for rule in RULES},
    "descent": ("descent", Numbers(0.1, **_FULL)),
    "lion": ("lion", Numbers(0.01, **_OWN["lion"], **_FULL)),
    "plain sgd": ("sgd", Numbers(0.1, **_OWN["sgd"])),
    "sgd": ("sgd", Numbers(0.1, **_OWN["sgd"], **_FULL, dampening=0.3)),
    "nesterov": ("sgd", Numbers(0.1, **_OWN["sgd"], **_FULL, ahead=1.0)),
    **{rule: (rule, Numbers(0.02, **_OWN["rmsprop"], **_FULL)) for rule in RULES if "rmsprop" in rule},
    "plain adam": ("adam", Numbers(0.02, **_OWN["adam"])),
    "early radam": ("radam", Numbers(0.02, beta1=0.8, beta2=0.999, eps=1e-7)),
    "undecayed lamb": ("lamb", Numbers(0.02, **_OWN["adam"])),
}


def guarded(size, dtype):
    memory = np.full(size + 2 * GUARD, POISON, dtype)
    memory[GUARD : GUARD + size] = 0
    return memory, memory[GUARD : GUARD + size]


def steps(module, case, start, gradients, dtype, averaged=True):
    """The weights, states and average after all gradients, checked to be all that changed."""
    rule, numbers = CASES[case]
    memories, (w, average, *kept) = zip(
        *(guarded(start.size, dtype) for _ in range(RULES[rule] + 2)), strict=True
    )
    w[...] = start
    states = [*kept, None, None, None][:3]
    for step, g in enumerate(gradients, 1):
        before = g.copy()
        given = w, g, *states, average if averaged else None
        module.optimizer_step(rule, *given, numbers._replace(step=float(step)))
        np.testing.assert_array_equal(g, before)
    for memory in memories:
        for side in (memory[:GUARD], memory[len(memory) - GUARD :]):
            np.testing.assert_array_equal(side, memory.dtype.type(POISON))
    return [w, *kept, *([average] if averaged else [])]


def drawn(size, seed, dtype, count=4):
    """Weights and gradients on a coarse grid: no sum of them is so near 0 that rounding decides its sign."""
    rng = np.random.default_rng(seed)
    start = rng.integers(-20, 21, size) / 8
    return start.astype(dtype), (rng.integers(-20, 21, (count, size)) / 8).astype(dtype)


def check(case, size, seed, dtype, averaged=True):
    start, gradients = drawn(size, seed, dtype)
    got = steps(update, case, start, gradients, dtype, averaged)
    expected = steps(reference, case, start, gradients, np.float64, averaged)
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=RELATIVE[a.dtype] * np.abs(b).max(initial=0))


@pytest.mark.parametrize("case", CASES)
@settings(max_examples=15)
@given(st.integers(0, 100), seeds, dtypes, st.booleans())
def test_several_steps_are_the_references(case, size, seed, dtype, averaged):
    check(case, size, seed, dtype, averaged)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("count", [1, 2])
def test_many_parts_are_the_references(case, count):
    with threads(count):
        check(case, 100_003, 1, np.float32)


@pytest.mark.parametrize("case", CASES)
def test_bits_do_not_depend_on_the_threads_or_the_run(case):
    rng = np.random.default_rng(2)
    start = rng.standard_normal(100_003).astype(np.float32)
    gradients = rng.standard_normal((2, start.size)).astype(np.float32)
    assert_same_bits(lambda: steps(update, case, start, gradients, np.float32))


def test_early_steps_of_adam_keep_their_places():
    """beta2^step near 1 is not rounded to float32: 1 - 0.99999^1 would lose four places there."""
    w, g, m, v = (np.full(3, value, np.float32) for value in (1.0, 0.5, 0.0, 0.0))
    numbers = Numbers(0.01, beta1=0.9, beta2=0.99999, eps=1e-12)
    update.optimizer_step("adam", w, g, m, v, None, None, numbers)
    np.testing.assert_allclose(w, 0.99, rtol=2e-7)


def test_norms_of_zero_leave_lamb_its_rate():
    for start, gradient in ((0.0, 1.0), (1.0, 0.0)):
        w, g, m, v = (np.full(5, value, np.float32) for value in (start, gradient, 0.0, 0.0))
        numbers = Numbers(0.01, beta1=0.9, beta2=0.99, eps=1e-8)
        update.optimizer_step("lamb", w, g, m, v, None, None, numbers)
        np.testing.assert_allclose(w, start - 0.01 * gradient, rtol=1e-6)


def test_gradients_that_are_not_numbers_stay_so():
    w, g = np.ones(3, np.float32), np.array([np.nan, np.inf, -np.inf], np.float32)
    update.optimizer_step("descent", w, g, None, None, None, None, Numbers(0.5, limit=2.0))
    np.testing.assert_array_equal(w, np.array([np.nan, 0.0, 2.0], np.float32))


@given(st.integers(0, 100), st.floats(0, 1), seeds, dtypes)
def test_an_average_of_its_own_has_the_bits_of_the_steps(size, share, seed, dtype):
    start, (g, average) = drawn(size, seed, dtype, 2)
    w, other, expected = start.copy(), average.copy(), average.astype(np.float64)
    update.optimizer_step("descent", w, g, None, None, None, average, Numbers(0.1, share=share))
    update.average_step(w, other, share)
    np.testing.assert_array_equal(other, average)
    reference.average_step(w, expected, share)
    np.testing.assert_allclose(other, expected, rtol=0, atol=10 * np.finfo(dtype).eps)


@given(st.integers(0, 100), st.floats(0, 2), st.floats(0, 2), seeds, dtypes)
def test_penalties_and_sums_of_squares_are_the_references(size, l1, l2, seed, dtype):
    w = np.random.default_rng(seed).choice([0.0, -0.0, -0.5, 1.5], size).astype(dtype)
    value = update.penalty_value(w, l1, l2)
    assert type(value) is float
    assert value == pytest.approx(reference.penalty_value(w, l1, l2), rel=1e-12)
    squares = update.square_sum(w)
    assert type(squares) is float
    assert squares == pytest.approx(reference.square_sum(w), rel=1e-12)


def test_sums_of_many_weights():
    w = np.random.default_rng(0).standard_normal(100_003).astype(np.float32)
    assert update.penalty_value(w, 0.3, 0.7) == pytest.approx(reference.penalty_value(w, 0.3, 0.7), rel=1e-12)
    assert update.square_sum(w) == pytest.approx(reference.square_sum(w), rel=1e-12)
    assert_same_bits(lambda: [np.array([update.penalty_value(w, 0.3, 0.7), update.square_sum(w)])])

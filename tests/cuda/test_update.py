"""Optimizer steps and penalties on a simulated GPU, against the reference over several steps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbacnn.kernels import reference
from numbacnn.kernels.cuda import update
from numbacnn.kernels.cuda.rules import square_sums
from numbacnn.update_rules import RULES, Numbers
from tests.kernels.test_update import CASES, drawn
from tests.strategies import seeds

from .arrays import put
from .both import BFLOAT16, ROUNDING, TYPES, both, double, normal, types

F32, F64 = TYPES[0], TYPES[1]
RELATIVE = {F32: 1e-5, F64: 1e-13, TYPES[2]: 12 * ROUNDING[TYPES[2]], BFLOAT16: 12 * ROUNDING[BFLOAT16]}


def steps(case, start, gradients):
    """The weights, states and average after all gradients, which stay as they are."""
    rule, numbers = CASES[case]
    w, average, *kept = (put(a) for a in (start, *[np.zeros_like(start)] * (RULES[rule] + 1)))
    states = [*kept, None, None, None][:3]
    for number, gradient in enumerate(gradients, 1):
        g = put(gradient)
        update.optimizer_step(rule, w, g, *states, average, numbers._replace(step=float(number)))
        assert g.numpy().tobytes() == gradient.tobytes()
    return [array.numpy() for array in (w, *kept, average)]


def check(case, size, seed, dtype, count=3):
    start, gradients = drawn(size, seed, dtype, count)
    got = both(lambda: steps(case, start, gradients))
    rule, numbers = CASES[case]
    expected = [double(start), *(np.zeros(size) for _ in range(RULES[rule] + 1))]
    for number, g in enumerate(double(gradients), 1):
        w, *kept, average = expected
        states = [*kept, None, None, None][:3]
        told = numbers._replace(step=float(number))
        reference.optimizer_step(rule, w, g, *states, average, told)
        if dtype.itemsize == 2:  # each step's results are rounded
            expected = [double(a.astype(dtype)) for a in expected]
    for a, b in zip(got, expected, strict=True):
        near = RELATIVE[dtype] * np.abs(b).max(initial=0)
        np.testing.assert_allclose(double(a), b, rtol=0, atol=near)


@pytest.mark.parametrize("case", CASES)
@settings(max_examples=4)
@given(st.integers(0, 30), seeds, st.sampled_from([F32, F64]))
def test_several_steps_are_the_references(case, size, seed, dtype):
    check(case, size, seed, dtype)


@pytest.mark.parametrize("case", ["sgd", "adam"])
@pytest.mark.parametrize("dtype", TYPES[2:], ids=str)
def test_steps_of_16_bits_are_the_references(case, dtype):
    check(case, 19, 3, dtype)


@pytest.mark.parametrize("case", ["descent", "amsgrad"])
def test_blocks_meet_without_a_gap(case):
    check(case, 2051, 1, F32, 1)


def test_blocks_sum_for_lamb():
    check("lamb", 16384 + 5, 1, F32, 1)


def test_early_steps_of_adam_keep_their_places():
    """beta2^step near 1 is not rounded to float32: 1 - 0.99999^1 would lose two places there."""
    w, g, m, v = (put(np.full(3, value, np.float32)) for value in (1.0, 0.5, 0.0, 0.0))
    numbers = Numbers(0.01, beta1=0.9, beta2=0.99999, eps=1e-12)
    update.optimizer_step("adam", w, g, m, v, None, None, numbers)
    np.testing.assert_allclose(w.numpy(), 0.99, rtol=2e-7)


@settings(max_examples=10)
@given(st.integers(0, 100), st.floats(0, 1), seeds, st.sampled_from([F32, F64]))
def test_an_average_of_its_own_has_the_bits_of_the_steps(size, share, seed, dtype):
    start, (g, average) = drawn(size, seed, dtype, 2)
    w, one, other = put(start), put(average), put(average)
    update.optimizer_step("descent", w, put(g), None, None, None, one, Numbers(0.1, share=share))
    update.average_step(w, other, share)
    np.testing.assert_array_equal(other.numpy(), one.numpy())
    expected = double(average)
    reference.average_step(double(w.numpy()), expected, share)
    np.testing.assert_allclose(other.numpy(), expected, rtol=0, atol=10 * ROUNDING[dtype])


@settings(max_examples=15)
@given(st.integers(0, 100), st.floats(0, 2), st.floats(0, 2), seeds, types)
def test_penalties_and_sums_of_squares_are_the_references(size, l1, l2, seed, dtype):
    w = np.random.default_rng(seed).choice([0.0, -0.0, -0.5, 1.5], size).astype(dtype)

    def run():
        weights = put(w)
        value, squares = update.penalty_value(weights, l1, l2), update.square_sum(weights)
        assert value.shape == () and weights.numpy().tobytes() == w.tobytes()
        return [value.numpy(), squares.numpy()]

    value, squares = both(run)
    assert value.dtype == (F64 if dtype == F64 else F32)
    relative = 1e-14 if dtype == F64 else 2e-6
    assert float(value) == pytest.approx(reference.penalty_value(double(w), l1, l2), rel=relative)
    assert squares.dtype == np.float64
    assert float(squares) == pytest.approx(reference.square_sum(double(w)), rel=1e-14)


def test_sums_of_many_weights_and_of_several_arrays():
    """More than a block sums."""
    w, g = normal(0, 16384 * 2 + 77, F32), normal(1, 1030, BFLOAT16)
    value, squares = both(
        lambda: [update.penalty_value(put(w), 0.3, 0.7).numpy(), square_sums([put(w), put(g)]).numpy()]
    )
    assert float(value) == pytest.approx(reference.penalty_value(double(w), 0.3, 0.7), rel=5e-7)
    total = reference.square_sum(double(w)) + reference.square_sum(double(g))
    assert float(squares) == pytest.approx(total, rel=1e-14)

"""Conversions, and training with a loss scale that the host does not see."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbacnn.kernels import reference
from numbacnn.kernels.cuda import mixed
from numbacnn.kernels.cuda.held import Rows
from numbacnn.kernels.cuda.rules import run, square_sums
from numbacnn.update_rules import RULES, Numbers
from tests.kernels.test_update import CASES
from tests.strategies import seeds

from .arrays import computed, put
from .both import BFLOAT16, TYPES, both, double, normal, types

F16, F32 = np.dtype(np.float16), np.dtype(np.float32)
MOST = 1.5  # of the norm of gradients


@settings(max_examples=40)
@given(st.lists(st.floats(width=32), max_size=9), types, types, st.sampled_from([1.0, 0.5, 2.0**-9, 3.0]))
def test_conversions_round_as_numpy_does(values, before, after, scale):
    with np.errstate(over="ignore"):
        x = np.array(values, before)
        kept = np.float64 if before == np.float64 else np.float32
        expected = (x.astype(kept) * kept(scale)).astype(after)
        plain = x.astype(kept).astype(after)
    scaled = computed(lambda a, y: mixed.cast_scaled(a, scale, y), (x,), x.shape, after)
    np.testing.assert_array_equal(double(scaled), double(expected))
    np.testing.assert_array_equal(double(computed(mixed.cast, (x,), x.shape, after)), double(plain))


@pytest.mark.parametrize("before", TYPES, ids=str)
@pytest.mark.parametrize("after", TYPES, ids=str)
def test_conversions_of_several_blocks(before, after):
    x = normal(1, 2055, before)
    got = computed(mixed.cast, (x,), x.shape, after)
    np.testing.assert_array_equal(double(got), double(double(x).astype(after)))


def test_the_scale_is_read_where_it_is():
    state, _ = mixed.new_loss_scale(1024.0)
    x = normal(2, 1030, F16)
    up = put(x)
    mixed.scale_up(up, state, up)  # in place
    np.testing.assert_array_equal(up.numpy(), x * F16.type(1024))
    down = computed(lambda a, y: mixed.scale_down(a, state, y), (up.numpy(),), x.shape, F32)
    np.testing.assert_array_equal(down, x.astype(F32))


@settings(max_examples=25)
@given(st.integers(1, 5000), st.sampled_from([np.nan, np.inf, -np.inf, 0.0, 65000.0]), seeds, types)
def test_the_flag_is_up_where_one_element_is_not_finite(size, value, seed, dtype):
    x = normal(seed, size, dtype)
    x[seed % size] = value

    def run():
        flag = put(np.zeros(1, np.int32))
        mixed.check_finite(put(x), flag)
        mixed.check_finite(put(np.ones(3, dtype)), flag)  # does not lower it
        return [flag.numpy()]

    (flag,) = both(run)
    assert flag.tolist() == [int(not np.isfinite(double(x)).all())]


def test_the_scale_halves_on_overflow_and_doubles_after_enough_good_steps():
    state, flag = mixed.new_loss_scale(8.0)
    seen = []
    for bad in [0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 1]:
        mixed.check_finite(put(np.array([np.inf if bad else 1.0], F32)), flag)
        mixed.update_loss_scale(state, flag, 3)
        assert flag.numpy().tolist() == [0]
        scale, inverse, _, skipped = state.numpy().tolist()
        assert inverse == 1.0 / scale
        seen.append(scale)
    assert seen == [8, 8, 4, 4, 4, 8, 8, 8, 16, 8, 4]
    assert skipped == 3


def test_the_scale_keeps_within_its_bounds():
    state, flag = mixed.new_loss_scale(2.0**24)
    mixed.update_loss_scale(state, flag, 1)
    assert state.numpy()[0] == 2.0**24
    state, flag = mixed.new_loss_scale(2.0**-14)
    mixed.check_finite(put(np.array([np.nan], F32)), flag)
    mixed.update_loss_scale(state, flag, 1)
    assert state.numpy()[0] == 2.0**-14


def trained(case, start, gradients, short):
    """Masters, states and the copy after gradients that are scaled, some of which overflow."""
    rule, numbers = CASES[case]
    numbers = numbers._replace(limit=math.inf)
    state, flag = mixed.new_loss_scale(2.0**14)
    w, average, *kept = (put(array) for array in (start, *[np.zeros_like(start)] * (RULES[rule] + 1)))
    copy, rows = put(start.astype(short)), Rows(rule, [w], [0])
    rows.write([numbers])
    for g in gradients:
        scaled = put(g)
        mixed.scale_up(scaled, state, scaled)
        mixed.check_finite(scaled, flag)
        rows.settle(state, flag, square_sums([scaled]), MOST)
        settled = rows.settled[0]
        run(
            rule, w, scaled, kept, settled, limited=False, penalty=True, average=average, copy=copy, flag=flag
        )
        mixed.update_loss_scale(state, flag, 100)
    return [array.numpy() for array in (w, copy, state, rows.steps, *kept, average)]


@pytest.mark.parametrize(
    ("case", "short"),
    [
        ("sgd", BFLOAT16),
        ("adam", F16),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in (("descent", F16), ("radam", BFLOAT16))),
        pytest.param("lamb", F16, marks=pytest.mark.slow),
    ],
)
def test_steps_that_overflow_leave_no_trace(case, short):
    """As if they had not been: in the reference only the good gradients make steps, which the GPU counts.

    Gradients are clipped by their norm without the scale.
    """
    size, (rule, numbers) = 1030, CASES[case]
    start = normal(1, size, F32)
    gradients = (normal(2, (4, size), F32) / 8).astype(short)
    gradients[0, 7] = 60000.0 if short == F16 else np.inf  # scaled it is past float16
    gradients[2, 1029] = np.nan
    w, copy, state, made, *kept = both(lambda: trained(case, start, gradients, short))
    expected = [double(start), *(np.zeros(size) for _ in kept)]
    for number, g in enumerate((gradients[1], gradients[3]), 1):
        first, *others, average = expected
        gain = numbers.gain * MOST / (numbers.gain * np.linalg.norm(double(g)) + 1e-6)
        told = numbers._replace(step=float(number), gain=gain, limit=math.inf)
        reference.optimizer_step(rule, first, double(g), *[*others, None, None, None][:3], average, told)
    for a, b in zip((w, *kept), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * np.abs(b).max())
    np.testing.assert_array_equal(copy, w.astype(short))
    assert state.tolist() == [2.0**12, 2.0**-12, 1, 2]
    assert made.tolist() == [2]


def test_a_first_step_that_is_skipped_keeps_adams_places():
    state, flag = mixed.new_loss_scale(1.0)
    w, g, m, v = (put(np.full(3, value, np.float32)) for value in (1.0, np.inf, 0.0, 0.0))
    rows = Rows("adam", [w], [0])
    rows.write([Numbers(0.01, beta1=0.9, beta2=0.99999, eps=1e-12)])
    for gradient in (g, put(np.full(3, 0.5, F32))):
        mixed.check_finite(gradient, flag)
        rows.settle(state, flag)
        run("adam", w, gradient, (m, v), rows.settled[0], limited=False, penalty=False, flag=flag)
        mixed.update_loss_scale(state, flag, 100)
        state = mixed.new_loss_scale(1.0)[0]
    np.testing.assert_allclose(w.numpy(), 0.99, rtol=2e-7)
    assert rows.steps.numpy().tolist() == [1]

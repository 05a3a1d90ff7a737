"""Averages of weights: their formula, in the optimizer's pass or in one of their own, swapped in and out."""

import numpy as np
import pytest

from numbacnn.errors import ArgumentError, ShapeError
from numbacnn.layers import Dense, Sequential
from numbacnn.optimizers import EMA, LAMB, SGD, Adam
from numbacnn.parameter import Parameter
from numbacnn.tensor import Tensor

from .runs import feed, gradients, parameters, starts


def averaged(optimizer, ema_of, steps=9, dtype=np.float64):
    """Weights and averages after some steps; ema_of says how the averages follow."""
    stepped = parameters(dtype)
    follow, ema = ema_of(optimizer, stepped)
    for gs in gradients(dtype, steps):
        feed(stepped, gs)
        optimizer.step(stepped)
        follow()
    return [p.value.numpy() for p in stepped], [ema.average(p).numpy() for p in stepped]


def fused(optimizer, stepped, **settings):
    ema = optimizer.ema = EMA(stepped, 0.9, **settings)
    return lambda: None, ema


def apart(optimizer, stepped, **settings):
    ema = EMA(stepped, 0.9, **settings)
    return ema.update, ema


@pytest.mark.parametrize("make", [lambda: SGD(0.1), lambda: Adam(0.01), LAMB], ids=["SGD", "Adam", "LAMB"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("warmup", [False, True])
def test_both_ways_have_the_bits_of_each_other(make, dtype, warmup):
    one = averaged(make(), lambda *given: fused(*given, warmup=warmup), dtype=dtype)
    other = averaged(make(), lambda *given: apart(*given, warmup=warmup), dtype=dtype)
    for a, b in zip([*one[0], *one[1]], [*other[0], *other[1]], strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("warmup", [False, True])
def test_averages_follow_the_formula(warmup):
    optimizer, stepped = SGD(0.1), parameters()
    ema = optimizer.ema = EMA(stepped, 0.3, warmup)
    expected = starts()
    for t, gs in enumerate(gradients(steps=9), 1):
        feed(stepped, gs)
        optimizer.step(stepped)
        decay = min(0.3, (1 + t) / (10 + t)) if warmup else 0.3
        expected = [decay * e + (1 - decay) * p.value.numpy() for e, p in zip(expected, stepped, strict=True)]
    assert ema.updates == 9
    for p, e in zip(stepped, expected, strict=True):
        np.testing.assert_allclose(ema.average(p).numpy(), e, rtol=1e-12, atol=1e-13)


def test_parameters_without_a_gradient_are_followed_too():
    a, b = Parameter(np.zeros(2), "a"), Parameter(np.zeros(2), "b")
    ema = EMA([a, b], 0.5)
    a.value.numpy()[:], b.value.numpy()[:] = 1.0, 1.0
    a.grad = Tensor(np.zeros(2))
    SGD(0.1, ema=ema).step([a, b])
    np.testing.assert_array_equal(ema.average(a).numpy(), 0.5)
    np.testing.assert_array_equal(ema.average(b).numpy(), 0.5)


def test_parameters_that_it_does_not_have_are_stepped():
    a, b = Parameter(np.zeros(2), "a"), Parameter(np.zeros(2), "b")
    for p in (a, b):
        p.grad = Tensor(np.ones(2))
    SGD(0.5, ema=EMA([a], 0.5)).step([a, b])
    np.testing.assert_array_equal(b.value.numpy(), -0.5)


def test_applied_swaps_and_brings_back_come_what_may():
    p = Parameter(np.zeros(2), "a")
    ema = EMA([p], 0.5)
    p.value.numpy()[:] = 8.0
    ema.update()
    kept = p.value
    with ema.applied():
        np.testing.assert_array_equal(p.value.numpy(), 4.0)
    assert p.value is kept
    with pytest.raises(ZeroDivisionError), ema.applied():
        raise ZeroDivisionError
    assert p.value is kept
    np.testing.assert_array_equal(p.value.numpy(), 8.0)
    np.testing.assert_array_equal(ema.average(p).numpy(), 4.0)


def test_no_step_is_made_while_the_averages_are_in_place():
    p = Parameter(np.zeros(2), "a")
    p.grad = Tensor(np.ones(2))
    ema = EMA([p], 0.5)
    with ema.applied():
        for act in (ema.update, ema.apply, ema.applied().__enter__, lambda: SGD(0.1, ema=ema).step([p])):
            with pytest.raises(ArgumentError, match="expected the weights in their place"):
                act()
    SGD(0.1, ema=ema).step([p])
    assert ema.updates == 1


def test_apply_overwrites_the_weights_for_good():
    model = Sequential([Dense(3)])
    model.build((2,), 0)
    before = model.weights()
    ema = EMA(model, 0.25)
    for p in model.parameters:
        p.value.numpy()[...] += 1
    ema.update()
    ema.apply()
    for name, value in model.weights().items():
        np.testing.assert_allclose(value, before[name] + 0.75, rtol=1e-6)


def test_a_saved_state_goes_on_with_the_same_bits():
    def run(again):
        optimizer, stepped = Adam(0.01), parameters()
        ema = EMA(stepped, 0.9, warmup=True)
        for step, gs in enumerate(gradients(steps=8)):
            feed(stepped, gs)
            optimizer.step(stepped)
            ema.update()
            if again and step == 3:
                state = ema.state()
                ema = EMA(stepped, 0.9, warmup=True)
                ema.load_state(state)
        return [ema.average(p).numpy() for p in stepped]

    for a, b in zip(run(False), run(True), strict=True):
        np.testing.assert_array_equal(a, b)


def test_states_that_do_not_fit_are_refused():
    ema = EMA([Parameter(np.zeros(2), "a")])
    with pytest.raises(ArgumentError, match="EMA: expected an average for each parameter, got others: a, b"):
        ema.load_state({"b": np.zeros(2), "updates": np.array(1)})
    with pytest.raises(ShapeError, match=r"a of shape \(2,\)"):
        ema.load_state({"a": np.zeros(3), "updates": np.array(1)})
    assert ema.updates == 0


def test_bad_arguments_are_refused():
    with pytest.raises(ArgumentError, match=r"EMA: expected decay in \[0, 1\)"):
        EMA([Parameter(np.zeros(2))], 1.0)
    with pytest.raises(ArgumentError, match="EMA: expected a built model"):
        EMA(Sequential([Dense(2)]))

"""An optimizer's state: a training that is continued from it has the bits of one that went on."""

import io

import numpy as np
import pytest

from numbacnn import optimizers
from numbacnn.errors import ArgumentError
from numbacnn.optimizers import SGD, Adam, Group

from .runs import feed, gradients, parameters

MAKERS = [
    lambda: SGD(0.01),
    lambda: SGD(0.01, momentum=0.9, dampening=0.5, groups=[Group("*.bias", momentum=0.0)]),
    lambda: optimizers.Adagrad(0.1, lr_decay=0.1, initial=0.2),
    lambda: Adam(0.01, amsgrad=True, clip_norm=3.0),
    lambda: optimizers.RAdam(0.01),
]


def run(make, resumed):
    optimizer, stepped = make(), parameters(np.float32)
    for step, gs in enumerate(gradients(np.float32, 9)):
        feed(stepped, gs)
        optimizer.lr = 0.01 * (step + 1)
        optimizer.step(stepped)
        if resumed and step == 4:
            file = io.BytesIO()
            np.savez(file, **optimizer.state())
            file.seek(0)
            optimizer = make()
            optimizer.load_state(np.load(file), stepped)
            assert optimizer.lr == 0.05
    return [p.value.numpy() for p in stepped]


@pytest.mark.parametrize("make", MAKERS)
def test_going_on_has_the_same_bits(make):
    for a, b in zip(run(make, True), run(make, False), strict=True):
        np.testing.assert_array_equal(a, b)


def test_states_are_copies():
    optimizer, stepped = SGD(0.1, momentum=0.5), parameters()
    for gs in gradients(steps=2):
        feed(stepped, gs)
        optimizer.step(stepped)
    state = optimizer.state()
    kept = state["conv.bias/0"].copy()
    optimizer.step(stepped)
    np.testing.assert_array_equal(state["conv.bias/0"], kept)
    assert state["conv.kernel/0"].shape == (3, 5, 7) and state["conv.kernel/step"] == 2


def test_states_that_do_not_fit_are_refused():
    optimizer, stepped = SGD(0.1, momentum=0.5), parameters()
    feed(stepped, next(gradients()))
    optimizer.step(stepped)
    state = optimizer.state()
    with pytest.raises(ArgumentError, match="Adam: expected 2 arrays of shape"):
        Adam().load_state(state, stepped)
    with pytest.raises(ArgumentError, match=r"also dense\.kernel/0, dense\.kernel/step"):
        SGD(0.1, momentum=0.5).load_state(state, stepped[:3])
    stepped[0].name = stepped[1].name
    with pytest.raises(ArgumentError, match=r"one parameter of a name, got conv\.bias"):
        optimizer.state()

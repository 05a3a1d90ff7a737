"""Parameters and penalties."""

import numpy as np
import pytest

from numbacnn.errors import ArgumentError, DTypeError
from numbacnn.parameter import Parameter, Penalty
from numbacnn.tensor import Tensor


def test_attributes():
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    p = Parameter(array, "dense_1.kernel")
    assert (p.shape, p.size, p.dtype, p.trainable, p.grad) == ((2, 3), 6, np.float32, True, None)
    assert repr(p) == "Parameter('dense_1.kernel', shape=(2, 3), dtype=float32)"
    p.value.numpy()[0, 0] = 7
    assert array[0, 0] == 7  # taken without a copy
    assert "trainable=False" in repr(Parameter(array, trainable=False))


def test_state_is_not_learned():
    p = Parameter(np.ones(2, np.float32), "norm.mean", learned=False)
    assert not p.trainable and not p.frozen
    assert repr(p) == "Parameter('norm.mean', shape=(2,), dtype=float32, learned=False)"
    p.trainable = True
    assert not p.trainable and not p.frozen
    p.trainable = False
    assert not p.trainable and p.frozen


def test_gradients_add_up():
    p = Parameter(np.zeros(3))
    first = Tensor(np.array([1.0, 2.0, 3.0]))
    p.accumulate(first)
    assert p.grad is first
    p.accumulate(Tensor(np.array([10.0, 20.0, 30.0])))
    np.testing.assert_array_equal(p.grad.numpy(), [11, 22, 33])
    p.zero_grad()
    assert p.grad is None


def test_values_that_are_no_numbers_are_refused():
    with pytest.raises(DTypeError, match=r"conv\.kernel"):
        Parameter(np.array(["a"]), "conv.kernel")


def test_penalties_from_arguments():
    assert Penalty.of(None) is None
    penalty = Penalty(0.1, 0.2)
    assert Penalty.of(penalty) is penalty
    assert Penalty.of(penalty.config()) == penalty
    for bad in (0.1, "l2", {"l3": 1.0}):
        with pytest.raises(ArgumentError, match="conv: expected a penalty or None"):
            Penalty.of(bad, "conv")
    for bad in (-0.1, float("nan"), float("inf"), "1"):
        with pytest.raises(ArgumentError, match="l2 as a finite number"):
            Penalty(l2=bad)

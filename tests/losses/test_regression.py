"""Squared, absolute and Huber's error."""

import numpy as np
import pytest

from numbacnn.errors import ArgumentError, DTypeError, ShapeError
from numbacnn.losses import Huber, MeanAbsoluteError, MeanSquaredError
from tests.layers.check import values
from tests.losses.check import assert_float32_agrees, assert_gradient

LOSSES = [MeanSquaredError(), MeanAbsoluteError(), Huber(), Huber(0.3)]


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
@pytest.mark.parametrize("shape", [(4, 3), (3, 2, 5, 2), (5,)])
def test_gradients_are_slopes(loss, shape):
    x, target = values(shape), values(shape, 1)
    assert_gradient(loss, x, target)
    assert_float32_agrees(loss, x, target)


def test_values():
    x, target = np.array([[0.0, 3.0], [-1.0, 0.5]]), np.array([[0.0, 1.0], [1.0, 0.0]])
    assert MeanSquaredError()(x, target) == pytest.approx((4 + 4 + 0.25) / 4)
    assert MeanAbsoluteError()(x, target) == pytest.approx((2 + 2 + 0.5) / 4)
    assert Huber(1.0)(x, target) == pytest.approx((1.5 + 1.5 + 0.125) / 4)
    np.testing.assert_array_equal(
        MeanAbsoluteError().value_and_gradient(x, target)[1].numpy() * 4, [[0, 1], [-1, 1]]
    )


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_large_errors_do_not_overflow(loss):
    value, dx = loss.value_and_gradient(np.full((2, 2), 1e4, np.float32), np.full((2, 2), -1e4, np.float32))
    assert np.isfinite(value) and np.isfinite(dx.numpy()).all()


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_an_empty_batch_costs_nothing_and_what_does_not_fit_is_refused(loss):
    value, dx = loss.value_and_gradient(np.zeros((0, 3)), np.zeros((0, 3)))
    assert value == 0.0 and dx.shape == (0, 3)
    with pytest.raises(ShapeError, match=r"\(5, 4\)"):
        loss.value_and_gradient(values((5, 5)), values((5, 4)))
    with pytest.raises(DTypeError, match="types are not mixed"):
        loss(values((5, 5)).astype(np.float32), values((5, 5)))
    assert not loss.classes_of(np.array([1, 2]))


@pytest.mark.parametrize("delta", [0.0, -1.0, np.inf, "1"])
def test_a_bad_delta_is_refused(delta):
    with pytest.raises(ArgumentError, match="Huber: expected"):
        Huber(delta)


def test_repr():
    assert [repr(loss) for loss in LOSSES[1:]] == [
        "MeanAbsoluteError()",
        "Huber(delta=1.0)",
        "Huber(delta=0.3)",
    ]

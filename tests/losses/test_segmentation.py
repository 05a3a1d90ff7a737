"""The Dice loss."""

import numpy as np
import pytest

from numbacnn.errors import ArgumentError, DTypeError, ShapeError, TargetError
from numbacnn.losses import Dice
from tests.layers.check import values
from tests.losses.check import assert_float32_agrees, assert_gradient

RNG = np.random.default_rng(0)
MAP = RNG.integers(0, 3, (2, 3, 4))
HOLES = np.where(RNG.random((2, 3, 4)) < 0.3, 255, MAP)
MASKS = RNG.random((2, 3, 4, 3))


@pytest.mark.parametrize("squared", [True, False])
@pytest.mark.parametrize("smooth", [0.0, 1.0])
@pytest.mark.parametrize(
    ("exclusive", "target", "ignore"),
    [(True, MAP, None), (True, MASKS, None), (True, HOLES, 255), (False, MASKS, None)],
    ids=["classes", "soft", "ignoring", "sigmoid"],
)
def test_gradients_are_slopes(exclusive, target, ignore, squared, smooth):
    loss, x = Dice(exclusive, squared, smooth, ignore), values((2, 3, 4, 3))
    assert_gradient(loss, x, target)
    assert_float32_agrees(loss, x, target)


def test_values():
    x = values((2, 3, 4, 3))
    p = np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)
    t = np.eye(3)[MAP]
    axes = (1, 2)
    expected = 1 - ((2 * (p * t).sum(axes) + 1) / (p.sum(axes) + t.sum(axes) + 1)).mean()
    assert Dice()(x, MAP) == pytest.approx(expected, rel=1e-12)
    assert Dice()(x, t) == pytest.approx(expected, rel=1e-12)
    s = 1 / (1 + np.exp(-x))
    expected = 1 - (2 * (s * t).sum(axes) / ((s * s).sum(axes) + (t * t).sum(axes))).mean()
    assert Dice(exclusive=False, squared=True, smooth=0)(x, t) == pytest.approx(expected, rel=1e-12)


def test_perfect_wrong_and_empty_masks():
    x = np.full((1, 4, 2), -1e4, np.float32)
    x[..., 0] = 1e4
    right, wrong = np.zeros((1, 4), int), np.ones((1, 4), int)
    assert Dice(smooth=0.0)(x, right) == pytest.approx(0.0)
    assert Dice(smooth=0.0)(x, wrong) == pytest.approx(1.0)
    value, dx = Dice(smooth=0.0, ignore_index=9).value_and_gradient(x, np.full((1, 4), 9))
    assert value == 0.0 and not dx.numpy().any()  # nothing counts: 0 / 0 is 1
    value, dx = Dice().value_and_gradient(np.zeros((0, 4, 2)), np.zeros((0, 4), int))
    assert value == 0.0 and dx.shape == (0, 4, 2)


def test_what_does_not_fit_is_refused():
    x = values((2, 3, 4, 3))
    with pytest.raises(TargetError, match="dice: expected classes from 0 to 2, got 255"):
        Dice()(x, HOLES)
    with pytest.raises(ShapeError, match="dice: expected targets"):
        Dice(exclusive=False)(x, MAP)
    with pytest.raises(ShapeError, match="dice: expected targets"):
        Dice()(x, MAP[..., None])
    with pytest.raises(DTypeError, match="classes of integers"):
        Dice()(x, MAP.astype(float))
    with pytest.raises(ArgumentError, match="ignore_index outside of 0 to 2"):
        Dice(ignore_index=1)(x, MAP)
    with pytest.raises(ArgumentError, match="Dice: expected a finite smooth"):
        Dice(smooth=-1.0)
    with pytest.raises(ArgumentError, match="Dice: expected ignore_index"):
        Dice(ignore_index=1.5)


def test_classes_and_repr():
    assert Dice().classes_of(MAP) and not Dice().classes_of(MASKS)
    assert not Dice(exclusive=False).classes_of(MAP)
    assert repr(Dice(ignore_index=255)) == "Dice(exclusive=True, squared=False, smooth=1.0, ignore_index=255)"

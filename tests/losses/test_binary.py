"""Binary cross-entropy and focal loss of logits."""

import numpy as np
import pytest

from numbacnn.errors import ArgumentError, ShapeError, TargetError
from numbacnn.losses import BinaryCrossEntropy, Focal
from tests.layers.check import values
from tests.losses.check import assert_float32_agrees, assert_gradient

LOSSES = [
    BinaryCrossEntropy(),
    BinaryCrossEntropy(2.5),
    BinaryCrossEntropy([0.5, 1.0, 4.0]),
    Focal(),
    Focal(alpha=None, gamma=0.0),
    Focal(alpha=0.7, gamma=0.5),
    Focal(alpha=0.6, gamma=3.0),
]
BITS = (values((4, 2, 3), 1) > 0).astype(np.float64)
SOFT = np.random.default_rng(0).random((4, 2, 3))


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
@pytest.mark.parametrize("target", [BITS, SOFT], ids=["bits", "soft"])
def test_gradients_are_slopes(loss, target):
    x = 2 * values((4, 2, 3))
    assert_gradient(loss, x, target)
    assert_float32_agrees(loss, x, target)


def test_values():
    x = 2 * values((4, 2, 3))
    s = 1 / (1 + np.exp(-x))
    terms = -(SOFT * np.log(s) + (1 - SOFT) * np.log(1 - s))
    assert BinaryCrossEntropy()(x, SOFT) == pytest.approx(terms.mean(), rel=1e-12)
    assert Focal(None, 0.0)(x, SOFT) == pytest.approx(terms.mean(), rel=1e-12)
    right = np.where(BITS == 1, s, 1 - s)
    expected = np.where(BITS == 1, 0.3, 0.7) * (1 - right) ** 1.5 * -np.log(right)
    assert Focal(0.3, 1.5)(x, BITS) == pytest.approx(expected.mean(), rel=1e-12)
    w = np.array([0.5, 1.0, 4.0])
    weighted = -(w * BITS * np.log(s) + (1 - BITS) * np.log(1 - s))
    assert LOSSES[2](x, BITS) == pytest.approx(weighted.mean(), rel=1e-12)


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extreme_logits_stay_finite(loss, dtype):
    x = np.array([[1e4, -1e4, 0.0], [1e4, -1e4, -1e4]], dtype)
    value, dx = loss.value_and_gradient(x, np.array([[0, 1, 1], [1, 0, 1]]))
    assert np.isfinite(value) and value > 0
    assert np.isfinite(dx.numpy()).all()


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_an_empty_batch_costs_nothing(loss):
    value, dx = loss.value_and_gradient(np.zeros((0, 3)), np.zeros((0, 3)))
    assert value == 0.0 and dx.shape == (0, 3)


def test_what_does_not_fit_is_refused():
    x = values((4, 2))
    with pytest.raises(ShapeError, match="binary_cross_entropy: expected positive weights"):
        BinaryCrossEntropy([1.0, 2.0, 3.0])(x, (x > 0).astype(float))
    with pytest.raises(ShapeError, match="focal: expected targets"):
        Focal()(x, np.ones(4))
    with pytest.raises(TargetError, match=r"binary_cross_entropy: .*got 2.0 at element 0"):
        BinaryCrossEntropy()(x, np.full((4, 2), 2))
    for bad in ([-1.0], [], [[1.0]], "1", np.inf):
        with pytest.raises(ArgumentError, match="BinaryCrossEntropy: expected pos_weight"):
            BinaryCrossEntropy(bad)
    with pytest.raises(ArgumentError, match="Focal: expected alpha"):
        Focal(alpha=2.0)
    with pytest.raises(ArgumentError, match="Focal: expected a finite gamma"):
        Focal(gamma=-1.0)


def test_repr():
    assert repr(BinaryCrossEntropy()) == "BinaryCrossEntropy(pos_weight=None)"
    assert repr(BinaryCrossEntropy(2.5)) == "BinaryCrossEntropy(pos_weight=[2.5])"
    assert repr(Focal()) == "Focal(alpha=0.25, gamma=2.0)"

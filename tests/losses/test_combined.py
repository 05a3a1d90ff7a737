"""Sums of losses of one prediction and of several heads."""

import numpy as np
import pytest

from numbacnn.errors import ArgumentError
from numbacnn.losses import Dice, MeanSquaredError, SoftmaxCrossEntropy, Sum
from tests.layers.check import values
from tests.losses.check import assert_gradient

LABELS = np.array([0, 2, 1, 1])
MAP = np.random.default_rng(0).integers(0, 3, (2, 4))


def test_losses_of_one_prediction_are_added():
    loss = Sum([(SoftmaxCrossEntropy(), 0.5), (Dice(), 2.0)])
    x = values((2, 4, 3))
    value = assert_gradient(loss, x, MAP)
    assert value == pytest.approx(0.5 * SoftmaxCrossEntropy()(x, MAP) + 2 * Dice()(x, MAP))
    assert_gradient(loss, x, (MAP, np.eye(3)[MAP]))  # a target for each


def test_heads_take_a_target_each_or_one_for_all():
    main, side = values((4, 3)), values((4, 3), 1)
    loss = Sum([(SoftmaxCrossEntropy(), 1.0), (SoftmaxCrossEntropy(0.1), 0.3)])
    value = assert_gradient(loss, (main, side), LABELS)
    assert value == pytest.approx(
        SoftmaxCrossEntropy()(main, LABELS) + 0.3 * SoftmaxCrossEntropy(0.1)(side, LABELS)
    )
    mixed = Sum([(SoftmaxCrossEntropy(), 1.0), (MeanSquaredError(), 0.25)])
    assert_gradient(mixed, (main, side), (LABELS, values((4, 3), 2)))


def test_a_weight_of_0_leaves_no_gradient():
    loss = Sum([(SoftmaxCrossEntropy(), 0.0), (SoftmaxCrossEntropy(), 1.0)])
    value, (first, second) = loss.value_and_gradient((values((4, 3)), values((4, 3), 1)), LABELS)
    assert value == SoftmaxCrossEntropy()(values((4, 3), 1), LABELS)
    assert not first.numpy().any() and second.numpy().any()


def test_any_object_with_the_method_is_a_loss():
    class Mine:
        def value_and_gradient(self, prediction, target):
            return MeanSquaredError().value_and_gradient(prediction, target)

    x, t = values((4, 3)), values((4, 3), 1)
    value, dx = Sum([(Mine(), 3.0)]).value_and_gradient(x, t)
    assert value == pytest.approx(3 * MeanSquaredError()(x, t))
    np.testing.assert_allclose(dx.numpy(), 6 * (x - t) / x.size)


def test_what_does_not_fit_is_refused():
    loss = Sum([(SoftmaxCrossEntropy(), 1.0), (SoftmaxCrossEntropy(), 0.3)])
    with pytest.raises(ArgumentError, match="Sum: expected as many predictions as losses, 2, got 3"):
        loss((values((4, 3)),) * 3, LABELS)
    with pytest.raises(ArgumentError, match="as many targets as losses"):
        loss((values((4, 3)),) * 2, (LABELS,))
    for bad in ([], [MeanSquaredError()], [(MeanSquaredError(),)], [(3, 1.0)]):
        with pytest.raises(ArgumentError, match="pairs of a loss and its weight"):
            Sum(bad)
    for weight in (-1.0, np.inf, "1", True):
        with pytest.raises(ArgumentError, match="weights that are finite"):
            Sum([(MeanSquaredError(), weight)])


def test_the_first_loss_speaks_for_all():
    loss = Sum([(SoftmaxCrossEntropy(ignore_index=2), 1.0), (MeanSquaredError(), 0.3)])
    assert loss.classes_of((LABELS, None)) and loss.ignored == 2
    assert loss.weight_of((LABELS, None)) == 3
    assert repr(Sum([(MeanSquaredError(), 2)])) == "Sum([(MeanSquaredError(), 2.0)])"

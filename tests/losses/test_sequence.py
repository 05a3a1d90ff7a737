"""Connectionist temporal classification as a loss."""

import numpy as np
import pytest

from numbacnn import functional
from numbacnn.errors import ArgumentError, DTypeError, ShapeError, TargetError
from numbacnn.losses import CTC, Sum
from tests.layers.check import values
from tests.losses.check import assert_float32_agrees, assert_gradient

X = values((4, 7, 5), 1)
LABELS = np.array([[1, 3, 3], [2, -1, -1], [-1, -1, -1], [4, 1, -1]])
COUNTS, TIMES = np.array([3, 1, 0, 2]), np.array([7, 1, 4, 5])


@pytest.mark.parametrize("target", [LABELS, (LABELS, COUNTS), (LABELS, COUNTS, TIMES), (LABELS, None, TIMES)])
def test_gradients_are_slopes(target):
    value = assert_gradient(CTC(), X.copy(), target)
    x, whole = X.astype(np.float32), CTC().value_and_gradient(X, target)
    single, dx = CTC().value_and_gradient(x, target)
    assert single == pytest.approx(value, rel=1e-5) and dx.dtype == np.float32
    np.testing.assert_allclose(dx.numpy(), whole[1].numpy(), rtol=1e-4, atol=1e-6)


def test_another_blank_and_one_step():
    assert_gradient(CTC(blank=4), X[:, :1].copy(), np.array([[0], [1], [-1], [3]]))
    assert_float32_agrees(CTC(blank=2), X, np.array([[0, 0], [1, 0], [-1, -1], [3, -1]]))


def test_of_one_label_and_step_it_is_cross_entropy():
    x = X[:, 0]
    expected = -np.log(np.exp(x[:, 2]) / np.exp(x).sum(axis=1)).mean()
    assert CTC()(X[:, :1], np.full((4, 1), 2)) == pytest.approx(expected, rel=1e-12)


def test_losses_are_divided_by_their_labels():
    each = functional.ctc_forward(X, LABELS)[0].numpy()
    assert CTC()(X, LABELS) == pytest.approx((each / np.array([3, 1, 1, 2])).mean(), rel=1e-12)


def test_too_few_steps_are_infinite_or_nothing():
    short = X[:, :3]  # 1 3 3 takes four: a blank parts the equal ones
    value, dx = CTC().value_and_gradient(short, LABELS)
    assert value == np.inf and not dx.numpy()[0].any() and dx.numpy()[1].all()
    value, zeroed = CTC(zero_infinity=True).value_and_gradient(short, LABELS)
    assert value == pytest.approx(3 * CTC()(short[1:], LABELS[1:]) / 4, rel=1e-12)
    np.testing.assert_array_equal(zeroed.numpy(), dx.numpy())


def test_what_is_beyond_the_lengths_does_not_count():
    target, x, labels = (LABELS, COUNTS, TIMES), X.copy(), LABELS.copy()
    labels[labels < 0] = 77
    for row, time in zip(x, TIMES, strict=True):
        row[time:] = np.nan
    value, dx = CTC().value_and_gradient(x, (labels, COUNTS, TIMES))
    expected, slope = CTC().value_and_gradient(X, target)
    assert value == expected
    np.testing.assert_array_equal(dx.numpy(), slope.numpy())
    assert all(not row[time:].any() for row, time in zip(dx.numpy(), TIMES, strict=True))


def test_empty_batches_and_sums():
    value, dx = CTC().value_and_gradient(np.zeros((0, 3, 2)), np.zeros((0, 4), int))
    assert value == 0.0 and dx.shape == (0, 3, 2)
    loss = Sum([(CTC(), 0.5), (CTC(blank=4), 1.0)])
    other = np.where(LABELS == 4, 0, LABELS)
    value, _ = loss.value_and_gradient(X, ((LABELS, COUNTS), other))
    assert value == pytest.approx(0.5 * CTC()(X, LABELS) + CTC(blank=4)(X, other))
    assert CTC().weight_of((LABELS, COUNTS)) == CTC().weight_of(LABELS) == 4.0
    assert not CTC().classes_of(LABELS)


def test_what_does_not_fit_is_refused():
    loss = CTC()
    with pytest.raises(ShapeError, match=r"ctc: expected scores \(n, steps, classes\)"):
        loss(X[0], LABELS)
    with pytest.raises(ShapeError, match=r"labels \(n, labels\)"):
        loss(X, COUNTS)
    with pytest.raises(ShapeError, match=r"labels of shape \(4, 3\), got \(3, 3\)"):
        loss(X, LABELS[:3])
    with pytest.raises(ShapeError, match="label lengths of shape"):
        loss(X, (LABELS, COUNTS[:2]))
    with pytest.raises(ShapeError, match="input lengths of shape"):
        loss(X, (LABELS, COUNTS, TIMES[:, None]))
    with pytest.raises(DTypeError, match="labels of integers, got float64"):
        loss(X, LABELS * 1.0)
    with pytest.raises(DTypeError, match="input lengths of integers"):
        loss(X, (LABELS, COUNTS, TIMES * 1.0))
    for wrong, got in ((0, "the blank 0"), (5, "5"), (-2, "-2")):
        labels = LABELS.copy()
        labels[3, 1] = wrong
        with pytest.raises(
            TargetError, match=f"labels from 0 to 4 but for the blank, 0, got {got} as label 1"
        ):
            loss(X, (labels, COUNTS))
    with pytest.raises(TargetError, match="label 3 after one below 0 in example 1"):
        loss(X, np.array([[1, 3, 3], [2, -1, 3], [-1, -1, -1], [4, 1, -1]]))
    with pytest.raises(TargetError, match="label lengths from 0 to 3, got 4 for example 0"):
        loss(X, (LABELS, COUNTS + 1))
    with pytest.raises(TargetError, match="input lengths from 0 to 7, got -1 for example 1"):
        loss(X, (LABELS, COUNTS, TIMES - 2))
    with pytest.raises(ArgumentError, match="blank as a class from 0 to 4, got 5"):
        CTC(blank=5)(X, LABELS)
    with pytest.raises(
        ArgumentError, match="a tuple of labels, label lengths and input lengths, got 4 of them"
    ):
        loss(X, (LABELS, COUNTS, TIMES, TIMES))
    for bad in (-1, 1.0, True, "0"):
        with pytest.raises(ArgumentError, match="CTC: expected blank as a class"):
            CTC(blank=bad)
    _, norm, prefixes = functional.ctc_forward(X, LABELS)
    with pytest.raises(ShapeError, match="the logarithms of probabilities of shape"):
        functional.ctc_backward(X, LABELS, norm, norm)
    with pytest.raises(DTypeError, match="the logarithms of sums of float64"):
        functional.ctc_backward(X, LABELS, norm.numpy().astype(np.float32), prefixes)


def test_repr():
    assert repr(CTC()) == "CTC(blank=0, zero_infinity=False)"

"""Mean IoU and Dice by hand, by sets of pixels, and against scikit-learn's Jaccard."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbacnn.errors import ArgumentError, ShapeError, TargetError
from numbacnn.metrics import dice, f1, iou
from numbacnn.tensor import Tensor
from tests.strategies import seeds

TARGET = np.array([[[0, 0, 1], [0, 1, 1]], [[2, 2, 0], [0, 0, 255]]])
PREDICTED = np.array([[[0, 1, 1], [0, 1, 0]], [[2, 0, 0], [0, 0, 4]]])
# Without the pixel 255: both 5 2 1, predicted 7 3 1, targets 6 3 2


def test_by_hand():
    ious, dices = (
        iou(PREDICTED, TARGET, ignore=255, average=None),
        dice(PREDICTED, TARGET, ignore=255, average=None),
    )
    np.testing.assert_array_equal(ious, [5 / 8, 2 / 4, 1 / 2])
    np.testing.assert_array_equal(dices, [10 / 13, 4 / 6, 2 / 3])
    assert iou(PREDICTED, TARGET, ignore=255) == pytest.approx(np.mean(ious))
    assert dice(PREDICTED, TARGET, ignore=255) == pytest.approx(np.mean(dices))


def test_absent_classes_are_left_out():
    more = iou(PREDICTED, TARGET, classes=5, ignore=255, average=None)
    np.testing.assert_array_equal(more, [5 / 8, 2 / 4, 1 / 2, math.nan, math.nan])
    assert iou(PREDICTED, TARGET, classes=5, ignore=255) == iou(PREDICTED, TARGET, ignore=255)
    # One that is predicted and never there is wrong, not absent
    assert iou([[1, 1]], [[0, 1]]) == 0.25
    assert dice([[2, 0]], [[0, 0]]) == pytest.approx(1 / 3)


def test_perfect_and_nothing():
    kept = np.where(TARGET == 255, 0, TARGET)
    assert iou(kept, kept) == dice(kept, kept) == 1.0
    assert math.isnan(iou([[1]], [[0]], ignore=0))
    assert math.isnan(dice(np.zeros((0, 2, 2), int), np.zeros((0, 2, 2), int)))


def test_an_ignored_label_may_be_one_of_the_classes():
    np.testing.assert_array_equal(iou([[0, 1, 1, 0]], [[0, 0, 1, 1]], ignore=0, average=None), [0, 0.5])
    np.testing.assert_array_equal(iou([[0, 1, 1]], [[-1, 1, 0]], ignore=-1, average=None), [0, 0.5])


def test_scores_count_by_their_largest():
    scores = np.eye(5, dtype=np.float32)[PREDICTED]
    assert iou(Tensor(scores), TARGET, ignore=255) == iou(PREDICTED, TARGET, ignore=255)
    assert iou(scores, TARGET, ignore=255, average=None).shape == (5,)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5), st.integers(1, 4), seeds)
def test_they_are_those_of_sets_of_pixels(n, h, w, classes, seed):
    rng = np.random.default_rng(seed)
    predicted, target = rng.integers(0, classes, (2, n, h, w)).astype(np.uint8)
    there = rng.random((n, h, w)) < 0.8
    target[~there] = 99
    ious, dices = np.full((2, classes), math.nan)
    for k in range(classes):
        a = set(np.flatnonzero((predicted == k) & there))
        b = set(np.flatnonzero(target == k))
        if a | b:
            ious[k], dices[k] = len(a & b) / len(a | b), 2 * len(a & b) / (len(a) + len(b))
    options = {"classes": classes, "ignore": 99}
    np.testing.assert_array_equal(iou(predicted, target, average=None, **options), ious)
    np.testing.assert_array_equal(dice(predicted, target, average=None, **options), dices)
    if there.any():
        assert iou(predicted, target, **options) == pytest.approx(np.nanmean(ious))
        assert dice(predicted, target, **options) == pytest.approx(f1(predicted[there], target[there]))


def test_iou_is_scikit_learns_jaccard():
    sklearn = pytest.importorskip("sklearn.metrics")
    predicted, target = np.random.default_rng(0).integers(0, 5, (2, 2, 8, 9))
    expected = sklearn.jaccard_score(target.ravel(), predicted.ravel(), average=None)
    np.testing.assert_allclose(iou(predicted, target, average=None), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: iou(PREDICTED[:1], TARGET), ShapeError, r"iou: .*got \(1, 2, 3\) and \(2, 2, 3\)"),
        (lambda: dice(PREDICTED[0, 0], TARGET, ignore=255), ShapeError, "dice: expected predictions"),
        (lambda: iou(PREDICTED * 1.0, TARGET, ignore=255), TargetError, "iou: expected integer labels"),
        (
            lambda: iou(PREDICTED, TARGET, classes=2, ignore=255),
            TargetError,
            "iou: expected classes from 0 to 1",
        ),
        (lambda: dice(PREDICTED, -TARGET), TargetError, "dice: expected classes"),
        (lambda: iou(PREDICTED, TARGET, classes=0), ArgumentError, "iou: expected classes of 1"),
        (lambda: dice(PREDICTED, TARGET, average="micro"), ArgumentError, "dice: expected average"),
    ],
)
def test_bad_arguments_are_refused(call, error, said):
    with pytest.raises(error, match=said):
        call()

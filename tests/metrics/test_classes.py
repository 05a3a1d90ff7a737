"""Metrics of classes by hand, and against scikit-learn where it is installed."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbacnn.errors import ArgumentError, ShapeError, TargetError
from numbacnn.metrics import accuracy, confusion_matrix, f1, precision, recall, top_k
from numbacnn.tensor import Tensor

SCORES = np.array([[0.1, 0.7, 0.2], [0.5, 0.2, 0.3], [0.2, 0.2, 0.6], [0.4, 0.4, 0.2]], np.float32)
LABELS = np.array([1, 2, 2, 1])


def test_accuracy():
    assert accuracy(SCORES, LABELS) == 0.5  # the last row is a draw, which the first class wins
    assert accuracy(Tensor(SCORES), LABELS.astype(np.uint8)) == 0.5
    assert accuracy(SCORES, np.eye(3)[LABELS]) == 0.5
    assert accuracy(np.array([1, 2, 2, 0]), LABELS) == 0.75
    assert math.isnan(accuracy(np.zeros((0, 3)), np.zeros(0, int)))


def test_top_k():
    assert [top_k(SCORES, LABELS, k) for k in (1, 2, 3)] == [0.5, 1.0, 1.0]
    assert top_k(np.array([[np.nan, 1.0, 2.0]]), [0], 2) == 0.0
    assert math.isnan(top_k(np.zeros((0, 3)), np.zeros(0, int), 2))


def test_top_1_is_accuracy():
    rng = np.random.default_rng(0)
    scores, labels = rng.integers(0, 4, (200, 6)).astype(float), rng.integers(0, 6, 200)  # with many draws
    assert top_k(scores, labels, 1) == accuracy(scores, labels)


def test_confusion_matrix():
    np.testing.assert_array_equal(confusion_matrix(SCORES, LABELS), [[0, 0, 0], [1, 1, 0], [1, 0, 1]])
    assert confusion_matrix([0, 1], [1, 1]).shape == (2, 2)
    assert confusion_matrix([0, 1], [1, 1], classes=4).shape == (4, 4)
    assert confusion_matrix(np.zeros((0, 3)), np.zeros(0, int)).tolist() == [[0] * 3] * 3


def test_confusion_matrix_is_that_of_scikit_learn():
    sklearn = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    predicted, actual = rng.integers(0, 7, (2, 500))
    expected = sklearn.confusion_matrix(actual, predicted)
    np.testing.assert_array_equal(confusion_matrix(predicted, actual), expected)


# By class, of targets 0 0 0 1 1 3 predicted as 0 0 1 1 2 0: right 2 1 0 0, predicted 3 2 1 0, targets 3 2 0 1
TARGETS, PREDICTED = [0, 0, 0, 1, 1, 3], [0, 0, 1, 1, 2, 0]


def test_precision_recall_and_f1_by_class():
    np.testing.assert_array_equal(precision(PREDICTED, TARGETS, None), [2 / 3, 1 / 2, 0, 0])
    np.testing.assert_array_equal(recall(PREDICTED, TARGETS, None), [2 / 3, 1 / 2, 0, 0])
    np.testing.assert_array_equal(f1(PREDICTED, TARGETS, None), [2 / 3, 1 / 2, 0, 0])
    np.testing.assert_array_equal(precision(PREDICTED, TARGETS, None, zero_division=1)[2:], [0, 1])
    np.testing.assert_array_equal(recall(PREDICTED, TARGETS, None, zero_division=1)[2:], [1, 0])
    np.testing.assert_array_equal(f1(PREDICTED, TARGETS, None, zero_division=1)[2:], [0, 0])


def test_averages():
    assert precision(PREDICTED, TARGETS, "micro") == recall(PREDICTED, TARGETS, "micro") == 0.5
    assert precision(PREDICTED, TARGETS) == pytest.approx((2 / 3 + 1 / 2) / 4)
    assert precision(PREDICTED, TARGETS, zero_division=math.nan) == pytest.approx((2 / 3 + 1 / 2) / 3)
    assert recall(PREDICTED, TARGETS, "weighted") == pytest.approx((3 * 2 / 3 + 2 / 2) / 6)
    assert f1(PREDICTED, TARGETS, "weighted") == pytest.approx((3 * 2 / 3 + 2 / 2) / 6)


def test_classes_of_scores_that_occur_nowhere_are_in_no_mean():
    scores = np.array([[0.1, 0.9, 0, 0], [0.9, 0.1, 0, 0]])
    assert f1(scores, [1, 0]) == 1.0
    np.testing.assert_array_equal(
        f1(scores, [1, 0], None, zero_division=math.nan), [1, 1, math.nan, math.nan]
    )
    np.testing.assert_array_equal(precision(Tensor(scores), np.eye(4)[[1, 1]], None), [0, 1, 0, 0])


@pytest.mark.parametrize("metric", [precision, recall, f1])
def test_no_examples_have_no_mean(metric):
    for average in ("macro", "micro", "weighted"):
        assert math.isnan(metric(np.zeros(0, int), np.zeros(0, int), average))
    assert metric(np.zeros((0, 3)), np.zeros(0, int), None).tolist() == [0, 0, 0]


labels = st.integers(0, 5)


@pytest.mark.parametrize("metric", [precision, recall, f1])
@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(labels, labels), min_size=1, max_size=25),
    st.sampled_from(["macro", "micro", "weighted", None]),
    st.sampled_from([0.0, 1.0, math.nan]),
)
def test_they_are_those_of_scikit_learn(metric, pairs, average, zero):
    sklearn = pytest.importorskip("sklearn.metrics")
    theirs = getattr(sklearn, {"f1": "f1_score"}.get(metric.__name__, f"{metric.__name__}_score"))
    predicted, actual = np.array(pairs).T
    options = {"average": average, "zero_division": zero}
    if average is None:
        options["labels"] = range(max(predicted.max(), actual.max()) + 1)
    expected = theirs(actual, predicted, **options)
    ours = metric(predicted, actual, average, zero_division=zero)
    np.testing.assert_allclose(ours, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: precision(SCORES, LABELS, "mean"), ArgumentError, "precision: expected average .*'mean'"),
        (lambda: recall(SCORES, LABELS, zero_division=2), ArgumentError, "recall: expected zero_division"),
        (lambda: f1(SCORES, LABELS + 1), TargetError, "f1: expected classes from 0 to 2, got 2 to 3"),
        (lambda: f1(SCORES, LABELS[:2]), ShapeError, "f1: .*got 4 and 2"),
        (lambda: accuracy(SCORES, [1, 2]), ShapeError, "accuracy: .*got 4 and 2"),
        (lambda: accuracy(np.zeros((2, 3, 4)), [1, 2]), ShapeError, r"\(2, 3, 4\)"),
        (
            lambda: accuracy(SCORES, LABELS + 0.5),
            TargetError,
            "accuracy: expected integer classes, got float64",
        ),
        (lambda: top_k(SCORES, LABELS, 4), ArgumentError, "top_k: expected k from 1 to 3, got 4"),
        (lambda: top_k(SCORES, LABELS, 0), ArgumentError, "k from 1 to 3"),
        (lambda: top_k(LABELS, LABELS, 1), ShapeError, "scores of shape"),
        (lambda: top_k(SCORES, LABELS + 1, 2), TargetError, "classes from 0 to 2, got 2 to 3"),
        (lambda: confusion_matrix(SCORES, -LABELS), TargetError, "got -2 to -1"),
        (lambda: confusion_matrix(SCORES, LABELS, classes=2), TargetError, "confusion_matrix"),
    ],
)
def test_bad_arguments_are_refused(call, error, said):
    with pytest.raises(error, match=said):
        call()

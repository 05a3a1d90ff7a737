"""Metrics by hand, and against scikit-learn where it is installed."""

import math

import numpy as np
import pytest

from numbacnn.errors import ArgumentError, ShapeError, TargetError
from numbacnn.metrics import accuracy, confusion_matrix, top_k
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


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
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

"""The area under the ROC curve by hand and by counting pairs, and against scikit-learn."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbacnn.errors import NumericsError, ShapeError, TargetError
from numbacnn.metrics import roc_auc
from numbacnn.tensor import Tensor


def test_by_hand():
    assert roc_auc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]) == 0.75
    assert roc_auc([1, 2, 3], [0, 1, 1]) == 1.0
    assert roc_auc([3, 2, 1], [0, 1, 1]) == 0.0
    assert roc_auc([1, 1, 1], [0, 1, 1]) == 0.5
    assert roc_auc([-math.inf, 0.0, math.inf], [0, 0, 1]) == 1.0
    assert roc_auc(Tensor(np.array([1, 2], np.float32)), [True, False]) == 0.0


def test_without_two_kinds_there_is_none():
    assert math.isnan(roc_auc([1.0, 2.0], [1, 1]))
    assert math.isnan(roc_auc([], np.zeros(0, int)))
    assert math.isnan(roc_auc(np.zeros((0, 3)), np.zeros(0, int)))


def test_classes_against_the_rest():
    scores = np.array([[3, 0, 1, 0], [2, 1, 1, 0], [2, 2, 5, 1]])
    # class 0: 3, 2 against 2; class 1 and 3 have none; class 2: 5 against 1, 1
    assert roc_auc(scores, [0, 0, 2]) == pytest.approx((0.75 + 1.0) / 2)
    assert roc_auc(scores, np.eye(4)[[0, 0, 2]]) == pytest.approx((0.75 + 1.0) / 2)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), max_size=30))
def test_it_is_the_share_of_pairs_in_order(pairs):
    ones = [score for score, positive in pairs if positive]
    zeros = [score for score, positive in pairs if not positive]
    twice = sum(2 * (a > b) + (a == b) for a in ones for b in zeros)
    area = roc_auc([score for score, _ in pairs], np.array([positive for _, positive in pairs], bool))
    if ones and zeros:
        assert area == twice / (2 * len(ones) * len(zeros))
    else:
        assert math.isnan(area)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 1)), max_size=30))
def test_two_classes_are_those_of_scikit_learn(pairs):
    sklearn = pytest.importorskip("sklearn.metrics")
    scores, actual = np.array([*pairs, (3, 0), (4, 1)]).T
    assert roc_auc(scores / 8, actual) == pytest.approx(sklearn.roc_auc_score(actual, scores / 8), rel=1e-12)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.integers(1, 4), st.integers(1, 4), st.integers(0, 2)), max_size=25
    )
)
def test_many_classes_are_those_of_scikit_learn(rows):
    sklearn = pytest.importorskip("sklearn.metrics")
    rows = np.array([*rows, (1, 2, 1, 0), (0, 1, 3, 1), (2, 2, 2, 2)])
    scores, actual = rows[:, :3] / rows[:, :3].sum(axis=1, keepdims=True), rows[:, 3]
    expected = sklearn.roc_auc_score(actual, scores, multi_class="ovr", average="macro")
    assert roc_auc(scores, actual) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: roc_auc(np.zeros((2, 2, 2)), [0, 1]), ShapeError, "roc_auc: expected scores"),
        (lambda: roc_auc([1.0, 2.0], [0, 1, 1]), ShapeError, "got 2 and 3"),
        (lambda: roc_auc([1.0, 2.0], [1, 2]), TargetError, "classes from 0 to 1, got 1 to 2"),
        (lambda: roc_auc(np.zeros((2, 3)), [1, 3]), TargetError, "classes from 0 to 2"),
        (lambda: roc_auc([1.0, 2.0], [0.0, 1.0]), TargetError, "integer classes"),
        (lambda: roc_auc([1.0, math.nan], [0, 1]), NumericsError, "got NaN"),
    ],
)
def test_bad_arguments_are_refused(call, error, said):
    with pytest.raises(error, match=said):
        call()

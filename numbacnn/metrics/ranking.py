"""Metrics of scores by their order: the area under the ROC curve."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from numbacnn.errors import NumericsError, ShapeError, message

from ._checks import class_labels, mean_of, require_classes


def roc_auc(score: ArrayLike, target: ArrayLike) -> float:
    """``P(score of a positive > score of a negative) + P(equal) / 2``, the area under the ROC curve.

    By ranks: ``(R - n1 (n1 + 1) / 2) / (n1 n0)``, R the sum of the ranks of the n1 positives among all
    examples, equals sharing the mean of their ranks. Only the division rounds.

    Args:
        score: ``(N,)`` of the positive class; or ``(N, K)``, of which each column is taken against the rest
            and the mean is returned. For two classes pass the one column, or the difference of the logits.
            Infinities are allowed.
        target: ``(N,)`` integers or booleans: 0 and 1, or classes ``0 .. K - 1``; or one-hot ``(N, K)``.

    Returns:
        A number in [0, 1]. Classes that no or all examples have are left out of the mean; NaN where none is
        left.

    Raises:
        ShapeError: scores are not ``(N,)`` or ``(N, K)``, or not as many as targets.
        TargetError: a target is not one of the classes.
        NumericsError: a score is NaN.

    Source:
        Hanley and McNeil, "The Meaning and Use of the Area under a Receiver Operating Characteristic (ROC)
        Curve", 1982; Fawcett, "An Introduction to ROC Analysis", 2006, section 7.

    """
    scores, labels = np.asarray(score), np.asarray(target)
    if scores.ndim not in (1, 2):
        remedy = "pass one score for each example, or one for each class"
        raise ShapeError(message("roc_auc", "scores (N,) or (N, K)", str(scores.shape), remedy))
    actual = class_labels("roc_auc", labels.astype(np.int64) if labels.dtype == np.bool_ else labels)
    if len(scores) != len(actual):
        got = f"{len(scores)} and {len(actual)}"
        raise ShapeError(message("roc_auc", "as many scores as targets", got, "pair them one to one"))
    require_classes("roc_auc", actual, 2 if scores.ndim == 1 else scores.shape[1])
    if scores.dtype.kind == "f" and np.isnan(scores).any():
        raise NumericsError(
            message("roc_auc", "scores that can be ordered", "NaN", "find where it comes from")
        )
    if scores.ndim == 1:
        return _binary(scores, actual == 1)
    areas = [_binary(scores[:, k], actual == k) for k in range(scores.shape[1])]
    return mean_of(np.array(areas, np.float64))


def _binary(scores: NDArray, positive: NDArray[np.bool_]) -> float:
    ones = int(positive.sum())
    zeros = positive.size - ones
    if not ones or not zeros:
        return float("nan")
    _, group, size = np.unique(scores, return_inverse=True, return_counts=True)
    twice = 2 * np.cumsum(size) - size + 1  # twice the mean rank, counted from 1, of each group of equals
    total = int(twice[group[positive]].sum())
    return (total - ones * (ones + 1)) / (2 * ones * zeros)

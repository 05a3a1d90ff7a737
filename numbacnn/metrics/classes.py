"""Metrics of classification by the class alone: accuracy, top-k, confusion matrix, precision, recall, F1."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from numbacnn.errors import ArgumentError, ShapeError, message

from ._checks import mean_of, paired, require_classes


def accuracy(prediction: ArrayLike, target: ArrayLike) -> float:
    """``mean(class(prediction) == class(target))``.

    Args:
        prediction: scores ``(N, K)``, of which the largest counts (the first of equals), or classes ``(N,)``.
        target: classes ``(N,)``, or one-hot ``(N, K)``.

    Returns:
        Share of the N examples, in [0, 1]; NaN for none.

    Raises:
        ShapeError: the two do not describe the same number of examples.
        TargetError: classes are not integers.

    """
    predicted, actual = paired("accuracy", prediction, target)
    return float(np.mean(predicted == actual)) if actual.size else float("nan")


def top_k(prediction: ArrayLike, target: ArrayLike, k: int = 5) -> float:
    """``mean(target is among the k largest scores)``.

    Args:
        prediction: scores ``(N, K)``. Of equal scores the first counts as larger; a NaN as smallest.
        target: classes ``(N,)``, or one-hot ``(N, K)``.
        k: from 1 to K.

    Returns:
        Share of the N examples, in [0, 1]; NaN for none.

    Raises:
        ShapeError: the two do not describe the same number of examples, or scores are not ``(N, K)``.
        TargetError: a class is not an integer in ``0 .. K - 1``.
        ArgumentError: k is not in its range.

    """
    scores = np.asarray(prediction)
    if scores.ndim != 2:
        raise ShapeError(
            message("top_k", "scores of shape (N, K)", str(scores.shape), "pass the model's output")
        )
    classes = scores.shape[1]
    if not 1 <= k <= classes:
        raise ArgumentError(message("top_k", f"k from 1 to {classes}", repr(k), "pass such as k=1"))
    _, actual = paired("top_k", scores, target)
    require_classes("top_k", actual, classes)
    if not actual.size:
        return float("nan")
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]  # NaN sorts last
    return float(np.mean((best == actual[:, None]).any(axis=1)))


def confusion_matrix(
    prediction: ArrayLike, target: ArrayLike, classes: int | None = None
) -> NDArray[np.int64]:
    """``c[i, j]`` = number of examples of class i that were predicted as j.

    Args:
        prediction: scores ``(N, K)`` or classes ``(N,)``.
        target: classes ``(N,)``, or one-hot ``(N, K)``.
        classes: number of classes; None for the K of the scores, or one more than the largest class seen.

    Returns:
        ``(classes, classes)``, rows by target, columns by prediction.

    Raises:
        ShapeError: the two do not describe the same number of examples.
        TargetError: a class is not an integer in ``0 .. classes - 1``.

    """
    predicted, actual = paired("confusion_matrix", prediction, target)
    if classes is None:
        shape = np.shape(prediction)
        seen = max((int(a.max()) + 1 for a in (predicted, actual) if a.size), default=0)
        classes = shape[1] if len(shape) == 2 else seen
    require_classes("confusion_matrix", actual, classes)
    require_classes("confusion_matrix", predicted, classes)
    counts = np.bincount(actual * classes + predicted, minlength=classes * classes)
    return counts.reshape(classes, classes).astype(np.int64)


def precision(
    prediction: ArrayLike, target: ArrayLike, average: str | None = "macro", *, zero_division: float = 0.0
) -> float | NDArray[np.float64]:
    """``TP / (TP + FP)``: the share of a class's predictions that are right.

    Args:
        prediction: scores ``(N, K)`` or classes ``(N,)``.
        target: classes ``(N,)``, or one-hot ``(N, K)``.
        average: "macro", the mean over the classes that occur in predictions or targets; "weighted", that
            mean weighted by the number of targets; "micro", of TP and FP summed over classes, which is the
            accuracy; None, each class.
        zero_division: in [0, 1] or NaN: the value of a class that was never predicted, whose quotient is
            0 / 0. NaN leaves the class out of the mean.

    Returns:
        A number in [0, 1], NaN for no examples; with average None ``(K,)`` float64, where classes that occur
        nowhere have the value zero_division too.

    Raises:
        ShapeError: the two do not describe the same number of examples.
        TargetError: a class is not an integer from 0 on, or with scores not below K.
        ArgumentError: average or zero_division is not among its values.

    Source:
        van Rijsbergen, "Information Retrieval", 1979, chapter 7; the averages are scikit-learn's.

    """
    hits, predicted, actual = _counts("precision", prediction, target, average, zero_division)
    return _averaged(hits, predicted, predicted + actual, actual, average, zero_division)


def recall(
    prediction: ArrayLike, target: ArrayLike, average: str | None = "macro", *, zero_division: float = 0.0
) -> float | NDArray[np.float64]:
    """``TP / (TP + FN)``: the share of a class's examples that were found.

    Arguments, results, errors and source are those of `precision`; the quotient is 0 / 0 for a class
    without targets.
    """
    hits, predicted, actual = _counts("recall", prediction, target, average, zero_division)
    return _averaged(hits, actual, predicted + actual, actual, average, zero_division)


def f1(
    prediction: ArrayLike, target: ArrayLike, average: str | None = "macro", *, zero_division: float = 0.0
) -> float | NDArray[np.float64]:
    """``2 TP / (2 TP + FP + FN)``: the harmonic mean of precision and recall.

    Arguments, results, errors and source are those of `precision`; the quotient is 0 / 0 only for a class
    that occurs nowhere. With average "macro" it is the mean of the classes' F1, not the F1 of the means.
    """
    hits, predicted, actual = _counts("f1", prediction, target, average, zero_division)
    return _averaged(2 * hits, predicted + actual, predicted + actual, actual, average, zero_division)


def _counts(
    name: str, prediction: ArrayLike, target: ArrayLike, average: str | None, zero_division: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """By class: right predictions, all predictions, all targets."""
    if average not in ("macro", "micro", "weighted", None):
        expected = 'average "macro", "micro", "weighted" or None'
        raise ArgumentError(message(name, expected, repr(average), 'pass such as "macro"'))
    if not (0.0 <= zero_division <= 1.0 or np.isnan(zero_division)):
        expected = "zero_division in [0, 1] or NaN"
        raise ArgumentError(message(name, expected, repr(zero_division), "pass such as 0.0"))
    predicted, actual = paired(name, prediction, target)
    shape = np.shape(prediction)
    classes = (
        shape[1]
        if len(shape) == 2
        else max((int(a.max()) + 1 for a in (predicted, actual) if a.size), default=0)
    )
    require_classes(name, predicted, classes)
    require_classes(name, actual, classes)
    hits, found, there = (
        np.bincount(a, minlength=classes) for a in (actual[predicted == actual], predicted, actual)
    )
    return hits, found, there


def _averaged(
    part: NDArray[np.int64],
    whole: NDArray[np.int64],
    occurring: NDArray[np.int64],
    support: NDArray[np.int64],
    average: str | None,
    zero_division: float,
) -> float | NDArray[np.float64]:
    if average == "micro":
        return float(part.sum() / whole.sum()) if whole.sum() else float("nan")
    values = np.where(whole > 0, part / np.maximum(whole, 1), zero_division)
    if average is None:
        return values
    return mean_of(values, (support if average == "weighted" else occurring > 0).astype(np.float64))

"""Metrics: how well predictions agree with targets. They take arrays or tensors and return plain numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from numbacnn.errors import ArgumentError, ShapeError, TargetError, message


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
    predicted, actual = _paired("accuracy", prediction, target)
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
    _, actual = _paired("top_k", scores, target)
    _require_classes("top_k", actual, classes)
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
    predicted, actual = _paired("confusion_matrix", prediction, target)
    if classes is None:
        shape = np.shape(prediction)
        seen = max((int(a.max()) + 1 for a in (predicted, actual) if a.size), default=0)
        classes = shape[1] if len(shape) == 2 else seen
    _require_classes("confusion_matrix", actual, classes)
    _require_classes("confusion_matrix", predicted, classes)
    counts = np.bincount(actual * classes + predicted, minlength=classes * classes)
    return counts.reshape(classes, classes).astype(np.int64)


def _paired(
    name: str, prediction: ArrayLike, target: ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    predicted, actual = _classes(name, prediction), _classes(name, target)
    if predicted.shape != actual.shape:
        got = f"{predicted.size} and {actual.size}"
        raise ShapeError(message(name, "as many predictions as targets", got, "pair them one to one"))
    return predicted, actual


def _classes(name: str, values: ArrayLike) -> NDArray[np.int64]:
    """Classes ``(N,)``, from themselves or from the largest of scores ``(N, K)``."""
    array = np.asarray(values)
    if array.ndim == 2 and array.shape[1]:
        return array.argmax(axis=1)
    if array.ndim != 1:
        remedy = "pass one row or one class for each example"
        raise ShapeError(message(name, "scores (N, K) or classes (N,)", str(array.shape), remedy))
    if array.size and not np.issubdtype(array.dtype, np.integer):
        remedy = "convert them: classes.astype(int)"
        raise TargetError(message(name, "integer classes", str(array.dtype), remedy))
    return array.astype(np.int64)


def _require_classes(name: str, labels: NDArray[np.int64], classes: int) -> None:
    if labels.size and (labels.min() < 0 or labels.max() >= classes):
        got = f"{labels.min()} to {labels.max()}"
        raise TargetError(message(name, f"classes from 0 to {classes - 1}", got, "renumber them from 0"))

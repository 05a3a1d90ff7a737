"""What metrics check of their arguments, and classes from scores."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from numbacnn.errors import ShapeError, TargetError, message


def paired(
    name: str, prediction: ArrayLike, target: ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Classes ``(N,)`` of predictions and targets, as many of both."""
    predicted, actual = class_labels(name, prediction), class_labels(name, target)
    if predicted.shape != actual.shape:
        got = f"{predicted.size} and {actual.size}"
        raise ShapeError(message(name, "as many predictions as targets", got, "pair them one to one"))
    return predicted, actual


def class_labels(name: str, values: ArrayLike) -> NDArray[np.int64]:
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


def require_classes(name: str, labels: NDArray[np.int64], classes: int) -> None:
    """Refuse labels beyond ``0 .. classes - 1``."""
    if labels.size and (labels.min() < 0 or labels.max() >= classes):
        got = f"{labels.min()} to {labels.max()}"
        raise TargetError(message(name, f"classes from 0 to {classes - 1}", got, "renumber them from 0"))


def mean_of(values: NDArray[np.float64], weights: NDArray[np.float64] | None = None) -> float:
    """Mean of what is not NaN; NaN where nothing is, or nothing weighs."""
    known = ~np.isnan(values)
    weights = known.astype(np.float64) if weights is None else np.where(known, weights, 0.0)
    total = weights.sum()
    return float(np.where(known, values, 0.0) @ weights / total) if total else float("nan")

"""What losses check of their targets."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from numbacnn.errors import ArgumentError, DTypeError, ShapeError, TargetError, message
from numbacnn.functional._checks import companion, require_shape

_INT64 = np.dtype(np.int64)
_SUM_TOLERANCE = 1e-3  # of target rows: far above rounding, far below a mistake
NOTHING = -(1 << 63)  # the class that is ignored where none is


def loss_dtype(x: NDArray) -> np.dtype:
    """Losses of 16-bit scores are float32: they are added up."""
    return x.dtype if x.dtype.itemsize >= 4 else np.dtype(np.float32)


def require_classes(name: str, x: NDArray) -> None:
    """ShapeError where there is no class axis, or it is empty."""
    if x.ndim == 0 or x.shape[-1] == 0:
        raise ShapeError(message(name, "an input (..., classes)", str(x.shape), "give it a class axis"))


def ignored(name: str, ignore_index: int | None) -> int:
    """The class that is ignored, as kernels take it."""
    if ignore_index is None:
        return NOTHING
    if isinstance(ignore_index, bool) or not isinstance(ignore_index, (int, np.integer)):
        expected = "ignore_index as an integer or None"
        raise ArgumentError(message(name, expected, repr(ignore_index), "pass such as 255"))
    return int(ignore_index)


def class_weights_of(name: str, weights: Any, scores: NDArray) -> Any:
    """The weights of the classes: an array (classes,) of the losses' type where the scores lie, or None."""
    if weights is None:
        return None
    array = companion(name, "class weights", weights, scores)
    require_shape(name, "class weights", array, scores.shape[-1:], "give one weight per class")
    if array.dtype != loss_dtype(scores):
        expected = f"class weights of {loss_dtype(scores)}"
        raise DTypeError(message(name, expected, str(array.dtype), "convert them; types are not mixed"))
    return array


def targets_of(name: str, target: Any, scores: NDArray, ignore: int = NOTHING, classes: bool = False) -> Any:
    """Targets in rows: classes as int64 ``(rows,)``, or probabilities ``(rows, k)`` of the scores' type.

    Args:
        name: the operation that errors name.
        target: ``scores.shape[:-1]`` or ``scores.shape``; classes from 0 to k - 1 or the ignored one.
        scores: ``(n, ..., k)``.
        ignore: the ignored class, or `NOTHING`.
        classes: there must be classes, not probabilities.

    """
    if scores.ndim < 2:
        got = f"{scores.ndim} axes, {scores.shape}"
        raise ShapeError(message(name, "scores (n, ..., classes)", got, "give them a batch axis"))
    require_classes(name, scores)
    k = scores.shape[-1]
    array = companion(name, "targets", target, scores)
    if array.ndim == scores.ndim - 1 or classes:
        return _classes(name, array, scores, ignore).reshape(-1)
    remedy = "give one class, or one row of probabilities, per item"
    require_shape(name, "targets", array, scores.shape, remedy)
    if ignore != NOTHING:
        expected = "classes where some are to be ignored"
        raise ArgumentError(message(name, expected, "rows of probabilities", "leave out ignore_index"))
    if type(array) is np.ndarray and array.dtype.kind in "iub":  # one-hot rows
        array = array.astype(scores.dtype)
    elif array.dtype != scores.dtype:
        expected = f"probabilities of {scores.dtype}, the type of the scores"
        raise DTypeError(message(name, expected, str(array.dtype), "convert one; types are not mixed"))
    rows: Any = array.reshape(-1, k)
    if type(array) is np.ndarray:
        fair = (rows >= 0.0).all(axis=1) & (np.abs(rows.sum(axis=1) - 1.0) <= _SUM_TOLERANCE)
        if not fair.all():
            at = int(np.flatnonzero(~fair)[0])
            expected = "rows of probabilities, 0 or more, that sum to 1"
            got = f"row {at}: {np.array2string(rows[at], threshold=8)}"
            raise TargetError(message(name, expected, got, "normalise the targets"))
    return rows


def _classes(name: str, array: Any, scores: NDArray, ignore: int) -> Any:
    """Classes of int64. Those on a GPU are not looked at, which would wait for it."""
    k = scores.shape[-1]
    host = type(array) is np.ndarray
    if not host and array.dtype != _INT64:
        remedy = "convert them before .to()"
        raise DTypeError(message(name, "classes of int64 on a GPU", str(array.dtype), remedy))
    if array.dtype.kind not in "iu":
        raise DTypeError(message(name, "classes of integers", str(array.dtype), "convert them"))
    require_shape(name, "classes", array, scores.shape[:-1], "give one class per item")
    # Seen as unsigned, a negative class is out of range too: one pass finds both.
    if host and array.size and array.astype(_INT64, copy=False).view(np.uint64).max() >= k:
        wrong = ((array < 0) | (array >= k)) & (array != ignore)
        if wrong.any():
            at = int(np.flatnonzero(wrong)[0])
            got = f"{array.reshape(-1)[at]} at index {at}"
            raise TargetError(message(name, f"classes from 0 to {k - 1}", got, "check labels and classes"))
    return array.astype(_INT64, copy=False) if host else array


def chances_of(name: str, target: Any, scores: NDArray) -> Any:
    """Targets of independent classes: from 0 to 1, of the scores' shape and type; on the CPU or integers."""
    array = companion(name, "targets", target, scores)
    require_shape(name, "targets", array, scores.shape, "give one target per score")
    host = type(array) is np.ndarray
    if host and array.dtype.kind in "iub":
        array = array.astype(scores.dtype)
    elif array.dtype != scores.dtype:
        expected = f"targets of {scores.dtype}, the type of the scores"
        raise DTypeError(message(name, expected, str(array.dtype), "convert one; types are not mixed"))
    if host and array.size and not (array.min() >= 0.0 and array.max() <= 1.0):
        at = int(np.flatnonzero(~((array >= 0.0) & (array <= 1.0)))[0])
        got = f"{array.reshape(-1)[at]} at element {at}"
        raise TargetError(message(name, "targets from 0 to 1", got, "check the labels"))
    return array

"""Metrics of label maps: intersection over union and Dice's coefficient."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from numbacnn.errors import ArgumentError, ShapeError, TargetError, message

from ._checks import mean_of, require_classes


def iou(
    prediction: ArrayLike,
    target: ArrayLike,
    *,
    classes: int | None = None,
    ignore: int | None = None,
    average: str | None = "macro",
) -> float | NDArray[np.float64]:
    """``|P and T| / |P or T|`` of the pixels predicted as a class and those that are it; "macro" is mean IoU.

    The pixels of all images are counted together, as by PASCAL VOC: classes rare in one image do not make
    the mean noisy. So means over batches are not the mean over all.

    Args:
        prediction: label maps ``(N, H, W)``, or of any other shape, of integers; or scores of that shape and
            ``(..., K)``, of which the largest counts (the first of equals).
        target: label maps ``(N, H, W)`` of integers.
        classes: number of classes; None for the K of the scores, or one more than the largest label seen.
        ignore: label of target pixels that do not count, whatever they are predicted as; it may lie outside
            the classes, such as 255 or -1.
        average: "macro", the mean over the classes that occur in the predictions or the targets that count;
            None, each class.

    Returns:
        A number in [0, 1], NaN where no pixel counts; with average None ``(classes,)`` float64, NaN for
        classes that occur nowhere.

    Raises:
        ShapeError: the two are not maps of one shape.
        TargetError: a label is not an integer in ``0 .. classes - 1``.
        ArgumentError: classes or average is not among its values.

    Source:
        Everingham et al., "The PASCAL Visual Object Classes Challenge: A Retrospective", 2015, section 2.2;
        Jaccard, 1912.

    """
    both, predicted, actual = _overlaps("iou", prediction, target, classes, ignore, average)
    return _averaged(both, predicted + actual - both, average)


def dice(
    prediction: ArrayLike,
    target: ArrayLike,
    *,
    classes: int | None = None,
    ignore: int | None = None,
    average: str | None = "macro",
) -> float | NDArray[np.float64]:
    """``2 |P and T| / (|P| + |T|)`` of the pixels predicted as a class and those that are it.

    It is ``2 IoU / (1 + IoU)`` of each class, and F1 over pixels. Arguments, results and errors are those of
    `iou`.

    Source:
        Dice, "Measures of the Amount of Ecologic Association Between Species", 1945.

    """
    both, predicted, actual = _overlaps("dice", prediction, target, classes, ignore, average)
    return _averaged(2 * both, predicted + actual, average)


def _overlaps(
    name: str,
    prediction: ArrayLike,
    target: ArrayLike,
    classes: int | None,
    ignore: int | None,
    average: str | None,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """By class: pixels of both, of predictions, of targets."""
    if average not in ("macro", None):
        raise ArgumentError(message(name, 'average "macro" or None', repr(average), 'pass "macro"'))
    if classes is not None and classes < 1:
        raise ArgumentError(message(name, "classes of 1 or more", repr(classes), "pass such as classes=21"))
    maps, labels = np.asarray(prediction), np.asarray(target)
    if maps.ndim == labels.ndim + 1 and maps.shape[-1]:
        classes = maps.shape[-1] if classes is None else classes
        maps = maps.argmax(axis=-1)
    if maps.shape != labels.shape:
        expected, got = "predictions and targets of one shape", f"{maps.shape} and {labels.shape}"
        raise ShapeError(message(name, expected, got, "crop or resize one of them"))
    for array in (maps, labels):
        if array.size and not np.issubdtype(array.dtype, np.integer):
            remedy = "convert them: labels.astype(int)"
            raise TargetError(message(name, "integer labels", str(array.dtype), remedy))
    flat, actual = maps.reshape(-1).astype(np.int64), labels.reshape(-1).astype(np.int64)
    if ignore is not None:
        kept = actual != ignore
        flat, actual = flat[kept], actual[kept]
    if classes is None:
        classes = max((int(a.max()) + 1 for a in (flat, actual) if a.size), default=0)
    require_classes(name, actual, classes)
    require_classes(name, flat, classes)
    both, predicted, there = (
        np.bincount(a, minlength=classes) for a in (actual[flat == actual], flat, actual)
    )
    return both, predicted, there


def _averaged(
    part: NDArray[np.int64], whole: NDArray[np.int64], average: str | None
) -> float | NDArray[np.float64]:
    values = np.where(whole > 0, part / np.maximum(whole, 1), np.nan)
    return values if average is None else mean_of(values)

"""Metrics of boxes: intersection over union, average precision by the rules of COCO and PASCAL VOC.

A box is ``(x0, y0, x1, y1)``, its corners in any unit: its width is ``x1 - x0``, without the pixel that
PASCAL VOC's own program adds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from numbacnn.errors import ArgumentError, NumericsError, ShapeError, TargetError, message

from ._checks import mean_of


class _Rule(NamedTuple):
    thresholds: tuple[float, ...]
    points: int | None  # recalls that precision is read at, equally apart from 0 to 1; None for all
    rematch: bool  # whether a detection whose best box is taken may have the next best
    most: int | None  # detections of an image and class that count


_COCO = tuple(round(0.5 + 0.05 * k, 2) for k in range(10))
_RULES = {
    "coco": _Rule(_COCO, 101, True, 100),
    "voc": _Rule((0.5,), None, False, None),
    "voc2007": _Rule((0.5,), 11, False, None),
}


def box_iou(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """``area(a_i and b_j) / area(a_i or b_j)`` for all pairs; 0 where both areas are 0.

    Args:
        a: ``(M, 4)`` boxes.
        b: ``(N, 4)`` boxes.

    Returns:
        ``(M, N)`` float64, in [0, 1].

    Raises:
        ShapeError: not ``(M, 4)`` and ``(N, 4)``.
        NumericsError: NaN or infinity.
        ArgumentError: a box has ``x1 < x0`` or ``y1 < y0``.

    """
    return _iou(_boxes("box_iou", a), _boxes("box_iou", b))


def mean_average_precision(
    boxes: Sequence[ArrayLike],
    scores: Sequence[ArrayLike],
    labels: Sequence[ArrayLike],
    true_boxes: Sequence[ArrayLike],
    true_labels: Sequence[ArrayLike],
    *,
    style: str = "coco",
    thresholds: Sequence[float] | None = None,
) -> float:
    """Mean of `average_precision` over the classes that have true boxes and over the thresholds.

    ``style="coco"`` is COCO's AP, with ``thresholds=[0.5]`` its AP50; ``style="voc"`` is PASCAL VOC's mAP.
    Arguments, errors and sources are those of `average_precision`.

    Returns:
        A number in [0, 1]; NaN without true boxes.

    """
    name = "mean_average_precision"
    found = _detections(name, boxes, scores, labels)
    truth = _truth(name, true_boxes, true_labels, len(found))
    areas = _areas(found, truth, _rule(name, style, thresholds))
    return mean_of(np.array(list(areas.values()), np.float64).reshape(-1))


def average_precision(
    boxes: Sequence[ArrayLike],
    scores: Sequence[ArrayLike],
    labels: Sequence[ArrayLike],
    true_boxes: Sequence[ArrayLike],
    true_labels: Sequence[ArrayLike],
    *,
    style: str = "coco",
    thresholds: Sequence[float] | None = None,
) -> dict[int, NDArray[np.float64]]:
    """``AP = mean over recalls r of max precision(r' >= r)``, by class and IoU threshold.

    A class's detections in all images are taken from the highest score down. One is right if its IoU with
    a true box of its class and image, taken by none before it, is the threshold or more; a second one of
    the same true box is wrong. After each, precision is the share of right ones so far, and recall that of
    true boxes found.

    Args:
        boxes: an array ``(D_i, 4)`` for each image.
        scores: ``(D_i,)`` for each image, finite; of equal ones the first counts as higher.
        labels: ``(D_i,)`` integer classes for each image.
        true_boxes: ``(G_i, 4)`` for each image.
        true_labels: ``(G_i,)`` integer classes for each image.
        style: "coco": 101 recalls 0, 0.01, .. 1, IoU from 0.5 to 0.95 by 0.05, the best free true box, 100
            detections of each class in an image. "voc": the whole area under the curve, IoU 0.5, the best
            true box whether free or not (PASCAL VOC 2010 on). "voc2007": likewise, with the 11 recalls 0,
            0.1, .. 1. None of them has boxes that are to be overlooked (difficult, crowd) or ranges of sizes.
        thresholds: IoU in (0, 1], instead of the style's.

    Returns:
        By class that has true boxes, in order: ``(thresholds,)`` float64 in [0, 1].

    Raises:
        ShapeError: not as many images, or within one not as many boxes, scores and labels.
        TargetError: labels are not integers.
        NumericsError: NaN or infinity in boxes or scores.
        ArgumentError: an unknown style, thresholds outside (0, 1], or a box with ``x1 < x0`` or ``y1 < y0``.

    Source:
        Everingham et al., "The PASCAL Visual Object Classes (VOC) Challenge", 2010, section 4.2; Lin et al.,
        "Microsoft COCO: Common Objects in Context", 2014, and its rules of evaluation.

    """
    name = "average_precision"
    found = _detections(name, boxes, scores, labels)
    truth = _truth(name, true_boxes, true_labels, len(found))
    return _areas(found, truth, _rule(name, style, thresholds))


class _Image(NamedTuple):
    boxes: NDArray[np.float64]
    labels: NDArray[np.int64]
    scores: NDArray[np.float64]

    def of(self, label: int) -> _Image:
        """The boxes of one class, from the highest score down."""
        chosen = np.flatnonzero(self.labels == label)
        chosen = chosen[np.argsort(-self.scores[chosen], kind="stable")]
        return _Image(self.boxes[chosen], self.labels[chosen], self.scores[chosen])


def _areas(found: list[_Image], truth: list[_Image], rule: _Rule) -> dict[int, NDArray[np.float64]]:
    results = {}
    for label in np.unique(np.concatenate([image.labels for image in truth])) if truth else ():
        hits, scores, total = [], [], 0
        for detections, real in zip(found, truth, strict=True):
            best, there = detections.of(label), real.of(label).boxes
            hits.append(_hits(_iou(best.boxes[: rule.most], there), rule))
            scores.append(best.scores[: rule.most])
            total += len(there)
        order = np.argsort(-np.concatenate(scores), kind="stable")
        right = np.concatenate(hits)[order]
        results[int(label)] = np.array([_area(column, total, rule.points) for column in right.T])
    return results


def _hits(overlap: NDArray[np.float64], rule: _Rule) -> NDArray[np.bool_]:
    """(D, thresholds): which detections, given from the highest score down, are right."""
    limits = np.array(rule.thresholds)
    hits = np.zeros((len(overlap), len(limits)), np.bool_)
    if not overlap.shape[1]:
        return hits
    free = np.ones((len(limits), overlap.shape[1]), np.bool_)
    every = np.arange(len(limits))
    for row, right in zip(overlap, hits, strict=True):
        wanted = np.where(free, row, -1.0) if rule.rematch else np.broadcast_to(row, free.shape)
        best = wanted.argmax(axis=1)
        right[:] = (wanted[every, best] >= limits) & free[every, best]
        free[every[right], best[right]] = False
    return hits


def _area(right: NDArray[np.bool_], total: int, points: int | None) -> float:
    """Average precision from which detections, in order, are right, and the number of true boxes."""
    found = np.cumsum(right)
    precision = found / np.arange(1, len(right) + 1)
    # At each recall the best precision at it or beyond; beyond the last recall there is none
    ceiling = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
    if points is None:  # recall rises by 1 / total at each right one
        return float(ceiling[:-1][right].sum() / total)
    # In integers: found / total >= k / (points - 1)
    at = np.searchsorted(found * (points - 1), np.arange(points) * total, side="left")
    return float(ceiling[at].mean())


def _iou(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    both = np.maximum(high - low, 0.0).prod(axis=2)
    either = (a[:, 2:] - a[:, :2]).prod(axis=1)[:, None] + (b[:, 2:] - b[:, :2]).prod(axis=1) - both
    return np.divide(both, either, out=np.zeros_like(both), where=either > 0.0)


def _rule(name: str, style: str, thresholds: Sequence[float] | None) -> _Rule:
    if style not in _RULES:
        expected = f"a style among {', '.join(_RULES)}"
        raise ArgumentError(message(name, expected, repr(style), "name one of them"))
    rule = _RULES[style]
    if thresholds is None:
        return rule
    limits = tuple(float(t) for t in thresholds)
    if not limits or not all(0.0 < t <= 1.0 for t in limits):
        raise ArgumentError(message(name, "thresholds in (0, 1]", repr(limits), "pass such as [0.5]"))
    return rule._replace(thresholds=limits)


def _detections(
    name: str, boxes: Sequence[ArrayLike], scores: Sequence[ArrayLike], labels: Sequence[ArrayLike]
) -> list[_Image]:
    if not len(boxes) == len(scores) == len(labels):
        got = f"{len(boxes)}, {len(scores)} and {len(labels)}"
        _refuse(name, "boxes, scores and labels of as many images", got)
    return [_image(name, b, k, s) for b, s, k in zip(boxes, scores, labels, strict=True)]


def _truth(name: str, boxes: Sequence[ArrayLike], labels: Sequence[ArrayLike], images: int) -> list[_Image]:
    if not len(boxes) == len(labels) == images:
        got = f"{images}, {len(boxes)} and {len(labels)}"
        _refuse(name, "detections, true boxes and true labels of as many images", got)
    return [_image(name, b, k, None) for b, k in zip(boxes, labels, strict=True)]


def _image(name: str, boxes: ArrayLike, labels: ArrayLike, scores: ArrayLike | None) -> _Image:
    corners, classes = _boxes(name, boxes), np.asarray(labels)
    points = np.zeros(len(corners)) if scores is None else np.asarray(scores, np.float64)
    if not classes.shape == points.shape == (len(corners),):
        got = f"{len(corners)} boxes, labels {classes.shape}, scores {points.shape}"
        _refuse(name, "one label and one score for each box", got)
    if classes.size and not np.issubdtype(classes.dtype, np.integer):
        remedy = "convert them: labels.astype(int)"
        raise TargetError(message(name, "integer labels", str(classes.dtype), remedy))
    if not np.isfinite(points).all():
        raise NumericsError(message(name, "finite scores", "NaN or infinity", "find where it comes from"))
    return _Image(corners, classes.astype(np.int64), points)


def _boxes(name: str, values: ArrayLike) -> NDArray[np.float64]:
    boxes = np.asarray(values, np.float64)
    if boxes.shape == (0,):  # an empty list
        boxes = boxes.reshape(0, 4)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        _refuse(name, "boxes (N, 4)", str(boxes.shape), "give (x0, y0, x1, y1) for each")
    if not np.isfinite(boxes).all():
        raise NumericsError(message(name, "finite boxes", "NaN or infinity", "find where it comes from"))
    wrong = np.flatnonzero((boxes[:, 2:] < boxes[:, :2]).any(axis=1))
    if wrong.size:
        remedy = "order the corners, or convert from (x, y, width, height)"
        raise ArgumentError(message(name, "x0 <= x1 and y0 <= y1", str(boxes[wrong[0]].tolist()), remedy))
    return boxes


def _refuse(name: str, expected: str, got: str, remedy: str = "pair them one to one") -> None:
    raise ShapeError(message(name, expected, got, remedy))

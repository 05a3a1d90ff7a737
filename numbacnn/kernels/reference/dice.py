"""The Dice coefficient of soft masks, one for each item and class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .softmax import _log_softmax
from .window import Array, double


def _masks(target: NDArray, classes: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Targets (n, m, k), and which pixels count (n, m, 1): those of a class from 0 to k - 1."""
    if target.ndim == 3:
        return double(target), np.ones((*target.shape[:2], 1), dtype=bool)
    there = ((target >= 0) & (target < classes))[:, :, None]
    return np.where(there, np.eye(classes)[np.where(there[:, :, 0], target, 0)], 0.0), there


def dice_forward(
    x: Array,  # (n, m, k) read: scores of m pixels
    target: NDArray,  # (n, m, k) of the type of x, or (n, m) int64 classes; read
    exclusive: bool,  # softmax over the classes, else a sigmoid for each
    squared: bool,
    smooth: float,
    loss: Array,  # (n,) written
    p: Array,  # (n, m, k) written
    sums: Array,  # (n, 2, k) written: numerators and denominators
) -> None:
    """``loss[n] = 1 - mean over k of num / den``, of the probabilities p and the targets t.

    ``num = 2 sum(p t) + smooth`` and ``den = sum(p^2) + sum(t^2) + smooth`` over the item's pixels; p and t
    are not squared unless asked for. A quotient 0 / 0 is 1. Pixels of a class beyond 0 to k - 1 do not count.
    """
    t, there = _masks(target, x.shape[2])
    q = np.exp(_log_softmax(x)) if exclusive else 1.0 / (1.0 + np.exp(-np.clip(double(x), -700, 700)))
    sizes = np.where(there, q * q + t * t if squared else q + t, 0.0)
    top, bottom = 2.0 * (q * t).sum(axis=1) + smooth, sizes.sum(axis=1) + smooth
    some = bottom > 0.0
    loss[...] = 1.0 - np.where(some, top / np.where(some, bottom, 1.0), 1.0).mean(axis=1)
    p[...] = q
    sums[:, 0], sums[:, 1] = top, bottom


def dice_backward(
    p: Array,  # (n, m, k) read: what the forward pass wrote
    target: NDArray,  # (n, m, k) or (n, m) read
    sums: Array,  # (n, 2, k) read: what the forward pass wrote
    exclusive: bool,
    squared: bool,
    scale: float,
    dx: Array,  # (n, m, k) written
) -> None:
    """The gradient of ``scale sum(loss)`` by the scores.

    By the probabilities it is ``g = -scale / k (2 t - num p' / den) / den``, ``p' = 2 p``, or 1 if not
    squared; by the scores ``p (1 - p) g``, or with exclusive classes ``p (g - sum over k of p g)``.
    """
    q, (t, there) = double(p), _masks(target, p.shape[2])
    top, bottom = double(sums[:, None, 0]), double(sums[:, None, 1])
    some = bottom > 0.0
    bottom = np.where(some, bottom, 1.0)
    slope = 2.0 * t - top / bottom * (2.0 * q if squared else 1.0)
    g = np.where(there & some, -scale / p.shape[2] * slope / bottom, 0.0)
    dx[...] = q * (g - (q * g).sum(axis=2, keepdims=True)) if exclusive else q * (1.0 - q) * g

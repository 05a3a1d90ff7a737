"""The Dice coefficient of soft masks and its gradient: one pass over the pixels each.

The pixels of an item are cut into blocks whose size follows from the classes alone; a block's sums are a
part's, in float64, and are added in order, so that no sum depends on the threads.
"""

from __future__ import annotations

import numpy as np

from numbacnn._jit import jit, kernel, run
from numbacnn.memory import buffer_pool

from . import math
from .softmax import normalise

__all__ = ["dice_backward", "dice_forward"]

_GRAIN = 4096  # elements per block
_EXP = 1.5  # nanoseconds per element on one thread, with an exponential
_STREAM = 0.1  # nanoseconds per byte on one thread


@jit
def _counts(target, item, pixel, classes):
    """Whether a pixel counts: one without a class does not."""
    if target.ndim == 2:
        return 0 <= target[item, pixel] < classes
    return True


@jit
def _wanted(target, item, pixel, c, q):
    """What a probability is to be, in its type."""
    if target.ndim == 2:
        return type(q)(1) if target[item, pixel] == c else type(q)(0)
    return target[item, pixel, c]


@jit
def _sums_part(part, parts, x, target, exclusive, squared, size, blocks, p, partial):
    """Write a block's probabilities, and the sums over its pixels of ``p t`` and of what divides it."""
    item, classes = part // blocks, x.shape[2]
    first = (part - item * blocks) * size
    for c in range(classes):
        partial[part, 0, c], partial[part, 1, c] = 0.0, 0.0
    for i in range(first, min(first + size, x.shape[1])):
        scores, chances = x[item, i], p[item, i]
        if exclusive:
            normalise(scores, chances)
        else:
            for c in range(classes):
                chances[c] = math.sigmoid(scores[c])
        if _counts(target, item, i, classes):
            for c in range(classes):
                q = chances[c]
                t = _wanted(target, item, i, c, q)
                partial[part, 0, c] += q * t
                partial[part, 1, c] += q * q + t * t if squared else q + t


@jit
def _gradient_part(part, parts, p, target, factors, exclusive, squared, size, blocks, dx):
    item, classes = part // blocks, p.shape[2]
    first = (part - item * blocks) * size
    one, wide = factors[item, 0], factors[item, 1]
    for i in range(first, min(first + size, p.shape[1])):
        chances, out = p[item, i], dx[item, i]
        if _counts(target, item, i, classes):
            mean = p.dtype.type(0)
            for c in range(classes):
                q = chances[c]
                g = one[c] * _wanted(target, item, i, c, q) + (wide[c] * q if squared else wide[c])
                mean += q * g
                out[c] = g
            for c in range(classes):
                q = chances[c]
                out[c] = q * (out[c] - mean) if exclusive else q * (p.dtype.type(1) - q) * out[c]
        else:
            out[:] = 0


@kernel
def _forward(team, parts, x, target, exclusive, squared, smooth, size, blocks, p, partial, sums, loss):
    run(team, _sums_part, parts, (x, target, exclusive, squared, size, blocks, p, partial))
    for item in range(x.shape[0]):
        total = 0.0
        for c in range(x.shape[2]):
            both, whole = 0.0, 0.0
            for part in range(item * blocks, (item + 1) * blocks):
                both += partial[part, 0, c]
                whole += partial[part, 1, c]
            both, whole = 2.0 * both + smooth, whole + smooth
            sums[item, 0, c], sums[item, 1, c] = both, whole
            total += both / whole if whole > 0.0 else 1.0
        loss[item] = 1.0 - total / x.shape[2]


@kernel
def _backward(team, parts, p, target, factors, exclusive, squared, size, blocks, dx):
    run(team, _gradient_part, parts, (p, target, factors, exclusive, squared, size, blocks, dx))


def _blocks(x: np.ndarray) -> tuple[int, int, int]:
    """Parts, and the pixels and blocks of an item."""
    n, m, k = x.shape
    size = max(1, _GRAIN // max(1, k))
    blocks = max(1, -(-m // size))
    return n * blocks, size, blocks


def dice_forward(
    x: np.ndarray,  # (n, m, k) read: scores of m pixels
    target: np.ndarray,  # (n, m, k) of the type of x, or (n, m) int64 classes; read
    exclusive: bool,  # softmax over the classes, else a sigmoid for each
    squared: bool,
    smooth: float,
    loss: np.ndarray,  # (n,) written
    p: np.ndarray,  # (n, m, k) written
    sums: np.ndarray,  # (n, 2, k) written: numerators and denominators
) -> None:
    """``loss[n] = 1 - mean over k of num / den``, of the probabilities p and the targets t.

    ``num = 2 sum(p t) + smooth`` and ``den = sum(p^2) + sum(t^2) + smooth`` over the item's pixels; p and t
    are not squared unless asked for. A quotient 0 / 0 is 1. Pixels of a class beyond 0 to k - 1 do not count.
    """
    parts, size, blocks = _blocks(x)
    partial = buffer_pool.array((parts, 2, x.shape[2]), np.dtype(np.float64))
    kinds = bool(exclusive), bool(squared), float(smooth)
    _forward(x.size * _EXP, parts, x, target, *kinds, size, blocks, p, partial, sums, loss)


def dice_backward(
    p: np.ndarray,  # (n, m, k) read: what the forward pass wrote
    target: np.ndarray,  # (n, m, k) or (n, m) read
    sums: np.ndarray,  # (n, 2, k) read: what the forward pass wrote
    exclusive: bool,
    squared: bool,
    scale: float,
    dx: np.ndarray,  # (n, m, k) written
) -> None:
    """The gradient of ``scale sum(loss)`` by the scores.

    By the probabilities it is ``g = -scale / k (2 t - num p' / den) / den``, ``p' = 2 p``, or 1 if not
    squared; by the scores ``p (1 - p) g``, or with exclusive classes ``p (g - sum over k of p g)``.
    """
    parts, size, blocks = _blocks(p)
    top, bottom = sums[:, 0].astype(np.float64), sums[:, 1].astype(np.float64)
    share = np.where(bottom > 0.0, scale / p.shape[2], 0.0) / np.where(bottom > 0.0, bottom, 1.0)
    wide = (2.0 if squared else 1.0) * share * top / np.where(bottom > 0.0, bottom, 1.0)
    factors = np.ascontiguousarray(np.stack([-2.0 * share, wide], axis=1), p.dtype)
    kinds = bool(exclusive), bool(squared), size, blocks
    _backward(3 * p.nbytes * _STREAM, parts, p, target, factors, *kinds, dx)

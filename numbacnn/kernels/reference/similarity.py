"""Losses of vectors by their distances: cosine embedding and triplets."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .window import Array, double

_COSINE = 1e-12  # added to squared lengths, so that a vector of zeros has an angle
_DISTANCE = 1e-6  # added to each difference of a distance that is a root


def _cosine(a: NDArray, b: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    squares = [(v * v).sum(axis=1, keepdims=True) + _COSINE for v in (a, b)]
    return (a * b).sum(axis=1, keepdims=True) / np.sqrt(squares[0] * squares[1]), squares[0], squares[1]


def cosine_embedding_forward(
    a: Array,  # (n, d) read
    b: Array,  # (n, d) read
    target: NDArray,  # (n,) int64: 1 for like vectors, -1 for unlike ones; read
    margin: float,
    loss: Array,  # (n,) written
) -> None:
    """``loss[n] = 1 - cos(a[n], b[n])`` where target is 1, else ``max(0, cos(a[n], b[n]) - margin)``."""
    cosine = _cosine(double(a), double(b))[0][:, 0]
    loss[...] = np.where(target == 1, 1.0 - cosine, np.maximum(0.0, cosine - margin))


def cosine_embedding_backward(
    a: Array,  # (n, d) read
    b: Array,  # (n, d) read
    target: NDArray,  # (n,) read
    margin: float,
    scale: float,
    da: Array,  # (n, d) written
    db: Array,  # (n, d) written
) -> None:
    """The gradients of ``scale sum(loss)``: ``b / (|a| |b|) - cos a / |a|^2`` times scale and a sign."""
    a, b = double(a), double(b)
    cosine, aa, bb = _cosine(a, b)
    sign = np.where(target[:, None] == 1, -1.0, np.where(cosine > margin, 1.0, 0.0))
    da[...] = scale * sign * (b / np.sqrt(aa * bb) - cosine * a / aa)
    db[...] = scale * sign * (a / np.sqrt(aa * bb) - cosine * b / bb)


def _distance(a: NDArray, b: NDArray, squared: bool) -> tuple[NDArray, NDArray]:
    """The distance (n, 1), and its slope by a."""
    if squared:
        return ((a - b) ** 2).sum(axis=1, keepdims=True), 2.0 * (a - b)
    difference = a - b + _DISTANCE
    length = np.sqrt((difference**2).sum(axis=1, keepdims=True))
    return length, np.where(length > 0.0, difference / np.where(length > 0.0, length, 1.0), 0.0)


def triplet_forward(
    anchor: Array,  # (n, d) read
    positive: Array,  # (n, d) read
    negative: Array,  # (n, d) read
    margin: float,
    squared: bool,
    loss: Array,  # (n,) written
) -> None:
    """``loss[n] = max(0, d(anchor, positive) - d(anchor, negative) + margin)``.

    d is the Euclidean distance of vectors, with 1e-6 added to each difference, or its square.
    """
    near, _ = _distance(double(anchor), double(positive), squared)
    far, _ = _distance(double(anchor), double(negative), squared)
    loss[...] = np.maximum(0.0, near - far + margin)[:, 0]


def triplet_backward(
    anchor: Array,  # (n, d) read
    positive: Array,  # (n, d) read
    negative: Array,  # (n, d) read
    margin: float,
    squared: bool,
    scale: float,
    da: Array,  # (n, d) written
    dp: Array,  # (n, d) written
    dn: Array,  # (n, d) written
) -> None:
    """The gradients of ``scale sum(loss)``: 0 where the loss is 0."""
    near, to_near = _distance(double(anchor), double(positive), squared)
    far, to_far = _distance(double(anchor), double(negative), squared)
    factor = np.where(near - far + margin > 0.0, scale, 0.0)
    da[...] = factor * (to_near - to_far)
    dp[...], dn[...] = -factor * to_near, factor * to_far

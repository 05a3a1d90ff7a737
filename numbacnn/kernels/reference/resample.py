"""Resizing: a matrix per axis holds with what weights its outputs take its inputs; gradients transpose it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .window import Array, double

Ratios = tuple[float, ...]


def _weights(size: int, out: int, mode: str, align_corners: bool, ratio: float | None) -> NDArray[np.float64]:
    """The matrix (out, size) of one axis."""
    matrix = np.zeros((out, size))
    step = size / out if ratio is None else ratio
    for o in range(out):
        if mode == "nearest":  # the product in float32, by which PyTorch decides
            place = float(np.floor(np.float32(o) * np.float32(step)))
        elif align_corners:
            place = o * (size - 1) / (out - 1) if out > 1 else 0.0
        else:
            place = (o + 0.5) * step - 0.5
        place = min(max(place, 0.0), size - 1.0)
        low = math.floor(place)
        matrix[o, low] += 1.0 - (place - low)
        matrix[o, min(low + 1, size - 1)] += place - low
    return matrix


def _apply(matrices: list[NDArray], x: Array) -> NDArray[np.float64]:
    y = double(x)
    for axis, matrix in enumerate(matrices, start=1):
        y = np.moveaxis(np.tensordot(matrix, y, (1, axis)), 0, axis)
    return y


def _matrices(x: Array, y: Array, mode: str, align_corners: bool, ratios: Ratios | None) -> list[NDArray]:
    each = ratios or [None] * (x.ndim - 2)
    axes = zip(x.shape[1:-1], y.shape[1:-1], each, strict=True)
    return [_weights(size, out, mode, align_corners, ratio) for size, out, ratio in axes]


def resize_forward(
    x: Array,  # (n, *in, c) read
    mode: str,  # "nearest" or "linear"
    align_corners: bool,  # the first and the last pixels' centres stay; for "linear"
    ratios: Ratios | None,  # input pixels per output pixel and axis; None: as the sizes have it
    y: Array,  # (n, *out, c) written
) -> None:
    """``y[n, o, c] = x[n, floor(o ratio), c]``, or between the pixels around ``(o + 0.5) ratio - 0.5``."""
    y[...] = _apply(_matrices(x, y, mode, align_corners, ratios), x)


def resize_backward(
    dy: Array,  # (n, *out, c) read
    mode: str,
    align_corners: bool,
    ratios: Ratios | None,
    dx: Array,  # (n, *in, c) written
) -> None:
    """``dx[n, p, c] = sum over outputs o of dy[n, o, c] times the weight with which o takes p``."""
    dx[...] = _apply([m.T for m in _matrices(dx, dy, mode, align_corners, ratios)], dy)

"""Elementwise functions, of arrays of one shape, and the gradient of a bias."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .window import Array, double


def relu_forward(x: Array, y: Array) -> None:
    """``y = max(x, 0)``; NaN stays NaN."""
    y[...] = np.maximum(x, 0.0)


def relu_backward(y: Array, dy: Array, dx: Array) -> None:
    """``dx = dy where y > 0, else 0``."""
    dx[...] = np.where(y > 0.0, dy, 0.0)


def sigmoid_forward(x: Array, y: Array) -> None:
    """``y = 1 / (1 + exp(-x))``, written so that no exponential overflows."""
    small = np.exp(-np.abs(double(x)))
    y[...] = np.where(x >= 0.0, 1.0, small) / (1.0 + small)


def sigmoid_backward(y: Array, dy: Array, dx: Array) -> None:
    """``dx = dy y (1 - y)``."""
    dx[...] = double(dy) * y * (1.0 - double(y))


def tanh_forward(x: Array, y: Array) -> None:
    """``y = tanh(x)``."""
    y[...] = np.tanh(double(x))


def tanh_backward(y: Array, dy: Array, dx: Array) -> None:
    """``dx = dy (1 - y^2)``."""
    dx[...] = double(dy) * (1.0 - double(y) ** 2)


def dropout_forward(x: Array, mask: NDArray[np.uint8], scale: float, y: Array) -> None:
    """``y = x mask scale``, with 0 or 1 in the mask."""
    y[...] = double(x) * mask * scale


def dropout_backward(dy: Array, mask: NDArray[np.uint8], scale: float, dx: Array) -> None:
    """``dx = dy mask scale``."""
    dx[...] = double(dy) * mask * scale


def add(x: Array, y: Array, out: Array) -> None:
    """``out = x + y``."""
    out[...] = double(x) + double(y)


def bias_backward(
    dy: Array,  # (..., c) read
    db: Array,  # (c,) written
) -> None:
    """``db[j] = sum of dy[..., j]``, over all axes but the last."""
    db[...] = double(dy).sum(axis=tuple(range(dy.ndim - 1)))

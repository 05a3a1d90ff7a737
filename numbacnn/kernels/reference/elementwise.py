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


def leaky_relu_forward(x: Array, slope: float, y: Array) -> None:
    """``y = x where x > 0, else slope x``; NaN stays NaN."""
    y[...] = np.where(x > 0.0, x, slope * double(x))


def leaky_relu_backward(y: Array, dy: Array, slope: float, dx: Array) -> None:
    """``dx = dy where y > 0, else slope dy``, for a slope of 0 or more."""
    dx[...] = np.where(y > 0.0, dy, slope * double(dy))


def clip_forward(x: Array, low: float, high: float, y: Array) -> None:
    """``y = min(max(x, low), high)``; NaN stays NaN."""
    y[...] = np.clip(x, low, high)


def clip_backward(y: Array, dy: Array, low: float, high: float, dx: Array) -> None:
    """``dx = dy where low < y < high, else 0``."""
    dx[...] = np.where((low < y) & (y < high), dy, 0.0)


def silu_forward(x: Array, y: Array) -> None:
    """``y = x / (1 + exp(-x))``."""
    y[...] = double(x) * _sigmoid(x)


def silu_backward(x: Array, dy: Array, dx: Array) -> None:
    """``dx = dy s (1 + x (1 - s))``, ``s = 1 / (1 + exp(-x))``."""
    dx[...] = double(dy) * _sigmoid(x) * (1.0 + double(x) * _sigmoid(-x))


def _sigmoid(x: Array) -> NDArray[np.float64]:
    """Written so that no exponential overflows."""
    small = np.exp(-np.abs(double(x)))
    return np.where(x >= 0.0, 1.0, small) / (1.0 + small)


def sigmoid_forward(x: Array, y: Array) -> None:
    """``y = 1 / (1 + exp(-x))``."""
    y[...] = _sigmoid(x)


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


def multiply(x: Array, y: Array, out: Array) -> None:
    """``out = x y``."""
    out[...] = double(x) * double(y)


def bias_backward(
    dy: Array,  # (..., c) read
    db: Array,  # (c,) written
) -> None:
    """``db[j] = sum of dy[..., j]``, over all axes but the last."""
    db[...] = double(dy).sum(axis=tuple(range(dy.ndim - 1)))

"""Activations beyond those of ``elementwise``, of arrays of one shape."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .elementwise import _sigmoid
from .window import Array, double


def elu_forward(x: Array, alpha: float, scale: float, y: Array) -> None:
    """``y = scale x where x > 0, else scale alpha (exp(x) - 1)``."""
    y[...] = scale * np.where(x > 0.0, x, alpha * np.expm1(np.minimum(double(x), 0.0)))


def elu_backward(y: Array, dy: Array, alpha: float, scale: float, dx: Array) -> None:
    """``dx = scale dy where y > 0, else (y + scale alpha) dy``, for alpha and scale of 0 or more."""
    dx[...] = double(dy) * np.where(y > 0.0, scale, double(y) + scale * alpha)


def gelu_forward(x: Array, approximate: bool, y: Array) -> None:
    """``y = x P(x)``, P the normal distribution's share below x; or ``y = x s(u)``.

    Approximate: ``u = 2 sqrt(2 / pi) (x + 0.044715 x^3)``, ``s(u) = 1 / (1 + exp(-u))``.
    """
    y[...] = double(x) * (_sigmoid(_cubic(double(x))) if approximate else _normal(double(x)))


def gelu_backward(x: Array, dy: Array, approximate: bool, dx: Array) -> None:
    """``dx = dy (P(x) + x exp(-x^2 / 2) / sqrt(2 pi))``, or ``dx = dy (s + x s (1 - s) du / dx)``."""
    wide = double(x)
    if approximate:
        u = _cubic(wide)
        slope = 2.0 * math.sqrt(2.0 / math.pi) * (1.0 + 3 * 0.044715 * wide**2)
        dx[...] = double(dy) * (_sigmoid(u) + wide * _sigmoid(u) * _sigmoid(-u) * slope)
    else:
        bell = np.exp(-(wide**2) / 2.0) / math.sqrt(2.0 * math.pi)
        dx[...] = double(dy) * (_normal(wide) + wide * bell)


def _cubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 2.0 * math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)


def _normal(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The normal distribution's share below x."""
    return 0.5 * np.vectorize(math.erfc, otypes=[np.float64])(-x / math.sqrt(2.0))


def hardsigmoid_forward(x: Array, y: Array) -> None:
    """``y = min(max(x + 3, 0), 6) / 6``; NaN stays NaN."""
    y[...] = np.clip(double(x) + 3.0, 0.0, 6.0) / 6.0


def hardsigmoid_backward(y: Array, dy: Array, dx: Array) -> None:
    """``dx = dy / 6 where 0 < y < 1, else 0``."""
    dx[...] = np.where((y > 0.0) & (y < 1.0), double(dy) / 6.0, 0.0)


def hardswish_forward(x: Array, y: Array) -> None:
    """``y = x min(max(x + 3, 0), 6) / 6``; NaN stays NaN."""
    y[...] = np.maximum(double(x), -3.0) * np.clip(double(x) + 3.0, 0.0, 6.0) / 6.0


def hardswish_backward(x: Array, dy: Array, dx: Array) -> None:
    """``dx = dy where x >= 3, dy (2 x + 3) / 6 where -3 < x < 3, else 0``."""
    dx[...] = double(dy) * np.where(x >= 3.0, 1.0, np.where(x > -3.0, (2.0 * double(x) + 3.0) / 6.0, 0.0))


def mish_forward(x: Array, y: Array) -> None:
    """``y = x tanh(log(1 + exp(x)))``."""
    y[...] = double(x) * np.tanh(np.logaddexp(0.0, double(x)))


def mish_backward(x: Array, dy: Array, dx: Array) -> None:
    """``dx = dy (t + x (1 - t^2) / (1 + exp(-x)))``, ``t = tanh(log(1 + exp(x)))``."""
    wide = double(x)
    level = np.logaddexp(0.0, wide)
    dx[...] = double(dy) * (np.tanh(level) + wide * _sigmoid(wide) / np.cosh(level) ** 2)


def softplus_forward(x: Array, beta: float, y: Array) -> None:
    """``y = log(1 + exp(beta x)) / beta``; no exponential overflows."""
    y[...] = np.logaddexp(0.0, beta * double(x)) / beta


def softplus_backward(y: Array, dy: Array, beta: float, dx: Array) -> None:
    """``dx = dy (1 - exp(-beta y))``, which is ``dy / (1 + exp(-beta x))``."""
    dx[...] = -double(dy) * np.expm1(-beta * double(y))

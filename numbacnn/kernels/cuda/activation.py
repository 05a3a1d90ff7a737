"""Activations beyond those of ``elementwise``: one pass over memory each.

Arrays of a call have one shape and one element type.  An output may be an input.  16-bit floats are computed
on in float32.
"""

from __future__ import annotations

from .each import apply
from .memory import DeviceArray

__all__ = [
    "elu_backward",
    "elu_forward",
    "gelu_backward",
    "gelu_forward",
    "hardsigmoid_backward",
    "hardsigmoid_forward",
    "hardswish_backward",
    "hardswish_forward",
    "mish_backward",
    "mish_forward",
    "softplus_backward",
    "softplus_forward",
]


def elu_forward(x: DeviceArray, alpha: float, scale: float, y: DeviceArray) -> None:
    """``y = scale x where x > 0, else scale alpha (exp(x) - 1)``."""
    apply("elu", x, None, y, scale * alpha, scale)


def elu_backward(y: DeviceArray, dy: DeviceArray, alpha: float, scale: float, dx: DeviceArray) -> None:
    """``dx = scale dy where y > 0, else (y + scale alpha) dy``, for alpha and scale of 0 or more."""
    apply("elu_slope", y, dy, dx, scale * alpha, scale)


def gelu_forward(x: DeviceArray, approximate: bool, y: DeviceArray) -> None:
    """``y = x P(x)``, P the normal distribution's share below x; or ``y = x s(u)``.

    Approximate: ``u = 2 sqrt(2 / pi) (x + 0.044715 x^3)``, ``s(u) = 1 / (1 + exp(-u))``.
    """
    apply("gelu_tanh" if approximate else "gelu", x, None, y)


def gelu_backward(x: DeviceArray, dy: DeviceArray, approximate: bool, dx: DeviceArray) -> None:
    """``dx = dy (P(x) + x exp(-x^2 / 2) / sqrt(2 pi))``, or ``dx = dy (s + x s (1 - s) du / dx)``."""
    apply("gelu_tanh_slope" if approximate else "gelu_slope", x, dy, dx)


def hardsigmoid_forward(x: DeviceArray, y: DeviceArray) -> None:
    """``y = min(max(x + 3, 0), 6) / 6``; NaN stays NaN."""
    apply("hardsigmoid", x, None, y)


def hardsigmoid_backward(y: DeviceArray, dy: DeviceArray, dx: DeviceArray) -> None:
    """``dx = dy / 6 where 0 < y < 1, else 0``."""
    apply("hardsigmoid_slope", y, dy, dx)


def hardswish_forward(x: DeviceArray, y: DeviceArray) -> None:
    """``y = x min(max(x + 3, 0), 6) / 6``; NaN stays NaN."""
    apply("hardswish", x, None, y)


def hardswish_backward(x: DeviceArray, dy: DeviceArray, dx: DeviceArray) -> None:
    """``dx = dy where x >= 3, dy (2 x + 3) / 6 where -3 < x < 3, else 0``."""
    apply("hardswish_slope", x, dy, dx)


def mish_forward(x: DeviceArray, y: DeviceArray) -> None:
    """``y = x tanh(log(1 + exp(x)))``."""
    apply("mish", x, None, y)


def mish_backward(x: DeviceArray, dy: DeviceArray, dx: DeviceArray) -> None:
    """``dx = dy (t + x (1 - t^2) / (1 + exp(-x)))``, ``t = tanh(log(1 + exp(x)))``."""
    apply("mish_slope", x, dy, dx)


def softplus_forward(x: DeviceArray, beta: float, y: DeviceArray) -> None:
    """``y = log(1 + exp(beta x)) / beta``; no exponential overflows."""
    apply("softplus", x, None, y, beta, 1.0 / beta)


def softplus_backward(y: DeviceArray, dy: DeviceArray, beta: float, dx: DeviceArray) -> None:
    """``dx = dy (1 - exp(-beta y))``, which is ``dy / (1 + exp(-beta x))``."""
    apply("softplus_slope", y, dy, dx, beta)

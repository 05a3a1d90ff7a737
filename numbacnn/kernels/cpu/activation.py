"""Activations beyond those of ``elementwise``: one pass over memory each.

Arrays of a call have one shape and dtype; input and output must not overlap (LLVM then leaves its vector
loops).  Each function of a number is written once, and the loops around it are made of one text: a forward
pass gives a number of x, a gradient one of what the forward pass kept and of dy, both with two constants.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from numbacnn._jit import inlined, jit, kernel, parts_for, run, split

from . import math
from .math import constant

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

_GRAIN = 16384  # elements per part: some microseconds
_STREAM = 0.035  # nanoseconds per byte on one thread: memory gives some 30 GB/s
_EXP = 0.12  # nanoseconds per byte of an argument, with an exponential
_ROOT = 0.7978845608028654  # sqrt(2 / pi)
_CUBE = 0.044715


def _forward(value: Any) -> Any:
    """The kernel ``y = value(x, p, q)``, element by element."""

    @jit
    def loop(part, parts, x, p, q, y):
        lo, hi = split(part, parts, x.size)
        x, y = x[lo:hi], y[lo:hi]
        for i in range(x.size):
            y[i] = value(x[i], p, q)

    def forward(team, parts, x, p, q, y):
        run(team, loop, parts, (x, p, q, y))

    forward.__qualname__ = f"forward.{value.py_func.__name__}"  # by which the cache knows it
    return kernel(forward)


def _backward(slope: Any) -> Any:
    """The kernel ``dx = dy slope(kept, p, q)``, element by element."""

    @jit
    def loop(part, parts, kept, dy, p, q, dx):
        lo, hi = split(part, parts, kept.size)
        kept, dy, dx = kept[lo:hi], dy[lo:hi], dx[lo:hi]
        for i in range(kept.size):
            dx[i] = dy[i] * slope(kept[i], p, q)

    def backward(team, parts, kept, dy, p, q, dx):
        run(team, loop, parts, (kept, dy, p, q, dx))

    backward.__qualname__ = f"backward.{slope.py_func.__name__}"
    return kernel(backward)


@inlined
def _elu(x, p, q):
    curve = p * math.expm1(x)
    return curve if x <= constant(x, 0) else q * x  # NaN is not: it passes


@inlined
def _elu_slope(y, p, q):
    return y + p if y <= constant(y, 0) else q


@inlined
def _gelu(x, p, q):
    x = max(x, constant(x, -40))  # of an infinite x the product would be NaN
    return x * math.normal(x)[0]


@inlined
def _gelu_slope(x, p, q):
    x = min(max(x, constant(x, -40)), constant(x, 40))
    share, bell = math.normal(x)
    return share + x * (constant(x, _ROOT / 2) * bell)


@inlined
def _gelu_tanh(x, p, q):
    x = max(x, constant(x, -40))
    u = constant(x, 2 * _ROOT) * x * (constant(x, 1) + constant(x, _CUBE) * (x * x))
    return x * math.sigmoid(u)


@inlined
def _gelu_tanh_slope(x, p, q):
    x = min(max(x, constant(x, -40)), constant(x, 40))
    one, cube = constant(x, 1), constant(x, _CUBE) * (x * x)
    u = constant(x, 2 * _ROOT) * x * (one + cube)
    rise = constant(x, 2 * _ROOT) * (one + constant(x, 3) * cube)
    small = math.exp(-abs(u))  # s = t or small t, and s (1 - s) = small t^2 without a difference
    t = one / (one + small)
    return t * ((one if x >= constant(x, 0) else small) + x * (small * t * rise))


@inlined
def _hardsigmoid(x, p, q):
    return _six(x) * constant(x, 1 / 6)


@inlined
def _hardsigmoid_slope(y, p, q):
    zero = constant(y, 0)
    return constant(y, 1 / 6) if (y > zero) & (y < constant(y, 1)) else zero


@inlined
def _hardswish(x, p, q):
    curve = max(x, constant(x, -3)) * _six(x) * constant(x, 1 / 6)
    return x if x >= constant(x, 3) else curve


@inlined
def _hardswish_slope(x, p, q):
    slope = constant(x, 1 / 3) * x + constant(x, 0.5)
    slope = constant(x, 0) if x <= constant(x, -3) else slope
    return constant(x, 1) if x >= constant(x, 3) else slope


@inlined
def _six(x):
    """``min(max(x + 3, 0), 6)``; NaN passes."""
    return min(max(x + constant(x, 3), constant(x, 0)), constant(x, 6))


@inlined
def _mish(x, p, q):
    x = max(x, constant(x, -800))
    high, low, _ = _mish_parts(x)
    return x * (high / low)


@inlined
def _mish_slope(x, p, q):
    x = min(max(x, constant(x, -800)), constant(x, 800))
    high, low, rise = _mish_parts(x)
    return high / low + x * (rise / (low * low))


@inlined
def _mish_parts(x):
    """a, b and c with ``tanh(log(1 + e^x)) = a / b`` and ``c / b^2`` its slope; nothing overflows."""
    up, one, two = x >= constant(x, 0), constant(x, 1), constant(x, 2)
    u = math.exp(-abs(x))
    high = one + two * u if up else u * (u + two)
    low = high + (two * u * u if up else two)
    return high, low, constant(x, 4) * u * (one + u) * (u if up else one)


@inlined
def _softplus(x, p, q):
    return math.softplus(p * x) * q


@inlined
def _softplus_slope(y, p, q):
    return -math.expm1(-(p * y))


_KERNELS = {
    "elu": (_forward(_elu), _backward(_elu_slope)),
    "gelu": (_forward(_gelu), _backward(_gelu_slope)),
    "gelu_tanh": (_forward(_gelu_tanh), _backward(_gelu_tanh_slope)),
    "hardsigmoid": (_forward(_hardsigmoid), _backward(_hardsigmoid_slope)),
    "hardswish": (_forward(_hardswish), _backward(_hardswish_slope)),
    "mish": (_forward(_mish), _backward(_mish_slope)),
    "softplus": (_forward(_softplus), _backward(_softplus_slope)),
}
_PLAIN = {"elu_slope", "hardsigmoid", "hardswish"}  # those without an exponential


def _apply(name: str, x: np.ndarray, y: np.ndarray, p: float = 0.0, q: float = 0.0) -> None:
    cost = 2 * _STREAM if name in _PLAIN else _EXP
    arrays = x.reshape(-1), x.dtype.type(p), x.dtype.type(q), y.reshape(-1)
    _KERNELS[name][0](x.nbytes * cost, parts_for(x.size, _GRAIN), *arrays)


def _slope(
    name: str, kept: np.ndarray, dy: np.ndarray, dx: np.ndarray, p: float = 0.0, q: float = 0.0
) -> None:
    cost = 3 * _STREAM if name in ("elu", "hardsigmoid", "hardswish") else _EXP
    arrays = kept.reshape(-1), dy.reshape(-1), kept.dtype.type(p), kept.dtype.type(q), dx.reshape(-1)
    _KERNELS[name][1](kept.nbytes * cost, parts_for(kept.size, _GRAIN), *arrays)


def elu_forward(x: np.ndarray, alpha: float, scale: float, y: np.ndarray) -> None:
    """``y = scale x where x > 0, else scale alpha (exp(x) - 1)``."""
    _apply("elu", x, y, scale * alpha, scale)


def elu_backward(y: np.ndarray, dy: np.ndarray, alpha: float, scale: float, dx: np.ndarray) -> None:
    """``dx = scale dy where y > 0, else (y + scale alpha) dy``, for alpha and scale of 0 or more."""
    _slope("elu", y, dy, dx, scale * alpha, scale)


def gelu_forward(x: np.ndarray, approximate: bool, y: np.ndarray) -> None:
    """``y = x P(x)``, P the normal distribution's share below x; or ``y = x s(u)``.

    Approximate: ``u = 2 sqrt(2 / pi) (x + 0.044715 x^3)``, ``s(u) = 1 / (1 + exp(-u))``.
    """
    _apply("gelu_tanh" if approximate else "gelu", x, y)


def gelu_backward(x: np.ndarray, dy: np.ndarray, approximate: bool, dx: np.ndarray) -> None:
    """``dx = dy (P(x) + x exp(-x^2 / 2) / sqrt(2 pi))``, or ``dx = dy (s + x s (1 - s) du / dx)``."""
    _slope("gelu_tanh" if approximate else "gelu", x, dy, dx)


def hardsigmoid_forward(x: np.ndarray, y: np.ndarray) -> None:
    """``y = min(max(x + 3, 0), 6) / 6``; NaN stays NaN."""
    _apply("hardsigmoid", x, y)


def hardsigmoid_backward(y: np.ndarray, dy: np.ndarray, dx: np.ndarray) -> None:
    """``dx = dy / 6 where 0 < y < 1, else 0``."""
    _slope("hardsigmoid", y, dy, dx)


def hardswish_forward(x: np.ndarray, y: np.ndarray) -> None:
    """``y = x min(max(x + 3, 0), 6) / 6``; NaN stays NaN."""
    _apply("hardswish", x, y)


def hardswish_backward(x: np.ndarray, dy: np.ndarray, dx: np.ndarray) -> None:
    """``dx = dy where x >= 3, dy (2 x + 3) / 6 where -3 < x < 3, else 0``."""
    _slope("hardswish", x, dy, dx)


def mish_forward(x: np.ndarray, y: np.ndarray) -> None:
    """``y = x tanh(log(1 + exp(x)))``."""
    _apply("mish", x, y)


def mish_backward(x: np.ndarray, dy: np.ndarray, dx: np.ndarray) -> None:
    """``dx = dy (t + x (1 - t^2) / (1 + exp(-x)))``, ``t = tanh(log(1 + exp(x)))``."""
    _slope("mish", x, dy, dx)


def softplus_forward(x: np.ndarray, beta: float, y: np.ndarray) -> None:
    """``y = log(1 + exp(beta x)) / beta``; no exponential overflows."""
    _apply("softplus", x, y, beta, 1.0 / beta)


def softplus_backward(y: np.ndarray, dy: np.ndarray, beta: float, dx: np.ndarray) -> None:
    """``dx = dy (1 - exp(-beta y))``, which is ``dy / (1 + exp(-beta x))``."""
    _slope("softplus", y, dy, dx, beta)

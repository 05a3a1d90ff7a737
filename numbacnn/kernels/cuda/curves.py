"""Activations of a number, and their slopes: the longer operations of ``each``."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .intrinsics import abs_, exp, expm1, log1p, maximum, minimum, normal_cdf, real
from .launch import device

if TYPE_CHECKING:
    OP = ""  # the operation, a constant

_ROOT = math.sqrt(2.0 / math.pi)
_CUBE = 0.044715


@device
def sigmoid(x):
    """``1 / (1 + exp(-x))``; no exponential overflows."""
    small = exp(-abs_(x))
    return (real(1) if x >= real(0) else small) / (real(1) + small)


@device
def gelu_tanh_slope(x):
    """``s(u) + x s (1 - s) du / dx``, of which ``s (1 - s)`` is no difference."""
    square = real(_CUBE) * (x * x)
    u = real(2 * _ROOT) * x * (real(1) + square)
    rise = real(2 * _ROOT) * (real(1) + real(3) * square)
    small = exp(-abs_(u))
    t = real(1) / (real(1) + small)
    return t * ((real(1) if x >= real(0) else small) + x * (small * t * rise))


@device
def mish(x):
    """``x tanh(log(1 + e^x))``; no exponential overflows."""
    u = exp(-abs_(x))
    high = real(1) + real(2) * u if x >= real(0) else u * (u + real(2))
    return x * (high / (high + (real(2) * u * u if x >= real(0) else real(2))))


@device
def mish_slope(x):
    """Its slope, from the same quotient."""
    u = exp(-abs_(x))
    high = real(1) + real(2) * u if x >= real(0) else u * (u + real(2))
    low = high + (real(2) * u * u if x >= real(0) else real(2))
    rise = real(4) * u * (real(1) + u) * (u if x >= real(0) else real(1))
    return high / low + x * (rise / (low * low))


@device
def softplus(x):
    """``log(1 + e^x)``; no exponential overflows."""
    return log1p(exp(-abs_(x))) + (x if x > real(0) else real(0))


@device
def curve(a, b, p, q):
    """The operation on an element of each array, with two numbers: b is a gradient where it is a slope."""
    if OP == "elu":
        return p * expm1(minimum(real(0), a)) if a <= real(0) else q * a
    if OP == "elu_slope":
        return b * (a + p if a <= real(0) else q)
    if OP == "hardsigmoid":
        return minimum(real(6), maximum(real(0), a + real(3))) * real(1 / 6)
    if OP == "hardsigmoid_slope":
        return b * real(1 / 6) if (a > real(0)) & (a < real(1)) else real(0)
    if OP == "hardswish":
        bent = maximum(real(-3), a) * minimum(real(6), maximum(real(0), a + real(3))) * real(1 / 6)
        return a if a >= real(3) else bent
    if OP == "hardswish_slope":
        slope = real(0) if a <= real(-3) else real(1 / 3) * a + real(0.5)
        return b * (real(1) if a >= real(3) else slope)
    if OP == "softplus":
        return softplus(p * a) * q
    if OP == "softplus_slope":
        return -b * expm1(-(p * a))
    # beyond these limits results are 0 or those of the straight line: of infinite x products would be NaN
    low = maximum(real(-40), a)
    if OP == "gelu":
        return low * normal_cdf(low)
    if OP == "gelu_tanh":
        return low * sigmoid(real(2 * _ROOT) * low * (real(1) + real(_CUBE) * (low * low)))
    both = minimum(real(40), low)
    if OP == "gelu_slope":
        return b * (normal_cdf(both) + both * (real(_ROOT / 2) * exp(real(-0.5) * (both * both))))
    if OP == "gelu_tanh_slope":
        return b * gelu_tanh_slope(both)
    far = maximum(real(-800), a)
    if OP == "mish":
        return mish(far)
    return b * mish_slope(minimum(real(800), far))

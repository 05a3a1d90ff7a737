"""Exponential functions for kernels: polynomials in plain arithmetic, which LLVM vectorises.

LLVM has no vector form of them without SVML and calls the scalar libm, several times slower.  Largest
errors, in units of the last place of the correctly rounded result, found over all finite float32 and over
random float64 (``tests/kernels/test_math.py`` holds them):

========  =======  =======
function  float32  float64
========  =======  =======
exp          1.02      1.0
expm1        0.94      1.0
normal       3.40      2.7
sigmoid      2.00      2.0
softplus     2.70      1.9
tanh         1.23      1.2
========  =======  =======

Underflow is gradual (denormal results are as accurate as the others), overflow gives infinity, infinite
arguments give the limits and NaN stays NaN.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from numbacnn._deferred import before_compiling, intrinsic, types
from numbacnn._jit import OPTIONS

from .fits import DOUBLE, SINGLE, Format

__all__ = ["constant", "exp", "expm1", "normal", "sigmoid", "softplus", "tanh"]

# Only fused multiply-adds: reassociation would undo the rounding by a large number and the
# two-part multiple of log 2, and a reciprocal instead of a division loses a place.  Inlined whatever their
# size, as a loop that calls is no vector loop.
_OPTIONS: Any = OPTIONS | {
    "fastmath": {"contract"},
    "forceinline": True,
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
}

_RAISE = 64  # by so many powers of two is a sigmoid that may be a denormal computed too large


def _parts(f: Format) -> tuple[Any, Any, Any]:
    """Return what the functions of one type share: device functions, which Numba compiles into them."""
    import numba

    jit, real, bits = numba.njit(**_OPTIONS), f.real, f.bits
    # Adding 1.5 * 2^mantissa rounds to an integer, which then is the lowest bits of the sum.
    rounder = real(1.5 * 2.0**f.mantissa)
    start = int(np.array(rounder).view(bits))
    twice_biased, shift, once = bits(start - 2 * f.bias), bits(f.mantissa), bits(1)

    @jit
    def polynomial(x, fit):
        total = fit[-1]
        for i in range(2, len(fit) + 1):
            total = fit[len(fit) - i] + x * total
        return total

    @jit
    def power_of_two(rounded):
        """2^n of the integer n in a rounded sum, in two factors: n may lie outside the exponent's range."""
        # wrapped in real() and bits() as Numba types a view by that call, and sums of integers as 64 bits
        exponents = bits(real(rounded).view(bits) - twice_biased)
        half = bits(exponents >> once)
        rest = bits(exponents - half)
        return bits(half << shift).view(real), bits(rest << shift).view(real)

    return jit, polynomial, power_of_two


def _functions(f: Format) -> dict[str, Any]:
    """Return the exponentials of one type, as Python functions that Numba compiles."""
    jit, polynomial, power_of_two = _parts(f)
    real, bits = f.real, f.bits
    exp_fit, tanh_fit = f.reals("exp_fit"), f.reals("tanh_fit")
    per_log2, log2_high, log2_low = real(1 / math.log(2)), real(f.log2_parts[0]), real(f.log2_parts[1])
    lowest, highest, saturated = real(f.exp_limits[0]), real(f.exp_limits[1]), real(f.tanh_limit)
    zero, one, two, near = real(0), real(1), real(2), real(0.625)
    rounder, shift = real(1.5 * 2.0**f.mantissa), bits(f.mantissa)
    start, width = int(np.array(rounder).view(bits)), 8 * np.dtype(real).itemsize
    # that from which the sum's bits, moved up to the exponent's place, are subtracted: 2^(k - n)
    base, raised_base = (bits((start + f.bias + k << f.mantissa) % 2**width) for k in (0, _RAISE))
    # that which is subtracted from them: 2^n
    plain_base = bits((start - f.bias << f.mantissa) % 2**width)
    lower = real(2.0**-_RAISE)

    @jit
    def tail(x, base):
        """Return q and ``2^(k - n)`` with ``e^x = 2^n (1 + q)`` for x from 0 to -lowest; base tells k.

        As e^x is never rounded by itself, ``1 + e^x = 2^n (2^-n + 1 + q)`` is rounded once.  One factor is
        enough, and cheaper than two, where k keeps ``k - n`` within the exponent's range.
        """
        rounded = rounder + x * per_log2
        n = rounded - rounder
        r = (x - n * log2_high) - n * log2_low
        power = bits(base - (real(rounded).view(bits) << shift)).view(real)
        return r + (r * r) * polynomial(r, exp_fit), power

    def exp(x):
        x = lowest if x < lowest else x  # comparisons with NaN are false: it passes
        x = highest if x > highest else x
        rounded = x * per_log2 + rounder
        n = rounded - rounder
        r = (x - n * log2_high) - n * log2_low
        a, b = power_of_two(rounded)
        return (one + (r + (r * r) * polynomial(r, exp_fit))) * a * b

    def expm1(x):
        x = -two * saturated if x < -two * saturated else x
        rounded = x * per_log2 + rounder
        n = rounded - rounder
        r = (x - n * log2_high) - n * log2_low
        power = bits((real(rounded).view(bits) << shift) - plain_base).view(real)
        return power * (r + (r * r) * polynomial(r, exp_fit)) + (power - one)

    def sigmoid(x):
        size = abs(x)
        size = -lowest if size > -lowest else size
        q, raised = tail(size, raised_base)
        low = one / (one + (q + raised * lower)) * raised * lower  # rounded where it becomes a denormal
        return low if x < zero else one - low

    def tanh(x):
        size = abs(x)
        size = saturated if size > saturated else size
        square = size * size
        small = size + size * square * polynomial(square, tanh_fit)
        q, power = tail(two * size, base)
        large = one - two * power / (one + (q + power))
        return np.copysign(small if size < near else large, x)

    return {"exp": exp, "expm1": expm1, "sigmoid": sigmoid, "tanh": tanh, **_integrals(f, jit(exp))}


def _integrals(f: Format, exp: Any) -> dict[str, Any]:
    """Return softplus and the normal distribution of one type."""
    _, polynomial, power_of_two = _parts(f)
    real, bits = f.real, f.bits
    exp_fit, log1p_fit, normal_fit = f.reals("exp_fit"), f.reals("log1p_fit"), f.reals("normal_fit")
    # in two parts: LLVM would leave a loop of 24 terms a loop, and not vectorise what is around it
    lower_fit, upper_fit = normal_fit[: len(normal_fit) // 2], normal_fit[len(normal_fit) // 2 :]
    per_log2, log2_high, log2_low = real(1 / math.log(2)), real(f.log2_parts[0]), real(f.log2_parts[1])
    zero, half, one, rounder = real(0), real(0.5), real(1), real(1.5 * 2.0**f.mantissa)
    furthest, scale, offset = real(f.normal_limit), real(f.normal_scale), real(1.25)
    # of so many bits that its square is exact
    upper = bits(2 ** (8 * np.dtype(real).itemsize) - 2 ** (f.mantissa // 2 + 1))

    def softplus(x):
        t = exp(-abs(x))
        u = t / (one + half * t)
        square = half * u * (half * u)
        rest = u + u * (square * polynomial(square, log1p_fit))
        return rest + (x if x > zero else zero)

    def normal(x):
        size = abs(x)
        size = furthest if size > furthest else size
        # x^2 / 2 in two parts: rounded, it would lose places of a large one's exponential
        high = bits(real(size).view(bits) & upper).view(real)
        square, rest = half * high * high, half * (size - high) * (size + high)
        rounded = rounder - (square + rest) * per_log2
        n = rounded - rounder
        r = ((-square - n * log2_high) - n * log2_low) - rest
        a, b = power_of_two(rounded)
        q = r + (r * r) * polynomial(r, exp_fit)
        p = (size - scale) / (size + scale)
        share = polynomial(p, (*lower_fit, polynomial(p, upper_fit))) / (size + offset)
        low = (share + q * share) * a * b
        return (low if x < zero else one - low), (one + q) * a * b

    return {"normal": normal, "softplus": softplus}


@functools.cache
def _single() -> dict[str, Any]:
    return _functions(SINGLE)


@functools.cache
def _double() -> dict[str, Any]:
    return _functions(DOUBLE)


def exp(x):
    """e^x of a float32 or float64 (only inside compiled functions)."""
    raise NotImplementedError


def expm1(x):
    """``e^x - 1`` of a float32 or float64 that is 0 or less (only inside compiled functions)."""
    raise NotImplementedError


def normal(x):
    """The normal distribution's share below x, and ``e^(-x^2 / 2)`` (only inside compiled functions)."""
    raise NotImplementedError


def sigmoid(x):
    """``1 / (1 + e^-x)`` of a float32 or float64 (only inside compiled functions)."""
    raise NotImplementedError


def softplus(x):
    """``log(1 + e^x)`` of a float32 or float64 (only inside compiled functions)."""
    raise NotImplementedError


def tanh(x):
    """``(e^x - e^-x) / (e^x + e^-x)`` of a float32 or float64 (only inside compiled functions)."""
    raise NotImplementedError


@intrinsic
def constant(typingctx, like, value):
    """The value as a number of the other's type: a bare constant would make float64 of float32."""

    def codegen(context, b, sig, args):
        return context.cast(b, args[1], sig.args[1], sig.args[0])

    return like(like, value), codegen


@before_compiling
def _overload() -> None:
    from numba.extending import overload

    def form(x: Any, name: str) -> Any:
        if x == types.float32:
            return _single()[name]
        return _double()[name] if x == types.float64 else None

    # each a function of its own with the parameter's name, by which Numba binds the argument
    overload(exp, jit_options=_OPTIONS)(lambda x: form(x, "exp"))
    overload(expm1, jit_options=_OPTIONS)(lambda x: form(x, "expm1"))
    overload(normal, jit_options=_OPTIONS)(lambda x: form(x, "normal"))
    overload(sigmoid, jit_options=_OPTIONS)(lambda x: form(x, "sigmoid"))
    overload(softplus, jit_options=_OPTIONS)(lambda x: form(x, "softplus"))
    overload(tanh, jit_options=_OPTIONS)(lambda x: form(x, "tanh"))

"""exp, sigmoid and tanh for kernels: polynomials in plain arithmetic, which LLVM vectorises.

LLVM has no vector form of them without SVML and calls the scalar libm, several times slower.  Largest
errors, in units of the last place of the correctly rounded result, found over all finite float32 and over
random float64 (``tests/kernels/test_math.py`` holds them):

========  =======  =======
function  float32  float64
========  =======  =======
exp          1.02      1.0
sigmoid      2.00      2.0
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

from numbacnn._deferred import before_compiling, types
from numbacnn._jit import OPTIONS

__all__ = ["exp", "sigmoid", "tanh"]

# Only fused multiply-adds: reassociation would undo the rounding by a large number and the
# two-part multiple of log 2, and a reciprocal instead of a division loses a place.
_OPTIONS: Any = OPTIONS | {"fastmath": {"contract"}, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}

# Remez fits.  e^r = 1 + r + r^2 P(r) for |r| <= log(2) / 2, error relative to e^r: 2^-28 and 2^-58.
_EXP_SINGLE = (
    0.49999993412501564,
    0.1666652010781959,
    0.04166839421089382,
    0.008368780411180462,
    0.0013814467059328807,
)
_EXP_DOUBLE = (
    0.5000000000000011,
    0.1666666666666641,
    0.04166666666652919,
    0.008333333333495624,
    0.0013888888943922656,
    0.00019841269504765384,
    2.4801492762781813e-05,
    2.755758734216402e-06,
    2.7630378625210663e-07,
    2.499996535964128e-08,
)
# tanh(x) = x + x^3 P(x^2) for |x| <= 0.625, relative error 2^-28 and 2^-56.
_TANH_SINGLE = (
    -0.33333281470240833,
    0.13331428593585046,
    -0.05373851892303758,
    0.020635003546092368,
    -0.005700237381959923,
)
_TANH_DOUBLE = (
    -0.33333333333332843,
    0.13333333333260772,
    -0.05396825393065813,
    0.021869487562218203,
    -0.008863220821867853,
    0.003591987722801383,
    -0.0014549514573203703,
    0.0005862923064502178,
    -0.00022851529942355576,
    7.708879335708798e-05,
    -1.6045391513146907e-05,
)
_RAISE = 64  # by so many powers of two is a sigmoid that may be a denormal computed too large


def _functions(
    real: Any,  # np.float32 or np.float64
    bits: Any,  # the unsigned integer as wide
    mantissa: int,  # stored bits of the mantissa
    bias: int,  # of the exponent
    log2_parts: tuple[float, float],  # their sum is log 2; small integers times the first are exact
    exp_limits: tuple[float, float],  # below: e^x rounds to 0; above: to infinity
    tanh_limit: float,  # above: tanh rounds to 1
    exp_fit: tuple[float, ...],
    tanh_fit: tuple[float, ...],
) -> tuple[Any, Any, Any]:
    """Return exp, sigmoid and tanh of one type, as Python functions that Numba compiles."""
    import numba

    jit = numba.njit(**_OPTIONS)
    exp_fit, tanh_fit = tuple(map(real, exp_fit)), tuple(map(real, tanh_fit))
    per_log2, log2_high, log2_low = real(1 / math.log(2)), real(log2_parts[0]), real(log2_parts[1])
    lowest, highest, saturated = real(exp_limits[0]), real(exp_limits[1]), real(tanh_limit)
    zero, one, two, near = real(0), real(1), real(2), real(0.625)
    # Adding 1.5 * 2^mantissa rounds to an integer, which then is the lowest bits of the sum.
    rounder = real(1.5 * 2.0**mantissa)
    start, width = int(np.array(rounder).view(bits)), 8 * np.dtype(real).itemsize
    twice_biased, shift, once = bits(start - 2 * bias), bits(mantissa), bits(1)
    # that from which the sum's bits, moved up to the exponent's place, are subtracted: 2^(k - n)
    base, raised_base = (bits((start + bias + k << mantissa) % 2**width) for k in (0, _RAISE))
    lower = real(2.0**-_RAISE)

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

    return exp, sigmoid, tanh


@functools.cache
def _single() -> tuple[Any, Any, Any]:
    return _functions(
        np.float32,
        np.uint32,
        mantissa=23,
        bias=127,
        log2_parts=(0.693359375, -2.1219444005469058e-4),
        exp_limits=(-104.0, 89.0),
        tanh_limit=10.0,
        exp_fit=_EXP_SINGLE,
        tanh_fit=_TANH_SINGLE,
    )


@functools.cache
def _double() -> tuple[Any, Any, Any]:
    return _functions(
        np.float64,
        np.uint64,
        mantissa=52,
        bias=1023,
        log2_parts=(float.fromhex("0x1.62e42fefa0000p-1"), float.fromhex("0x1.cf79abc9e3b3ap-40")),
        exp_limits=(-746.0, 710.0),
        tanh_limit=20.0,
        exp_fit=_EXP_DOUBLE,
        tanh_fit=_TANH_DOUBLE,
    )


def exp(x):
    """e^x of a float32 or float64 (only inside compiled functions)."""
    raise NotImplementedError


def sigmoid(x):
    """``1 / (1 + e^-x)`` of a float32 or float64 (only inside compiled functions)."""
    raise NotImplementedError


def tanh(x):
    """``(e^x - e^-x) / (e^x + e^-x)`` of a float32 or float64 (only inside compiled functions)."""
    raise NotImplementedError


@before_compiling
def _overload() -> None:
    from numba.extending import overload

    def form(x: Any, which: int) -> Any:
        if x == types.float32:
            return _single()[which]
        return _double()[which] if x == types.float64 else None

    # each a function of its own with the parameter's name, by which Numba binds the argument
    overload(exp, jit_options=_OPTIONS)(lambda x: form(x, 0))
    overload(sigmoid, jit_options=_OPTIONS)(lambda x: form(x, 1))
    overload(tanh, jit_options=_OPTIONS)(lambda x: form(x, 2))

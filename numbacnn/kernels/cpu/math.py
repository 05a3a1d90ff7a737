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
from typing import Any, NamedTuple

import numpy as np

from numbacnn._deferred import before_compiling, intrinsic, types
from numbacnn._jit import OPTIONS

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
# log(1 + t) = 2 artanh(s) = 2 s (1 + s^2 P(s^2)) with s = t / (2 + t) for 0 <= t <= 1, relative error 2^-29
# and 2^-56.
_LOG1P_SINGLE = (
    0.3333333366556475,
    0.19999851614953185,
    0.14296249468123962,
    0.10852266538670778,
    0.11616782076053636,
)
_LOG1P_DOUBLE = (
    0.3333333333333333,
    0.20000000000007406,
    0.14285714283526368,
    0.11111111361315698,
    0.09090894597110853,
    0.07692788189089217,
    0.06657023739852932,
    0.06000968107453073,
    0.043982920032217813,
    0.0808618626128953,
)
# The normal distribution's share below -x is e^(-x^2 / 2) P((x - k) / (x + k)) / (x + 1.25) for x >= 0, with
# k = 4 and 5; P is nearly flat.  Relative error 2^-29 to x = 15 and 2^-58 to 39, where the share has become
# 0.
_NORMAL_SINGLE = (
    0.4956558671196236,
    -0.13930289946705726,
    0.04509441605426059,
    0.010673207679822713,
    -0.024481127707888333,
    0.015816355343349017,
    -0.00487766442728126,
    -0.00014078204134889723,
    0.0006487920890855966,
    -7.604928276582957e-05,
    -7.045168686993516e-05,
)
_NORMAL_DOUBLE = (
    0.48074565609378933,
    -0.12741667065001192,
    0.06004757139746404,
    -0.010218616930813319,
    -0.01443720489524806,
    0.018683488122088497,
    -0.012922572765060864,
    0.005927289573926598,
    -0.0016211846599995699,
    4.13608444878924e-05,
    0.0001672272860281814,
    -5.336742262808926e-05,
    -8.235090272274409e-06,
    8.742789917737529e-06,
    -2.3872547098626256e-07,
    -1.2474723220739908e-06,
    1.4626017736936615e-07,
    1.8736278140059045e-07,
    -2.78314139466719e-08,
    -2.991397726046281e-08,
    3.197342292129865e-09,
    4.1874793560888e-09,
    -6.344550369031494e-11,
    -2.870387863272244e-10,
)
_RAISE = 64  # by so many powers of two is a sigmoid that may be a denormal computed too large


class _Format(NamedTuple):
    """A type of floats and the fits for it."""

    real: Any  # np.float32 or np.float64
    bits: Any  # the unsigned integer as wide
    mantissa: int  # stored bits of the mantissa
    bias: int  # of the exponent
    log2_parts: tuple[float, float]  # their sum is log 2; small integers times the first are exact
    exp_limits: tuple[float, float]  # below: e^x rounds to 0; above: to infinity
    tanh_limit: float  # above: tanh rounds to 1
    normal_limit: float  # above: the normal distribution's share rounds to 1, and below its negative to 0
    normal_scale: float  # k of its fit
    exp_fit: tuple[float, ...]
    tanh_fit: tuple[float, ...]
    log1p_fit: tuple[float, ...]
    normal_fit: tuple[float, ...]

    def reals(self, name: str) -> tuple[Any, ...]:
        """The coefficients of a fit in the type itself."""
        return tuple(map(self.real, getattr(self, name)))


def _parts(f: _Format) -> tuple[Any, Any, Any]:
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


def _functions(f: _Format) -> dict[str, Any]:
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


def _integrals(f: _Format, exp: Any) -> dict[str, Any]:
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
    return _functions(
        _Format(
            np.float32,
            np.uint32,
            mantissa=23,
            bias=127,
            log2_parts=(0.693359375, -2.1219444005469058e-4),
            exp_limits=(-104.0, 89.0),
            tanh_limit=10.0,
            normal_limit=15.0,
            normal_scale=4.0,
            exp_fit=_EXP_SINGLE,
            tanh_fit=_TANH_SINGLE,
            log1p_fit=_LOG1P_SINGLE,
            normal_fit=_NORMAL_SINGLE,
        )
    )


@functools.cache
def _double() -> dict[str, Any]:
    return _functions(
        _Format(
            np.float64,
            np.uint64,
            mantissa=52,
            bias=1023,
            log2_parts=(float.fromhex("0x1.62e42fefa0000p-1"), float.fromhex("0x1.cf79abc9e3b3ap-40")),
            exp_limits=(-746.0, 710.0),
            tanh_limit=20.0,
            normal_limit=39.0,
            normal_scale=5.0,
            exp_fit=_EXP_DOUBLE,
            tanh_fit=_TANH_DOUBLE,
            log1p_fit=_LOG1P_DOUBLE,
            normal_fit=_NORMAL_DOUBLE,
        )
    )


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

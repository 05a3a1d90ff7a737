"""The polynomials of ``math``, and what else it knows of each type of floats."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

__all__ = ["DOUBLE", "SINGLE", "Format"]

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


class Format(NamedTuple):
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


SINGLE = Format(
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
DOUBLE = Format(
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

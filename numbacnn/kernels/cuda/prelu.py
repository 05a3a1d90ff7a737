"""Rectifiers with learned slopes: a vector of four elements a thread.

Arrays begin at a multiple of 16 bytes, as those of the allocator do.  The terms of the slopes' gradient go
through memory, in float32 at least, and are summed by columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .intrinsics import (
    block_x,
    div,
    div64,
    i32,
    i64,
    load,
    load4,
    local_array,
    real,
    static_range,
    store,
    store4,
    thread,
)
from .launch import Variant, ceil_div, device, kernel
from .memory import DeviceArray, empty
from .reduce import column_sums, total

__all__ = ["prelu_backward", "prelu_forward"]

if TYPE_CHECKING:  # constants that kernels are specialised by
    SHARED = False  # there is one slope
    WIDE = False  # places do not fit in 31 bits
    BACKWARD = False

_THREADS = 256


@device
def slope_at(slope, first, k, channels):
    """The slope of element ``first + k``, the channel of whose first is `first`."""
    if SHARED:
        return real(load(slope, 0))
    channel = i32(first + k)
    return real(load(slope, channel - i32(div(channel, channels) * channels)))


@device
def rectified(value, gradient, slope):
    """The output; of a gradient that by the input."""
    if BACKWARD:
        return gradient if value > real(0) else slope * gradient
    return slope * value if value <= real(0) else value


@kernel("x slope dy out terms channels:i32 n:i64", threads=_THREADS)
def _prelu(x, slope, dy, out, terms, channels, n):
    first = i64(block_x()) * (4 * _THREADS) + thread() * 4
    channel = i32(0)
    if not SHARED:
        if WIDE:
            channel = i32(first - div64(first, i64(channels)) * channels)
        else:
            channel = i32(first - i64(div(i32(first), channels)) * channels)
    if first + 4 <= n:
        results, products = local_array(4, real), local_array(4, real)
        values = load4(x, first)
        gradients = load4(dy, first) if BACKWARD else values
        for k in static_range(4):
            a, b = real(values[k]), real(gradients[k])
            results[k] = rectified(a, b, slope_at(slope, channel, k, channels))
            products[k] = a * b if a <= real(0) else real(0)
        store4(out, first, (results[0], results[1], results[2], results[3]))
        if BACKWARD:
            store4(terms, first, (products[0], products[1], products[2], products[3]))
    else:
        for k in static_range(4):
            if first + k < n:
                a = real(load(x, first + k))
                b = real(load(dy, first + k)) if BACKWARD else a
                store(out, first + k, rectified(a, b, slope_at(slope, channel, k, channels)))
                if BACKWARD:
                    store(terms, first + k, a * b if a <= real(0) else real(0))


def _variant(x: DeviceArray, slope: DeviceArray, backward: bool) -> Variant:
    return _prelu.of(SHARED=slope.size == 1, WIDE=x.size + 4 * _THREADS >= 1 << 31, BACKWARD=backward)


def prelu_forward(
    x: DeviceArray,  # (..., c) read
    slope: DeviceArray,  # (c,) or (1,) read
    y: DeviceArray,  # (..., c) written
) -> None:
    """``y = x where x > 0, else slope x``; NaN stays NaN."""
    grid = ceil_div(x.size, 4 * _THREADS)
    _variant(x, slope, False)(grid, x, slope, None, y, None, slope.size, x.size)


def prelu_backward(
    x: DeviceArray,  # (..., c) read
    slope: DeviceArray,  # (c,) or (1,) read
    dy: DeviceArray,  # (..., c) read
    dx: DeviceArray,  # (..., c) written
    dslope: DeviceArray,  # (c,) or (1,) written
) -> None:
    """``dx = dy where x > 0, else slope dy``; ``dslope = sum of x dy where x <= 0``, by channels or whole."""
    terms = empty(x.shape, np.float64 if x.dtype == np.float64 else np.float32)
    grid = ceil_div(x.size, 4 * _THREADS)
    _variant(x, slope, True)(grid, x, slope, dy, dx, terms, slope.size, x.size)
    if x.size == 0:
        dslope.fill_zero()
    elif dslope.size == 1:
        total(terms, 1.0, dslope)
    else:
        column_sums(terms, x.size // dslope.size, dslope.size, dslope)

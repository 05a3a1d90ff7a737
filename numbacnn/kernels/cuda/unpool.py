"""Max unpooling: values put back to the pixels that they were the maxima of, and the gradient.

Of equal indices the last wins, whatever the number of threads: a thread owns a band of the output's pixels in
one channel, and goes through the values that may lie there in order.  Which those are tell the least and the
greatest index of each stretch of values; max pooling's follow each other, so that a band meets a few
stretches.  Indices in no order at all cost each band a walk over all values.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import memory
from .intrinsics import (
    block_x,
    div,
    i32,
    i64,
    load,
    local_array,
    maximum,
    minimum,
    real,
    static_range,
    store,
    thread,
)
from .launch import ceil_div, kernel

__all__ = ["max_unpool_backward", "max_unpool_forward"]

_THREADS = 256
_UNITS = 1 << 30  # threads of a launch, at most
_STRETCH = 32  # pixels of a stretch, at least
_BAND = 512  # pixels of a band, at least
_STRETCHES = 4  # whose values a band holds, about
_AT_ONCE = 8  # indices that a thread reads before it uses them


@kernel("indices ranges first:i32 count:i32 stretches:i32 stretch:i32 pixels:i32 c:i32", threads=_THREADS)
def find_ranges(indices, ranges, first, count, stretches, stretch, pixels, c):
    """The least and the greatest index of each stretch: (images * stretches, 2, c), from row `first` on."""
    unit = i32(block_x() * _THREADS + thread())
    row = div(unit, c)
    if row >= count:
        return
    channel = i32(unit - row * c)
    row = i32(row + first)
    image = div(row, stretches)
    begin = i32((row - image * stretches) * stretch)
    end = min(i32(begin + stretch), pixels)
    at = (i64(image) * pixels + begin) * c + channel
    least = i64(indices[at])
    greatest = least
    i = i32(begin + 1)
    while i < end:
        at += c
        index = i64(indices[at])
        least, greatest = minimum(least, index), maximum(greatest, index)
        i = i32(i + 1)
    target = i64(row) * 2 * c + channel
    ranges[target] = least
    ranges[target + c] = greatest


@kernel(
    "x indices ranges y first:i32 count:i32 bands:i32 band:i32 stretches:i32 stretch:i32 pixels:i32"
    " whole:i32 c:i32",
    threads=_THREADS,
)
def put(x, indices, ranges, y, first, count, bands, band, stretches, stretch, pixels, whole, c):
    """Zero a band of the output's pixels, and put the values there that lie in it, in order."""
    unit = i32(block_x() * _THREADS + thread())
    row = div(unit, c)
    if row >= count:
        return
    channel = i32(unit - row * c)
    row = i32(row + first)
    image = div(row, bands)
    low = i32((row - image * bands) * band)
    high = min(i32(low + band), whole)
    base = i64(image) * whole * c + channel
    i = low
    while i < high:
        store(y, base + i64(i) * c, real(0))
        i = i32(i + 1)
    found = local_array(_AT_ONCE, i64)
    s = i32(0)
    while s < stretches:
        at = (i64(image) * stretches + s) * 2 * c + channel
        if ranges[at] < high and ranges[at + c] >= low:
            i = i32(s * stretch)
            end = min(i32(i + stretch), pixels)
            while i < end:
                source = (i64(image) * pixels + i) * c + channel
                for k in static_range(_AT_ONCE):
                    # past the stretch its last value once more: that changes nothing
                    found[k] = indices[source + i64(min(i32(k), i32(end - 1 - i))) * c]
                for k in static_range(_AT_ONCE):
                    if found[k] >= low and found[k] < high:
                        value = load(x, source + i64(min(i32(k), i32(end - 1 - i))) * c)
                        store(y, base + found[k] * c, value)
                i = i32(i + _AT_ONCE)
        s = i32(s + 1)


@kernel("dy indices dx first:i32 count:i32 pixels:i32 whole:i32 c:i32", threads=_THREADS)
def fetch(dy, indices, dx, first, count, pixels, whole, c):
    """Read each value's gradient at its index, for some pixels from `first` on."""
    unit = i32(block_x() * _THREADS + thread())
    row = div(unit, c)
    if row >= count:
        return
    channel = i32(unit - row * c)
    row = i32(row + first)
    at = i64(row) * c + channel
    place = i64(div(row, pixels)) * whole + indices[at]
    store(dx, at, load(dy, place * c + channel))


def _launch(variant: Any, rows: int, c: int, arrays: tuple, sizes: tuple[int, ...]) -> None:
    """Run on rows of c threads, as many at a time as a launch holds."""
    most = max(1, _UNITS // c)
    for first in range(0, rows, most):
        count = min(most, rows - first)
        variant(ceil_div(count * c, _THREADS), *arrays, first, count, *sizes)


def max_unpool_forward(
    x: Any,  # (n, *in, c) read
    indices: Any,  # int64 (n, *in, c) read: flat indices within y's spatial axes
    y: Any,  # (n, *out, c) written
) -> None:
    """``y[n, indices[n, i, c], c] = x[n, i, c]``, zeros elsewhere; of equal indices the last i wins."""
    n, *in_, c = x.shape
    pixels, whole = math.prod(in_), math.prod(y.shape[1:-1])
    # both grow with the root of the sizes, as the bands' looks at the stretches are their numbers' product
    stretch = max(_STRETCH, math.isqrt(pixels))
    band = max(_BAND, _STRETCHES * stretch * whole // pixels)
    stretches, bands = ceil_div(pixels, stretch), ceil_div(whole, band)
    ranges = memory.empty((n * stretches, 2, c), np.int64)
    _launch(find_ranges, n * stretches, c, (indices, ranges), (stretches, stretch, pixels, c))
    sizes = bands, band, stretches, stretch, pixels, whole, c
    _launch(put, n * bands, c, (x, indices, ranges, y), sizes)


def max_unpool_backward(
    dy: Any,  # (n, *out, c) read
    indices: Any,  # int64 (n, *in, c) read
    dx: Any,  # (n, *in, c) written
) -> None:
    """``dx[n, i, c] = dy[n, indices[n, i, c], c]``."""
    n, *in_, c = dx.shape
    pixels, whole = math.prod(in_), math.prod(dy.shape[1:-1])
    _launch(fetch, n * pixels, c, (dy, indices, dx), (pixels, whole, c))

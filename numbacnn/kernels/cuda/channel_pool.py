"""The mean and the maximum of each pixel's channels, and their gradient: a group of threads per pixel."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .intrinsics import (
    block_x,
    div,
    i64,
    is_nan,
    load,
    maximum,
    real,
    shared_array,
    store,
    thread,
)
from .launch import ceil_div, kernel
from .memory import DeviceArray
from .reduce import block_of, group_maximum, group_sum, lanes_for

__all__ = ["channel_pool_backward", "channel_pool_forward"]

if TYPE_CHECKING:  # constants that kernels are specialised by
    LANES = 32  # threads of a pixel: a power of two, to 32 within a warp, above it a whole block
    OTHERS = False  # the gradient is added to another

_THREADS = 256
_INFINITY = math.inf


@kernel("x y share:real rows:i64 channels:i64", threads=block_of)
def _forward(x, y, share, rows, channels):
    scratch = shared_array(32, real)
    row = i64(block_x()) * max(1, _THREADS // LANES) + div(thread(), LANES)
    j, end = thread() & (LANES - 1), channels if row < rows else i64(0)
    total, top, bad = real(0), real(-_INFINITY), real(0)
    i = i64(j)
    while i < end:
        value = load(x, row * channels + i)
        total += value
        top = maximum(value, top)
        if is_nan(value):
            bad = real(1)
        i += LANES
    total, top, bad = group_sum(total, scratch), group_maximum(top, scratch), group_sum(bad, scratch)
    if j == 0 and row < rows:
        store(y, 2 * row, total * share)
        store(y, 2 * row + 1, total if bad > real(0) else top)  # of a NaN the sum is one


@kernel("x y dy others dx share:real rows:i64 channels:i64", threads=block_of)
def _backward(x, y, dy, others, dx, share, rows, channels):
    """The row is read again for its first maximum: it is in a cache by then."""
    scratch = shared_array(32, real)
    row = i64(block_x()) * max(1, _THREADS // LANES) + div(thread(), LANES)
    j, end = thread() & (LANES - 1), channels if row < rows else i64(0)
    mean, slope, top = real(0), real(0), real(0)
    if row < rows:
        mean, slope, top = load(dy, 2 * row) * share, load(dy, 2 * row + 1), load(y, 2 * row + 1)
    first = real(-_INFINITY)  # the number of the first maximum, negated: exact below 2^24 channels
    i = i64(j)
    while i < end:
        value = load(x, row * channels + i)
        won = is_nan(value) if is_nan(top) else value == top
        if won:
            first = maximum(real(0 - i), first)
        i += LANES
    first = group_maximum(first, scratch)
    i = i64(j)
    while i < end:
        gradient = mean
        if OTHERS:
            gradient += load(others, row * channels + i)
        if real(0 - i) == first:
            gradient += slope
        store(dx, row * channels + i, gradient)
        i += LANES


def channel_pool_forward(
    x: DeviceArray,  # (..., c) read
    y: DeviceArray,  # (..., 2) written
) -> None:
    """``y[..., 0] = mean(x[..., :])``, ``y[..., 1] = max(x[..., :])``; a NaN is a maximum."""
    c, lanes = x.shape[-1], lanes_for(x.shape[-1])
    rows = x.size // c
    _forward.of(LANES=lanes)(_grid(rows, lanes), x, y, 1.0 / c, rows, c)


def channel_pool_backward(
    x: DeviceArray,  # (..., c) read
    y: DeviceArray,  # (..., 2) read: what the forward pass wrote
    dy: DeviceArray,  # (..., 2) read
    others: DeviceArray | None,  # (..., c) read: gradients of x from elsewhere, or None for 0
    dx: DeviceArray,  # (..., c) written
) -> None:
    """``dx = others + dy[..., 0] / c``, and ``+ dy[..., 1]`` at the first channel that is the maximum."""
    c, lanes = x.shape[-1], lanes_for(x.shape[-1])
    rows = x.size // c
    variant = _backward.of(LANES=lanes, OTHERS=others is not None)
    variant(_grid(rows, lanes), x, y, dy, others, dx, 1.0 / c, rows, c)


def _grid(rows: int, lanes: int) -> int:
    return ceil_div(rows, max(1, _THREADS // lanes))

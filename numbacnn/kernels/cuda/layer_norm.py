"""Normalisation of each row, of the last axes of an array: a group of threads per row.

Rows of up to some thousands of elements are read once and stay in registers.  The squares are of differences
from the mean, and the mean is corrected by what these sum to; 16-bit floats have statistics in float32.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from .column_slopes import column_slopes
from .intrinsics import (
    block_x,
    div,
    i64,
    load,
    local_array,
    real,
    shared_array,
    sqrt,
    static_range,
    store,
    thread,
)
from .launch import ceil_div, kernel
from .memory import DeviceArray
from .reduce import block_of, group_sum, lanes_for

__all__ = ["layer_norm_backward", "layer_norm_forward"]

if TYPE_CHECKING:  # constants that kernels are specialised by
    LANES = 32  # threads of a row: a power of two, to 32 within a warp, above it a whole block
    ITEMS = 1  # elements of a thread, which it keeps in registers; 0 where they are read again
    SCALE = SHIFT = False  # there is such an array

_THREADS = 256
_KEPT = 32  # elements of a thread in registers, at most


@kernel("x gamma beta y statistics epsilon:real rows:i64 size:i64", threads=block_of)
def _normalise(x, gamma, beta, y, statistics, epsilon, rows, size):
    scratch, kept = shared_array(32, real), local_array(max(1, ITEMS), real)
    row = i64(block_x()) * max(1, _THREADS // LANES) + div(thread(), LANES)
    j, end = i64(thread() & (LANES - 1)), size if row < rows else i64(0)
    base, count = row * size, real(size)
    total, rest, squares = real(0), real(0), real(0)
    if ITEMS:
        for s in static_range(ITEMS):
            kept[s] = load(x, base + (j + LANES * s)) if j + LANES * s < end else real(0)
            total += kept[s]
    else:
        i = j
        while i < end:
            total += load(x, base + i)
            i += LANES
    mean = group_sum(total, scratch) / count
    if ITEMS:
        for s in static_range(ITEMS):
            if j + LANES * s < end:
                difference = kept[s] - mean
                rest += difference
                squares += difference * difference
    else:
        i = j
        while i < end:
            difference = load(x, base + i) - mean
            rest += difference
            squares += difference * difference
            i += LANES
    rest = group_sum(rest, scratch) / count
    variance = group_sum(squares, scratch) / count - rest * rest
    inverse = real(1) / sqrt(variance + epsilon)
    if ITEMS:
        for s in static_range(ITEMS):
            i = j + LANES * s
            if i < end:
                value = ((kept[s] - mean) - rest) * inverse
                value = value * load(gamma, i) if SCALE else value
                store(y, base + i, value + load(beta, i) if SHIFT else value)
    else:
        i = j
        while i < end:
            value = ((load(x, base + i) - mean) - rest) * inverse
            value = value * load(gamma, i) if SCALE else value
            store(y, base + i, value + load(beta, i) if SHIFT else value)
            i += LANES
    if j == 0 and row < rows:
        store(statistics, 2 * row, mean + rest)
        store(statistics, 2 * row + 1, inverse)


@kernel("x statistics gamma dy dx rows:i64 size:i64", threads=block_of)
def _slope(x, statistics, gamma, dy, dx, rows, size):
    scratch = shared_array(32, real)
    row = i64(block_x()) * max(1, _THREADS // LANES) + div(thread(), LANES)
    j, end = i64(thread() & (LANES - 1)), size if row < rows else i64(0)
    base, count = row * size, real(size)
    mean, inverse = real(0), real(0)
    if row < rows:
        mean, inverse = load(statistics, 2 * row), load(statistics, 2 * row + 1)
    level, along = real(0), real(0)
    if ITEMS:
        normal, slopes = local_array(ITEMS, real), local_array(ITEMS, real)
        for s in static_range(ITEMS):
            i = j + LANES * s
            normal[s], slopes[s] = real(0), real(0)
            if i < end:
                normal[s] = (load(x, base + i) - mean) * inverse
                slopes[s] = load(dy, base + i) * load(gamma, i) if SCALE else load(dy, base + i)
            level += slopes[s]
            along += slopes[s] * normal[s]
    else:
        i = j
        while i < end:
            g = load(dy, base + i) * load(gamma, i) if SCALE else load(dy, base + i)
            level += g
            along += g * ((load(x, base + i) - mean) * inverse)
            i += LANES
    level = group_sum(level, scratch) / count
    along = group_sum(along, scratch) / count
    if ITEMS:
        for s in static_range(ITEMS):
            if j + LANES * s < end:
                store(dx, base + (j + LANES * s), inverse * ((slopes[s] - level) - normal[s] * along))
    else:
        i = j
        while i < end:
            g = load(dy, base + i) * load(gamma, i) if SCALE else load(dy, base + i)
            z = (load(x, base + i) - mean) * inverse
            store(dx, base + i, inverse * ((g - level) - z * along))
            i += LANES


def _layout(size: int, arrays: int, double: bool) -> tuple[int, int]:
    """Threads per row, and elements per thread in registers for so many arrays, or 0."""
    most = _KEPT // (arrays * (2 if double else 1))
    for lanes in (lanes_for(min(size, 1024)), 256):
        items = 1 << (ceil_div(size, lanes) - 1).bit_length()
        if items <= most:
            return lanes, items
    return 1024, 0


def _geometry(x: DeviceArray, statistics: DeviceArray, arrays: int) -> tuple[int, int, int, int, int]:
    """Blocks, threads per row, elements kept, rows, and their elements."""
    size = math.prod(x.shape[statistics.ndim - 1 :])
    rows = x.size // size
    lanes, items = _layout(size, arrays, x.dtype == np.float64)
    return ceil_div(rows, max(1, _THREADS // lanes)), lanes, items, rows, size


def layer_norm_forward(
    x: DeviceArray,  # (*rows, *inner) read
    gamma: DeviceArray | None,  # (*inner,) read; None: ones
    beta: DeviceArray | None,  # (*inner,) read; None: zeros
    epsilon: float,
    y: DeviceArray,  # (*rows, *inner) written
    statistics: DeviceArray,  # (*rows, 2) written: the mean, and 1 / sqrt(variance + epsilon), of each row
) -> None:
    """``y = gamma (x - mean) / sqrt(variance + epsilon) + beta``, mean and variance being those of a row."""
    blocks, lanes, items, rows, size = _geometry(x, statistics, 1)
    variant = _normalise.of(LANES=lanes, ITEMS=items, SCALE=gamma is not None, SHIFT=beta is not None)
    variant(blocks, x, gamma, beta, y, statistics, epsilon, rows, size)


def layer_norm_backward(
    x: DeviceArray,  # (*rows, *inner) read
    statistics: DeviceArray,  # (*rows, 2) read: what the forward pass wrote
    gamma: DeviceArray | None,  # (*inner,) read
    dy: DeviceArray,  # (*rows, *inner) read
    dx: DeviceArray,  # (*rows, *inner) written
    dgamma: DeviceArray,  # (*inner,) written
    dbeta: DeviceArray,  # (*inner,) written
) -> None:
    """``dx = (g - mean(g) - z mean(g z)) / sqrt(variance + epsilon)``, ``g = gamma dy``, z the normalised x.

    ``dgamma = sum over rows of dy z`` and ``dbeta = sum over rows of dy``.
    """
    if x.size == 0:
        dgamma.fill_zero()
        dbeta.fill_zero()
        return
    blocks, lanes, items, rows, size = _geometry(x, statistics, 2)
    variant = _slope.of(LANES=lanes, ITEMS=items, SCALE=gamma is not None)
    variant(blocks, x, statistics, gamma, dy, dx, rows, size)
    column_slopes(x, statistics, dy, 1, size, 0, dgamma, dbeta)

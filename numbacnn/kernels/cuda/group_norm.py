"""Normalisation of each example's groups of channels, over all pixels.

A block takes 32 channels of a chunk of pixels, as neighbouring threads read neighbouring channels: the means
first, then the squares of what differs from them.  A group of threads joins the chunks of a group of
channels in order, and a pass over all elements applies what came of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import memory
from .column_slopes import CHUNK, THREADS, column_slopes
from .intrinsics import (
    block_x,
    div,
    div64,
    i32,
    i64,
    lane,
    load,
    load4,
    local_array,
    minimum,
    real,
    shared_array,
    sqrt,
    static_range,
    store,
    store4,
    sync,
    thread,
)
from .launch import ceil_div, device, kernel
from .memory import DeviceArray
from .reduce import group_sum

__all__ = ["group_norm_backward", "group_norm_forward"]

if TYPE_CHECKING:  # constants that kernels are specialised by
    LANES = 32  # threads that join a group of channels
    SCALE = SHIFT = False  # there is such an array
    SLOPE = False  # of the backward pass
    WIDE = 1  # neighbouring channels of a thread: 1 or 4
    ALIKE = False  # they belong to one group


@kernel("x means squares rows:i64 c:i32 chunks:i32 tiles:i32", threads=THREADS)
def _column_moments(x, means, squares, rows, c, chunks, tiles):
    """Of a chunk's columns the means, less the first row, and the sums of squares about them."""
    scratch = shared_array(THREADS, real)
    unit = i32(div(block_x(), tiles))
    column = i32((i32(block_x()) - unit * tiles) * 32 + lane())
    example = i32(div(unit, chunks))
    lo = i64(unit - example * chunks) * CHUNK
    hi = minimum(lo + CHUNK, rows)
    first, base = lo + (thread() >> 5), i64(example) * rows
    pivot, total, square = real(0), real(0), real(0)
    if column < c:  # sums of differences from the first row keep their places however far from 0 the mean is
        pivot = load(x, (base + lo) * c + column)
    row = first
    while row < hi and column < c:
        total += load(x, (base + row) * c + column) - pivot
        row += THREADS // 32
    store(scratch, thread(), total)
    sync()
    total = real(0)
    for k in static_range(THREADS // 32):
        total += load(scratch, 32 * k + lane())
    sync()  # the sums have been read
    mean = total / real(hi - lo)
    row = first
    while row < hi and column < c:
        difference = (load(x, (base + row) * c + column) - pivot) - mean
        square += difference * difference
        row += THREADS // 32
    store(scratch, thread(), square)
    sync()
    if thread() < 32 and column < c:
        for k in static_range(1, THREADS // 32):
            square += load(scratch, 32 * k + thread())
        store(means, i64(unit) * c + column, mean)
        store(squares, i64(unit) * c + column, square)


@kernel(
    "x means squares exact statistics epsilon:real rows:i64 c:i32 groups:i32 chunks:i32",
    threads=lambda constants: constants["LANES"],
)
def _join_moments(x, means, squares, exact, statistics, epsilon, rows, c, groups, chunks):
    """A block per group of channels of an example; exact takes the mean and what its rounding lost."""
    scratch = shared_array(32, real)
    example = i32(div(block_x(), groups))
    per = i32(div(c, groups))
    first = i32((i32(block_x()) - example * groups) * per)
    base, items, count = i64(example) * chunks, i32(per * chunks), real(rows) * real(per)
    last, start = real(rows - i64(chunks - 1) * CHUNK), i64(example) * rows
    total, rest, square = real(0), real(0), real(0)
    i = i32(thread())
    while i < items:
        chunk = i32(div(i, per))
        channel = i32(first + (i - chunk * per))
        number = last if chunk == chunks - 1 else real(CHUNK)
        pivot = load(x, (start + i64(chunk) * CHUNK) * c + channel)
        total += number * (pivot + load(means, (base + chunk) * c + channel))
        i = i32(i + LANES)
    mean = group_sum(total, scratch) / count
    i = i32(thread())
    while i < items:
        chunk = i32(div(i, per))
        channel = i32(first + (i - chunk * per))
        at = (base + chunk) * c + channel
        number = last if chunk == chunks - 1 else real(CHUNK)
        pivot = load(x, (start + i64(chunk) * CHUNK) * c + channel)
        difference = (pivot - mean) + load(means, at)
        rest += number * difference
        square += load(squares, at) + number * (difference * difference)
        i = i32(i + LANES)
    rest = group_sum(rest, scratch) / count
    variance = group_sum(square, scratch) / count - rest * rest
    if thread() == 0:
        at = i64(block_x()) * 2
        store(exact, at, mean)
        store(exact, at + 1, rest)
        store(statistics, at, mean + rest)
        store(statistics, at + 1, real(1) / sqrt(variance + epsilon))


@kernel(
    "sums products gamma levels rows:i64 c:i32 groups:i32 chunks:i32",
    threads=lambda constants: constants["LANES"],
)
def _join_slopes(sums, products, gamma, levels, rows, c, groups, chunks):
    """A block per group of channels of an example: the means of g, and of g times the normalised input."""
    scratch = shared_array(32, real)
    example = i32(div(block_x(), groups))
    per = i32(div(c, groups))
    first = i32((i32(block_x()) - example * groups) * per)
    base, items, count = i64(example) * chunks, i32(per * chunks), real(rows) * real(per)
    level, along = real(0), real(0)
    i = i32(thread())
    while i < items:
        chunk = i32(div(i, per))
        channel = i32(first + (i - chunk * per))
        at = (base + chunk) * c + channel
        if SCALE:
            level += load(gamma, channel) * load(sums, at)
            along += load(gamma, channel) * load(products, at)
        else:
            level += load(sums, at)
            along += load(products, at)
        i = i32(i + LANES)
    level, along = group_sum(level, scratch) / count, group_sum(along, scratch) / count
    if thread() == 0:
        store(levels, i64(block_x()) * 2, level)
        store(levels, i64(block_x()) * 2 + 1, along)


@device
def element(value, g, mean, lost, inverse, scale, shift, level, along):
    """An element of the output, or of the input's gradient if SLOPE."""
    z = ((value - mean) - lost) * inverse
    if SLOPE:
        return inverse * ((scale * g - level) - z * along)
    return scale * z + shift


@kernel(
    "x dy gamma beta statistics exact out size:i64 c:i32 groups:i32 blocks:i32",
    threads=THREADS,
)
def _apply(x, dy, gamma, beta, statistics, exact, out, size, c, groups, blocks):
    """WIDE elements a thread; exact holds the means and what they lost, or the levels of the gradient."""
    example = i32(div(block_x(), blocks))
    i = (i64(i32(block_x()) - example * blocks) * THREADS + thread()) * WIDE
    if i < size:
        channel, base = i32(i - div64(i, i64(c)) * c), i64(example) * size + i
        per = i32(div(c, groups))
        a, b = local_array(WIDE, real), local_array(WIDE, real)
        mean, lost, inverse = local_array(WIDE, real), local_array(WIDE, real), local_array(WIDE, real)
        level, along, result = local_array(WIDE, real), local_array(WIDE, real), local_array(WIDE, real)
        if WIDE == 4:
            four = load4(x, base)
            for k in static_range(4):
                a[k] = real(four[k])
            if SLOPE:
                four = load4(dy, base)
                for k in static_range(4):
                    b[k] = real(four[k])
        else:
            a[0] = real(load(x, base))
            if SLOPE:
                b[0] = real(load(dy, base))
        for k in static_range(WIDE):
            if k == 0 or not ALIKE:
                at = (i64(example) * groups + div(channel + k, per)) * 2
                lost[k], level[k], along[k] = real(0), real(0), real(0)
                inverse[k] = load(statistics, at + 1)
                if SLOPE:
                    mean[k] = load(statistics, at)
                    level[k], along[k] = load(exact, at), load(exact, at + 1)
                else:
                    mean[k], lost[k] = load(exact, at), load(exact, at + 1)
            else:
                mean[k], lost[k], inverse[k] = mean[0], lost[0], inverse[0]
                level[k], along[k] = level[0], along[0]
        for k in static_range(WIDE):
            scale, shift = real(1), real(0)
            if SCALE:
                scale = real(load(gamma, channel + k))
            if SHIFT:
                shift = real(load(beta, channel + k))
            g = b[k] if SLOPE else real(0)
            result[k] = element(a[k], g, mean[k], lost[k], inverse[k], scale, shift, level[k], along[k])
        if WIDE == 4:
            store4(out, base, (result[0], result[1], result[2], result[3]))
        else:
            store(out, base, result[0])


def _lanes(items: int) -> int:
    """Threads of a block that joins so many numbers."""
    return 32 if items <= 512 else 256


def _run(x: Any, dy: Any, gamma: Any, beta: Any, statistics: Any, exact: Any, out: Any) -> None:
    """Apply statistics and levels to all elements."""
    (n, groups, _), c = statistics.shape, x.shape[-1]
    size, wide = x.size // n, 4 if c % 4 == 0 else 1
    blocks = ceil_div(size, wide * THREADS)
    variant = _apply.of(
        SLOPE=dy is not None,
        SCALE=gamma is not None,
        SHIFT=beta is not None,
        WIDE=wide,
        ALIKE=(c // groups) % wide == 0,
    )
    variant(n * blocks, x, dy, gamma, beta, statistics, exact, out, size, c, groups, blocks)


def group_norm_forward(
    x: DeviceArray,  # (n, *pixels, c) read
    gamma: DeviceArray | None,  # (c,) read; None: ones
    beta: DeviceArray | None,  # (c,) read; None: zeros
    epsilon: float,
    y: DeviceArray,  # (n, *pixels, c) written
    statistics: DeviceArray,  # (n, groups, 2) written: mean, and 1 / sqrt(variance + epsilon), of each group
) -> None:
    """``y = gamma (x - mean) / sqrt(variance + epsilon) + beta``, of an example's group of channels."""
    if x.size == 0:
        return
    (n, groups, _), c = statistics.shape, x.shape[-1]
    rows, tiles = x.size // (n * c), ceil_div(c, 32)
    chunks, kind = ceil_div(rows, CHUNK), np.float64 if x.dtype == np.float64 else np.float32
    means, squares = (memory.empty((n * chunks, c), kind) for _ in range(2))
    exact = memory.empty((n, groups, 2), kind)
    _column_moments(n * chunks * tiles, x, means, squares, rows, c, chunks, tiles)
    join = _join_moments.of(LANES=_lanes(chunks * c // groups))
    join(n * groups, x, means, squares, exact, statistics, epsilon, rows, c, groups, chunks)
    _run(x, None, gamma, beta, statistics, exact, y)


def group_norm_backward(
    x: DeviceArray,  # (n, *pixels, c) read
    statistics: DeviceArray,  # (n, groups, 2) read: what the forward pass wrote
    gamma: DeviceArray | None,  # (c,) read
    dy: DeviceArray,  # (n, *pixels, c) read
    dx: DeviceArray,  # (n, *pixels, c) written
    dgamma: DeviceArray,  # (c,) written
    dbeta: DeviceArray,  # (c,) written
) -> None:
    """``dx = (g - mean(g) - z mean(g z)) / sqrt(variance + epsilon)``, ``g = gamma dy``, z the normalised x.

    Means are over a group's channels and pixels; ``dgamma = sum of dy z`` and ``dbeta = sum of dy`` over
    examples and pixels.
    """
    if x.size == 0:
        dgamma.fill_zero()
        dbeta.fill_zero()
        return
    (n, groups, _), c = statistics.shape, x.shape[-1]
    sums, products, chunks = column_slopes(x, statistics, dy, n, c, groups, dgamma, dbeta)
    levels = memory.empty((n, groups, 2), sums.dtype)
    join = _join_slopes.of(LANES=_lanes(chunks * c // groups), SCALE=gamma is not None)
    join(n * groups, sums, products, gamma, levels, x.size // (n * c), c, groups, chunks)
    _run(x, dy, gamma, None, statistics, levels, dx)

"""Sums in a fixed order: over the threads of a group, over rows and over columns of a matrix.

What is cut into parts depends on the sizes alone, never on the GPU, and each part is summed by a tree: the
same bits on every run and every number of multiprocessors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .intrinsics import (
    abs_,
    block_x,
    block_y,
    div,
    i64,
    lane,
    load,
    load4,
    local_array,
    maximum,
    minimum,
    real,
    shared_array,
    shuffle_xor,
    static_range,
    store,
    sync,
    thread,
)
from .launch import Constants, ceil_div, device, kernel
from .memory import DeviceArray, empty

if TYPE_CHECKING:  # constants that kernels are specialised by
    LANES = 32  # threads of a group: a power of two, to 32 within a warp, above it a whole block
    TERM = ""  # what is summed of each element
    BINARY = False  # it is of a second array too
    VECTORS = False  # elements are read four at a time
    WIDE = 1  # neighbouring columns of a thread

_THREADS = 256
_CHUNK = 16384  # elements of a row that a block sums: 64 a thread
_ROWS = 16  # of a column that a thread sums, at least
_BLOCKS = 1024  # that sum columns, at most: some per multiprocessor of the largest GPUs


@device
def group_sum(value, scratch):
    """The sum over a group's threads, to each of them; scratch is shared memory for an element per warp."""
    for step in static_range(5):
        if (1 << step) < LANES:
            value = value + shuffle_xor(value, 1 << step)
    if LANES > 32:
        sync()  # what scratch held has been read
        if lane() == 0:
            store(scratch, thread() >> 5, value)
        sync()
        value = load(scratch, lane() & (LANES // 32 - 1))
        for step in static_range(5):
            if (1 << step) < LANES // 32:
                value = value + shuffle_xor(value, 1 << step)
    return value


@device
def group_maximum(value, scratch):
    """The maximum over a group's threads, to each of them, as `group_sum`; NaN may be passed over."""
    for step in static_range(5):
        if (1 << step) < LANES:
            value = maximum(value, shuffle_xor(value, 1 << step))
    if LANES > 32:
        sync()
        if lane() == 0:
            store(scratch, thread() >> 5, value)
        sync()
        value = load(scratch, lane() & (LANES // 32 - 1))
        for step in static_range(5):
            if (1 << step) < LANES // 32:
                value = maximum(value, shuffle_xor(value, 1 << step))
    return value


@device
def term(a, b, p, q):
    """What is summed of an element of each array, with two numbers."""
    if TERM == "squares":
        return (a - b) * (a - b)
    if TERM == "products":
        return a * b
    return p * abs_(a) + q * (a * a) if TERM == "penalty" else a


def block_of(constants: Constants) -> int:
    """Threads of a block of whole groups."""
    return max(_THREADS, constants["LANES"])


def lanes_for(length: int) -> int:
    """Threads of a group that reduces rows: no more than elements, within a warp for short ones."""
    return min(32, 1 << max(0, length - 1).bit_length()) if length <= 1024 else _THREADS


@kernel("x y out p:real q:real scale:real rows:i64 length:i64 chunk:i64 chunks:i32", threads=block_of)
def _row_sums(x, y, out, p, q, scale, rows, length, chunk, chunks):
    """A group per chunk of a row; short rows have one chunk, and a block several groups."""
    scratch = shared_array(32, real)
    if LANES > 32:
        row = i64(div(block_x(), chunks))
        part = i64(block_x()) - row * chunks
    else:
        row = i64(block_x()) * (_THREADS // LANES) + div(thread(), LANES)
        part = i64(0)
    lo = part * chunk
    hi = minimum(lo + chunk, length) if row < rows else lo
    base = row * length
    j = thread() & (LANES - 1)
    total = real(0)
    if VECTORS:
        sums = local_array(4, real)
        for k in static_range(4):
            sums[k] = real(0)
        i = lo + 4 * j
        while i + (12 * LANES + 4) <= hi:
            for u in static_range(4):
                a = load4(x, base + (i + 4 * LANES * u))
                b = load4(y, base + (i + 4 * LANES * u)) if BINARY else a
                for k in static_range(4):
                    sums[k] += term(a[k], b[k], p, q)
            i += 16 * LANES
        while i < hi:
            for k in static_range(4):
                if i + k < hi:
                    c = load(x, base + (i + k))
                    sums[k] += term(c, load(y, base + (i + k)) if BINARY else c, p, q)
            i += 4 * LANES
        total = (sums[0] + sums[1]) + (sums[2] + sums[3])
    else:
        i = lo + j
        while i < hi:
            c = load(x, base + i)
            total += term(c, load(y, base + i) if BINARY else c, p, q)
            i += LANES
    total = group_sum(total, scratch)
    if j == 0 and row < rows:
        store(out, row * chunks + part, total * scale)


def row_sums(
    what: str,  # "sum", "squares" of differences, "products", or "penalty" p |x| + q x^2
    x: DeviceArray,  # (rows, length) read
    y: DeviceArray | None,  # (rows, length) read, for squares and products
    rows: int,
    out: DeviceArray,  # (rows,) written
    scale: float = 1.0,
    p: float = 0.0,
    q: float = 0.0,
) -> None:
    """``out[row] = scale times the sum over i of term(x[row, i], y[row, i])``."""
    length = x.size // max(1, rows)
    lanes = lanes_for(length)
    variant = _row_sums.of(
        TERM=what,
        BINARY=y is not None,
        LANES=lanes,
        VECTORS=lanes >= 32 and (length % 4 == 0 or rows == 1),
    )
    if lanes <= 32:
        variant(ceil_div(rows, _THREADS // lanes), x, y, out, p, q, scale, rows, length, length, 1)
        return
    chunks = ceil_div(length, _CHUNK)
    if chunks == 1:
        variant(rows, x, y, out, p, q, scale, rows, length, _CHUNK, 1)
        return
    partial = empty((rows, chunks), computed(x))
    variant(rows * chunks, x, y, partial, p, q, 1.0, rows, length, _CHUNK, chunks)
    row_sums("sum", partial, None, rows, out, scale)


def total(
    x: DeviceArray,  # read
    scale: float,
    out: DeviceArray,  # () written
) -> None:
    """``out = scale sum(x)``: the mean of a batch's losses, where scale is 1 / n, without a host's wait."""
    row_sums("sum", x, None, 1, out, scale)


@kernel("x out rows:i64 columns:i32 width:i32 span:i32 chunk:i64", threads=_THREADS)
def _column_sums(x, out, rows, columns, width, span, chunk):
    """A block per chunk of rows and per ``width`` vectors of columns, of which it reads several rows at once.

    span is the power of two not below the number of those rows.
    """
    scratch = shared_array(_THREADS * WIDE, real)
    sums, parts = local_array(WIDE, real), local_array(4 * WIDE, real)
    groups, group = div(_THREADS, width), div(thread(), width)
    column = i64(block_y()) * width + (thread() - group * width)
    lo = i64(block_x()) * chunk
    hi = minimum(lo + chunk, rows)
    for k in static_range(WIDE):
        sums[k] = real(0)
    if group < groups and column < columns:
        row = lo + group
        while row < hi:  # sums of 64 rows are summed, so that long columns keep their places
            stop = minimum(row + 64 * i64(groups), hi)
            for k in static_range(4 * WIDE):
                parts[k] = real(0)
            while row + 3 * i64(groups) < stop:
                for u in static_range(4):
                    first = ((row + u * i64(groups)) * columns + column) * WIDE
                    if WIDE == 4:
                        quad = load4(x, first)
                        for k in static_range(4):
                            parts[4 * u + k] += quad[k]
                    else:
                        parts[u] += load(x, first)
                row += 4 * i64(groups)
            while row < stop:
                for k in static_range(WIDE):
                    parts[k] += load(x, (row * columns + column) * WIDE + k)
                row += groups
            for k in static_range(WIDE):
                sums[k] += (parts[k] + parts[WIDE + k]) + (parts[2 * WIDE + k] + parts[3 * WIDE + k])
    for k in static_range(WIDE):
        store(scratch, thread() * WIDE + k, sums[k])
    sync()
    half = span >> 1
    while half > 0:
        if group < half and group + half < groups:
            for k in static_range(WIDE):
                mine, other = thread() * WIDE + k, (thread() + half * width) * WIDE + k
                store(scratch, mine, load(scratch, mine) + load(scratch, other))
        sync()
        half = half >> 1
    if group == 0 and column < columns:
        for k in static_range(WIDE):
            target = (i64(block_x()) * columns + column) * WIDE + k
            store(out, target, load(scratch, thread() * WIDE + k))


def column_sums(
    x: DeviceArray,  # (rows, columns) read
    rows: int,
    columns: int,
    out: DeviceArray,  # (columns,) written
) -> None:
    """``out[j] = sum of x[:, j]``."""
    tiles, width, groups = tiles_of(columns, 64)
    chunks = max(1, min(ceil_div(rows, _ROWS * groups), _BLOCKS // tiles))
    chunk = max(1, ceil_div(rows, chunks))
    chunks = max(1, ceil_div(rows, chunk))
    if chunks == 1:
        _sum_columns(x, rows, columns, 64, chunk, out)
        return
    partial = empty((chunks, columns), computed(x))
    _sum_columns(x, rows, columns, 64, chunk, partial)
    _sum_columns(partial, chunks, columns, 8, chunks, out)


def tiles_of(columns: int, most: int) -> tuple[int, int, int]:
    """Blocks side by side, vectors of each, and rows that it reads at once."""
    vectors = columns // wide_of(columns)
    tiles = ceil_div(vectors, most)
    width = ceil_div(vectors, tiles)
    return tiles, width, _THREADS // width


def _sum_columns(x: DeviceArray, rows: int, columns: int, most: int, chunk: int, out: DeviceArray) -> None:
    tiles, width, groups = tiles_of(columns, most)
    wide, span = wide_of(columns), 1 << (groups - 1).bit_length()
    grid = max(1, ceil_div(rows, chunk)), tiles
    _column_sums.of(WIDE=wide)(grid, x, out, rows, columns // wide, width, span, chunk)


def wide_of(columns: int) -> int:
    """Neighbouring columns of a thread."""
    return 4 if columns % 4 == 0 else 1


def computed(x: DeviceArray) -> type:
    """The type that sums of x are kept in."""
    return np.float64 if x.dtype == np.float64 else np.float32

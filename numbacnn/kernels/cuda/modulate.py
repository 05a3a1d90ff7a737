"""Products with a factor that is repeated along an axis, such as a gate per channel or per pixel.

A thread takes four neighbouring elements where they, or their factors, lie together. Sums over the repeated
axis are those of rows where it is the last, else a block sums some of its columns; what is cut depends on the
sizes alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .intrinsics import (
    block_x,
    block_y,
    div,
    div64,
    i64,
    load,
    load4,
    minimum,
    real,
    shared_array,
    store,
    store4,
    sync,
    thread,
)
from .launch import ceil_div, kernel
from .memory import DeviceArray, empty
from .reduce import row_sums

__all__ = ["modulate_backward_scale", "modulate_forward"]

if TYPE_CHECKING:  # constants that kernels are specialised by
    SHIFT = False  # something repeated is added too
    QUAD = False  # a thread takes four elements
    SINGLE = False  # the last axis is repeated: neighbours share a factor
    BINARY = False  # products of two arrays are summed

_THREADS = 256
_WIDTH = 64  # columns of a block, at most
_DEEP = 64  # rows that a thread sums


@kernel("x scale shift y m:i64 b:i64 size:i64", threads=_THREADS)
def _modulate(x, scale, shift, y, m, b, size):
    """``y = x scale + shift`` of one element, or of four of one row."""
    i = (i64(block_x()) * _THREADS + thread()) * (4 if QUAD else 1)
    if i < size:
        at = div64(i, m * b)  # of the factors' rows
        if not SINGLE:
            row = div64(i, b)
            at = at * b + (i - row * b)
        more = real(0)
        if not QUAD:
            if SHIFT:
                more = load(shift, at)
            store(y, i, load(x, i) * load(scale, at) + more)
        elif SINGLE:
            values, factor = load4(x, i), load(scale, at)
            if SHIFT:
                more = load(shift, at)
            store4(
                y,
                i,
                (
                    real(values[0]) * factor + more,
                    real(values[1]) * factor + more,
                    real(values[2]) * factor + more,
                    real(values[3]) * factor + more,
                ),
            )
        else:
            values, factors = load4(x, i), load4(scale, at)
            first, second, third, fourth = more, more, more, more
            if SHIFT:
                others = load4(shift, at)
                first, second = real(others[0]), real(others[1])
                third, fourth = real(others[2]), real(others[3])
            store4(
                y,
                i,
                (
                    real(values[0]) * real(factors[0]) + first,
                    real(values[1]) * real(factors[1]) + second,
                    real(values[2]) * real(factors[2]) + third,
                    real(values[3]) * real(factors[3]) + fourth,
                ),
            )


@kernel(
    "x dy out rows:i64 columns:i32 width:i32 span:i32 chunk:i64 chunks:i32",
    threads=_THREADS,
)
def _sums(x, dy, out, rows, columns, width, span, chunk, chunks):
    """A block sums a chunk of one matrix's rows in ``width`` columns, several rows at once, then as a tree.

    span is the power of two not below the number of those rows.
    """
    scratch = shared_array(_THREADS, real)
    groups, group = div(_THREADS, width), div(thread(), width)
    column = block_y() * width + (thread() - group * width)
    matrix = i64(div(block_x(), chunks))
    lo = (i64(block_x()) - matrix * chunks) * chunk
    hi = minimum(lo + chunk, rows)
    total = real(0)
    if group < groups and column < columns:
        row = lo + group
        while row < hi:
            at = (matrix * rows + row) * columns + column
            total += load(x, at) * load(dy, at) if BINARY else load(x, at)
            row += groups
    store(scratch, thread(), total)
    sync()
    half = span >> 1
    while half > 0:
        if group < half and group + half < groups:
            store(scratch, thread(), load(scratch, thread()) + load(scratch, thread() + half * width))
        sync()
        half = half >> 1
    if group == 0 and column < columns:
        store(out, i64(block_x()) * columns + column, load(scratch, thread()))


def modulate_forward(
    x: DeviceArray,  # (a, m, b) read
    scale: DeviceArray,  # (a, b) read
    shift: DeviceArray | None,  # (a, b) read, or None for 0
    y: DeviceArray,  # (a, m, b) written
) -> None:
    """``y[a, m, b] = x[a, m, b] scale[a, b] + shift[a, b]``; of dy it is the gradient by x."""
    _, m, b = x.shape
    quad = (m if b == 1 else b) % 4 == 0
    variant = _modulate.of(SHIFT=shift is not None, QUAD=quad, SINGLE=b == 1)
    variant(ceil_div(x.size, _THREADS * (4 if quad else 1)), x, scale, shift, y, m, b, x.size)


def modulate_backward_scale(
    x: DeviceArray,  # (a, m, b) read
    dy: DeviceArray,  # (a, m, b) read
    dscale: DeviceArray,  # (a, b) written
) -> None:
    """``dscale[a, b] = sum of x[a, m, b] dy[a, m, b] over m``."""
    a, m, b = x.shape
    if b == 1:
        row_sums("products", x, dy, a, dscale)
        return
    chunk = _DEEP * (_THREADS // min(b, _WIDTH))
    chunks = max(1, ceil_div(m, chunk))
    if chunks == 1:
        _sum(x, dy, dscale, a, m, b, chunk)
        return
    computed = np.float64 if x.dtype == np.float64 else np.float32
    partial = empty((a, chunks, b), computed)
    _sum(x, dy, partial, a, m, b, chunk)
    _sum(partial, None, dscale, a, chunks, b, chunks)


def _sum(
    x: DeviceArray, dy: DeviceArray | None, out: DeviceArray, a: int, m: int, b: int, chunk: int
) -> None:
    width, chunks = min(b, _WIDTH), max(1, ceil_div(m, chunk))
    span = 1 << (_THREADS // width - 1).bit_length()
    grid = a * chunks, ceil_div(b, width)
    _sums.of(BINARY=dy is not None)(grid, x, dy, out, m, b, width, span, chunk, chunks)

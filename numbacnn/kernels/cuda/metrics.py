"""How many predictions agree with their targets, counted on the GPU."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from .intrinsics import (
    block_x,
    div,
    i32,
    i64,
    is_nan,
    lane,
    load,
    minimum,
    real,
    shared_array,
    shuffle_xor,
    static_range,
    store,
    sync,
    thread,
)
from .launch import ceil_div, device, kernel
from .memory import DeviceArray, empty
from .reduce import block_of, lanes_for

__all__ = ["correct_count"]

if TYPE_CHECKING:  # constants that kernels are specialised by
    LANES = 32  # threads of a row: a power of two, to 32 within a warp, above it a whole block
    CLASSES = False  # targets are classes, else rows of which the largest counts

_THREADS = 256
_INFINITY = math.inf
_REPEAT = 16  # rows of a group, one after another


@device
def ahead(b, j, a, i):
    """Whether b at index j comes before a at index i: the larger, NaN above all, the first of equals."""
    if is_nan(b):
        return not is_nan(a) or j < i
    return b > a or (b == a and j < i)


@device
def largest(x, base, first, end, values, places):
    """The index of a row's largest element, to each of the group's threads."""
    best, place = real(-_INFINITY), i64(end)
    i = i64(first)
    while i < end:
        value = real(load(x, base + i))
        if ahead(value, i, best, place):
            best, place = value, i
        i += LANES
    for step in static_range(5):
        if (1 << step) < LANES:
            value, i = shuffle_xor(best, 1 << step), shuffle_xor(place, 1 << step)
            if ahead(value, i, best, place):
                best, place = value, i
    if LANES > 32:
        sync()  # what the row before left there has been read
        if lane() == 0:
            store(values, thread() >> 5, best)
            store(places, thread() >> 5, place)
        sync()
        best, place = load(values, lane() & (LANES // 32 - 1)), load(places, lane() & (LANES // 32 - 1))
        for step in static_range(5):
            if (1 << step) < LANES // 32:
                value, i = shuffle_xor(best, 1 << step), shuffle_xor(place, 1 << step)
                if ahead(value, i, best, place):
                    best, place = value, i
    return place


@kernel("x target partial ignore:i64 rows:i64 classes:i64", threads=block_of)
def _hits(x, target, partial, ignore, rows, classes):
    """Of each block the rows in which the largest score is the target's, and 65536 times those that count."""
    values, places = shared_array(32, real), shared_array(32, i64)
    counts = shared_array(_THREADS // LANES, i32)
    group, first = div(thread(), LANES), thread() & (LANES - 1)
    hits = i32(0)
    block = i64(block_x()) * (_REPEAT * (_THREADS // LANES))
    stop = minimum(block + _REPEAT * (_THREADS // LANES), rows)
    while block < stop:
        row = block + group
        end = classes if row < rows else i64(0)
        predicted = largest(x, row * classes, first, end, values, places)
        if CLASSES:
            wanted = i64(load(target, row)) if row < rows else i64(-1)
        else:
            wanted = largest(target, row * classes, first, end, values, places)
        if row < rows and wanted != ignore:
            hits = i32(hits + (65537 if predicted == wanted else 65536))
        block += _THREADS // LANES
    if first == 0:
        store(counts, group, hits)
    sync()
    if thread() == 0:
        total = i32(0)
        for k in range(_THREADS // LANES):
            total = i32(total + load(counts, k))
        store(partial, block_x(), total)


@kernel("partial count blocks:i32", threads=_THREADS)
def _add_hits(partial, count, blocks):
    sums, wholes = shared_array(_THREADS, i64), shared_array(_THREADS, i64)
    total, whole, i = i64(0), i64(0), i64(thread())
    while i < blocks:
        both = i64(load(partial, i))
        total += both & 65535
        whole += both >> 16
        i += _THREADS
    store(sums, thread(), total)
    store(wholes, thread(), whole)
    sync()
    if thread() == 0:
        total, whole = load(count, 0), load(count, 1)
        for k in range(_THREADS):
            total += load(sums, k)
            whole += load(wholes, k)
        store(count, 0, total)
        store(count, 1, whole)


def correct_count(
    x: DeviceArray,  # (n, k) read: scores, k of 1 or more
    target: DeviceArray,  # (n,) integer classes, or (n, k) one-hot or other rows; read
    ignore: int,  # rows of this class do not count
    count: DeviceArray,  # (2,) int64, added to
) -> None:
    """``count = count + (number of rows n in which argmax(x[n]) is the target, number of rows)``.

    Where targets are rows, the argmax of a row is the target.
    The first of equals counts, and NaN as the largest, as in NumPy's argmax.  The host need not wait for it:
    ``count[0] / count[1]`` of many batches is the accuracy.
    """
    n, k = x.shape
    if n == 0:
        return
    lanes = lanes_for(k)
    blocks = ceil_div(n, _REPEAT * (_THREADS // lanes))
    partial = empty((blocks,), np.int32)
    _hits.of(LANES=lanes, CLASSES=target.ndim == 1)(blocks, x, target, partial, ignore, n, k)
    _add_hits(1, partial, count, blocks)

"""Sums of gradients, and of their products with normalised inputs, by column: of scale and shift.

A block takes 32 columns and some rows, eight at a time; each thread's sums are added in order, and so are
those of blocks: the same bits on every run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import memory
from .intrinsics import (
    block_x,
    div,
    i32,
    i64,
    lane,
    load,
    minimum,
    real,
    shared_array,
    static_range,
    store,
    sync,
    thread,
)
from .launch import ceil_div, kernel
from .memory import DeviceArray
from .reduce import column_sums

if TYPE_CHECKING:  # constants that kernels are specialised by
    BY_ROW = False  # statistics are of each row, else of each example's group of columns

THREADS = 256
CHUNK = 256  # rows of a block: 32 of each thread


@kernel(
    "x statistics dy sums products rows:i64 c:i32 groups:i32 chunks:i32 tiles:i32",
    threads=THREADS,
)
def _column_slopes(x, statistics, dy, sums, products, rows, c, groups, chunks, tiles):
    """A block per tile of columns of a chunk of an example's rows."""
    scratch = shared_array(2 * THREADS, real)
    unit = i32(div(block_x(), tiles))
    column = i32((i32(block_x()) - unit * tiles) * 32 + lane())
    example = i32(div(unit, chunks))
    lo = i64(unit - example * chunks) * CHUNK
    hi = minimum(lo + CHUNK, rows)
    total, product = real(0), real(0)
    if column < c:
        mean, inverse = real(0), real(0)
        if not BY_ROW:
            at = (i64(example) * groups + div(column, div(c, groups))) * 2
            mean, inverse = load(statistics, at), load(statistics, at + 1)
        row = lo + (thread() >> 5)
        while row < hi:
            i = (i64(example) * rows + row) * c + column
            if BY_ROW:
                mean, inverse = load(statistics, 2 * row), load(statistics, 2 * row + 1)
            g = load(dy, i)
            total += g
            product += g * ((load(x, i) - mean) * inverse)
            row += THREADS // 32
    store(scratch, thread(), total)
    store(scratch, THREADS + thread(), product)
    sync()
    if thread() < 32 and column < c:
        for k in static_range(1, THREADS // 32):
            total += load(scratch, 32 * k + thread())
            product += load(scratch, THREADS + 32 * k + thread())
        store(sums, i64(unit) * c + column, total)
        store(products, i64(unit) * c + column, product)


def column_slopes(
    x: DeviceArray,  # (examples, rows, c) read
    statistics: DeviceArray,  # (examples, groups, 2), or (rows, 2) where groups is 0; read
    dy: DeviceArray,  # (examples, rows, c) read
    examples: int,
    c: int,
    groups: int,
    dgamma: DeviceArray,  # (c,) written
    dbeta: DeviceArray,  # (c,) written
) -> tuple[Any, Any, int]:
    """Write the gradients of scale and shift; return the sums of dy and of dy z by chunk, and the chunks."""
    rows, tiles = x.size // (examples * c), ceil_div(c, 32)
    chunks = ceil_div(rows, CHUNK)
    kind = np.float64 if x.dtype == np.float64 else np.float32
    sums, products = (memory.empty((examples * chunks, c), kind) for _ in range(2))
    variant = _column_slopes.of(BY_ROW=groups == 0)
    numbers = rows, c, max(1, groups), chunks, tiles
    variant(examples * chunks * tiles, x, statistics, dy, sums, products, *numbers)
    column_sums(sums, examples * chunks, c, dbeta)
    column_sums(products, examples * chunks, c, dgamma)
    return sums, products, chunks

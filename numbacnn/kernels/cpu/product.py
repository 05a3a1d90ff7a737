"""Dense products of many samples through the register tile: loops blocked for large matrices.

A convolution's plan expects a kernel that is small beside the images.  Here the matrix is the large thing,
and its rows lie pages apart: a panel as wide as the tile, packed by itself, would touch a page for each line.
So a block of many panels is packed at once, some rows side by side, into the thread's scratch (Goto and van
de Geijn, ACM TOMS 34(3), 2008).  Parts are ranges of samples and outputs.  No sum crosses parts, and the
blocks of a sum are fixed: the same bits for any number of threads.
"""

from __future__ import annotations

import functools

import numpy as np

from numbacnn._jit import jit, kernel, run_slots
from numbacnn._native import Flat
from numbacnn._threads import POOL
from numbacnn.memory import buffer_pool

from .correlate import pack_columns, pack_row, sweep
from .cut import even, wanted_parts
from .outer import tiles
from .plan import integers
from .simd import VECTOR_BYTES, copy_run, copy_vector
from .tile import ADD, BIAS, ROWS, TAIL, VECTORS, ZERO

# Terms of a sum whose factors are packed at once, and panels of such a block, which fills half of a small L2:
# long runs of memory are read, along rows where the factors' rows are packed, down where they are turned
BLOCK, PANELS = 128, 32
BLOCK_TURNED, PANELS_TURNED = 256, 16
SIDE = 8  # rows packed side by side: as many runs of memory are fetched at once
STRIP = 8 * ROWS  # samples that pass a panel while it stays in L1
TALL = 16 * ROWS  # rows of the weights whose inputs are gathered at once
LEAST = 4 * ROWS  # samples or rows of a part at least, as parts pack for themselves

_NS_PER_MAC = 0.025  # on one thread

_NO_BIAS = {np.dtype(t): np.zeros(0, t) for t in (np.float32, np.float64)}


@jit
def _pack(w, pitch, turned, first, count, low, high, work, at):
    """Pack terms first .. first + count of the sums of columns low .. high: ``[panel][count][full]``.

    The last panel has zeros behind its columns, so that there is one tile to compile.
    """
    lanes = VECTOR_BYTES // w.itemsize
    full = VECTORS * lanes
    if turned:
        for c in range(low, high, full):
            valid = min(high - c, full)
            pack_columns(w, c * pitch + first, pitch, count, valid, full, work, at)
            at += (count + 1) * full
        return
    for i0 in range(0, count, SIDE):
        i1, panel = min(count, i0 + SIDE), at
        for c in range(low, high, full):
            for i in range(i0, i1):
                source, target = (first + i) * pitch + c, panel + i * full
                if high - c >= full:  # a loop that LLVM unrolls
                    for v in range(VECTORS):
                        copy_vector(w, source + v * lanes, work, target + v * lanes)
                else:
                    pack_row(w, source, high - c, full, work, target)
            panel += (count + 1) * full


@jit
def _sum_part(slot, part, parts, x, w, b, y, work, scratch, turned, tables):
    """Compute some columns of the outputs of some samples, block after block of their sums."""
    cuts, pixels, places, taps, sizes = tables
    s0, s1, low, high = cuts[part, 0], cuts[part, 1], cuts[part, 2], cuts[part, 3]
    terms, pitch, most = sizes[0], sizes[1], sizes[2]
    lanes = VECTOR_BYTES // w.itemsize
    full = VECTORS * lanes
    at = slot * scratch
    for first in range(0, terms, most):
        count = min(most, terms - first)
        mode = ADD if first > 0 else BIAS if b.size > 0 else ZERO
        _pack(w, pitch, turned, first, count, low, high, work, at)
        block = (0, 1, 0, count)
        for strip in range(s0, s1, STRIP):
            end = min(s1, strip + STRIP)
            panel = at
            for c in range(low, high, full):
                valid = high - c
                sweep(
                    VECTORS, x, first, pixels, strip, end, taps, block, work, panel, y, c, places, b, c, mode,
                    valid,
                )  # fmt: skip
                panel += (count + 1) * full


@jit
def _outer_part(slot, part, parts, x, dy, dw, work, scratch, tables):
    """Compute some rows and columns of the gradient, block after block of samples."""
    cuts, pixels, shifts, sizes = tables
    i0, i1, low, high = cuts[part, 0], cuts[part, 1], cuts[part, 2], cuts[part, 3]
    samples, inputs, outputs = sizes[0], sizes[1], sizes[2]
    lanes = VECTOR_BYTES // x.itemsize
    full = VECTORS * lanes
    at = slot * scratch
    gathered = at + (BLOCK + 1) * PANELS * full
    for first in range(0, samples, BLOCK):
        count, mode = min(BLOCK, samples - first), ADD if first > 0 else ZERO
        _pack(dy, outputs, False, first, count, low, high, work, at)
        for row in range(i0, i1, TALL):
            tall = min(TALL, i1 - row)
            for s in range(count):
                copy_run(x, (first + s) * inputs + row, work, gathered + s * TALL, tall)
            for u in range(tall // ROWS + (tall % ROWS + TAIL - 1) // TAIL):
                panel = at
                for c in range(low, high, full):
                    valid, place = high - c, row * outputs + c
                    tiles(
                        VECTORS, u, u + 1, work, gathered, pixels, count, shifts[:tall], work, panel, dw,
                        place, outputs, mode, valid,
                    )  # fmt: skip
                    panel += (count + 1) * full


@kernel
def _sum(team, x, w, b, y, work, scratch, turned, cuts, pixels, places, taps, sizes):
    tables = (cuts, pixels, places, taps, sizes)
    run_slots(team, _sum_part, cuts.shape[0], (x, w, b, y, work, scratch, turned, tables))


@kernel
def _outer(team, x, dy, dw, work, scratch, cuts, pixels, shifts, sizes):
    run_slots(team, _outer_part, cuts.shape[0], (x, dy, dw, work, scratch, (cuts, pixels, shifts, sizes)))


def _cuts(rows: int, columns: int, terms: int, most: int, lanes: int, threads: int) -> np.ndarray:
    """Cut a result into parts, ``first, end, low, high`` of its rows and of columns of ``most`` panels."""
    width = VECTORS * lanes
    panels, units = -(-columns // width), -(-rows // ROWS)
    wanted = wanted_parts(rows * columns * terms, threads)
    across = max(-(-panels // most), min(panels // 4, wanted))
    down = min(max(1, rows // LEAST), -(-wanted // across))
    return integers(
        [
            (u0 * ROWS, min(rows, u1 * ROWS), p0 * width, min(columns, p1 * width))
            for p0, p1 in even(panels, across)
            for u0, u1 in even(units, down)
        ],
        4,
    )


@functools.lru_cache(maxsize=512)
def _sum_tables(n: int, terms: int, columns: int, turned: bool, lanes: int, threads: int) -> Flat:
    pitch, block, panels = (terms, BLOCK_TURNED, PANELS_TURNED) if turned else (columns, BLOCK, PANELS)
    samples = np.arange(n, dtype=np.int64)
    cuts = _cuts(n, columns, terms, panels, lanes, threads)
    return Flat((cuts, samples * terms, samples * columns, integers([0]), integers([terms, pitch, block])))


@functools.lru_cache(maxsize=512)
def _outer_tables(n: int, inputs: int, outputs: int, lanes: int, threads: int) -> Flat:
    cuts = _cuts(inputs, outputs, n, PANELS, lanes, threads)
    places = np.arange(min(n, BLOCK), dtype=np.int64) * TALL
    return Flat((cuts, places, np.arange(TALL, dtype=np.int64), integers([n, inputs, outputs])))


def _product(x: np.ndarray, w: np.ndarray, turned: bool, b: np.ndarray | None, y: np.ndarray) -> None:
    (n, terms), columns, lanes = x.shape, y.shape[1], VECTOR_BYTES // x.itemsize
    team = POOL.team(y.size * terms * _NS_PER_MAC)
    scratch = max((BLOCK + 1) * PANELS, (BLOCK_TURNED + 1) * PANELS_TURNED) * VECTORS * lanes
    work = buffer_pool.array((team[1] * scratch,), x.dtype)
    tables = _sum_tables(n, terms, columns, turned, lanes, team[1])
    bias = _NO_BIAS[x.dtype] if b is None else b
    _sum.on(team, x.reshape(-1), w.reshape(-1), bias, y.reshape(-1), work, scratch, turned, tables)


def product_forward(
    x: np.ndarray,  # (n, inputs) read
    w: np.ndarray,  # (inputs, outputs) read
    b: np.ndarray | None,  # (outputs,) read, or None
    y: np.ndarray,  # (n, outputs) written
) -> None:
    """``y = x w + b``."""
    _product(x, w, False, b, y)


def product_backward_data(
    dy: np.ndarray,  # (n, outputs) read
    w: np.ndarray,  # (inputs, outputs) read
    dx: np.ndarray,  # (n, inputs) written
) -> None:
    """``dx = dy w'``."""
    _product(dy, w, True, None, dx)


def outer_scratch(lanes: int) -> int:
    """Return the elements of workspace of a thread in `product_backward_weights`."""
    return (BLOCK + 1) * PANELS * VECTORS * lanes + BLOCK * TALL


def product_backward_weights(
    x: np.ndarray,  # (n, inputs) read
    dy: np.ndarray,  # (n, outputs) read
    dw: np.ndarray,  # (inputs, outputs) written
) -> None:
    """``dw = x' dy``."""
    (n, inputs), outputs, lanes = x.shape, dy.shape[1], VECTOR_BYTES // x.itemsize
    team = POOL.team(n * dw.size * _NS_PER_MAC)
    scratch = outer_scratch(lanes)
    work = buffer_pool.array((team[1] * scratch,), x.dtype)
    tables = _outer_tables(n, inputs, outputs, lanes, team[1])
    _outer.on(team, x.reshape(-1), dy.reshape(-1), dw.reshape(-1), work, scratch, tables)

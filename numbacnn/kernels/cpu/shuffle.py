"""Pixel shuffle: channels spread over blocks of pixels, and gathered again; 1 to 3 spatial axes.

Of a pixel with ``c r`` channels, r = the block's pixels, channel ``j r + q`` goes to channel j of the block's
pixel q: each pixel is a matrix to transpose.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir

from ..._deferred import cgutils, intrinsic, types
from ..._jit import jit, kernel, parts_for, run, split
from .simd import INTP, data_pointer, index, load, offset, store, transposed

__all__ = [
    "pixel_shuffle_backward",
    "pixel_shuffle_forward",
    "pixel_unshuffle_backward",
    "pixel_unshuffle_forward",
]

_GRAIN = 16384  # elements per part: some microseconds
_NS_PER_BYTE = 0.1  # on one thread, for the choice between serial and parallel
_PLANS = 1024  # kept: more than the shuffles of a process
_QUAD = 4  # runs at a time, where they are of neighbouring channels
_FEW = 8  # channels: with fewer, columns make longer runs

Sizes = tuple[int, ...]


class _Plan(NamedTuple):
    """How a row of coarse pixels, of one image and slice, goes to the fine ones: runs of elements.

    A run has elements `hop` apart in the coarse array and `step` apart in the fine one.
    """

    sizes: np.ndarray  # see _plan
    runs: np.ndarray  # a run's place in the coarse row and in the fine one
    elements: int  # of an image
    rows: int  # coarse ones of an image


@lru_cache(_PLANS)
def _plan(in_: Sizes, block: Sizes, c: int) -> _Plan:
    ones = (1,) * (3 - len(in_))
    (depth, height, width), (rd, rh, rw) = (*ones, *in_), (*ones, *block)
    taps = rd * rh * rw
    line = width * rw * c  # of the fine image
    q = np.arange(taps)
    fine = ((q // (rh * rw)) * height * rh + q // rw % rh) * line + q % rw * c
    pixel, fine_pixel = c * taps, rw * c
    if c >= _FEW:
        runs, count, hop, step = np.stack([q, fine], 1), c, taps, 1
        again = pixel, fine_pixel, width, taps // _QUAD * _QUAD
    else:
        j = np.arange(c)
        runs = np.stack([(j * taps + q[:, None]).reshape(-1), (j + fine[:, None]).reshape(-1)], 1)
        count, hop, step = width, pixel, fine_pixel
        again = 0, 0, 1, 0
    # rows of a slice; elements of a coarse row, of its fine rows, of a slice's fine slices; a run's elements,
    # hop and step; how far all runs move in the coarse and in the fine row, and how often; runs in quads
    sizes = height, width * pixel, rh * line, rd * height * rh * line, count, hop, step, *again
    return _Plan(
        np.array(sizes, np.int64), runs.astype(np.int64), depth * height * width * pixel, depth * height
    )


@intrinsic
def copy_strided(typingctx, source, source0, source_step, target, target0, target_step, count):
    """``target[target0 + i target_step] = source[source0 + i source_step]`` for i < count."""
    signature = types.void(source, types.intp, types.intp, target, types.intp, types.intp, types.intp)

    def codegen(context, b, sig, args):
        x = offset(b, data_pointer(context, b, sig.args[0], args[0]), args[1])
        y = offset(b, data_pointer(context, b, sig.args[3], args[3]), args[4])
        with cgutils.for_range(b, args[6]) as loop:
            value = b.load(offset(b, x, b.mul(loop.index, args[2])))
            b.store(value, offset(b, y, b.mul(loop.index, args[5])))
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def transpose_quads(typingctx, wide, at, hop, flat, target, places, first, count, back):
    """``flat[target + p + i] = wide[at + i hop + q]`` for i < count, 4 or more, and q < 4; or back.

    With ``p = places[first + q, 1]``. Squares of 4 x 4 are transposed in registers; the last may overlap.
    """
    signature = types.void(
        wide, types.intp, types.intp, flat, types.intp, places, types.intp, types.intp, types.boolean
    )

    def codegen(context, b, sig, args):
        at, hop, target, first, count, back = (args[i] for i in (1, 2, 4, 6, 7, 8))
        x, y, table = (data_pointer(context, b, sig.args[i], args[i]) for i in (0, 3, 5))
        x, y, table = offset(b, x, at), offset(b, y, target), offset(b, table, b.mul(first, index(2)))
        vector = ir.VectorType(x.type.pointee, _QUAD)
        lines = [offset(b, y, b.load(offset(b, table, 2 * q + 1))) for q in range(_QUAD)]

        def square(i: Any) -> tuple[list, list]:
            last = b.sub(count, index(_QUAD))
            k = b.select(b.icmp_signed(">", i, last), last, i)
            rows = [offset(b, x, b.mul(b.add(k, index(j)), hop)) for j in range(_QUAD)]
            return rows, [offset(b, line, k) for line in lines]

        def move(sources: list, targets: list) -> None:
            columns = transposed(b, [load(b, vector, source) for source in sources])
            for value, pointer in zip(columns, targets, strict=True):
                store(b, value, pointer)

        with b.if_else(back) as (yes, no):
            with yes, cgutils.for_range_slice(b, index(0), count, index(_QUAD), INTP) as (i, _):
                rows, columns = square(i)
                move(columns, rows)
            with no, cgutils.for_range_slice(b, index(0), count, index(_QUAD), INTP) as (i, _):
                move(*square(i))
        return context.get_dummy_value()

    return signature, codegen


@jit
def _spread_part(part, parts, x, y, rows, sizes, runs):
    height, x_line, y_lines, y_slices = sizes[0], sizes[1], sizes[2], sizes[3]
    count, hop, step, x_move, y_move, times = sizes[4], sizes[5], sizes[6], sizes[7], sizes[8], sizes[9]
    quads = sizes[10]
    first, end = split(part, parts, rows)
    for i in range(first, end):
        plane = i // height
        at, target = i * x_line, plane * y_slices + (i - plane * height) * y_lines
        for _ in range(times):
            for r in range(0, quads, 4):
                transpose_quads(x, at + r, hop, y, target, runs, r, count, False)
            for r in range(quads, runs.shape[0]):
                copy_strided(x, at + runs[r, 0], hop, y, target + runs[r, 1], step, count)
            at, target = at + x_move, target + y_move


@jit
def _collect_part(part, parts, y, x, rows, sizes, runs):
    height, x_line, y_lines, y_slices = sizes[0], sizes[1], sizes[2], sizes[3]
    count, hop, step, x_move, y_move, times = sizes[4], sizes[5], sizes[6], sizes[7], sizes[8], sizes[9]
    quads = sizes[10]
    first, end = split(part, parts, rows)
    for i in range(first, end):
        plane = i // height
        at, target = i * x_line, plane * y_slices + (i - plane * height) * y_lines
        for _ in range(times):
            for r in range(0, quads, 4):
                transpose_quads(x, at + r, hop, y, target, runs, r, count, True)
            for r in range(quads, runs.shape[0]):
                copy_strided(y, target + runs[r, 1], step, x, at + runs[r, 0], hop, count)
            at, target = at + x_move, target + y_move


@kernel
def _spread(team, parts, x, y, rows, sizes, runs):
    run(team, _spread_part, parts, (x, y, rows, sizes, runs))


@kernel
def _collect(team, parts, y, x, rows, sizes, runs):
    run(team, _collect_part, parts, (y, x, rows, sizes, runs))


def pixel_shuffle_forward(
    x: np.ndarray,  # (n, *in, c r) read
    block: Sizes,  # pixels per spatial axis, r in all
    y: np.ndarray,  # (n, *in block, c) written
) -> None:
    """``y[n, p block + q, j] = x[n, p, j r + q]``, q being a pixel of the block and its number there."""
    plan = _plan(x.shape[1:-1], block, y.shape[-1])
    images, work = x.shape[0], 2 * x.nbytes * _NS_PER_BYTE
    parts = min(parts_for(images * plan.elements, _GRAIN), max(1, images * plan.rows))
    _spread(work, parts, x.reshape(-1), y.reshape(-1), images * plan.rows, plan.sizes, plan.runs)


def pixel_shuffle_backward(
    dy: np.ndarray,  # (n, *in block, c) read
    block: Sizes,
    dx: np.ndarray,  # (n, *in, c r) written
) -> None:
    """``dx[n, p, j r + q] = dy[n, p block + q, j]``."""
    plan = _plan(dx.shape[1:-1], block, dy.shape[-1])
    images, work = dx.shape[0], 2 * dx.nbytes * _NS_PER_BYTE
    parts = min(parts_for(images * plan.elements, _GRAIN), max(1, images * plan.rows))
    _collect(work, parts, dy.reshape(-1), dx.reshape(-1), images * plan.rows, plan.sizes, plan.runs)


def pixel_unshuffle_forward(
    x: np.ndarray,  # (n, *out block, c) read
    block: Sizes,  # pixels per spatial axis, r in all
    y: np.ndarray,  # (n, *out, c r) written
) -> None:
    """``y[n, p, j r + q] = x[n, p block + q, j]``, q being a pixel of the block and its number there."""
    pixel_shuffle_backward(x, block, y)


def pixel_unshuffle_backward(
    dy: np.ndarray,  # (n, *out, c r) read
    block: Sizes,
    dx: np.ndarray,  # (n, *out block, c) written
) -> None:
    """``dx[n, p block + q, j] = dy[n, p, j r + q]``."""
    pixel_shuffle_forward(dy, block, dx)

"""Pixel shuffle: channels spread over blocks of pixels, and gathered again; 1 to 3 spatial axes.

Of a pixel with ``c r`` channels, r = the block's pixels, channel ``j r + q`` goes to channel j of the block's
pixel q.  A thread moves the r neighbouring channels of one j, so that neighbouring threads write, or read,
neighbouring elements of each fine pixel.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _driver, memory
from .axes import device_of
from .gather import aligned
from .intrinsics import block_x, div, i32, i64, load, load4, static_range, store, store4, thread
from .launch import ceil_div, kernel

__all__ = [
    "pixel_shuffle_backward",
    "pixel_shuffle_forward",
    "pixel_unshuffle_backward",
    "pixel_unshuffle_forward",
]

if TYPE_CHECKING:
    SPREAD = QUADS = False

_THREADS = 256
_UNITS = 1 << 30  # threads of a launch, at most
_PLANS = 1024  # kept: more than the shuffles of a process

Sizes = tuple[int, ...]


@kernel(
    "source target places first:i32 count:i32 height:i32 width:i32 slices:i32 lines:i32 line:i32 hop:i32"
    " c:i32 taps:i32",
    threads=_THREADS,
)
def move(source, target, places, first, count, height, width, slices, lines, line, hop, c, taps):
    """Spread the channels of coarse pixels if SPREAD, else gather them: QUADS four at a time.

    places: of each of a block's `taps` pixels in the fine image, from the block's first. first, count: rows
    of coarse pixels. slices, lines: fine rows from one coarse slice, and one coarse row, to the next.
    line, hop: elements of a fine row, and of a block's row.
    """
    length = i32(width * c)
    unit = i32(block_x() * _THREADS + thread())
    row = div(unit, length)
    if row >= count:
        return
    rest = i32(unit - row * length)
    row = i32(row + first)
    pixel = div(rest, c)
    slice_ = div(row, height)
    fine = i64(slice_) * slices + (row - slice_ * height) * lines
    goal = fine * line + i32(pixel * hop) + i32(rest - pixel * c)
    at = (i64(row) * length + rest) * taps
    q = i32(0)
    while q < taps:
        if QUADS:
            if SPREAD:
                four = load4(source, at + q)
                for e in static_range(4):
                    store(target, goal + places[q + e], four[e])
            else:
                a, b = load(source, goal + places[q]), load(source, goal + places[q + 1])
                d, e = load(source, goal + places[q + 2]), load(source, goal + places[q + 3])
                store4(target, at + q, (a, b, d, e))
            q = i32(q + 4)
        else:
            if SPREAD:
                store(target, goal + places[q], load(source, at + q))
            else:
                store(target, at + q, load(source, goal + places[q]))
            q = i32(q + 1)


@lru_cache(_PLANS)
def _places(block: Sizes, height: int, line: int, c: int, device: int) -> Any:
    """Of a block's pixels, from its first, in an image of fine rows of `line` elements."""
    rd, rh, rw = (1,) * (3 - len(block)) + block
    d, h, w = np.ogrid[:rd, :rh, :rw]
    table = memory.from_numpy(((d * height + h) * line + w * c).reshape(-1).astype(np.int64))
    if not _driver.simulated():
        _driver.current_stream().synchronize()  # once per plan, so that any stream may read it
    return table


def _move(coarse: Any, block: Sizes, fine: Any, spread: bool) -> None:
    if fine.size == 0:
        return
    ones, c, taps = (1,) * (3 - len(block)), fine.shape[-1], math.prod(block)
    depth, height, width = ones + coarse.shape[1:-1]
    rd, rh, rw = ones + block
    line, length = width * rw * c, width * c
    rows, most = coarse.shape[0] * depth * height, max(1, _UNITS // length)
    places = _places(block, height * rh, line, c, device_of(fine))
    variant = move.of(SPREAD=spread, QUADS=taps % 4 == 0 and aligned(coarse))
    arrays = (coarse, fine, places) if spread else (fine, coarse, places)
    sizes = height, width, rd * height * rh, rh, line, rw * c, c, taps
    for first in range(0, rows, most):
        count = min(most, rows - first)
        variant(ceil_div(count * length, _THREADS), *arrays, first, count, *sizes)


def pixel_shuffle_forward(
    x: Any,  # (n, *in, c r) read
    block: Sizes,  # pixels per spatial axis, r in all
    y: Any,  # (n, *in block, c) written
) -> None:
    """``y[n, p block + q, j] = x[n, p, j r + q]``, q being a pixel of the block and its number there."""
    _move(x, block, y, True)


def pixel_shuffle_backward(
    dy: Any,  # (n, *in block, c) read
    block: Sizes,
    dx: Any,  # (n, *in, c r) written
) -> None:
    """``dx[n, p, j r + q] = dy[n, p block + q, j]``."""
    _move(dx, block, dy, False)


def pixel_unshuffle_forward(
    x: Any,  # (n, *out block, c) read
    block: Sizes,  # pixels per spatial axis, r in all
    y: Any,  # (n, *out, c r) written
) -> None:
    """``y[n, p, j r + q] = x[n, p block + q, j]``, q being a pixel of the block and its number there."""
    pixel_shuffle_backward(x, block, y)


def pixel_unshuffle_backward(
    dy: Any,  # (n, *out, c r) read
    block: Sizes,
    dx: Any,  # (n, *out block, c) written
) -> None:
    """``dx[n, p block + q, j] = dy[n, p, j r + q]``."""
    pixel_shuffle_forward(dy, block, dx)

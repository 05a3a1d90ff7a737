"""How the work of a convolution is cut: into even ranges, into bands of pixels, into parts for threads."""

from __future__ import annotations

import functools
import itertools
import math
from pathlib import Path
from typing import NamedTuple

from .phases import Correlation
from .simd import VECTOR_BYTES
from .tile import ROWS, VECTORS

CACHE_LINE = 64  # bytes
K_BLOCK = 512  # inputs summed before moving on: a packed panel of them stays near, in L1 or L2
PARTS_PER_THREAD = 3  # so that a thread that the system holds up leaves its share to the others
MOST_PIXELS = 4096  # in a part, for the size of the tables
FEW_PIXELS = 512  # in all: fewer do not pay for packing the kernel beforehand
MANY_PARTS = 8  # per thread: an uneven last round does not matter any more
LEAST_PART = 1 << 19  # multiply-adds: a part of some 5 us, against about 2 us for a parallel region


@functools.cache
def cache_sizes() -> tuple[int, int]:
    """Return the bytes of a core's L1 data cache and of its L2 cache."""
    sizes = {}
    for folder in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"):
        try:
            kind, level, size = ((folder / f).read_text().strip() for f in ("type", "level", "size"))
            if kind != "Instruction" and size.endswith("K"):
                sizes[int(level)] = int(size[:-1]) << 10
        except (OSError, ValueError):
            continue
    return sizes.get(1, 32 << 10), sizes.get(2, 1 << 20)


def round_up(value: int, multiple: int) -> int:
    """Return the least multiple that is not below the value."""
    return -(-value // multiple) * multiple


def apart(elements: int, item: int) -> int:
    """Return a distance of at least so many elements, an odd number of cache lines.

    What is written or read together so far apart does not fall into the same few sets of the cache.
    """
    line = CACHE_LINE // item
    lines = -(-elements // line)
    return (lines + 1 - lines % 2) * line


def even(n: int, parts: int) -> list[tuple[int, int]]:
    """Return the bounds of ``parts`` even ranges of n, empty ones left out."""
    bounds = [n * i // parts for i in range(parts + 1)]
    return [(a, b) for a, b in itertools.pairwise(bounds) if a < b]


class Band(NamedTuple):
    """The pixels of a part: ranges of images, slices, rows and columns."""

    starts: tuple[int, ...]
    sizes: tuple[int, ...]

    @property
    def pixels(self) -> int:
        """How many."""
        return math.prod(self.sizes)


def bands(sizes: tuple[int, ...], pixels: int) -> list[Band]:
    """Cut images, slices, rows and columns into bands of about ``pixels`` pixels at most.

    A band is several images or, where one is too large, several slices of it, or rows of a slice, or a piece
    of a row: one axis is cut, those within are whole, and of those around it has one.
    """
    if 0 in sizes:
        return []
    axis, inner = 0, math.prod(sizes[1:])
    while inner > pixels and axis + 1 < len(sizes):
        axis += 1
        inner //= sizes[axis]
    size = sizes[axis]
    if axis + 1 < len(sizes):
        pieces = -(-size // (pixels // inner))
    else:  # rather half as much again than short pieces of rows
        pieces = max(1, (size + pixels // 2) // pixels)
    return [
        Band((*around, a, *[0] * len(sizes[axis + 1 :])), (*[1] * axis, b - a, *sizes[axis + 1 :]))
        for around in itertools.product(*map(range, sizes[:axis]))
        for a, b in even(size, pieces)
    ]


def wanted_parts(macs: float, threads: int) -> int:
    """Return into how many parts the work should be cut: a few per thread, none of them tiny."""
    return 1 if threads == 1 else max(1, min(PARTS_PER_THREAD * threads, int(macs // LEAST_PART)))


def balanced_parts(units: int, least: int, wanted: int, threads: int) -> int:
    """Return how many parts, about as many as wanted, give the threads equal shares of so many units."""
    if wanted <= 1:
        return max(1, min(least, units))
    best, score = 1, (0.0, 0, 0)
    for parts in range(min(least, units), min(units, 2 * wanted) + 1):
        longest = -(-parts // threads) * -(-units // parts)
        share = round(units / (threads * longest), 2)
        if (share, -abs(parts - wanted), parts) > score:
            best, score = parts, (share, -abs(parts - wanted), parts)
    return best


class Cut(NamedTuple):
    """How pixels and channels are cut into parts."""

    pixels: int  # at most, in a part
    group_parts: int
    panel_parts: int


def cut_correlation(c: Correlation, threads: int, lanes: int) -> Cut:
    """Cut the work so that a part's inputs stay in L2 and every thread gets some.

    Many pixels are cut as pixels: the kernel is packed once for all parts.  With few of them packing would
    cost a tenth of the work, so channels are cut first: each part packs its own panels.
    """
    item = VECTOR_BYTES // lanes
    l2 = cache_sizes()[1]
    taps = math.prod(max(len(a.taps) for a in axes) for axes in c.axes)
    total = c.n * math.prod(sum(a.outputs for a in axes) for axes in c.axes)
    phases = math.prod(map(len, c.axes))
    wanted = wanted_parts(total * taps * c.inputs * c.outputs * c.groups / phases, threads)
    # A pixel's own inputs, which neighbours share, and its outputs stay in L2 during a block of the sum.
    own = math.prod(max(a.stride for a in axes) for axes in c.axes) // c.block
    per_pixel = (min(c.inputs, K_BLOCK) * max(own, 1) + c.outputs) * item
    pixels = max(8 * ROWS, min(MOST_PIXELS, l2 // 2 // per_pixel))
    pixel_parts = -(-total // pixels)
    group_parts = balanced_parts(c.groups, 1, -(-wanted // pixel_parts), threads)
    wanted = -(-wanted // group_parts)
    panel_parts = 1
    if total < FEW_PIXELS:
        panels = -(-c.outputs // (VECTORS * lanes))
        panel_parts = balanced_parts(panels, 1, -(-wanted // pixel_parts), threads)
        wanted = 1 if panel_parts >= threads else -(-wanted // panel_parts)
    if max(wanted, pixel_parts) > 1 and pixel_parts < max(wanted, MANY_PARTS * threads):
        # rows of pixels, or tiles of them where rows are few, or pixels themselves
        wanted = max(wanted, pixel_parts)
        row = max(a.outputs for a in c.axes[2])
        unit = row if total >= wanted * row and (len(c.axes[2]) > 1 or row > 1) else ROWS
        units = -(-total // unit)
        pixel_parts = balanced_parts(units, pixel_parts, wanted, threads)
        pixels = max(min(pixels, 4 * ROWS), -(-units // pixel_parts) * unit)
    return Cut(pixels, group_parts, panel_parts)

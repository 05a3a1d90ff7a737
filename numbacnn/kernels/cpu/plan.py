"""Plans: what a convolution needs to know before it runs, worked out once per geometry.

A plan turns `ConvDims` into tables of integers: where each output pixel's window starts, where the taps
lie, how the sum over k is blocked, how the work is cut into parts, and how much workspace it takes.
The loops in ``correlate.py`` and ``outer.py`` walk the tables and know nothing of strides, pads, dilation or
passes.
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..._native import Flat
from ...dims import ConvDims
from .phases import Axis, Correlation, correlation, fits, window
from .simd import VECTOR_BYTES
from .tile import ROWS, UNROLL, VECTORS

# Columns of `Plan.phases`: one row of constants per phase.
PHASE_COLUMNS = 37
(
    TABLE0, BLOCK0, BLOCK1, PACKED0, PACKED_K, TAP0, WEIGHT0, TAPS_MERGED, INPUTS, OUTPUTS, PIXELS, COLUMNS,
    SOURCE, SOURCE0, IMAGE, ROW, GROUP, OUT0, OUT_IMAGE, OUT_ROW,
    FILL_TOP, FILL_LEFT, FILL_STRIDE, FILL_SPAN, FILL_HEIGHT, FILL_WIDTH, IN_ROWS, IN_COLUMNS, IN_CHANNELS,
    FILL_PADDED0, W_INPUT, W_OUTPUT, W_GROUP, STRIP, PANEL, SLOTS0, SLOT,
) = range(PHASE_COLUMNS)  # fmt: skip

# Where a phase reads its source: straight from the array, from a band copied with zeros around it into
# the thread's own scratch, or from the whole source padded once beforehand.
STRAIGHT, BAND, PADDED = range(3)

# Columns of `Plan.parts`, one row per part, and of `Plan.chores` (what is packed or padded beforehand).
PHASE, IMAGE0, IMAGES, ROW0, ROWS_, GROUP0, GROUP1, PANEL0, PANEL1 = range(9)
PACK_CHORE, PAD_CHORE = range(2)

K_BLOCK = 512  # inputs summed before moving on: a packed panel of them stays near, in L1 or L2
PARTS_PER_THREAD = 3  # so that a thread that the system holds up leaves its share to the others
MOST_PIXELS = 4096  # in a part, for the size of the tables
FEW_PIXELS = 512  # in all: fewer do not pay for packing the kernel beforehand
STRIP_TILES = 4  # tiles of pixels over which all panels pass, where the panels stay in L2
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


@dataclass(frozen=True)
class Plan:
    """The tables of one pass; flat integer arrays, as the kernels take them.

    Attributes:
        phases: one row per phase, columns as named above.
        pixels: offsets of the windows of a part's pixels, by phase from TABLE0 on.
        places: offsets of the same pixels in the output.
        taps: offsets of the taps, by phase; k contiguous inputs follow each.
        weights: offset in the kernel of each tap (of each single one, where taps merge), per pixel of a
            block; -1 where there is none.
        blocks: rows ``tap, end of taps, k, length, k packed before``, the blocks of the sum.
        parts: rows as named above, what one part computes.
        chores: rows ``kind, phase, group, panel`` or ``kind, image, group, 0``, done before all parts.
        workspace: elements of workspace, those of every thread included.
        block: neighbouring pixels whose channels are taken as one pixel's.

    """

    phases: np.ndarray
    pixels: np.ndarray
    places: np.ndarray
    taps: np.ndarray
    weights: np.ndarray
    blocks: np.ndarray
    parts: np.ndarray
    chores: np.ndarray
    workspace: int
    block: int

    @functools.cached_property
    def tables(self) -> Flat:
        """The tables in the order of the kernels' parameters."""
        offsets = (self.pixels, self.places, self.taps, self.weights)
        return Flat((self.phases, *offsets, self.blocks, self.parts, self.chores))


class Source(NamedTuple):
    """How windows are read: from where, and the strides in elements."""

    kind: int
    image: int
    row: int  # between neighbouring rows
    column: int
    group: int
    top: int  # the source row and column at the buffer's (or array's) first element
    left: int
    rows: int  # of a whole padded image
    columns: int


def round_up(value: int, multiple: int) -> int:
    """Return the least multiple that is not below the value."""
    return -(-value // multiple) * multiple


def even(n: int, parts: int) -> list[tuple[int, int]]:
    """Return the bounds of ``parts`` even ranges of n, empty ones left out."""
    bounds = [n * i // parts for i in range(parts + 1)]
    return [(a, b) for a, b in itertools.pairwise(bounds) if a < b]


def k_blocks(taps: int, k: int) -> list[tuple[int, int, int, int, int]]:
    """Cut a sum over taps and k inputs each into blocks of about K_BLOCK: whole taps, or parts of one."""
    if taps == 0 or k == 0:
        return [(0, 0, 0, 0, 0)]  # an empty sum: still written
    if k <= K_BLOCK:
        each = K_BLOCK // k
        return [(t, min(t + each, taps), 0, k, t * k) for t in range(0, taps, each)]
    length = round_up(-(-k // -(-k // K_BLOCK)), UNROLL)
    return [
        (t, t + 1, k0, min(length, k - k0), t * k + k0) for t in range(taps) for k0 in range(0, k, length)
    ]


def source_of(c: Correlation, shared: bool) -> Source:
    """Choose how windows are read; ``shared``: parts share pixels, so padding is done once beforehand."""
    rows, columns, channels = c.source
    if fits(c.h, rows) and fits(c.w, columns):
        return Source(STRAIGHT, rows * columns * channels, columns * channels, channels, c.inputs, 0, 0, 0, 0)
    top, span_h = window(c.h)
    left, span_w = window(c.w)
    height = max((a.outputs - 1) * a.stride for a in c.h) + span_h
    width = max((a.outputs - 1) * a.stride for a in c.w) + span_w
    row = width * c.inputs
    kind = PADDED if shared else BAND
    return Source(kind, height * row, row, c.inputs, c.n * height * row, top, left, height, width)


class Cut(NamedTuple):
    """How pixels and channels are cut into parts."""

    pixels: int  # at most, in a part
    group_parts: int
    panel_parts: int


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


def cut_correlation(c: Correlation, threads: int, lanes: int) -> Cut:
    """Cut the work so that a part's inputs stay in L2 and every thread gets some.

    Many pixels are cut as pixels: the kernel is packed once for all parts.  With few of them packing would
    cost a tenth of the work, so channels are cut first: each part packs its own panels.
    """
    item = VECTOR_BYTES // lanes
    l2 = cache_sizes()[1]
    taps = max(len(h.taps) for h in c.h) * max(len(w.taps) for w in c.w)
    total = c.n * sum(h.outputs for h in c.h) * sum(w.outputs for w in c.w)
    wanted = wanted_parts(total * taps * c.inputs * c.outputs * c.groups / (len(c.h) * len(c.w)), threads)
    # A pixel's own inputs, which neighbours share, and its outputs stay in L2 during a block of the sum.
    per_pixel = (min(c.inputs, K_BLOCK) * max(h.stride for h in c.h) ** 2 + c.outputs) * item
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
        # rows of pixels, or tiles of them where a pixel is a row
        unit = max(w.outputs for w in c.w) if len(c.w) > 1 or c.w[0].outputs > 1 else ROWS
        units = -(-total // unit)
        pixel_parts = balanced_parts(units, pixel_parts, max(wanted, pixel_parts), threads)
        pixels = max(min(pixels, 4 * ROWS), -(-units // pixel_parts) * unit)
    return Cut(pixels, group_parts, panel_parts)


class Band(NamedTuple):
    """The pixels of a part: whole images, or rows of one."""

    image0: int
    images: int
    row0: int
    rows: int


def bands(n: int, rows: int, columns: int, pixels: int) -> list[Band]:
    """Cut ``n`` images of rows and columns into bands of at most ``pixels`` pixels, a row at least."""
    if n == 0 or rows == 0 or columns == 0:
        return []
    if rows * columns <= pixels:
        images = min(n, pixels // (rows * columns))
        return [Band(a, b - a, 0, rows) for a, b in even(n, -(-n // images))]
    count = -(-rows // max(1, pixels // columns))
    return [Band(i, 1, a, b - a) for i in range(n) for a, b in even(rows, count)]


def offsets(shape: tuple[int, int], image: int, row: int, columns: int, column: int) -> list[int]:
    """Return the offsets of the pixels of (images, rows) of columns, row-major."""
    i, r, c = (np.arange(m, dtype=np.int64) for m in (*shape, columns))
    return (i[:, None, None] * image + r[:, None] * row + c * column).ravel().tolist()


def integers(values: Any, columns: int = 0) -> np.ndarray:
    """Return integers, or rows of so many, as an array, also when there are none."""
    array = np.array(list(values), np.int64)
    return array.reshape(-1, columns) if columns else array


class Tables:
    """The tables of a plan while its phases are added."""

    def __init__(self) -> None:
        self.pixels: list[int] = []
        self.places: list[int] = []
        self.taps: list[int] = []
        self.weights: list[int] = []
        self.blocks: list[tuple[int, ...]] = []
        self.packed = 0  # elements of packed kernel
        self.band = 0  # elements of the largest band

    def add(self, c: Correlation, source: Source, h: Axis, w: Axis, largest: Band) -> dict[int, int]:
        """Add a phase whose parts have at most the pixels of ``largest``; return its row of constants."""
        _, out_columns, out_channels = c.output
        # Where taps along a row are neighbours and nothing lies between pixels, they are one longer tap.
        merged = source.column == c.inputs and (w.dilation == 1 or len(w.taps) == 1)
        span, row = window(c.h)[1], h.stride * source.row
        image = source.image
        if source.kind == BAND:
            image = ((largest.rows - 1) * h.stride + span) * source.row
            self.band = max(self.band, largest.images * image)
        origin = (h.origin - source.top) * source.row + (w.origin - source.left) * source.column
        steps = [0] if merged else [i * w.dilation * source.column for i in range(len(w.taps))]
        taps = [i * h.dilation * source.row + step for i in range(len(h.taps)) for step in steps if w.taps]
        inputs = c.inputs * (len(w.taps) if merged else 1)
        sums = k_blocks(len(taps), inputs)
        tap0, block0 = len(self.taps), len(self.blocks)
        out_image, out_row = c.output[0] * out_columns * out_channels, h.step * out_columns * out_channels
        constants = {
            TABLE0: len(self.pixels), BLOCK0: block0, BLOCK1: block0 + len(sums), PACKED0: self.packed,
            PACKED_K: len(taps) * inputs, TAP0: tap0, WEIGHT0: len(self.weights),
            TAPS_MERGED: len(w.taps) if merged else 1, INPUTS: c.inputs, OUTPUTS: c.outputs,
            PIXELS: c.block, COLUMNS: w.outputs, SOURCE: source.kind, SOURCE0: origin if taps else 0,
            IMAGE: image, ROW: row, GROUP: source.group,
            OUT0: (h.start * out_columns + w.start) * out_channels, OUT_IMAGE: out_image, OUT_ROW: out_row,
            FILL_TOP: source.top, FILL_LEFT: source.left, FILL_STRIDE: h.stride, FILL_SPAN: span,
            FILL_HEIGHT: source.rows, FILL_WIDTH: source.columns, IN_ROWS: c.source[0],
            IN_COLUMNS: c.source[1], IN_CHANNELS: c.source[2],
            W_INPUT: c.w_input, W_OUTPUT: c.w_output, W_GROUP: c.w_group,
        }  # fmt: skip
        shape = (largest.images, largest.rows)
        self.pixels += offsets(shape, image, row, w.outputs, w.stride * source.column)
        self.places += offsets(shape, out_image, out_row, w.outputs, w.step * out_channels)
        self.taps += taps
        self.weights += [
            (th * c.kernel_columns + tw) * c.tap_weights if tw >= 0 else -1
            for (th,) in h.taps
            for met in w.taps
            for tw in met
        ]
        self.blocks += [(tap0 + a, tap0 + b, k0, k, before) for a, b, k0, k, before in sums]
        return constants


@functools.lru_cache(maxsize=512)
def correlation_plan(dims: ConvDims, backward: bool, lanes: int, threads: int) -> Plan:
    """Plan the forward pass, or the data gradient, of a 2-D convolution.

    How it is cut depends on the number of threads; what each output sums, and in which order, does not.
    """
    c = correlation(dims, backward, lanes)
    cut = cut_correlation(c, threads, lanes)
    source = source_of(c, shared=cut.panel_parts > 1)
    width = VECTORS * lanes
    panels = -(-c.outputs // width)
    phases = [(h, w) for h in c.h for w in c.w if h.outputs and w.outputs]
    cuts = [bands(c.n, h.outputs, w.outputs, cut.pixels) for h, w in phases]
    # A panel of the kernel that two parts at most read is packed there, just before; else once, beforehand.
    inside = max(map(len, cuts)) <= 2

    tables, parts, chores = Tables(), [], []
    info = np.zeros((len(phases), PHASE_COLUMNS), np.int64)
    for p, ((h, w), phase_bands) in enumerate(zip(phases, cuts, strict=True)):
        largest = max(phase_bands, key=lambda b: (b.images, b.rows))
        constants = tables.add(c, source, h, w, largest)
        info[p, list(constants)] = list(constants.values())
        if not inside and constants[PACKED_K]:
            chores += [(PACK_CHORE, p, g, j) for g in range(c.groups) for j in range(panels)]
            tables.packed += c.groups * panels * constants[PACKED_K] * width
        parts += [
            (p, *band, g0, g1, j0, j1)
            for band in phase_bands
            for g0, g1 in even(c.groups, cut.group_parts)
            for j0, j1 in even(panels, cut.panel_parts)
        ]
    # The workspace: packed kernels, the padded source, then per thread a band and a panel.
    used = round_up(tables.packed, lanes)
    if source.kind == PADDED:
        info[:, SOURCE0] += used
        info[:, FILL_PADDED0] = used
        chores += [(PAD_CHORE, i, g, 0) for i in range(c.n) for g in range(c.groups)]
        used = round_up(used + c.groups * source.group, lanes)
    band = round_up(tables.band, lanes)
    panel = width * max(b[3] * (b[1] - b[0]) for b in tables.blocks) if inside else 0
    info[:, PANEL] = band if inside else -1
    # All panels of a block that stay in L2 pass over a strip of pixels: its outputs are written side by side.
    block = max(b[3] * (b[1] - b[0]) for b in tables.blocks) * panels * width * (VECTOR_BYTES // lanes)
    info[:, STRIP] = MOST_PIXELS if inside or block > cache_sizes()[1] // 2 else STRIP_TILES * ROWS
    info[:, SLOTS0], info[:, SLOT] = used, band + panel
    return Plan(
        info, integers(tables.pixels), integers(tables.places), integers(tables.taps),
        integers(tables.weights), integers(tables.blocks, 5), integers(parts, 9), integers(chores, 4),
        used + threads * (band + panel), c.block,
    )  # fmt: skip

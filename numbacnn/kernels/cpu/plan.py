"""Plans: what a convolution needs to know before it runs, worked out once per geometry.

A plan turns `ConvDims` into tables of integers: where each output pixel's window starts, where the taps
lie, how the sum over k is blocked, how the work is cut into parts, and how much workspace it takes.
The loops in ``correlate.py`` and ``outer.py`` walk the tables and know nothing of strides, pads, dilation or
passes.  Tables have a pattern of a part's pixels, moved by where the part starts: never one entry per pixel
of a volume.
"""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..._native import Flat
from ...dims import ConvDims
from .cut import K_BLOCK, Band, bands, cache_sizes, cut_correlation, even, round_up
from .phases import Axis, Correlation, correlation, fits, window
from .simd import VECTOR_BYTES
from .tile import ROWS, UNROLL, VECTORS

# Columns of `Plan.phases`: one row of constants per phase.
PHASE_COLUMNS = 30
(
    TABLE0, BLOCK0, BLOCK1, PACKED0, PACKED_K, TAP0, WEIGHT0, TAPS_MERGED, INPUTS, OUTPUTS, PIXELS,
    SOURCE, GROUP, FILL_IMAGE, FILL_SLICE, FILL_ROW, FILL_SLICES, FILL_ROWS, IN_SLICES, IN_ROWS, IN_COLUMNS,
    IN_CHANNELS, W_INPUT, W_OUTPUT, W_GROUP, STRIP, PANEL, PANEL_PITCH, SLOTS0, SLOT,
) = range(PHASE_COLUMNS)  # fmt: skip

# Where a phase reads its source: straight from the array, from a band copied with zeros around it into
# the thread's own scratch, or from the whole source padded once beforehand.
STRAIGHT, BAND, PADDED = range(3)

# Columns that say how many pixels a part has, where the first one's window lies in the source and the first
# one itself in the output, and which box of the source is copied for it: of images, slices, rows and columns
# the first and how many.
BOX_COLUMNS, PIECE_COLUMNS = 8, 11
COUNT, SOURCE0, PLACE0, BOX0 = range(4)

# What follows in `Plan.parts`, one row per part.
PART_COLUMNS = 16
PHASE, GROUP0, GROUP1, PANEL0, PANEL1 = range(PIECE_COLUMNS, PART_COLUMNS)

# Columns of `Plan.chores`, what is packed or padded beforehand: some panels of a phase's kernel, or a box.
CHORE_COLUMNS = 12
CHORE, CHORE_GROUP, CHORE_TO, CHORE_PHASE, CHORE_PANEL = range(5)
CHORE_BOX0 = 4
PACK_CHORE, PAD_CHORE = range(2)

STRIP_TILES = 4  # tiles of pixels over which all panels pass, where the panels stay in L2
PACKED_PANELS = 4  # packed together just before they are used: the kernel is read in longer runs
PAD_ELEMENTS = 1 << 16  # copied by a chore


@dataclass(frozen=True, eq=False)  # looked up by identity
class Plan:
    """The tables of one pass; flat integer arrays, as the kernels take them.

    Attributes:
        phases: one row per phase, columns as named above.
        pixels: offsets of the windows of a part's pixels from the first one's, by phase from TABLE0 on.
        places: offsets of the same pixels in the output.
        taps: offsets of the taps, by phase; k contiguous inputs follow each.
        weights: offset in the kernel of each tap (of each single one, where taps merge), per pixel of a
            block; -1 where there is none.
        blocks: rows ``tap, end of taps, k, length, k packed before``, the blocks of the sum.
        parts: rows as named above, what one part computes.
        chores: rows as named above, done before all parts.
        packed: elements of the packed kernel, 0 where each part packs its own panels.
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
    packed: int
    workspace: int
    block: int

    @functools.cached_property
    def tables(self) -> Flat:
        """The tables in the order of the kernels' parameters."""
        return self._tables(self.chores)

    @functools.cached_property
    def tables_packed(self) -> Flat:
        """The same for a kernel that is packed already."""
        return self._tables(self.chores[self.chores[:, CHORE] != PACK_CHORE])

    def _tables(self, chores: np.ndarray) -> Flat:
        offsets = (self.pixels, self.places, self.taps, self.weights)
        return Flat((self.phases, *offsets, self.blocks, self.parts, chores))


class Source(NamedTuple):
    """How windows are read: from where, and the strides in elements."""

    kind: int
    pitches: tuple[int, ...]  # between neighbouring images, slices, rows and columns
    group: int  # between groups of channels
    first: tuple[int, ...]  # the source's slice, row and column at the buffer's (or array's) first element
    sizes: tuple[int, ...]  # of the buffer: slices, rows, columns
    steps: tuple[int, ...] = (1, 1, 1)  # source pixels between neighbouring ones of the buffer


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


def pitches(sizes: tuple[int, ...], channels: int) -> tuple[int, ...]:
    """Return the elements between neighbouring images, slices, rows and columns of contiguous volumes."""
    return tuple(math.prod(sizes[axis:]) * channels for axis in range(4))


def source_of(c: Correlation, shared: bool) -> Source | None:
    """Choose how windows are read; ``shared``: parts share pixels, so padding is done once beforehand.

    None where each part copies the band that it reads.
    """
    sizes = c.source[:3]
    if all(map(fits, c.axes, sizes)):
        return Source(STRAIGHT, pitches(sizes, c.source[3]), c.inputs, (0, 0, 0), sizes)
    if not shared:
        return None
    first, spans = zip(*map(window, c.axes), strict=True)
    reach = (max((a.outputs - 1) * a.stride for a in axes) for axes in c.axes)
    sizes = tuple(r + span for r, span in zip(reach, spans, strict=True))
    steps = pitches(sizes, c.inputs)
    return Source(PADDED, steps, c.n * steps[0], first, sizes)


def band_source(c: Correlation, phase: tuple[Axis, ...], largest: Band) -> Source:
    """Return how a phase reads the copy of a band, which starts where the first window does.

    Of an axis with one output only what its taps meet is copied.
    """
    steps, sizes = [], []
    for axis, a, outputs in zip(range(3), phase, largest.sizes[1:], strict=True):
        steps.append(a.dilation if outputs == 1 and axis < 2 else 1)
        sizes.append(_span(a, outputs, steps[-1]))
    if not all(a.taps for a in phase):
        sizes = [0, 0, 0]
    along = pitches(tuple(sizes), c.inputs)
    return Source(BAND, along, 0, tuple(a.origin for a in phase), tuple(sizes), tuple(steps))


def _span(a: Axis, outputs: int, step: int) -> int:
    """Return how many pixels, ``step`` apart, the windows of so many outputs span."""
    return ((outputs - 1) * a.stride + (len(a.taps) - 1) * a.dilation) // step + 1


def pad_chores(c: Correlation, source: Source, at: int) -> list[tuple[int, ...]]:
    """Return the chores that write the padded source to the workspace from ``at`` on."""
    return [
        (
            PAD_CHORE,
            group,
            at + group * source.group + sum(map(int.__mul__, band.starts, source.pitches)),
            0,
            *box(band.starts, band.sizes, source.first),
        )
        for band in bands((c.n, *source.sizes), max(1, PAD_ELEMENTS // c.inputs))
        for group in range(c.groups)
    ]


def box(starts: tuple[int, ...], sizes: tuple[int, ...], first: tuple[int, ...]) -> tuple[int, ...]:
    """Return a row's columns of a box of a buffer that starts at the source's slice, row and column."""
    places = map(int.__add__, starts, (0, *first))
    return tuple(itertools.chain(*zip(places, sizes, strict=True)))


def offsets(sizes: tuple[int, ...], steps: tuple[int, ...]) -> list[int]:
    """Return the offsets of a band's pixels from its first, row-major."""
    total = np.zeros(1, np.int64)
    for size, step in zip(sizes, steps, strict=True):
        total = np.add.outer(total, np.arange(size, dtype=np.int64) * step)
    return total.ravel().tolist()


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

    def add(
        self, c: Correlation, source: Source | None, phase: tuple[Axis, ...], cut: list[Band]
    ) -> tuple[dict[int, int], list[tuple[int, ...]]]:
        """Add a phase whose pixels are cut into bands; return its row of constants, and a piece per band."""
        d, h, w = phase
        largest = max(cut, key=lambda band: band.pixels)
        source = source or band_source(c, phase, largest)
        if source.kind == BAND:
            self.band = max(self.band, largest.sizes[0] * source.pitches[0])
        # Where taps along a row are neighbours and nothing lies between pixels, they are one longer tap.
        merged = source.pitches[3] == c.inputs and (w.dilation == 1 or len(w.taps) == 1)
        taps = offsets(
            (len(d.taps), len(h.taps), min(len(w.taps), 1) if merged else len(w.taps)),
            tuple(
                a.dilation // step * pitch
                for a, step, pitch in zip(phase, source.steps, source.pitches[1:], strict=True)
            ),
        )
        inputs = c.inputs * (len(w.taps) if merged else 1)
        sums = k_blocks(len(taps), inputs)
        tap0, block0 = len(self.taps), len(self.blocks)
        constants = {
            TABLE0: len(self.pixels), BLOCK0: block0, BLOCK1: block0 + len(sums), PACKED0: self.packed,
            PACKED_K: len(taps) * inputs, TAP0: tap0, WEIGHT0: len(self.weights),
            TAPS_MERGED: len(w.taps) if merged else 1, INPUTS: c.inputs, OUTPUTS: c.outputs,
            PIXELS: c.block, SOURCE: source.kind, GROUP: source.group,
            FILL_IMAGE: source.pitches[0], FILL_SLICE: source.pitches[1], FILL_ROW: source.pitches[2],
            FILL_SLICES: source.steps[0], FILL_ROWS: source.steps[1],
            IN_SLICES: c.source[0], IN_ROWS: c.source[1], IN_COLUMNS: c.source[2], IN_CHANNELS: c.source[3],
            W_INPUT: c.w_input, W_OUTPUT: c.w_output, W_GROUP: c.w_group,
        }  # fmt: skip
        along = pitches(c.output[:3], c.output[3])
        hops = (source.pitches[0], *(a.stride * p for a, p in zip(phase, source.pitches[1:], strict=True)))
        steps = (along[0], *(a.step * p for a, p in zip(phase, along[1:], strict=True)))
        self.pixels += offsets(largest.sizes, hops)
        self.places += offsets(largest.sizes, steps)
        self.taps += taps
        self.weights += [
            ((td * c.kernel[1] + th) * c.kernel[2] + tw) * c.tap_weights if tw >= 0 else -1
            for (td,) in d.taps
            for (th,) in h.taps
            for met in w.taps
            for tw in met
        ]
        self.blocks += [(tap0 + a, tap0 + b, k0, k, before) for a, b, k0, k, before in sums]
        origin = start = 0
        for a, first, pitch, out_pitch in zip(
            phase, source.first, source.pitches[1:], along[1:], strict=True
        ):
            origin += (a.origin - first) * pitch
            start += a.start * out_pitch
        straight = taps and source.kind != BAND  # a copied band starts where its windows do
        pieces = [
            (
                band.pixels,
                origin + sum(map(int.__mul__, band.starts, hops)) if straight else 0,
                start + sum(map(int.__mul__, band.starts, steps)),
                *_band_box(phase, source, band),
            )
            for band in cut
        ]
        return constants, pieces


def _band_box(phase: tuple[Axis, ...], source: Source, band: Band) -> tuple[int, ...]:
    """Return the box of the source that a band reads, none where it is not copied."""
    if source.kind != BAND or not all(source.sizes):
        return (0,) * BOX_COLUMNS
    starts = (band.starts[0], *(s * a.stride for s, a in zip(band.starts[1:], phase, strict=True)))
    spans = map(_span, phase, band.sizes[1:], source.steps)
    return box(starts, (band.sizes[0], *spans), source.first)


@functools.lru_cache(maxsize=512)
def correlation_plan(dims: ConvDims, backward: bool, lanes: int, threads: int, kept: bool = False) -> Plan:
    """Plan the forward pass, or the data gradient, of a convolution.

    kept: the packed kernel is kept from call to call, so all of it is packed beforehand.
    How it is cut depends on the number of threads; what each output sums, and in which order, does not.
    """
    c = correlation(dims, backward, lanes)
    cut = cut_correlation(c, threads, lanes)
    source = source_of(c, shared=cut.panel_parts > 1)
    width = VECTORS * lanes
    panels = -(-c.outputs // width)
    phases = c.phases
    cuts = [bands((c.n, *(a.outputs for a in phase)), cut.pixels) for phase in phases]
    # A panel of the kernel that two parts at most read is packed there, just before; else once, beforehand.
    inside = not kept and max(map(len, cuts)) <= 2

    tables, parts, chores = Tables(), [], []
    info = np.zeros((len(phases), PHASE_COLUMNS), np.int64)
    for p, (phase, phase_bands) in enumerate(zip(phases, cuts, strict=True)):
        constants, pieces = tables.add(c, source, phase, phase_bands)
        info[p, list(constants)] = list(constants.values())
        if not inside and constants[PACKED_K]:
            chores += [
                (PACK_CHORE, g, 0, p, j, *[0] * 7)
                for g in range(c.groups)
                for j in range(0, panels, PACKED_PANELS)
            ]
            tables.packed += c.groups * panels * constants[PACKED_K] * width
        parts += [
            (*piece, p, g0, g1, j0, j1)
            for piece in pieces
            for g0, g1 in even(c.groups, cut.group_parts)
            for j0, j1 in even(panels, cut.panel_parts)
        ]
    # The workspace: the padded source, then per thread a band and some panels.
    used, table = 0, integers(parts, PART_COLUMNS)
    if source is not None and source.kind == PADDED:
        table[:, SOURCE0] += used
        chores += pad_chores(c, source, used)
        used = round_up(used + c.groups * source.group, lanes)
    band = round_up(tables.band, lanes)
    longest = max(b[3] * (b[1] - b[0]) for b in tables.blocks)
    info[:, PANEL], info[:, PANEL_PITCH] = band if inside else -1, width * longest
    panel = PACKED_PANELS * width * longest if inside else 0
    # All panels of a block that stay in L2 pass over a strip of pixels: its outputs are written side by side.
    block = longest * panels * width * (VECTOR_BYTES // lanes)
    info[:, STRIP] = len(tables.pixels) if inside or block > cache_sizes()[1] // 2 else STRIP_TILES * ROWS
    info[:, SLOTS0], info[:, SLOT] = used, band + panel
    return Plan(
        info, integers(tables.pixels), integers(tables.places), integers(tables.taps),
        integers(tables.weights), integers(tables.blocks, 5), table, integers(chores, CHORE_COLUMNS),
        tables.packed, used + threads * (band + panel), c.block,
    )  # fmt: skip

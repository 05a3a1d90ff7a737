"""Plans of the weight gradient: a sum of outer products over pixels, cut by pixels and by weights.

Sums over pixels must not depend on the number of threads, so the pixels are cut into *splits* by sizes
alone; each has its own copy of the gradient, and the copies are added in order.  Within a split the weights
are cut as the threads need.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

from ..._native import Flat
from ...dims import ConvDims
from .cut import apart, balanced_parts, bands, cache_sizes, even, round_up, wanted_parts
from .phases import correlation
from .plan import (
    CHORE_COLUMNS,
    PADDED,
    PANEL,
    PANEL_PITCH,
    PHASE_COLUMNS,
    PIECE_COLUMNS,
    SLOT,
    SLOTS0,
    STRAIGHT,
    TAPS_MERGED,
    Tables,
    integers,
    pad_chores,
    source_of,
)
from .tile import ROWS, TAIL, VECTORS

# Columns of `OuterPlan.parts`.
SPLIT, BLOCK_FIRST, BLOCK_END, GROUP_FIRST, GROUP_END, PANEL_FIRST, PANEL_END, UNIT_FIRST, UNIT_END = range(9)

PACKED_PANELS = 16  # packed together: the output gradient is read in longer runs
SPLIT_PIXELS = 512  # at least, so that adding up the copies takes a few percent of the products
SPLITS = 8
SPLIT_BYTES = 16 << 20  # of copies, at most


@dataclass(frozen=True)
class OuterPlan:
    """The tables of a weight gradient; as in `Plan`, and:

    Attributes:
        gathered: offset of each pixel in the thread's scratch, where pixels are copied there; else empty.
        shifts: offset, from a pixel's window, of the input of each row of the gradient.
        bands: blocks of pixels whose gradient panel stays in L1, rows as the first columns of `Plan.parts`.
        parts: rows as named above; a unit is a tile's rows of the gradient.
        copies: offset in the workspace of the splits' gradients; where pixels are not blocked the first
            split's is the output itself.
        splits: copies of the gradient.

    """

    phases: np.ndarray
    pixels: np.ndarray
    places: np.ndarray
    gathered: np.ndarray
    shifts: np.ndarray
    weights: np.ndarray
    bands: np.ndarray
    parts: np.ndarray
    chores: np.ndarray
    copies: int
    splits: int
    workspace: int

    @functools.cached_property
    def tables(self) -> Flat:
        """The tables in the order of the kernel's parameters."""
        offsets = (self.pixels, self.places, self.gathered, self.shifts, self.weights)
        return Flat((self.phases, *offsets, self.bands, self.parts, self.chores))


def units_of(rows: int) -> int:
    """Return how many tiles cover the rows of a gradient: full ones, then tails."""
    return rows // ROWS + -(-(rows % ROWS) // TAIL)


@functools.lru_cache(maxsize=512)
def outer_plan(dims: ConvDims, lanes: int, item: int, threads: int) -> OuterPlan:
    """Plan the weight gradient of a convolution."""
    c = correlation(dims, False, lanes)
    (phase,) = c.phases
    l1, l2 = cache_sizes()
    width = VECTORS * lanes
    panels = -(-c.outputs // width)
    # A panel of the packed gradient of a block of pixels stays in L1, beside a line of each one's inputs; all
    # of these stay in L2.
    pixels = min(l1 * (3 if panels > 1 else 5) // 8 // (width * item), l2 // 3 // (c.source[3] * item))
    sizes = (c.n, *(a.outputs for a in phase))
    blocks = bands(sizes, max(pixels, 2 * ROWS))
    taps = math.prod(len(a.taps) for a in phase)
    kernel = taps * c.inputs * c.outputs * c.groups  # elements of a copy
    least = SPLIT_PIXELS if kernel * item <= l2 // 8 else 2 * SPLIT_PIXELS  # copies leave L2 sooner
    splits = max(1, min(SPLITS, math.prod(sizes) // least, SPLIT_BYTES // (kernel * item), len(blocks)))

    wanted = wanted_parts(dims.macs, threads)
    wanted = -(-wanted // splits)
    group_parts = balanced_parts(c.groups, 1, wanted, threads)
    panel_parts = balanced_parts(panels, 1, -(-wanted // group_parts), threads)
    source = source_of(c, shared=group_parts * panel_parts < wanted or panel_parts > 1)
    tables = Tables()
    constants, pieces = tables.add(c, source, phase, blocks)
    info = np.zeros((1, PHASE_COLUMNS), np.int64)
    info[0, list(constants)] = list(constants.values())
    inputs = np.arange(c.inputs * constants[TAPS_MERGED])
    shifts = np.add.outer(integers(tables.taps), inputs).ravel()
    units = units_of(shifts.size)
    unit_parts = balanced_parts(units, 1, -(-wanted // (group_parts * panel_parts)), threads)
    parts = [
        (s, b0, b1, g0, g1, j0, j1, u0, u1)
        for s, (b0, b1) in enumerate(even(len(blocks), splits))
        for g0, g1 in even(c.groups, group_parts)
        for j0, j1 in even(panels, panel_parts)
        for u0, u1 in even(units, unit_parts)
    ]
    chores, used, table = [], 0, integers(pieces, PIECE_COLUMNS)
    if source is not None and source.kind == PADDED:
        chores = pad_chores(c, source, 0)
        used = round_up(c.groups * source.group, lanes)
    copies = used
    used = round_up(used + (splits if c.block > 1 else splits - 1) * kernel, lanes)
    band = round_up(tables.band, lanes)
    # Tiles read a few inputs of each pixel, which memory serves badly: those of one tap are gathered in L2.
    gathered, largest = integers([]), len(tables.pixels)
    straight = source is not None and source.kind == STRAIGHT
    if straight and taps == 1 and panels >= 2 * panel_parts:
        pitch = apart(c.inputs, item)
        gathered = np.arange(largest) * pitch
        band = round_up(gathered.size * pitch, lanes)
    info[:, SLOTS0], info[:, PANEL] = used, band
    info[:, PANEL_PITCH] = pitch = (largest + 1) * width  # not a power of two
    info[:, SLOT] = slot = band + min(panels, PACKED_PANELS) * pitch
    return OuterPlan(
        info, integers(tables.pixels), integers(tables.places), gathered, shifts, integers(tables.weights),
        table, integers(parts, 9), integers(chores, CHORE_COLUMNS), copies, splits, used + threads * slot,
    )  # fmt: skip

"""Plans of the weight gradient by Winograd's method: chunks of tiles, blocks of channels, the workspace.

Tiles are taken in chunks, whose inputs and output gradients are all transformed before they are multiplied.
Where one chunk holds all tiles, a block of the gradient is summed at all points in the thread's L2 cache and
transformed back at once; else the sums at all points are kept from chunk to chunk.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from ..._native import Flat, Literal
from ...dims import ConvDims
from .cut import PARTS_PER_THREAD, apart, balanced_parts, cache_sizes, even, round_up
from .plan import integers
from .simd import VECTOR_BYTES
from .tile import VECTORS
from .winograd_plan import (
    IN_PITCH,
    OUT_PITCH,
    POINTS,
    POINTS_H,
    RUN,
    SIZES,
    SLOT,
    SLOTS0,
    SPARE0,
    SQUARE0,
    TILES,
    V0,
    V_GROUP,
    V_STEP,
    Rows,
    filled,
    pass_of,
)

# Further constants: of the transformed output gradient G, and of the sums S.
OUTER_SIZES = SIZES + 10
G0, G_GROUP, G_STEP, S0, S_GROUP, S_STEP, S_PITCH, CHUNKS, ALL_TILES, BLOCK0 = range(SIZES, OUTER_SIZES)

CHUNK_BYTES = 8 << 20  # of transformed tiles: they stay in the last cache
LEAST_TILES = 32  # in a chunk
BLOCK_INPUTS, BLOCK_OUTPUTS = 2, 4  # panels of a block of sums that stays in L2


@dataclass(frozen=True, eq=False)  # looked up by identity
class WinogradOuterPlan:
    """The tables of a weight gradient by Winograd's method; as in `WinogradPlan`, and:

    Attributes:
        transforms: rows ``group, first tile, end``, counted from a chunk's first.
        products: rows ``group, first point, end, first input panel, end, first output panel, end``.
        results: rows ``group, first input, end`` of sums kept from chunk to chunk; else none.

    """

    filters: tuple[Literal, Literal]
    sizes: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    pixels: np.ndarray
    shifts: np.ndarray
    transforms: np.ndarray
    products: np.ndarray
    results: np.ndarray
    workspace: int

    @functools.cached_property
    def tables(self) -> Flat:
        """The tables in the order of the kernel's parameters."""
        tables = (self.rows, self.columns, self.pixels, self.shifts)
        return Flat((*self.filters, self.sizes, *tables, self.transforms, self.products, self.results))


def _blocks(panels: int, block: int) -> list[tuple[int, int]]:
    return [(p, min(p + block, panels)) for p in range(0, panels, block)]


def _products(
    inputs: int, in_panels: int, out_panels: int, points: int, groups: int, kept: bool, threads: int
) -> tuple[Rows, Rows]:
    """Cut the outer products, and what is transformed back of sums kept from chunk to chunk."""
    if not kept:
        blocks: Rows = [
            (g, 0, points, *a, *b)
            for g in range(groups)
            for a in _blocks(in_panels, BLOCK_INPUTS)
            for b in _blocks(out_panels, BLOCK_OUTPUTS)
        ]
        return blocks, []
    cuts = balanced_parts(in_panels, 1, -(-PARTS_PER_THREAD * threads // (points * groups)), threads)
    products: Rows = [
        (g, e, e + 1, a, b, 0, out_panels)
        for g in range(groups)
        for e in range(points)
        for a, b in even(in_panels, cuts)
    ]
    step = max(1, -(-inputs * groups // (PARTS_PER_THREAD * threads)))
    results: Rows = [(g, c, min(c + step, inputs)) for g in range(groups) for c in range(0, inputs, step)]
    return products, results


@functools.lru_cache(maxsize=512)
def winograd_outer_plan(dims: ConvDims, m: int, lanes: int, threads: int) -> WinogradOuterPlan:
    """Plan the weight gradient of a convolution of stride 1; its sums do not depend on the threads."""
    item, width = VECTOR_BYTES // lanes, VECTORS * lanes
    p = pass_of(dims, False, m, width, width)
    points = p.constants[POINTS]
    in_pitch, out_pitch = p.constants[IN_PITCH], p.constants[OUT_PITCH]
    in_panels, out_panels = in_pitch // width, out_pitch // width
    # A panel of inputs and one of gradients of a chunk stay in L1 together.
    most = cache_sizes()[0] * 3 // 4 // (2 * width * item)
    most = min(most, CHUNK_BYTES // (points * item * (in_pitch + out_pitch)))
    chunks = -(-p.tiles // max(LEAST_TILES, most))
    chunk = -(-p.tiles // chunks)
    step = max(1, -(-chunk // (2 * threads)))
    transforms = [(g, t, min(t + step, chunk)) for g in range(dims.groups) for t in range(0, chunk, step)]
    products, results = _products(p.inputs, in_panels, out_panels, points, dims.groups, chunks > 1, threads)

    v_step, g_step = apart(chunk * in_pitch, item), apart(chunk * out_pitch, item)
    kept = chunks > 1
    s_pitch = out_pitch if kept else BLOCK_OUTPUTS * width
    s_step = apart((in_pitch if kept else BLOCK_INPUTS * width) * s_pitch, item)
    constants = p.constants | {
        TILES: chunk, CHUNKS: chunks, ALL_TILES: p.tiles, V_STEP: v_step, G_STEP: g_step, S_STEP: s_step,
        S_PITCH: s_pitch,
    }  # fmt: skip
    slots = slot = 0
    for name, group, size in (
        (V0, V_GROUP, points * v_step), (G0, G_GROUP, points * g_step), (S0, S_GROUP, points * s_step * kept)
    ):  # fmt: skip
        constants |= {name: slots, group: size}
        slots += dims.groups * size
    for name, elements in (
        (SQUARE0, p.constants[POINTS_H] * (RUN + 2 * width)), (SPARE0, RUN),
        (BLOCK0, points * s_step * (not kept)),
    ):  # fmt: skip
        constants[name] = slot
        slot += round_up(elements, lanes)
    constants |= {SLOTS0: slots, SLOT: slot}
    return WinogradOuterPlan(
        p.filters, filled(OUTER_SIZES, constants), p.rows, p.columns, np.arange(chunk) * width,
        np.arange(width), integers(transforms, 3), integers(products, 7), integers(results, 3),
        slots + threads * slot,
    )  # fmt: skip

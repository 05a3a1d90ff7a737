"""Plans of the weight gradient by Winograd's method: chunks of tiles, blocks of channels, the workspace.

Tiles are taken in chunks, whose inputs and output gradients are all transformed before they are multiplied.
Where one chunk holds all tiles, a block of the gradient is summed at all points in the thread's L2 cache and
transformed back at once; else the sums at all points are kept from chunk to chunk.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

from ..._native import Flat
from ...dims import ConvDims
from .cut import balanced_parts, cache_sizes, even, round_up, wanted_parts
from .plan import integers
from .simd import VECTOR_BYTES
from .tile import VECTORS
from .winograd_plan import (
    CHANNELS,
    DILATION_H,
    DILATION_W,
    IN_PITCH,
    INPUTS,
    OUT_PITCH,
    OUTPUTS,
    SIZES,
    SLOT,
    SLOTS0,
    SPARE0,
    SQUARE0,
    TILES,
    TILES_H,
    TILES_W,
    V0,
    V_GROUP,
    V_STEP,
    W_GROUP,
    W_INPUT,
    W_TAP,
    X_COLUMN,
    X_IMAGE,
    X_ROW,
    Y_COLUMN,
    Y_IMAGE,
    Y_ROW,
    M,
    apart,
    tables_of_axes,
)  # fmt: skip

# Further constants: of the transformed output gradient G, and of the sums S.
OUTER_SIZES = SIZES + 10
G0, G_GROUP, G_STEP, S0, S_GROUP, S_STEP, S_PITCH, CHUNKS, ALL_TILES, BLOCK0 = range(SIZES, OUTER_SIZES)

CHUNK_BYTES = 8 << 20  # of transformed tiles: they stay in the last cache
BLOCK_INPUTS, BLOCK_OUTPUTS = 2, 4  # panels of a block of sums that stays in L2


@dataclass(frozen=True, eq=False)  # looked up by identity
class WinogradOuterPlan:
    """The tables of a weight gradient by Winograd's method; as in `WinogradPlan`, and:

    Attributes:
        transforms: rows ``group, first tile, end``, counted from a chunk's first.
        products: rows ``group, first point, end, first input panel, end, first output panel, end``.
        results: rows ``group, first input, end`` of sums kept from chunk to chunk; else none.

    """

    m: int
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
        return Flat((self.sizes, *tables, self.transforms, self.products, self.results))


def _blocks(panels: int, block: int) -> list[tuple[int, int]]:
    return [(p, min(p + block, panels)) for p in range(0, panels, block)]


@functools.lru_cache(maxsize=512)
def winograd_outer_plan(dims: ConvDims, m: int, lanes: int, threads: int) -> WinogradOuterPlan:
    """Plan the weight gradient of a 3 by 3 convolution of stride 1; its sums do not depend on the threads."""
    item, width, points = VECTOR_BYTES // lanes, VECTORS * lanes, (m + 2) ** 2
    inputs, outputs = dims.c_in // dims.groups, dims.c_out // dims.groups
    rows, columns = tables_of_axes(dims, False, m)
    tiles = dims.n * len(rows) * len(columns)
    in_pitch, out_pitch = round_up(inputs, width), round_up(outputs, width)
    l1 = cache_sizes()[0]
    # A panel of inputs and one of gradients of a chunk stay in L1 together.
    most = min(l1 * 3 // 4 // (2 * width * item), CHUNK_BYTES // (points * item * (in_pitch + out_pitch)))
    chunks = -(-tiles // max(32, most))
    chunk = -(-tiles // chunks)
    wanted = wanted_parts(dims.macs / 4, threads)
    step = max(1, -(-chunk // (2 * threads)))
    transforms = [(g, t, min(t + step, chunk)) for g in range(dims.groups) for t in range(0, chunk, step)]
    in_panels, out_panels = in_pitch // width, out_pitch // width
    results, kept = [], chunks > 1
    if kept:
        cuts = balanced_parts(in_panels, 1, -(-3 * threads // (points * dims.groups)), threads)
        products = [
            (g, e, e + 1, a, b, 0, out_panels)
            for g in range(dims.groups)
            for e in range(points)
            for a, b in even(in_panels, cuts)
        ]
        step = max(1, min(inputs, -(-inputs * dims.groups // max(1, wanted))))
        results = [(g, c, min(c + step, inputs)) for g in range(dims.groups) for c in range(0, inputs, step)]
    else:
        products = [
            (g, 0, points, *a, *b)
            for g in range(dims.groups)
            for a in _blocks(in_panels, BLOCK_INPUTS)
            for b in _blocks(out_panels, BLOCK_OUTPUTS)
        ]

    sizes = np.zeros(OUTER_SIZES, np.int64)
    v_step, g_step = apart(chunk * in_pitch, item), apart(chunk * out_pitch, item)
    s_pitch = out_pitch if kept else BLOCK_OUTPUTS * width
    s_step = apart((in_pitch if kept else BLOCK_INPUTS * width) * s_pitch, item)
    used = 0
    for name, group, size in (
        (V0, V_GROUP, points * v_step), (G0, G_GROUP, points * g_step), (S0, S_GROUP, points * s_step * kept)
    ):  # fmt: skip
        sizes[[name, group]] = used, size
        used += dims.groups * size
    slots, slot = used, 0
    for name, elements in (
        (SQUARE0, points * CHANNELS), (SPARE0, CHANNELS), (BLOCK0, points * s_step * (not kept))
    ):  # fmt: skip
        sizes[name] = slot
        slot += round_up(elements, lanes)
    source, target = dims.input_shape, dims.output_shape
    named = {
        M: m, TILES_H: len(rows), TILES_W: len(columns),
        DILATION_H: dims.dilation_[0], DILATION_W: dims.dilation_[1],
        INPUTS: inputs, OUTPUTS: outputs, IN_PITCH: in_pitch, OUT_PITCH: out_pitch,
        X_IMAGE: math.prod(source[1:]), X_ROW: math.prod(source[2:]), X_COLUMN: source[3],
        Y_IMAGE: math.prod(target[1:]), Y_ROW: math.prod(target[2:]), Y_COLUMN: target[3],
        W_TAP: inputs * dims.c_out, W_INPUT: dims.c_out, W_GROUP: outputs,
        TILES: chunk, CHUNKS: chunks, ALL_TILES: tiles, SLOTS0: slots, SLOT: slot,
        V_STEP: v_step, G_STEP: g_step, S_STEP: s_step, S_PITCH: s_pitch,
    }  # fmt: skip
    sizes[list(named)] = list(named.values())
    return WinogradOuterPlan(
        m, sizes, rows, columns, np.arange(chunk) * width, np.arange(width), integers(transforms, 3),
        integers(products, 7), integers(results, 3), slots + threads * slot,
    )  # fmt: skip

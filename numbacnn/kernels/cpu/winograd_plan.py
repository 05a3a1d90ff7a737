"""Plans of Winograd's convolution: tiles, how they and the channels are cut, and the workspace.

A tile is m by m outputs and the (m + 2) by (m + 2) inputs that they read.  Tiles of a dilated convolution
take every dilation-th pixel.  Where tiles are many they are cut into blocks, each of which a thread
transforms, multiplies and transforms back within its L2 cache, by a kernel transformed once beforehand.
Where they are few, the steps follow one another for all tiles, and the products are cut by output channels:
each thread then transforms the part of the kernel that it multiplies by, just before, in its L2 cache.
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
from .tile import ROWS, VECTORS

# Columns of the table of an axis, a row per tile.
OUT0, VALID, SOURCE0, LOW, HIGH = range(5)

# The constants of a plan, by place.
SIZES = 39
(
    M, TILES_H, TILES_W, DILATION_H, DILATION_W, INPUTS, OUTPUTS, IN_PITCH, OUT_PITCH, PANELS, TURNED,
    X_IMAGE, X_ROW, X_COLUMN, Y_IMAGE, Y_ROW, Y_COLUMN,
    W_TAP, W_INPUT, W_OUTPUT, W_GROUP, K_BLOCK, K_PITCH, KERNEL_GROUP,
    TILES, V0, M0, V_GROUP, M_GROUP, SLOTS0, SLOT, STAGE0, SPARE0, SQUARE0, PANEL0,
    V_STEP, M_STEP, U_STEP, CHUNK,
) = range(SIZES)  # fmt: skip

CHANNELS = 64  # transformed at a time: a square of them stays in L1
FEW_TILES = 32  # of all images: up to so many, the products are cut by output channels
SHARED_TILES = 400  # up to so many, all are transformed before the products, which are cut by points
LEAST_TILES, MOST_TILES = 2 * ROWS, 96  # in a block


@dataclass(frozen=True, eq=False)  # looked up by identity
class WinogradPlan:
    """The tables of a forward pass or a data gradient by Winograd's method.

    Attributes:
        m: outputs of a tile along an axis, 2 or 4.
        sizes: the constants named above.
        rows, columns: the tiles of an image along each axis.
        pixels, places: offsets of a block's tiles among the transformed inputs and the products.
        chores: rows ``group, panel, first input, end``: parts of the kernel to transform beforehand.
        parts: rows ``group, first tile, end``.
        products: rows ``group, first panel, end``, where products are cut by channels; else none.
        packed: elements of the transformed kernel, 0 where each thread transforms its own part.
        workspace: elements of workspace, those of every thread included.

    """

    m: int
    sizes: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    pixels: np.ndarray
    places: np.ndarray
    chores: np.ndarray
    parts: np.ndarray
    products: np.ndarray
    packed: int
    workspace: int

    @functools.cached_property
    def tables(self) -> Flat:
        """The tables in the order of the kernel's parameters."""
        tables = (self.rows, self.columns, self.pixels, self.places)
        return Flat((self.sizes, *tables, self.chores, self.parts, self.products))

    @functools.cached_property
    def tables_packed(self) -> Flat:
        """The same for a kernel that is transformed already."""
        tables = (self.rows, self.columns, self.pixels, self.places)
        return Flat((self.sizes, *tables, self.chores[:0], self.parts, self.products))


def axis_tiles(out: int, size: int, origin: int, dilation: int, m: int) -> list[tuple[int, ...]]:
    """Return the tiles of an axis: first output, outputs, first input, and which inputs lie in the source."""
    tiles: list[tuple[int, ...]] = []
    for residue in range(min(dilation, out)):
        outputs = -(-(out - residue) // dilation)
        for first in range(0, outputs, m):
            start = residue + first * dilation
            source = start + origin
            low = min(max(0, -(source // dilation)), m + 2)
            high = max(low, min(m + 2, -((source - size) // dilation)))
            tiles.append((start, min(m, outputs - first), source, low, high))
    return tiles


def tables_of_axes(dims: ConvDims, backward: bool, m: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the tiles of both axes of a pass."""
    tables = []
    for axis in range(2):
        size, out, lo = dims.in_[axis], dims.out_[axis], -dims.pad_lo_[axis]
        if backward:  # dx[p] = sum of dy[p + pad - t dilation] w[t], t in reverse
            size, out, lo = out, size, dims.pad_lo_[axis] - 2 * dims.dilation_[axis]
        tables.append(integers(axis_tiles(out, size, lo, dims.dilation_[axis], m), 5))
    return tables[0], tables[1]


def apart(elements: int, item: int) -> int:
    """Return a distance of at least so many elements, an odd number of cache lines.

    The values of one place at all points are written together: they must not fall into the same few sets
    of the cache.
    """
    line = 64 // item
    lines = -(-elements // line)
    return (lines + 1 - lines % 2) * line


def _tiles_in_block(tiles: int, inputs: int, outputs: int, item: int, threads: int) -> int:
    """Return how many tiles a thread works on at a time: squares of all channels, about what L2 holds."""
    l2 = cache_sizes()[1]
    fit = l2 // (36 * item * (inputs + outputs))
    most = max(LEAST_TILES, min(MOST_TILES, fit // ROWS * ROWS))
    parts = -(-tiles // most)
    if parts < 8 * threads:
        parts = round_up(parts, threads)
    return max(1, -(-tiles // parts))


@functools.lru_cache(maxsize=512)
def winograd_plan(
    dims: ConvDims, backward: bool, m: int, lanes: int, threads: int, kept: bool
) -> WinogradPlan:
    """Plan the forward pass or the data gradient of a 3 by 3 convolution of stride 1.

    kept: the transformed kernel is kept from call to call, so all of it is transformed beforehand.
    How it is cut depends on the number of threads; what each output sums, and in which order, does not.
    """
    item, width, points = VECTOR_BYTES // lanes, VECTORS * lanes, (m + 2) ** 2
    inputs, outputs = dims.c_in // dims.groups, dims.c_out // dims.groups
    source, target, tap = dims.input_shape, dims.output_shape, inputs * dims.c_out
    strides = (dims.c_out, 1, outputs)
    if backward:
        inputs, outputs, source, target = outputs, inputs, target, source
        strides = (1, dims.c_out, inputs)
    rows, columns = tables_of_axes(dims, backward, m)
    tiles = dims.n * len(rows) * len(columns)
    panels = -(-outputs // width)
    in_pitch, out_pitch = round_up(inputs, width), panels * width
    k_pitch = round_up(inputs, lanes)

    wanted = max(1, min(dims.groups * panels, wanted_parts(dims.macs / 4, threads)))
    inside = not kept and tiles <= FEW_TILES and dims.groups * panels >= threads
    split = inside or tiles <= SHARED_TILES
    k_block = min(k_pitch, CHANNELS)
    if split:
        block, step = tiles, max(1, -(-tiles // (4 * threads)))
    else:
        block = step = _tiles_in_block(tiles, inputs, outputs, item, threads)
    products, chores = [], []
    if inside:
        # The part of the kernel that a thread transforms and multiplies by stays in L2.
        k_block = max(lanes, cache_sizes()[1] // 2 // (points * width * item) // lanes * lanes)
        k_block = min(k_block, k_pitch)
        cuts = balanced_parts(panels, 1, -(-wanted // dims.groups), threads)
        products = [(g, 0, points, a, b) for g in range(dims.groups) for a, b in even(panels, cuts)]
    else:
        chores = [
            (g, p, k, min(k + k_block, inputs))
            for g in range(dims.groups)
            for p in range(panels)
            for k in range(0, inputs, k_block)
        ]
        if split:
            cuts = 1 if threads * 3 <= points else min(panels, -(-3 * threads // points))
            products = [
                (g, e, e + 1, a, b)
                for g in range(dims.groups)
                for e in range(points)
                for a, b in even(panels, cuts)
            ]
    parts = [(g, t, min(t + step, tiles)) for g in range(dims.groups) for t in range(0, tiles, step)]

    sizes = np.zeros(SIZES, np.int64)
    v_step, m_step = apart(block * in_pitch, item), apart(block * out_pitch, item)
    u_step = apart((k_block if inside else panels * k_pitch) * width, item)
    # The workspace: squares of all tiles where they are shared, then per thread its own.
    used, sizes[KERNEL_GROUP] = 0, points * u_step
    packed = 0 if inside else dims.groups * points * u_step
    if split:
        sizes[[V_GROUP, M_GROUP]] = points * v_step, points * m_step
        sizes[[V0, M0]] = used, used + dims.groups * points * v_step
        used += dims.groups * points * (v_step + m_step)
    slots, slot = used, 0
    stage_columns = round_up(k_block, width)
    for name, elements in (
        (SQUARE0, max(points * CHANNELS, 3 * (m + 2) * stage_columns)),
        (SPARE0, CHANNELS),
        (STAGE0, points * lanes * stage_columns if backward else 0),
        (PANEL0, points * u_step if inside else 0),
    ):
        sizes[name] = slot
        slot += round_up(elements, lanes)
    if not split:
        sizes[[V0, M0]] = slot, slot + points * v_step
        slot += points * (v_step + m_step)
    named = {
        M: m, TILES_H: len(rows), TILES_W: len(columns),
        DILATION_H: dims.dilation_[0], DILATION_W: dims.dilation_[1],
        INPUTS: inputs, OUTPUTS: outputs, IN_PITCH: in_pitch, OUT_PITCH: out_pitch, PANELS: panels,
        TURNED: int(backward),
        X_IMAGE: math.prod(source[1:]), X_ROW: math.prod(source[2:]), X_COLUMN: source[3],
        Y_IMAGE: math.prod(target[1:]), Y_ROW: math.prod(target[2:]), Y_COLUMN: target[3],
        W_TAP: tap, W_INPUT: strides[0], W_OUTPUT: strides[1], W_GROUP: strides[2],
        K_BLOCK: k_block, K_PITCH: k_pitch, TILES: block, SLOTS0: slots, SLOT: slot,
        V_STEP: v_step, M_STEP: m_step, U_STEP: u_step,
        CHUNK: max(ROWS, cache_sizes()[1] // 2 // (in_pitch * item) // ROWS * ROWS),
    }  # fmt: skip
    sizes[list(named)] = list(named.values())
    return WinogradPlan(
        m, sizes, rows, columns, np.arange(block) * in_pitch, np.arange(block) * out_pitch,
        integers(chores, 4), integers(parts, 3), integers(products, 5), packed,
        slots + threads * slot,
    )  # fmt: skip

"""Plans of Winograd's convolution: tiles, how they and the channels are cut, and the workspace.

A tile is m by m outputs and the inputs that they read, or a line of them where the kernel has one tap along
an axis.  Tiles of a dilated convolution take every dilation-th pixel.  They are cut into blocks, each of
which a thread transforms, multiplies and transforms back within its L2 cache, by a kernel transformed once
beforehand.  Where the kernel is too large to be read again for each block, the steps follow one another for
all tiles, and the products are cut by points.  Where tiles are few, the products are cut by output channels:
each thread then transforms the part of the kernel that it multiplies by, just before, in its L2 cache.

A volume is so many slices, each an image.  Taps of depth are summed as further inputs of a tile: those of the
other slices that it meets, transformed once for each tap, a few percent of the products' work.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..._native import Flat, Literal
from ...dims import ConvDims
from .cut import PARTS_PER_THREAD, apart, balanced_parts, cache_sizes, even, round_up
from .phases import as_volume
from .plan import integers
from .simd import VECTOR_BYTES
from .tile import ROWS, VECTORS
from .transforms import Filter

# Columns of the table of an axis, a row per tile.
OUT0, VALID, SOURCE0, LOW, HIGH = range(5)

# The constants of a plan, by place.
SIZES = 60
(
    M_W, POINTS_H, POINTS_W, POINTS, TAPS_H, TAPS_W, ONES,
    TILES_H, TILES_W, DILATION_H, DILATION_W, INPUTS, OUTPUTS, IN_PITCH, OUT_PITCH, PANELS, TURNED,
    X_WIDTH, X_PITCH, Y_PITCH, X_IMAGE, X_ROW, X_COLUMN, Y_IMAGE, Y_ROW, Y_COLUMN,
    W_TAP, W_INPUT, W_OUTPUT, W_GROUP, K_BLOCK, K_PITCH, KERNEL_GROUP,
    TILES, V0, M0, V_GROUP, M_GROUP, SLOTS0, SLOT, STAGE0, SPARE0, SQUARE0, PANEL0,
    V_STEP, M_STEP, U_STEP, CHUNK, NEAR,
    DEPTHS, TAP_INPUTS, SUMMED, SLICES, SLICE0, SLICE_STEP, DILATION_D, X_SLICES, X_SLICE, W_SLICE0, W_SLICE,
) = range(SIZES)  # fmt: skip

CHANNELS = 64  # transformed at a time
RUN = 1024  # numbers in a row of a strip of tiles: its rows stay in L1
FEW_TILES = 32  # of all images: up to so many, the products are cut by output channels
HEAVY = 8  # times the bytes of a block's squares: each block would read such a kernel whole, from memory
SHARED_BYTES = 1 << 27  # of squares, at most, that are all transformed before the products for that reason
CHORE_PANELS = 4  # of the kernel, transformed at once beforehand
LEAST_TILES, MOST_TILES = 2 * ROWS, 96  # in a block


@dataclass(frozen=True, eq=False)  # looked up by identity
class WinogradPlan:
    """The tables of a forward pass or a data gradient by Winograd's method.

    Attributes:
        filters: along height and width, by which the kernel is compiled.
        sizes: the constants named above.
        rows, columns: the tiles of an image along each axis.
        pixels, places: offsets of a block's tiles among the transformed inputs and the products.
        chores: rows ``group, first panel, end, first input, end`` of the kernel to transform beforehand.
        parts: rows ``group, first tile, end``.
        products: rows ``group, first point, end, first panel, end``, where tiles are shared; else none.
        packed: elements of the transformed kernel, 0 where each thread transforms its own part.
        workspace: elements of workspace, those of every thread included.

    """

    filters: tuple[Literal, Literal]
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
        return Flat((*self.filters, self.sizes, *tables, self.chores, self.parts, self.products))

    @functools.cached_property
    def tables_packed(self) -> Flat:
        """The same for a kernel that is transformed already."""
        tables = (self.rows, self.columns, self.pixels, self.places)
        return Flat((*self.filters, self.sizes, *tables, self.chores[:0], self.parts, self.products))


def filters_of(dims: ConvDims, m: int) -> tuple[Filter, Filter]:
    """Return the filters along height and width of tiles of m outputs along each axis with taps."""
    height, width = (Filter(m if taps > 1 else 1, taps) for taps in as_volume(dims).k_[1:])
    return height, width


def axis_tiles(out: int, size: int, origin: int, dilation: int, f: Filter) -> list[tuple[int, ...]]:
    """Return the tiles of an axis: first output, outputs, first input, and which inputs lie in the source."""
    tiles: list[tuple[int, ...]] = []
    for residue in range(min(dilation, out)):
        outputs = -(-(out - residue) // dilation)
        for first in range(0, outputs, f.outputs):
            start = residue + first * dilation
            source = start + origin
            low = min(max(0, -(source // dilation)), f.points)
            high = max(low, min(f.points, -((source - size) // dilation)))
            tiles.append((start, min(f.outputs, outputs - first), source, low, high))
    return tiles


def _tables_of_axes(
    dims: ConvDims, backward: bool, filters: tuple[Filter, Filter]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the tiles of both axes of a pass."""
    tables = []
    for axis, f in enumerate(filters, start=1):
        size, out, lo = dims.in_[axis], dims.out_[axis], -dims.pad_lo_[axis]
        if backward:  # dx[p] = sum of dy[p + pad - t dilation] w[t], t in reverse
            size, out, lo = out, size, dims.pad_lo_[axis] - (f.taps - 1) * dims.dilation_[axis]
        tables.append(integers(axis_tiles(out, size, lo, dims.dilation_[axis], f), 5))
    return tables[0], tables[1]


def filled(size: int, constants: dict[int, int]) -> np.ndarray:
    """Return so many integers, these at their places and zeros elsewhere."""
    sizes = np.zeros(size, np.int64)
    sizes[list(constants)] = list(constants.values())
    return sizes


class Pass(NamedTuple):
    """A pass by Winograd's method: sizes of a group, and how the operands lie."""

    filters: tuple[Literal, Literal]
    constants: dict[int, int]
    rows: np.ndarray
    columns: np.ndarray
    tiles: int  # of all slices of all images
    inputs: int  # of a sum: those of each tap of depth, rounded up
    outputs: int


def _strip_pitch(channels: int, all_channels: int, dims: ConvDims) -> int:
    """Return how far apart the pixels of a strip lie while it is transformed along columns.

    Where all channels are read at once from pixels side by side, a strip's row is one run.
    """
    return channels if channels == all_channels <= CHANNELS and dims.dilation_[2] == 1 else CHANNELS


def depth_inputs(inputs: int, depths: int, unit: int) -> int:
    """Return how far apart the inputs of neighbouring taps of depth lie in a sum over all of them."""
    return inputs if depths == 1 else round_up(inputs, unit)


def _along_depth(dims: ConvDims, backward: bool, tap_inputs: int) -> dict[int, int]:
    """Return the constants of slices: which of the source meet the taps of depth, in what order.

    Slice z of the target meets slices ``SLICE0 + z SLICE_STEP + t DILATION_D`` of the source.
    """
    depths, dilation, lo = dims.k_[0], dims.dilation_[0], dims.pad_lo_[0]
    slice_ = math.prod(dims.k_[1:]) * dims.c_in // dims.groups * dims.c_out
    constants = {DEPTHS: depths, TAP_INPUTS: tap_inputs, SUMMED: depths * tap_inputs, DILATION_D: dilation}
    if backward:
        return constants | {
            SLICES: dims.in_[0], SLICE0: lo - (depths - 1) * dilation, SLICE_STEP: 1, X_SLICES: dims.out_[0],
            W_SLICE0: (depths - 1) * slice_, W_SLICE: -slice_,
        }  # fmt: skip
    return constants | {
        SLICES: dims.out_[0], SLICE0: -lo, SLICE_STEP: dims.stride_[0], X_SLICES: dims.in_[0],
        W_SLICE0: 0, W_SLICE: slice_,
    }  # fmt: skip


def pass_of(dims: ConvDims, backward: bool, m: int, width: int, unit: int) -> Pass:
    """State the forward pass, or the data gradient, by tiles of m outputs along each axis with taps.

    The inputs of neighbouring taps of depth lie a multiple of ``unit`` apart in a sum.
    """
    dims = as_volume(dims)
    inputs, outputs = dims.c_in // dims.groups, dims.c_out // dims.groups
    source, target, tap = dims.input_shape, dims.output_shape, inputs * dims.c_out
    strides = (dims.c_out, 1, outputs)
    if backward:
        inputs, outputs, source, target = outputs, inputs, target, source
        strides = (1, dims.c_out, inputs)
    filters = fh, fw = filters_of(dims, m)
    rows, columns = _tables_of_axes(dims, backward, filters)
    tap_inputs = depth_inputs(inputs, dims.k_[0], unit)
    summed = dims.k_[0] * tap_inputs
    constants = _along_depth(dims, backward, tap_inputs) | {
        M_W: fw.outputs, POINTS_H: fh.points, POINTS_W: fw.points, POINTS: fh.points * fw.points,
        TAPS_H: fh.taps, TAPS_W: fw.taps,
        ONES: (fh.taps > 1) * fw.points + (fw.taps > 1),  # the number of the point 1, 1
        TILES_H: len(rows), TILES_W: len(columns),
        DILATION_H: dims.dilation_[1], DILATION_W: dims.dilation_[2],
        INPUTS: inputs, OUTPUTS: outputs,
        IN_PITCH: round_up(summed - tap_inputs + round_up(inputs, width), width),
        OUT_PITCH: round_up(outputs, width), PANELS: -(-outputs // width), TURNED: int(backward),
        X_WIDTH: source[3], X_PITCH: _strip_pitch(inputs, source[4], dims),
        Y_PITCH: _strip_pitch(outputs, target[4], dims),
        X_IMAGE: math.prod(source[1:]), X_SLICE: math.prod(source[2:]), X_ROW: math.prod(source[3:]),
        X_COLUMN: source[4],
        Y_IMAGE: math.prod(target[2:]), Y_ROW: math.prod(target[3:]), Y_COLUMN: target[4],
        NEAR: 1 if backward else 2,  # panels of the kernel transformed at once where they are multiplied by
        W_TAP: tap, W_INPUT: strides[0], W_OUTPUT: strides[1], W_GROUP: strides[2],
    }  # fmt: skip
    tiles = dims.n * constants[SLICES] * len(rows) * len(columns)
    codes = Literal(fh.code), Literal(fw.code)
    return Pass(codes, constants, rows, columns, tiles, summed, outputs)


Rows = list[tuple[int, ...]]  # of a table


class _Cut(NamedTuple):
    """How a pass is cut into parts."""

    block: int  # tiles at a time
    k_block: int  # inputs whose kernel is transformed at a time
    inside: bool  # each thread transforms the part of the kernel that it multiplies by
    chores: Rows
    parts: Rows
    products: Rows


def _tiles_in_block(p: Pass, item: int, threads: int) -> int:
    """Return how many tiles a thread works on at a time: squares of all channels, about what L2 holds."""
    fit = cache_sizes()[1] // (p.constants[POINTS] * item * (p.inputs + p.outputs))
    most = max(LEAST_TILES, min(MOST_TILES, fit // ROWS * ROWS))
    parts = -(-p.tiles // most)
    if parts < 8 * threads:
        parts = round_up(parts, threads)
    return max(1, -(-p.tiles // parts))


def _cut(p: Pass, groups: int, lanes: int, threads: int, kept: bool) -> _Cut:
    """Cut a pass by its number of tiles: see the top of this file."""
    item, width, points = VECTOR_BYTES // lanes, VECTORS * lanes, p.constants[POINTS]
    panels, k_pitch = p.constants[PANELS], round_up(p.inputs, lanes)
    inside = not kept and p.tiles <= FEW_TILES and groups * panels >= threads
    step = block = _tiles_in_block(p, item, threads)
    square, kernel = points * item * (p.inputs + p.outputs), points * item * p.inputs * p.outputs
    heavy = kernel > HEAVY * block * square and groups * p.tiles * square <= SHARED_BYTES
    shared = inside or heavy
    if shared:
        block, step = p.tiles, max(1, -(-p.tiles // (4 * threads)))
    parts: Rows = [(g, t, min(t + step, p.tiles)) for g in range(groups) for t in range(0, p.tiles, step)]
    products: Rows
    if inside:
        # The part of the kernel that a thread transforms and multiplies by stays in L2.
        k_block = cache_sizes()[1] // 2 // (points * p.constants[NEAR] * width * item)
        k_block = max(lanes, k_block // lanes * lanes)
        cuts = balanced_parts(panels, 1, -(-PARTS_PER_THREAD * threads // groups), threads)
        products = [(g, 0, points, a, b) for g in range(groups) for a, b in even(panels, cuts)]
        return _Cut(block, min(k_block, k_pitch), True, [], parts, products)
    k_block, tap = min(k_pitch, CHANNELS), p.constants[TAP_INPUTS]
    chores: Rows = [
        (g, a, min(a + CHORE_PANELS, panels), t + k, t + min(k + k_block, tap))
        for g in range(groups)
        for a in range(0, panels, CHORE_PANELS)
        for t in range(0, p.inputs, tap)
        for k in range(0, tap, k_block)
    ]
    cuts = min(panels, -(-PARTS_PER_THREAD * threads // (points * groups)))
    products = [
        (g, e, e + 1, a, b) for g in range(groups) for e in range(points) for a, b in even(panels, cuts)
    ]
    return _Cut(block, k_block, False, chores, parts, products if shared else [])


@functools.lru_cache(maxsize=512)
def winograd_plan(
    dims: ConvDims, backward: bool, m: int, lanes: int, threads: int, kept: bool
) -> WinogradPlan:
    """Plan the forward pass or the data gradient of a convolution of stride 1 by tiles of m outputs an axis.

    kept: the transformed kernel is kept from call to call, so all of it is transformed beforehand.
    How it is cut depends on the number of threads; what each output sums, and in which order, does not.
    """
    item, width = VECTOR_BYTES // lanes, VECTORS * lanes
    p = pass_of(dims, backward, m, width, lanes)
    points, lines = p.constants[POINTS], p.constants[POINTS_H]
    cut = _cut(p, dims.groups, lanes, threads, kept)
    in_pitch, out_pitch, k_pitch = p.constants[IN_PITCH], p.constants[OUT_PITCH], round_up(p.inputs, lanes)
    v_step, m_step = apart(cut.block * in_pitch, item), apart(cut.block * out_pitch, item)
    rows = p.constants[NEAR] * cut.k_block if cut.inside else p.constants[PANELS] * k_pitch
    u_step = apart(rows * width, item)
    constants = p.constants | {
        K_BLOCK: cut.k_block, K_PITCH: k_pitch, TILES: cut.block, V_STEP: v_step, M_STEP: m_step,
        U_STEP: u_step, KERNEL_GROUP: points * u_step,
        CHUNK: max(ROWS, cache_sizes()[1] // 2 // (in_pitch * item) // ROWS * ROWS),
    }  # fmt: skip
    # The workspace: squares of all tiles where they are shared, then per thread its own.
    shared, squares = len(cut.products) > 0, points * (v_step + m_step)
    slots = dims.groups * squares if shared else 0
    stage_columns, slot = round_up(cut.k_block, width), 0
    columns = max(stage_columns, CHORE_PANELS * width)
    for name, elements in (
        (SQUARE0, lines * max(RUN + 2 * width, p.constants[TAPS_W] * columns)),
        (SPARE0, RUN),
        (STAGE0, points * lanes * stage_columns if backward else 0),
        (PANEL0, points * u_step if cut.inside else 0),
    ):
        constants[name] = slot
        slot += round_up(elements, lanes)
    if shared:
        constants |= {V_GROUP: points * v_step, M_GROUP: points * m_step}
        constants |= {V0: 0, M0: dims.groups * points * v_step}
    else:
        constants |= {V0: slot, M0: slot + points * v_step}
        slot += squares
    constants |= {SLOTS0: slots, SLOT: slot}
    return WinogradPlan(
        p.filters, filled(SIZES, constants), p.rows, p.columns, np.arange(cut.block) * in_pitch,
        np.arange(cut.block) * out_pitch, integers(cut.chores, 5), integers(cut.parts, 3),
        integers(cut.products, 5), 0 if cut.inside else dims.groups * points * u_step, slots + threads * slot,
    )  # fmt: skip

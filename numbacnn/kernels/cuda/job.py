"""How a convolution pass is launched: its tile, its slices and its table, worked out once and kept."""

from __future__ import annotations

import functools
import math as numbers
from typing import Any, NamedTuple

from ...dims import ConvDims
from . import plan
from .correlation import correlate
from .correlation_weights import correlate_weights
from .launch import Kernel, Variant, ceil_div
from .tile import ENOUGH, Shape, choose, constants, depth_of, flags

_WIDE = (1 << 31) - (1 << 12)  # outputs from which positions need 64 bits
_MOST_SLICES = 64
_LONGEST = 1 << 16  # outputs that a slice of the weight gradient sums: longer sums lose digits
_WORKSPACE = 1 << 28  # elements of a workspace, at most


class Job(NamedTuple):
    """A launch but for its arrays.

    Attributes:
        variant: the kernel with its constants.
        grid: blocks.
        table: see ``plan.table``.
        numbers: the kernel's arguments after the table.
        slices: of the sum; past 1 they go to a workspace.

    """

    variant: Variant
    grid: int
    table: Any
    numbers: tuple[int, ...]
    slices: int


def variant(kernel: Kernel, **constants: Any) -> Variant:
    """The kernel with those of the constants that it names."""
    return kernel.of(**{name: constants[name] for name in sorted(kernel.constants)})


def vectors(channels: int, item: int, aligned_: bool) -> int:
    """Elements copied at once: of 16 bytes where channels allow it, else one by one."""
    return 16 // item if aligned_ and channels % (16 // item) == 0 else 1


def correlation_variant(
    math: str,
    item: int,
    shape: Shape,
    turned: bool,
    at_once: tuple[int, int],
    finish: tuple[tuple[str, Any], ...],
    wide: bool = False,
) -> Variant:
    """The kernel of the forward pass, or turned that of the data gradient.

    Args:
        math: how products are computed, see ``tile``.
        item: bytes of an element.
        shape: the tile's.
        turned: weights are read with the summed channels as neighbours.
        at_once: summed channels and output channels that are read at once; not 1 only where they divide.
        finish: from ``tile.flags``.
        wide: positions need 64 bits.

    """
    tile = constants(math, item, shape, False, not turned)
    va, vb = at_once
    if math == "exact":  # stages are turned on the way: one by one what lies by depth
        va, vb = 1, 1 if turned else vb
    elif turned:
        vb = va
    pairs = at_once[1] > 1
    more = {"VA": va, "VB": vb, "TURNED": turned, "WIDE": wide, "PAIRS": pairs}
    return variant(correlate, **tile, **dict(finish), **more)


def weights_variant(
    math: str, item: int, shape: Shape, at_once: tuple[int, int], wide: bool = False
) -> Variant:
    """The kernel of the weight gradient; see `correlation_variant`."""
    va, vb = at_once
    more = {"VA": va, "VB": vb, "WIDE": wide, "PAIRS": vb > 1}
    none = dict(flags(None, None, None, None))
    return variant(correlate_weights, **constants(math, item, shape, True, True), **none, **more)


def _slices(depth: int, blocks: int, least: int) -> tuple[int, int]:
    """Into how many slices a sum of `depth` stages is cut where blocks are few, and stages of each."""
    wanted = ceil_div(ENOUGH, max(1, blocks)) if blocks < ENOUGH * 3 // 4 else 1
    slices = max(1, min(wanted, depth // least, _MOST_SLICES))
    each = max(1, ceil_div(depth, slices))
    return max(1, ceil_div(depth, each)), each


@functools.lru_cache(1024)
def correlation_job(
    dims: ConvDims,
    turned: bool,
    math: str,
    item: int,
    aligned_: bool,
    finish: tuple[tuple[str, Any], ...],
    device: Any,
) -> Job:
    """The forward pass, or turned the data gradient; finish from ``tile.flags``."""
    pass_ = plan.backward(dims) if turned else plan.forward(dims)
    most = max(plan.pixels(dims, part) for part in pass_.classes)
    copies = dims.groups * len(pass_.classes)
    shape = choose(math, item, most, pass_.columns, copies)
    tile = constants(math, item, shape, False, not turned)
    depth = ceil_div(max(len(part.taps) for part in pass_.classes) * pass_.channels, tile["BK"])
    tiles_m, tiles_n = ceil_div(most, shape.rows), ceil_div(pass_.columns, shape.columns)
    size = numbers.prod((dims.n, *pass_.output, pass_.columns, dims.groups))
    slices, each = _slices(depth, tiles_m * tiles_n * copies, 4)
    if slices * size > _WORKSPACE:
        slices, each = 1, max(1, depth)
    va, vb = vectors(pass_.channels, item, aligned_), vectors(pass_.columns, item, aligned_)
    after = flags(None, None, None, None) if slices > 1 else finish
    made = correlation_variant(math, item, shape, turned, (va, vb), after, most >= _WIDE)
    table = plan.table(dims, pass_, tiles_m, tiles_n, slices, each)
    scalars = (
        *pass_.input_, pass_.channels, *plan.division(pass_.channels), pass_.columns, dims.c_out, size,
    )  # fmt: skip
    return Job(made, tiles_m * tiles_n * copies * slices, table, scalars, slices)


@functools.lru_cache(1024)
def weights_job(dims: ConvDims, math: str, item: int, aligned_: bool, device: Any) -> Job:
    """The weight gradient."""
    pass_ = plan.forward(dims)
    outputs = plan.pixels(dims, pass_.classes[0])
    height = len(pass_.classes[0].taps) * pass_.channels
    shape = choose(math, item, height, pass_.columns, dims.groups * ceil_div(outputs, 1024))
    depth = ceil_div(outputs, depth_of(math, item, shape))
    tiles_m, tiles_n = ceil_div(height, shape.rows), ceil_div(pass_.columns, shape.columns)
    blocks, size = tiles_m * tiles_n * dims.groups, height * dims.c_out
    slices, each = _slices(depth, blocks, 8)
    if slices < outputs // _LONGEST:
        each = ceil_div(depth, min(outputs // _LONGEST, _MOST_SLICES))
        slices = ceil_div(depth, each)
    if slices * size > _WORKSPACE:
        slices, each = 1, depth
    va, vb = vectors(pass_.channels, item, aligned_), vectors(pass_.columns, item, aligned_)
    made = weights_variant(math, item, shape, (va, vb), outputs >= _WIDE)
    table = plan.table(dims, pass_, tiles_m, tiles_n, slices, each)
    scalars = (*pass_.input_, pass_.channels, *plan.division(pass_.channels), pass_.columns, size)
    return Job(made, blocks * slices, table, scalars, slices)

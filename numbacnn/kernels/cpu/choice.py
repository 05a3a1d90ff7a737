"""Which algorithm computes a pass of a convolution: predicted from counts of operations.

Costs are counted in vector multiply-adds of one thread.  The choice depends on sizes and dtype alone, never
on the number of threads, so that results keep their bits.
"""

from __future__ import annotations

import functools
import math
from dataclasses import replace
from typing import NamedTuple

from ...dims import ConvDims
from .cut import round_up
from .depthwise import is_depthwise
from .phases import as_volume
from .small_product import small_product_rows
from .tile import VECTORS
from .winograd_plan import FEW_TILES, depth_inputs, filters_of

PASSES = ("forward", "data", "weights")

# For which taps along height and width Winograd's method has tiles, of how many outputs along axes with taps,
# and how much cheaper it must be.  What few layers have must pay for compiling a kernel for them alone.
WINOGRAD_TILES: dict[tuple[int, ...], tuple[tuple[int, ...], float]] = {
    (3, 3): ((4, 2), 1.1), (5, 5): ((2,), 1.2), (1, 3): ((4,), 1.2), (3, 1): ((4,), 1.2),
}  # fmt: skip
LEAST_GAIN_DEEP = 1.35  # with taps of depth, whose inputs fill the caches sooner

# Measured in bench.conv: the fraction of the peak that the register tile reaches within each method, and what
# transforms cost per point and vector of channels, with their loads and stores.
DIRECT_SPEED, WINOGRAD_SPEED = 0.85, 0.8
TILE_COST = KERNEL_COST = 10.0
# By points: of a kernel that is transformed beforehand, and passes through memory.
STORED_COST = {36: 550.0, 16: 450.0, 6: 80.0}
PRODUCT_WEIGHTS = 1 << 17  # fewer give too few parts to a product, whose sums over pixels are not split
# Bound by memory: a multiply-add per weight read, and few per input.
PRODUCT_SPEED, DEPTHWISE_SPEED = 0.5, 0.25


class Choice(NamedTuple):
    """An algorithm, and what it is predicted to cost."""

    algorithm: str  # "direct", "winograd", "depthwise" or "product"
    m: int  # outputs of a tile along axes with taps, where the algorithm has tiles
    cost: float  # vector multiply-adds
    least: float  # those of the direct method, without any loss

    @property
    def peak(self) -> float:
        """Predicted fraction of the multiply-add peak, counted as the direct method's operations."""
        return self.least / self.cost if self.cost else 0.0


def _vectors(channels: int, lanes: int) -> int:
    """Return the vectors that a panel of channels takes in the tile."""
    return -(-channels // lanes)


def _channels(dims: ConvDims, pass_: str) -> tuple[int, int]:
    inputs, outputs = dims.c_in // dims.groups, dims.c_out // dims.groups
    return (outputs, inputs) if pass_ == "data" else (inputs, outputs)


def winograd_fits(dims: ConvDims, pass_: str) -> bool:
    """Tell whether Winograd's method computes such a pass: few taps of stride 1 in slices, any of depth."""
    dims = as_volume(dims)
    slices = dims.k_[1:] in WINOGRAD_TILES and dims.stride_[1:] == (1, 1)
    return slices and (pass_ != "data" or dims.stride_[0] == 1)


def _tiles(dims: ConvDims, pass_: str, m: int) -> int:
    """Return the tiles of a volume's slices."""
    sizes = dims.in_ if pass_ == "data" else dims.out_
    tiles = dims.n * sizes[0]
    for f, size, dilation in zip(filters_of(dims, m), sizes[1:], dims.dilation_[1:], strict=True):
        whole, more = divmod(size, dilation)
        tiles *= more * -(-(whole + 1) // f.outputs) + (dilation - more) * -(-whole // f.outputs)
    return tiles


def winograd_cost(dims: ConvDims, pass_: str, m: int, lanes: int, kept: bool = False) -> float:
    """Return the vector multiply-adds that a pass by tiles of m outputs along each axis with taps costs."""
    dims = as_volume(dims)
    inputs, outputs = _channels(dims, pass_)
    width, depths = VECTORS * lanes, dims.k_[0]
    points = math.prod(f.points for f in filters_of(dims, m))
    inputs = depths * depth_inputs(inputs, depths, width if pass_ == "weights" else lanes)
    tiles = _tiles(dims, pass_, m)
    out_vectors, in_vectors = round_up(outputs, width) // lanes, round_up(inputs, width) // lanes
    products = tiles * points * inputs * out_vectors
    if pass_ == "weights":
        products = tiles * points * in_vectors * lanes * out_vectors
    transforms = tiles * (in_vectors + out_vectors) * TILE_COST * points
    cost = STORED_COST[points] if tiles > FEW_TILES else KERNEL_COST * points
    kernel = 0.0 if kept else inputs * out_vectors * cost
    return dims.groups * (products / WINOGRAD_SPEED + transforms + kernel)


def direct_cost(dims: ConvDims, pass_: str, lanes: int) -> float:
    """Return the vector multiply-adds that a pass by the direct method costs."""
    inputs, outputs = _channels(dims, pass_)
    pixels = dims.n * math.prod(dims.out_)
    return dims.groups * pixels * math.prod(dims.k_) * inputs * _vectors(outputs, lanes) / DIRECT_SPEED


def product_rows(dims: ConvDims) -> int:
    """Return of how many samples the dense product is that a convolution is, 0 where it is none.

    A kernel of one pixel takes each pixel as a sample, and one as large as the input, if few, each image.
    """
    if rows := small_product_rows(dims):
        return rows
    ones, pads = (*dims.k_, *dims.stride_, dims.groups), (*dims.pad_lo_, *dims.pad_hi_)
    return dims.n * math.prod(dims.in_) if {*ones} == {1} and not any(pads) else 0


@functools.lru_cache(maxsize=1024)
def sampled(dims: ConvDims) -> ConvDims | None:
    """Return the dims of the product that the weight gradient of a strided kernel of one pixel is.

    They are those of the pixels that the kernel reads; None where it is none, or a small one.
    """
    plain = {*dims.k_, dims.groups} == {1} and not any((*dims.pad_lo_, *dims.pad_hi_))
    if plain and {*dims.stride_} != {1} and dims.c_in * dims.c_out >= PRODUCT_WEIGHTS:
        return replace(dims, in_=dims.out_, stride_=(1,) * dims.rank)
    return None


@functools.lru_cache(maxsize=1024)
def turned(dims: ConvDims, lanes: int) -> ConvDims | None:
    """Return the dims of the turned weight gradient, inputs for outputs, where it fills vectors better.

    Of a product with few outputs and more inputs; None of all others.
    """
    if dims.c_out <= lanes // 2 and dims.c_in > dims.c_out and product_rows(dims):
        return replace(dims, c_in=dims.c_out, c_out=dims.c_in)
    return None


@functools.lru_cache(maxsize=4096)
def choose(dims: ConvDims, pass_: str, lanes: int, winograd: bool, kept: bool = False) -> Choice:
    """Choose the algorithm of a pass: ``winograd`` says whether Winograd's method is allowed."""
    least = dims.macs / lanes
    if small_product_rows(dims):
        return Choice("product", 0, dims.macs / PRODUCT_SPEED, least)
    if pass_ == "weights" and dims.c_in * dims.c_out >= PRODUCT_WEIGHTS and product_rows(dims):
        return Choice("product", 0, least / DIRECT_SPEED, least)
    if is_depthwise(dims):
        return Choice("depthwise", 0, least / DEPTHWISE_SPEED, least)
    direct = direct_cost(dims, pass_, lanes)
    choices = [Choice("direct", 0, direct, least)]
    if winograd and winograd_fits(dims, pass_):
        volume = as_volume(dims)
        tiles, gain = WINOGRAD_TILES[volume.k_[1:]]
        if volume.k_[0] > 1:
            gain = max(gain, LEAST_GAIN_DEEP)
        for m in tiles:
            cost = winograd_cost(dims, pass_, m, lanes, kept)
            if gain * cost < direct:
                choices.append(Choice("winograd", m, cost, least))
    return min(choices, key=lambda c: c.cost)

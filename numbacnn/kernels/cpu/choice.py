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
from .winograd_plan import FEW_TILES, depth_inputs

PASSES = ("forward", "data", "weights")

# Measured in bench.conv: the fraction of the peak that the register tile reaches within each method, and what
# the transforms of a tile cost per vector of channels, with their loads and stores.
DIRECT_SPEED, WINOGRAD_SPEED = 0.85, 0.8
TILE_COST = {4: 360.0, 2: 160.0}
KERNEL_COST = {4: 350.0, 2: 160.0}
STORED_COST = {4: 550.0, 2: 450.0}  # of a kernel that is transformed beforehand, and passes through memory
LEAST_GAIN, LEAST_GAIN_DEEP = 1.1, 1.35  # the latter with taps of depth, whose inputs fill the caches sooner
PRODUCT_WEIGHTS = 1 << 17  # fewer give too few parts to a product, whose sums over pixels are not split
# Bound by memory: a multiply-add per weight read, and few per input.
PRODUCT_SPEED, DEPTHWISE_SPEED = 0.5, 0.25


class Choice(NamedTuple):
    """An algorithm, and what it is predicted to cost."""

    algorithm: str  # "direct", "winograd", "depthwise" or "product"
    m: int  # outputs of a tile along an axis, where the algorithm has tiles
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
    """Tell whether Winograd's method computes such a pass: slices of 3 by 3 and stride 1, taps of depth."""
    dims = as_volume(dims)
    slices = dims.k_[1:] == (3, 3) and dims.stride_[1:] == (1, 1)
    return slices and (pass_ != "data" or dims.stride_[0] == 1)


def _tiles(dims: ConvDims, pass_: str, m: int) -> int:
    """Return the tiles of a volume's slices."""
    sizes = dims.in_ if pass_ == "data" else dims.out_
    tiles = dims.n * sizes[0]
    for size, dilation in zip(sizes[1:], dims.dilation_[1:], strict=True):
        whole, more = divmod(size, dilation)
        tiles *= more * -(-(whole + 1) // m) + (dilation - more) * -(-whole // m)
    return tiles


def winograd_cost(dims: ConvDims, pass_: str, m: int, lanes: int, kept: bool = False) -> float:
    """Return the vector multiply-adds that a pass by F(m x m, 3 x 3) costs."""
    dims = as_volume(dims)
    inputs, outputs = _channels(dims, pass_)
    width, points, depths = VECTORS * lanes, (m + 2) ** 2, dims.k_[0]
    inputs = depths * depth_inputs(inputs, depths, width if pass_ == "weights" else lanes)
    tiles = _tiles(dims, pass_, m)
    out_vectors, in_vectors = round_up(outputs, width) // lanes, round_up(inputs, width) // lanes
    products = tiles * points * inputs * out_vectors
    if pass_ == "weights":
        products = tiles * points * in_vectors * lanes * out_vectors
    transforms = tiles * (in_vectors + out_vectors) * TILE_COST[m]
    cost = (STORED_COST if tiles > FEW_TILES else KERNEL_COST)[m]
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
        gain = LEAST_GAIN_DEEP if math.prod(dims.k_[:-2]) > 1 else LEAST_GAIN
        for m in (4, 2):
            cost = winograd_cost(dims, pass_, m, lanes, kept)
            if gain * cost < direct:
                choices.append(Choice("winograd", m, cost, least))
    return min(choices, key=lambda c: c.cost)

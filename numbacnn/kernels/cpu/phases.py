"""Forward pass and data gradient as one operation, a correlation in one or more phases.

The forward pass has one phase.  In the data gradient the input pixels with equal residue modulo the stride
meet the same taps: each residue is a phase, a correlation of the output gradient with those taps, of
stride 1.  Signals and images are volumes of one row, or of one slice.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import NamedTuple

from ...dims import ConvDims
from .tile import VECTORS


class Axis(NamedTuple):
    """One axis of a phase: which outputs it computes, from which source pixels, with which taps.

    An output is one pixel, or a block of neighbouring ones along a row, whose channels are then as many more
    output channels.
    """

    taps: tuple[tuple[int, ...], ...]  # per source pixel in the window, each pixel of the block's tap, or -1
    origin: int  # the first source pixel in the window of the first output; may lie in the padding
    stride: int  # source pixels between the windows of neighbouring outputs
    dilation: int  # source pixels between neighbouring ones in the window
    start: int  # the first output pixel
    step: int  # output pixels between neighbouring outputs of this phase
    outputs: int  # how many


def as_volume(dims: ConvDims) -> ConvDims:
    """Return the same convolution with three spatial axes, unit ones in front."""
    front = 3 - dims.rank
    if front == 0:
        return dims
    ones = {field: (1,) * front + getattr(dims, field) for field in ("in_", "k_", "stride_", "dilation_")}
    pads = {field: (0,) * front + getattr(dims, field) for field in ("pad_lo_", "pad_hi_")}
    return replace(dims, **ones, **pads)


def forward_axis(dims: ConvDims, axis: int) -> Axis:
    """Return the one phase of the forward pass along an axis."""
    taps = tuple((t,) for t in range(dims.k_[axis]))
    lo, stride, dilation = -dims.pad_lo_[axis], dims.stride_[axis], dims.dilation_[axis]
    return Axis(taps, lo, stride, dilation, 0, 1, dims.out_[axis])


def backward_axes(dims: ConvDims, axis: int) -> list[Axis]:
    """Return the phases of the data gradient along an axis: one per residue modulo the stride.

    Input pixel ``i = start + stride * q`` meets output ``o`` through tap ``t`` where
    ``o * stride = i + pad_lo - t * dilation``.  The taps that divide evenly lie ``stride / gcd`` apart, and
    from one to the next ``o`` falls by ``dilation / gcd``: in reverse they meet rising pixels.
    """
    size, k, s, d, lo = (f[axis] for f in (dims.in_, dims.k_, dims.stride_, dims.dilation_, dims.pad_lo_))
    phases = []
    for start in range(min(s, size)):
        taps = tuple((t,) for t in reversed(range(k)) if (start + lo - t * d) % s == 0)
        origin = (start + lo - taps[0][0] * d) // s if taps else 0
        phases.append(Axis(taps, origin, 1, d // math.gcd(d, s), start, s, -(-(size - start) // s)))
    return phases


def blocked_window(dims: ConvDims, backward: bool, pixels: int) -> tuple[int, int]:
    """Return the first and the last source pixel that a row's first block of ``pixels`` outputs meets."""
    k, s, d, lo = (f[2] for f in (dims.k_, dims.stride_, dims.dilation_, dims.pad_lo_))
    if backward:
        return -(((k - 1) * d - lo) // s), (pixels - 1 + lo) // s
    return -lo, (pixels - 1) * s + (k - 1) * d - lo


def blocked_axis(dims: ConvDims, backward: bool, pixels: int) -> Axis:
    """Return rows as blocks of ``pixels`` neighbouring outputs, a multiple of the stride in the gradient.

    A block has one window; source pixels in it that an output does not meet count as zero weights.
    """
    (k, s, d, lo), out = (f[2] for f in (dims.k_, dims.stride_, dims.dilation_, dims.pad_lo_)), dims.out_[2]
    met = {}  # the tap by which output j of the block meets a source pixel
    for j in range(pixels):
        for t in range(k):
            if not backward:
                met[j * s - lo + t * d, j] = t
            elif (j + lo - t * d) % s == 0:
                met[(j + lo - t * d) // s, j] = t
    origin, last = blocked_window(dims, backward, pixels)
    taps = tuple(tuple(met.get((u, j), -1) for j in range(pixels)) for u in range(origin, last + 1))
    if backward:
        return Axis(taps, origin, pixels // s, 1, 0, pixels, dims.in_[2] // pixels)
    return Axis(taps, origin, pixels * s, 1, 0, pixels, out // pixels)


def window(axes: list[Axis]) -> tuple[int, int]:
    """Return the first source pixel that any phase reads, and how many one output may span from there."""
    axes = [a for a in axes if a.taps]
    first = min((a.origin for a in axes), default=0)
    return first, max((a.origin + (len(a.taps) - 1) * a.dilation for a in axes), default=0) - first + 1


def fits(axes: list[Axis], size: int) -> bool:
    """Tell whether every tap of every output lies in the source, so that no padding is read."""
    return all(
        not a.taps
        or (a.origin >= 0 and a.origin + (a.outputs - 1) * a.stride + (len(a.taps) - 1) * a.dilation < size)
        for a in axes
    )


def _vectors(channels: int, lanes: int) -> float:
    """Return what a step of the sum costs a tile row, in vectors; a lone vector waits for its loads."""
    vectors = -(-channels // lanes)
    return vectors + 0.3 * (vectors % VECTORS)


def row_axes(dims: ConvDims, backward: bool, lanes: int) -> list[Axis]:
    """Return the phases along rows; few channels are blocked with their neighbours' to fill vectors."""
    axes = backward_axes(dims, 2) if backward else [forward_axis(dims, 2)]
    channels, size = (dims.c_in, dims.in_[2]) if backward else (dims.c_out, dims.out_[2])
    if dims.groups > 1:
        return axes  # a pixel's channels of one group are not the next pixel's neighbours
    step = dims.stride_[2] if backward else 1
    plain = _vectors(channels, lanes) * sum(len(a.taps) for a in axes) / len(axes)
    best, least = axes, 0.85 * plain
    for pixels in range(max(step, 2), size + 1, step):
        if channels * pixels > 2 * VECTORS * lanes:
            break
        if size % pixels == 0:
            first, last = blocked_window(dims, backward, pixels)
            cost = _vectors(channels * pixels, lanes) * (last - first + 1) / pixels
            if cost < least:
                best, least = [blocked_axis(dims, backward, pixels)], cost
    return best


class Correlation(NamedTuple):
    """A pass as a correlation: sizes of source and output, and how the kernel's elements lie."""

    n: int
    source: tuple[int, ...]  # slices, rows, columns, channels
    output: tuple[int, ...]
    groups: int
    axes: tuple[list[Axis], ...]  # the phases along depth, height and width
    kernel: tuple[int, ...]  # taps along each
    block: int  # neighbouring pixels of an output
    tap_weights: int  # kernel elements between taps
    w_input: int  # between inputs of a tap
    w_output: int  # between outputs
    w_group: int

    @property
    def inputs(self) -> int:
        """Source channels of a group."""
        return self.source[3] // self.groups

    @property
    def outputs(self) -> int:
        """Output channels of a group, those of a whole block."""
        return self.output[3] // self.groups * self.block

    @property
    def phases(self) -> list[tuple[Axis, ...]]:
        """The phases that have outputs: one axis each of depth, height and width."""
        return [p for p in itertools.product(*self.axes) if all(a.outputs for a in p)]


def _is_product(dims: ConvDims) -> bool:
    """Tell whether each output reads the pixel at its own place alone: then images do not matter."""
    return {*dims.k_, *dims.stride_} == {1} and not any((*dims.pad_lo_, *dims.pad_hi_))


def correlation(dims: ConvDims, backward: bool, lanes: int) -> Correlation:
    """State the forward pass, or the data gradient, as a correlation."""
    dims = as_volume(dims)
    ins, outs = dims.c_in // dims.groups, dims.c_out // dims.groups
    n, size, out = dims.n, dims.in_, dims.out_
    if _is_product(dims):  # a batch is one tall image, cut anywhere
        pixels = n * math.prod(size)
        n, size = 1, (1, pixels, 1)
        out = size
        axes = tuple([Axis(((0,),), 0, 1, 1, 0, 1, count)] for count in size)
    else:
        along = (backward_axes(dims, i) if backward else [forward_axis(dims, i)] for i in (0, 1))
        axes = (*along, row_axes(dims, backward, lanes))
    block = max(len(a.taps[0]) if a.taps else 1 for a in axes[2])
    tap = ins * dims.c_out
    if backward:
        source, output = (*out, dims.c_out), (*size, dims.c_in)
        return Correlation(n, source, output, dims.groups, axes, dims.k_, block, tap, 1, dims.c_out, outs)
    source, output = (*size, dims.c_in), (*out, dims.c_out)
    return Correlation(n, source, output, dims.groups, axes, dims.k_, block, tap, dims.c_out, 1, outs)

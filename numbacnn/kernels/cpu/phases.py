"""Forward pass and data gradient as one operation, a correlation in one or more phases.

The forward pass has one phase.  In the data gradient the input pixels with equal residue modulo the stride
meet the same taps: each residue is a phase, a correlation of the output gradient with those taps, of
stride 1.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from ...dims import ConvDims


class Axis(NamedTuple):
    """One axis of a phase: which outputs it computes, from which source pixels, with which taps."""

    taps: tuple[int, ...]  # the kernel's taps, in order of the source pixels they meet
    origin: int  # the source pixel that the first tap of the first output meets; may lie in the padding
    stride: int  # source pixels between the windows of neighbouring outputs
    dilation: int  # source pixels between neighbouring taps
    start: int  # the first output pixel
    step: int  # output pixels between neighbouring outputs of this phase
    outputs: int  # how many


def forward_axis(dims: ConvDims, axis: int) -> Axis:
    """Return the one phase of the forward pass along an axis."""
    return Axis(
        tuple(range(dims.k_[axis])), -dims.pad_lo_[axis], dims.stride_[axis], dims.dilation_[axis],
        0, 1, dims.out_[axis],
    )  # fmt: skip


def backward_axes(dims: ConvDims, axis: int) -> list[Axis]:
    """Return the phases of the data gradient along an axis: one per residue modulo the stride.

    Input pixel ``i = start + stride * q`` meets output ``o`` through tap ``t`` where
    ``o * stride = i + pad_lo - t * dilation``.  The taps that divide evenly lie ``stride / gcd`` apart, and
    from one to the next ``o`` falls by ``dilation / gcd``: in reverse they meet rising pixels.
    """
    size, k, s, d, lo = (f[axis] for f in (dims.in_, dims.k_, dims.stride_, dims.dilation_, dims.pad_lo_))
    phases = []
    for start in range(min(s, size)):
        taps = tuple(t for t in reversed(range(k)) if (start + lo - t * d) % s == 0)
        origin = (start + lo - taps[0] * d) // s if taps else 0
        phases.append(Axis(taps, origin, 1, d // math.gcd(d, s), start, s, -(-(size - start) // s)))
    return phases


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


class Correlation(NamedTuple):
    """A pass as a correlation: sizes of source and output, and how the kernel's elements lie."""

    n: int
    source: tuple[int, ...]  # rows, columns, channels
    output: tuple[int, ...]
    groups: int
    h: list[Axis]
    w: list[Axis]
    kernel_columns: int
    tap_weights: int  # kernel elements between taps
    w_input: int  # between inputs of a tap
    w_output: int  # between outputs
    w_group: int

    @property
    def inputs(self) -> int:
        """Source channels of a group."""
        return self.source[2] // self.groups

    @property
    def outputs(self) -> int:
        """Output channels of a group."""
        return self.output[2] // self.groups


def _is_product(dims: ConvDims) -> bool:
    """Tell whether each output reads the pixel at its own place alone: then images do not matter."""
    return {*dims.k_, *dims.stride_} == {1} and not any((*dims.pad_lo_, *dims.pad_hi_))


def correlation(dims: ConvDims, backward: bool) -> Correlation:
    """State the forward pass, or the data gradient, as a correlation."""
    ins, outs = dims.c_in // dims.groups, dims.c_out // dims.groups
    n, size, out = dims.n, dims.in_, dims.out_
    if _is_product(dims):  # a batch is one tall image, cut anywhere
        pixels = n * math.prod(size)
        n, size = 1, (pixels, 1)
        out = size
        h, w = [Axis((0,), 0, 1, 1, 0, 1, pixels)], [Axis((0,), 0, 1, 1, 0, 1, 1)]
    elif backward:
        h, w = backward_axes(dims, 0), backward_axes(dims, 1)
    else:
        h, w = [forward_axis(dims, 0)], [forward_axis(dims, 1)]
    columns, tap = dims.k_[1], ins * dims.c_out
    if backward:
        source, output = (*out, dims.c_out), (*size, dims.c_in)
        return Correlation(n, source, output, dims.groups, h, w, columns, tap, 1, dims.c_out, outs)
    source, output = (*size, dims.c_in), (*out, dims.c_out)
    return Correlation(n, source, output, dims.groups, h, w, columns, tap, dims.c_out, 1, outs)

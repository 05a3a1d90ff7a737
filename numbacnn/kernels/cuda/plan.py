"""What convolution kernels are told of geometry: one small table on the device, kept for each dims and pass.

A pass is a correlation: outputs ``q`` of a *class* read the input pixels ``q step + tap``.  The forward pass
has one class.  The data gradient has one for each residue of the pixels by the stride: pixels of a class meet
the same taps, and their neighbours are one output gradient apart.

The table: the header, 8 integers for each class, 8 for each tap.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from ...dims import ConvDims, Sizes
from . import _driver, memory

# Places in the header.
GROUPS, BATCH, STEP, JUMP, INPUT, OUTPUT = 0, 1, 2, 5, 8, 11
PITCH_X, PITCH_Y, ROWS_W, TAPS = 14, 15, 16, 17
TILES_M, TILES_N, SLICES, DEPTH = 18, 19, 20, 21
HEADER = 24
CLASS, TAP = 8, 8  # integers of each
NOWHERE = 1 << 30  # the coordinate of what is not there: no tap leads from its negative to a pixel


class Class(NamedTuple):
    """Outputs that meet the same taps: ``first + q jump`` for q below counts."""

    counts: Sizes
    first: Sizes
    taps: tuple[tuple[Sizes, int], ...]  # the input pixel read beside ``q step``, and the tap's number


class Correlation(NamedTuple):
    """A pass as kernels see it: three axes, the input and the output of that pass."""

    input_: Sizes
    output: Sizes
    step: Sizes
    jump: Sizes
    classes: tuple[Class, ...]
    channels: int  # of the input, in a group: summed over
    columns: int  # of the output, in a group


def _padded(sizes: Sizes, value: int) -> Sizes:
    """Three axes: leading ones are added."""
    return (value,) * (3 - len(sizes)) + tuple(sizes)


def forward(dims: ConvDims) -> Correlation:
    """The forward pass; the weight gradient reads the same pixels."""
    out, dilation, lo = _padded(dims.out_, 1), _padded(dims.dilation_, 1), _padded(dims.pad_lo_, 0)
    taps = tuple(
        (tuple(t * d - p for t, d, p in zip(tap, dilation, lo, strict=True)), number)
        for number, tap in enumerate(itertools.product(*map(range, _padded(dims.k_, 1))))
    )
    only = Class(out, (0, 0, 0), taps)
    ins, outs = dims.c_in // dims.groups, dims.c_out // dims.groups
    return Correlation(_padded(dims.in_, 1), out, _padded(dims.stride_, 1), (1, 1, 1), (only,), ins, outs)


def backward(dims: ConvDims) -> Correlation:
    """The data gradient: pixel p reads outputs ``(p + pad - tap dilation) / stride`` where that is whole."""
    axes = [
        list(_residues(*axis))
        for axis in zip(
            _padded(dims.in_, 1), _padded(dims.k_, 1), _padded(dims.stride_, 1),
            _padded(dims.dilation_, 1), _padded(dims.pad_lo_, 0), strict=True,
        )
    ]  # fmt: skip
    k = _padded(dims.k_, 1)
    classes = []
    for parts in itertools.product(*axes):
        counts, first, taps = zip(*parts, strict=True)
        met = [
            (tuple(beside for _, beside in tap), (tap[0][0] * k[1] + tap[1][0]) * k[2] + tap[2][0])
            for tap in itertools.product(*taps)
        ]
        classes.append(Class(counts, first, tuple(met)))
    classes.sort(key=lambda c: -len(c.taps))  # the longest work begins first
    ins, outs = dims.c_in // dims.groups, dims.c_out // dims.groups
    jump = _padded(dims.stride_, 1)
    return Correlation(
        _padded(dims.out_, 1), _padded(dims.in_, 1), (1, 1, 1), jump, tuple(classes), outs, ins
    )


def _residues(
    size: int, k: int, stride: int, dilation: int, lo: int
) -> Iterator[tuple[int, int, list[tuple[int, int]]]]:
    """Of each residue along an axis: pixels, the first one, and (tap, output beside the quotient)."""
    for first in range(min(stride, size)):
        places = [(t, first + lo - t * dilation) for t in range(k)]
        taps = [(t, place // stride) for t, place in places if place % stride == 0]
        yield -(-(size - first) // stride), first, taps


def pixels(dims: ConvDims, part: Class) -> int:
    """Outputs of a class, over the batch."""
    return dims.n * part.counts[0] * part.counts[1] * part.counts[2]


def division(by: int) -> tuple[int, int]:
    """``(m, s)`` so that ``n // by`` is the upper half of ``n m``, shifted by s, for n below 2^31.

    For ``by == 1`` s is 0 and m is 0: kernels take n itself.  Granlund and Montgomery, Division by invariant
    integers using multiplication (1994), section 4.
    """
    if by == 1:
        return 0, 0
    power = 31 + (by - 1).bit_length()
    return -(-(1 << power) // by), power - 32


def table(
    dims: ConvDims, pass_: Correlation, tiles_m: int = 0, tiles_n: int = 0, slices: int = 1, depth: int = 0
) -> Any:
    """The table on the device.

    Args:
        dims: the convolution's.
        pass_: the pass.
        tiles_m: blocks by which kernels cover the rows of a class.
        tiles_n: blocks by which they cover its columns.
        slices: into which they cut the sum.
        depth: steps of the sum in a slice.

    """
    pitch_x, pitch_y = pass_.channels * dims.groups, pass_.columns * dims.groups
    taps_at = HEADER + CLASS * len(pass_.classes)
    header = [
        dims.groups, dims.n, *pass_.step, *pass_.jump, *pass_.input_, *pass_.output, pitch_x, pitch_y,
        dims.c_in // dims.groups, taps_at, tiles_m, tiles_n, slices, depth, 0, 0,
    ]  # fmt: skip
    classes: list[int] = []
    taps: list[int] = []
    for part in pass_.classes:
        classes += [*part.counts, *part.first, taps_at + len(taps), len(part.taps)]
        for beside, number in part.taps:
            pixel = (beside[0] * pass_.input_[1] + beside[1]) * pass_.input_[2] + beside[2]
            taps += [*beside, number, *divmod(pixel * pitch_x, 1 << 31), 0, 0]
    assert len(header) == HEADER
    numbers = np.array([*header, *classes, *taps], np.int32)
    made = memory.from_numpy(numbers)
    if not _driver.simulated():
        _driver.current_stream().synchronize()  # other streams will read it, in no order with this one
    return made


@functools.cache
def dense_dims(n: int, inputs: int, outputs: int) -> ConvDims:
    """A dense layer as a convolution of one pixel by one tap."""
    return ConvDims.of((n, 1, inputs), (1, inputs, outputs))

"""Plans of depthwise convolution: which taps each output meets, and how the work is cut.

Along an axis the outputs that meet the same taps are neighbours: a *span*.  Those far from the borders are
one span, those near a border a few more, so padding is no tap's business.  The data gradient has the spans of
every phase (see ``phases.py``).  With 1 or 2 spatial axes the others have one pixel and one tap.

Few channels leave lanes of a vector idle.  Where neighbouring outputs read neighbouring pixels, some of them
are then taken as one pixel of as many more channels, and the kernel is repeated for each: a *block*.
"""

from __future__ import annotations

import bisect
import functools
import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ..._native import Flat
from ...dims import ConvDims, Sizes
from .cut import even, round_up
from .depthwise_tile import PIXELS, VECTORS
from .phases import Axis, backward_axes, forward_axis
from .plan import integers

_PLANS = 1024  # kept
_BLOCK_VECTORS = 16  # in a block of pixels, at most
_PIECE = 1 << 14  # elements of a row that a part may take alone
_UNITS = 16  # rows that are shared evenly by threads; fewer are cut by channels too
_CHUNK = 64  # channels at least, so that cut rows are read by whole lines of the cache
_PARTS = 32  # as long as each has _GRAIN elements
_GRAIN, _LARGE_GRAIN = 1 << 13, 1 << 16  # elements of the output a part: some microseconds, some tens
# Outputs that are summed up before the next channels are: their inputs stay in L2, and they are many enough
# beside the sums, which are read and written once a box.
_BOX, _LEAST_BOX, _BOX_ELEMENTS = 256, 16, 24576
_SPLITS = 16  # copies of the weight gradient, at most
_SPLIT_PIXELS = 1024  # outputs summed into each, at least
_SPLIT_ELEMENTS = 1 << 22  # in all copies, at most

_UNIT = Axis(((0,),), 0, 1, 1, 0, 1, 1)

Triple = tuple[int, int, int]


class Span(NamedTuple):
    """Outputs of one axis, one step apart, that meet the same taps."""

    place: int  # the first of them
    outputs: int
    source: int  # the pixel that it meets by its first tap; 0 where it meets none
    tap: int  # that tap
    taps: int  # how many


def _spans(axis: Axis, size: int, tap_step: int, begin: int, end: int) -> Iterator[Span]:
    """The spans of a phase's outputs in the range of pixels; the source has ``size`` pixels."""
    k, q = len(axis.taps), max(0, -((axis.start - begin) // axis.step))
    stop = min(axis.outputs, -((axis.start - end) // axis.step))
    while q < stop:
        window = axis.origin + q * axis.stride
        first = max(0, -(window // axis.dilation))
        taps = max(0, min(k, (size - 1 - window) // axis.dilation + 1) - first)
        count, source, tap = 1, window + first * axis.dilation, 0
        if taps == 0:
            source = 0
        else:
            tap = axis.taps[0][0] + first * tap_step
        if k == 0:
            count = stop - q
        elif taps == k:  # and so do all outputs whose last tap is inside too
            count = min(stop - q, (size - 1 - window - (k - 1) * axis.dilation) // axis.stride + 1)
        yield Span(axis.start + q * axis.step, count, source, tap, taps)
        q += count


class _Way:
    """A pass as windows that are summed: its phases by axis, and how sources and weights lie."""

    def __init__(self, dims: ConvDims, backward: bool) -> None:
        free, axes = 3 - dims.rank, range(dims.rank)
        phases = [backward_axes(dims, a) if backward else [forward_axis(dims, a)] for a in axes]
        sizes, outs = (1,) * free + dims.in_, (1,) * free + dims.out_
        self.phases = [[_UNIT]] * free + phases
        self.source, self.output = (outs, sizes) if backward else (sizes, outs)
        self.k = (1,) * free + dims.k_
        steps = [-(s // math.gcd(s, d)) for s, d in zip(dims.stride_, dims.dilation_, strict=True)]
        self.hops = [p[0].stride for p in self.phases]  # source pixels between the windows of neighbours
        self.tap_steps = (1,) * free + (tuple(steps) if backward else (1,) * dims.rank)

    def spans(self, axis: int, begin: int, end: int) -> list[Span]:
        """The spans of an axis in a range of output pixels, of all phases."""
        size, step = self.source[axis], self.tap_steps[axis]
        return [s for phase in self.phases[axis] for s in _spans(phase, size, step, begin, end)]

    def longest(self) -> int:
        """Columns in the longest span whose outputs and sources are neighbours, 0 if there are none such."""
        phase = self.phases[2][0]
        if phase.stride > 1 or phase.step > 1:
            return 0
        return max(s.outputs for s in self.spans(2, 0, self.output[2]))


def _strides(sizes: tuple[int, ...], pitch: int) -> Triple:
    """Elements between neighbours along each of three axes."""
    return sizes[1] * sizes[2] * pitch, sizes[2] * pitch, pitch


def _block(channels: int, most: int, lanes: int) -> int:
    """How many neighbouring pixels, at most so many, are taken as one."""

    def idle(pixels: int) -> float:
        return round_up(pixels * channels, lanes) / (pixels * channels)

    candidates = range(1, min(most, _BLOCK_VECTORS * lanes // channels) + 1)
    best = min(candidates, key=idle, default=1)
    return best if idle(best) < 0.85 * idle(1) else 1


def _blocks(pixels: int, block: int) -> list[tuple[int, int]]:
    """The sizes of what a span is cut into, and their numbers: blocks and, after them, single pixels."""
    cut = [(block, pixels // block), (1, pixels % block)]
    return [(size, number) for size, number in cut if number]


def _lines(way: _Way, axis: int, source: int, output: int, kernel: int) -> np.ndarray:
    """Rows ``output place, source place, weight's place, taps`` for each output along an axis."""
    table = np.zeros((way.output[axis], 4), np.int64)
    hop, step = way.hops[axis], way.phases[axis][0].step
    for span in way.spans(axis, 0, way.output[axis]):
        for i in range(span.outputs):
            out, at = span.place + i * step, span.source + (i * hop if span.taps else 0)
            table[out] = out * output, at * source, span.tap * kernel, span.taps
    return table


def _columns(
    way: _Way, begin: int, end: int, block: int, channels: int, out_channels: int
) -> Iterator[tuple[int, ...]]:
    """Spans of a piece of a row, blocks first: places as in `_lines`, taps, outputs, channels, steps.

    An output is a pixel or a block; the steps are those to the next one, in the source and in the output.
    """
    hop, step = way.hops[2], way.phases[2][0].step
    for place, outputs, at, tap, taps in way.spans(2, begin, end):
        for pixels, number in _blocks(outputs, block):
            steps = pixels * hop * channels, pixels * step * out_channels
            places = place * out_channels, at * channels, tap * block * channels
            yield *places, taps, number, pixels * channels, *steps
            place, at = place + number * pixels * step, at + number * pixels * hop


class WindowPlan(NamedTuple):
    """Forward pass or data gradient: rows of outputs, each a few spans of columns.

    Attributes:
        parts: how many parts the units (image, chunk of channels, plane, row, piece of a row) are cut into.
        head: elements of workspace that the bias and the weights take where they are repacked.
        slot: elements of workspace of each thread.
        tables: sizes, steps, and the tables of planes, rows, spans and pieces as the kernel takes them.

    """

    parts: int
    head: int
    slot: int
    tables: Flat


@functools.lru_cache(_PLANS)
def window_plan(dims: ConvDims, backward: bool, lanes: int) -> WindowPlan:
    """Plan the forward pass or the data gradient of a depthwise convolution of any rank."""
    way, multiplier = _Way(dims, backward), dims.c_out // dims.c_in
    channels, out_channels = (dims.c_out, dims.c_in) if backward else (dims.c_in, dims.c_out)
    block = _block(channels, way.longest() // PIXELS[0], lanes)
    width = block * channels
    source, output = _strides(way.source, channels), _strides(way.output, out_channels)
    kernel = _strides(way.k, width)
    slabs, lines = (_lines(way, axis, source[axis], output[axis], kernel[axis]) for axis in (0, 1))
    columns: list[tuple[int, ...]] = []
    pieces = []
    for begin, end in even(way.output[2], -(-way.output[2] * channels // _PIECE)):
        first = len(columns)
        columns += _columns(way, begin, end, block, channels, out_channels)
        pieces.append((first, len(columns)))

    rows = dims.n * len(slabs) * len(lines) * len(pieces)
    chunks = 1
    if block == multiplier == 1:
        chunks = max(1, min(channels // _CHUNK, -(-_UNITS // max(1, rows))))
    chunk = round_up(-(-width // chunks), VECTORS * lanes)
    chunks = -(-width // chunk)
    elements = dims.n * math.prod(way.output) * max(channels, out_channels)
    parts = min(rows * chunks, max(elements // _LARGE_GRAIN, min(_PARTS, elements // _GRAIN), 1))
    taps, planes = math.prod(way.k), 1 if backward else multiplier
    sizes = (
        dims.n, math.prod(way.source) * channels, math.prod(way.output) * out_channels, chunks, chunk,
        planes, multiplier, taps, channels, block,
    )  # fmt: skip
    x_steps = tuple(phases[0].dilation * s for phases, s in zip(way.phases, source, strict=True))
    w_steps = tuple(step * s for step, s in zip(way.tap_steps, kernel, strict=True))
    tables = Flat((sizes, x_steps, w_steps, slabs, lines, integers(columns, 8), integers(pieces, 2)))
    head = round_up(planes * (taps + 1) * width, lanes) if block > 1 or planes > 1 else 0
    return WindowPlan(parts, head, round_up(PIXELS[0] * width, lanes) if multiplier > 1 else 0, tables)


class TapPlan(NamedTuple):
    """Weight gradient: boxes of outputs that meet the same taps, and copies that are summed into.

    Attributes:
        parts: parts of the boxes' sums, by splits and chunks of channels.
        head: elements of workspace of all copies; 0 where the sums go to the gradient at once.
        slot: elements of workspace of each thread.
        tables: sizes, steps, and the tables of boxes, taps and cuts as the kernel takes them.

    """

    parts: int
    head: int
    slot: int
    tables: Flat


def _cut(spans: list[Span], most: int, stride: int) -> list[Span]:
    """Cut spans such that none has more than so many outputs."""
    return [
        s._replace(place=s.place + a, outputs=b - a, source=s.source + a * stride)
        for s in spans
        if s.taps
        for a, b in even(s.outputs, -(-s.outputs // max(1, most)))
    ]


def _even_cuts(weights: list[int], images: int, parts: int) -> list[int]:
    """The bounds of parts of about equal weight of all images' boxes, whose weights are given for one."""
    ends = list(itertools.accumulate(weights))
    total, cuts = ends[-1] if ends else 0, []
    for i in range(parts + 1):
        image, rest = divmod(total * images * i // parts, max(1, total))
        cuts.append(image * len(weights) + bisect.bisect_left(ends, rest) if rest else image * len(weights))
    return cuts


class _Boxes:
    """The boxes of an image's outputs, and the lists of taps that they meet."""

    def __init__(self, way: _Way, channels: int, out_channels: int, block: int) -> None:
        self.rows: list[
            tuple[int, ...]
        ] = []  # places in x and dy, outputs by axis, taps, channels, step in x
        self.taps: list[tuple[int, int]] = []  # each tap's place from the first, and that of its sum
        self.sizes: list[int] = []  # in pixels
        self._lists: dict[tuple[Sizes, Sizes], tuple[int, int]] = {}
        source, output = _strides(way.source, channels), _strides(way.output, out_channels)
        self._kernel = _strides(way.k, block * channels)
        self._steps = [phases[0].dilation * s for phases, s in zip(way.phases, source, strict=True)]
        _, h, w = way.output
        size = min(_BOX, max(_LEAST_BOX, _BOX_ELEMENTS // channels))
        most = max(1, size // (h * w)), max(1, size // w), size
        axes = [_cut(way.spans(a, 0, way.output[a]), most[a], way.hops[a]) for a in range(3)]
        for box in itertools.product(*axes):
            taps = self._list(tuple(s.tap for s in box), tuple(s.taps for s in box))
            x0 = sum(s.source * e for s, e in zip(box, source, strict=True))
            y0 = sum(s.place * e for s, e in zip(box, output, strict=True))
            planes, rows, columns = (s.outputs for s in box)
            for pixels, number in _blocks(columns, block):
                step = pixels * way.hops[2] * channels
                self.rows.append((x0, y0, planes, rows, number, *taps, pixels * channels, step))
                self.sizes.append(planes * rows * number * pixels)
                x0, y0 = x0 + number * step, y0 + number * pixels * out_channels

    def _list(self, first: Sizes, many: Sizes) -> tuple[int, int]:
        """Where in ``taps`` those from the first on are listed."""
        if (first, many) not in self._lists:
            begin = len(self.taps)
            for number in np.ndindex(*many):
                at = sum(n * s for n, s in zip(number, self._steps, strict=True))
                home = sum((f + n) * k for f, n, k in zip(first, number, self._kernel, strict=True))
                self.taps.append((at, home))
            self._lists[first, many] = begin, len(self.taps)
        return self._lists[first, many]


@functools.lru_cache(_PLANS)
def tap_plan(dims: ConvDims, lanes: int, threads: int) -> TapPlan:
    """Plan the weight gradient of a depthwise convolution of any rank; sums are cut by sizes alone."""
    way, channels, multiplier = _Way(dims, False), dims.c_in, dims.c_out // dims.c_in
    block = _block(channels, way.longest() // 2, lanes)
    width = block * channels
    boxes = _Boxes(way, channels, dims.c_out, block)
    source, output = _strides(way.source, channels), _strides(way.output, dims.c_out)

    copy = multiplier * math.prod(way.k) * width
    pixels = dims.n * math.prod(way.output)
    splits = max(1, min(_SPLITS, pixels // _SPLIT_PIXELS, _SPLIT_ELEMENTS // copy))
    chunks = 1
    if block == 1 and splits % threads and splits < 4 * threads:
        chunks = max(1, min(channels // _CHUNK, 4 * threads // splits))
    chunk = round_up(-(-width // chunks), VECTORS * lanes)
    chunks = -(-width // chunk)
    sizes = (
        math.prod(way.source) * channels, math.prod(way.output) * dims.c_out, splits, chunks, chunk,
        multiplier, math.prod(way.k), channels, block,
    )  # fmt: skip
    x_steps = way.hops[0] * source[0], way.hops[1] * source[1]
    cuts = integers(_even_cuts(boxes.sizes, dims.n, splits))
    tables = Flat((sizes, x_steps, output, integers(boxes.rows, 9), integers(boxes.taps, 2), cuts))
    head = 0 if splits == block == multiplier == 1 else round_up(splits * copy, lanes)
    slot = round_up(max(boxes.sizes, default=0) * dims.c_out, lanes) if multiplier > 1 else 0
    return TapPlan(splits * chunks, head, slot, tables)

"""Where pooling windows lie, axis by axis: regular ones, and those placed one by one.

A pooling window is a box, so each axis has windows of its own: which pixels the taps of output ``o`` meet
along that axis.  Regular windows come from `PoolDims`; adaptive and fractional ones are lists of first
pixels and sizes, a `WindowDims`.  Kernels see both as `Axis` tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import floor, isfinite
from typing import Any, NamedTuple

from numbacnn._sizes import Ints, Sizes, frozen, input_extents, per_axis
from numbacnn.dims import PoolDims
from numbacnn.errors import ArgumentError, ShapeError, message

__all__ = ["Axis", "PoolGeometry", "Span", "WindowDims", "axes", "fractional_starts", "scaled_size"]

_CACHED = 4096


class Span(NamedTuple):
    """The window of one output along one axis, without its padding."""

    start: int  # the first pixel that a tap meets
    taps: int  # those that meet a pixel, neighbours `dilation` pixels apart; 1 or more
    first: int  # taps before them, in the low padding
    padded: int  # taps that meet a pixel or the padding, which in ceil mode may be fewer than all


class Axis(NamedTuple):
    """The windows along one axis."""

    size: int  # pixels of the input
    dilation: int  # pixels between neighbouring taps
    stride: int  # pixels between windows; 0 where that varies
    spans: tuple[Span, ...]  # one per output


@dataclass(frozen=True)
class WindowDims:
    """The sizes of one pooling whose windows, boxes of neighbouring pixels, are placed one by one.

    Make it with `WindowDims.adaptive` or `WindowDims.fractional`, which validate.

    Attributes:
        n: batch size; 0 is allowed.
        c: channels, each pooled by itself.
        in_: input pixels per spatial axis.
        starts_: per axis, the first pixel of each output's window; they never decrease.
        counts_: per axis, the pixels of each output's window, 1 or more.

    """

    n: int
    c: int
    in_: Sizes
    starts_: tuple[Sizes, ...]
    counts_: tuple[Sizes, ...]

    @property
    def rank(self) -> int:
        """Number of spatial axes, 1 to 3."""
        return len(self.in_)

    @cached_property
    def out_(self) -> Sizes:
        """Output pixels per axis."""
        return tuple(len(starts) for starts in self.starts_)

    @cached_property
    def input_shape(self) -> Sizes:
        """``(n, *in, c)``."""
        return (self.n, *self.in_, self.c)

    @cached_property
    def output_shape(self) -> Sizes:
        """``(n, *out, c)``."""
        return (self.n, *self.out_, self.c)

    @cached_property
    def _hash(self) -> int:
        return hash((self.input_shape, self.starts_, self.counts_))

    def __hash__(self) -> int:
        return self._hash  # kept, as plans are looked up by dims at each call

    @classmethod
    def adaptive(cls, x_shape: Sequence[int], output_size: Ints, name: str = "adaptive_pool") -> WindowDims:
        """Windows of output ``i``: the pixels ``floor(i in / out)`` to ``ceil((i + 1) in / out) - 1``.

        Args:
            x_shape: ``(n, *in, c)`` with 1 to 3 spatial axes.
            output_size: outputs, one number for all axes or one per axis; more than pixels are allowed.
            name: the layer or operation that errors name.

        Returns:
            The validated dims; equal arguments give the same object.

        Raises:
            ShapeError: the rank or extents do not fit.
            ArgumentError: the output's size is no positive integer.

        """
        return _adaptive(frozen(x_shape), frozen(output_size), name)

    @classmethod
    def fractional(
        cls,
        x_shape: Sequence[int],
        output_size: Ints,
        samples: Sequence[float],
        kernel: Ints | None = None,
        name: str = "fractional_pool",
    ) -> WindowDims:
        """Windows that start where a pseudo-random sequence of steps leads, see `fractional_starts`.

        Args:
            x_shape: ``(n, *in, c)`` with 1 to 3 spatial axes.
            output_size: outputs, one number for all axes or one per axis.
            samples: per axis a number u, at least 0 and below 1.
            kernel: pixels of a window, which may overlap its neighbour or leave a gap; None for disjoint
                windows that end where the next begins and so tile the input.
            name: the layer or operation that errors name.

        Returns:
            The validated dims; equal arguments give the same object.

        Raises:
            ShapeError: the rank or extents do not fit, or the outputs are more than the windows' places.
            ArgumentError: sizes are no positive integers, or samples lie outside their range.

        """
        return _fractional(frozen(x_shape), frozen(output_size), frozen(samples), frozen(kernel), name)


PoolGeometry = PoolDims | WindowDims


def fractional_starts(size: int, out: int, sample: float, kernel: int | None) -> Sizes:
    """``s_i = floor((i + u) a) - floor(u a)``: the first pixels of fractional windows along an axis.

    With a kernel of k pixels ``a = (in - k) / (out - 1)`` and the last window starts at ``in - k``; with
    None, for disjoint windows, ``a = in / out``. Steps between windows are ``floor(a)`` or ``ceil(a)``.

    Source:
        Graham, "Fractional Max-Pooling", arXiv:1412.6071, section 2, the pseudo-random sequence, with
        floors in the place of ceilings.

    """
    u, whole = sample.as_integer_ratio()  # exact: rounded products could give an empty window
    span, steps = (size, out) if kernel is None else (size - kernel, max(1, out - 1))
    first = u * span // (whole * steps)
    starts = tuple((i * whole + u) * span // (whole * steps) - first for i in range(steps))
    return starts if kernel is None else (*starts[: out - 1], size - kernel)


@lru_cache(_CACHED, typed=True)
def _adaptive(x_shape: Sizes, output_size: Any, name: str) -> WindowDims:
    n, *in_, c = input_extents(name, x_shape)
    out_ = per_axis(name, "output_size", output_size, len(in_))
    starts = tuple(tuple(i * size // out for i in range(out)) for size, out in zip(in_, out_, strict=True))
    ends = (tuple(-(-(i + 1) * size // out) for i in range(out)) for size, out in zip(in_, out_, strict=True))
    counts = (tuple(b - a for a, b in zip(*pair, strict=True)) for pair in zip(starts, ends, strict=True))
    return WindowDims(n, c, tuple(in_), starts, tuple(counts))


@lru_cache(_CACHED, typed=True)
def _fractional(x_shape: Sizes, output_size: Any, samples: Any, kernel: Any, name: str) -> WindowDims:
    n, *in_, c = input_extents(name, x_shape)
    rank = len(in_)
    out_ = per_axis(name, "output_size", output_size, rank)
    k_ = (None,) * rank if kernel is None else per_axis(name, "kernel", kernel, rank)
    _require_samples(name, samples, rank)
    for size, out, k in zip(in_, out_, k_, strict=True):
        most = size if k is None else size - k + 1
        if out > most:
            got = f"an input {tuple(in_)} for outputs {out_} of windows {kernel}"
            raise ShapeError(
                message(name, "at most one output per place of a window", got, "ask for fewer outputs")
            )
    starts, counts = [], []
    for size, out, k, sample in zip(in_, out_, k_, samples, strict=True):
        first = fractional_starts(size, out, float(sample), k)
        starts.append(first)
        ends = (*first[1:], size)
        counts.append((k,) * out if k is not None else tuple(b - a for a, b in zip(first, ends, strict=True)))
    return WindowDims(n, c, tuple(in_), tuple(starts), tuple(counts))


def _require_samples(name: str, samples: Any, rank: int) -> None:
    """ArgumentError where the samples are not one number from 0 to below 1 per axis."""
    try:
        right = len(samples) == rank and all(isfinite(u) and 0.0 <= u < 1.0 for u in samples)
    except TypeError:
        right = False
    if not right:
        expected = f"samples as {rank} numbers from 0 to below 1"
        raise ArgumentError(message(name, expected, repr(samples), "pass such as rng.random(rank)"))


def _regular(size: int, k: int, stride: int, dilation: int, lo: int, hi: int, out: int) -> Axis:
    spans = []
    for o in range(out):
        start = o * stride - lo
        first = max(0, -(start // dilation))
        end = min(k, (size - 1 - start) // dilation + 1)
        padded = min(k, (size + hi - 1 - start) // dilation + 1)
        spans.append(Span(start + first * dilation, end - first, first, padded))
    return Axis(size, dilation, stride, tuple(spans))


@lru_cache(_CACHED)
def axes(dims: PoolGeometry) -> tuple[Axis, ...]:
    """The windows along each spatial axis."""
    if isinstance(dims, WindowDims):
        irregular = zip(dims.in_, dims.starts_, dims.counts_, strict=True)
        return tuple(
            Axis(size, 1, 0, tuple(Span(a, k, 0, k) for a, k in zip(starts, counts, strict=True)))
            for size, starts, counts in irregular
        )
    regular = zip(
        dims.in_, dims.k_, dims.stride_, dims.dilation_, dims.pad_lo_, dims.pad_hi_, dims.out_, strict=True
    )
    return tuple(_regular(*axis) for axis in regular)


def scaled_size(name: str, in_: Sizes, ratio: float | Sequence[float]) -> Sizes:
    """``floor(in ratio)`` per axis, for ratios above 0 and at most 1, one for all axes or one per axis."""
    each = frozen(ratio)
    ratios = each if isinstance(each, tuple) else (each,) * len(in_)
    if len(ratios) != len(in_) or not all(
        isinstance(r, (int, float)) and isfinite(r) and 0.0 < r <= 1.0 for r in ratios
    ):
        expected = f"output_ratio as one number or {len(in_)}, each above 0 and at most 1"
        raise ArgumentError(message(name, expected, repr(ratio), "pass such as output_ratio=0.7"))
    return tuple(max(1, floor(size * r)) for size, r in zip(in_, ratios, strict=True))

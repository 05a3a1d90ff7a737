"""The geometry of convolution and pooling, in this one place: 1 to 3 spatial axes, channels last.

Output pixel ``o`` of an axis reads the input pixels ``o * stride - pad_lo + tap * dilation`` for
``tap = 0 .. k - 1``; those below 0 or at and above ``in`` lie in the padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import prod
from typing import Any

from numbacnn._sizes import (
    Ints,
    Padding,
    Pairs,
    Sizes,
    extents,
    frozen,
    input_extents,
    integer,
    output_size,
    pad_pairs,
    pads,
    per_axis,
    spans,
    spatial_shape,
)
from numbacnn.errors import ArgumentError, ShapeError, message

__all__ = ["ConvDims", "Ints", "Padding", "Pairs", "PoolDims", "Sizes", "pad_pairs", "spatial_shape"]

_CACHED = 4096  # geometries remembered: far more than the layers of a model times its batch sizes


class _Window:
    """What convolution and pooling share: a window of taps that moves over the spatial axes."""

    in_: Sizes
    k_: Sizes
    stride_: Sizes
    dilation_: Sizes
    pad_lo_: Sizes
    pad_hi_: Sizes

    @property
    def rank(self) -> int:
        """Number of spatial axes, 1 to 3."""
        return len(self.in_)

    @cached_property
    def span_(self) -> Sizes:
        """Pixels from the first to the last tap, both included: ``(k - 1) * dilation + 1`` per axis."""
        return spans(self.k_, self.dilation_)

    @cached_property
    def out_(self) -> Sizes:
        """Output pixels per axis: ``floor((in + pad_lo + pad_hi - span) / stride) + 1``."""
        return tuple(
            (i + lo + hi - span) // s + 1
            for i, lo, hi, span, s in zip(
                self.in_, self.pad_lo_, self.pad_hi_, self.span_, self.stride_, strict=True
            )
        )


@dataclass(frozen=True)
class ConvDims(_Window):
    """The sizes and geometry of one convolution. Make it with `ConvDims.of`, which validates.

    Attributes:
        n: batch size; 0 is allowed.
        c_in: input channels.
        c_out: output channels.
        in_: input pixels per spatial axis.
        k_: kernel taps per axis.
        stride_: input pixels between neighbouring outputs, per axis.
        dilation_: input pixels between neighbouring taps, per axis.
        pad_lo_: zeros before the first pixel, per axis.
        pad_hi_: zeros after the last pixel, per axis; negative, as `transposed` may have it, where so many
            of the last pixels are not read.
        groups: groups of channels; output channels of a group read the input channels of that group only.

    """

    n: int
    c_in: int
    c_out: int
    in_: Sizes
    k_: Sizes
    stride_: Sizes
    dilation_: Sizes
    pad_lo_: Sizes
    pad_hi_: Sizes
    groups: int

    @cached_property
    def input_shape(self) -> Sizes:
        """``(n, *in, c_in)``."""
        return (self.n, *self.in_, self.c_in)

    @cached_property
    def kernel_shape(self) -> Sizes:
        """``(*k, c_in / groups, c_out)``."""
        return (*self.k_, self.c_in // self.groups, self.c_out)

    @cached_property
    def output_shape(self) -> Sizes:
        """``(n, *out, c_out)``."""
        return (self.n, *self.out_, self.c_out)

    @cached_property
    def macs(self) -> int:
        """Multiply-adds of one pass, those with padding counted."""
        return self.n * prod(self.out_) * prod(self.kernel_shape)

    @cached_property
    def _hash(self) -> int:
        return hash((self.input_shape, self.kernel_shape, self.stride_, self.dilation_, self.pad_lo_))

    def __hash__(self) -> int:
        return self._hash  # kept, as plans are looked up by dims at each call

    @classmethod
    def of(
        cls,
        x_shape: Sequence[int],
        w_shape: Sequence[int],
        stride: Ints = 1,
        padding: Padding = "valid",
        dilation: Ints = 1,
        groups: int = 1,
        name: str = "conv",
    ) -> ConvDims:
        """Dims of the convolution of an input by a kernel; equal arguments give the same object.

        Args:
            x_shape: ``(n, *in, c_in)`` with 1 to 3 spatial axes.
            w_shape: ``(*k, c_in / groups, c_out)``.
            stride: one for all axes or one per axis, 1 or more.
            padding: ``"valid"`` (none), ``"same"`` (``out = ceil(in / stride)``, the odd pixel at the high
                end), ``"causal"`` (of one axis: ``(k - 1) dilation`` at the low end, so that no output sees
                what comes after it), pixels for all ends, per axis, or a pair ``(low, high)`` per axis.
            dilation: one for all axes or one per axis, 1 or more.
            groups: divides both ``c_in`` and ``c_out``.
            name: the layer or operation that errors name.

        Returns:
            The validated dims.

        Raises:
            ShapeError: ranks, channels or extents do not fit.
            ArgumentError: stride, padding, dilation or groups are outside their domain.

        """
        try:
            return _conv_dims(x_shape, w_shape, stride, padding, dilation, groups, name)
        except TypeError:  # lists cannot be looked up; ours are ValueErrors, so nothing else lands here
            return _conv_dims(*map(frozen, (x_shape, w_shape, stride, padding, dilation)), groups, name)

    @classmethod
    def transposed(
        cls,
        x_shape: Sequence[int],
        w_shape: Sequence[int],
        stride: Ints = 1,
        padding: Padding = "valid",
        output_padding: Ints = 0,
        output_shape: Ints | None = None,
        dilation: Ints = 1,
        groups: int = 1,
        name: str = "conv_transpose",
    ) -> ConvDims:
        """Dims of the convolution whose data gradient is the transposed convolution of an input by a kernel.

        The transposed convolution's input is that convolution's output, and its output that one's input:
        ``out = (in - 1) stride - pads + (k - 1) dilation + 1 + output_padding``.

        Args:
            x_shape: ``(n, *in, c_in)`` with 1 to 3 spatial axes.
            w_shape: ``(*k, c_out / groups, c_in)``.
            stride: output pixels between what neighbouring inputs add to, as in `of`.
            padding: pixels cut off at each end of the output: ``"valid"`` (none), ``"same"``
                (``out = in stride``), or numbers as in `of`.
            output_padding: pixels more at the high end, below the larger of stride and dilation; one for all
                axes or one per axis.
            output_shape: spatial sizes of the output, from which output_padding follows; or None.
            dilation: output pixels between neighbouring taps, as in `of`.
            groups: divides both channel counts.
            name: the layer or operation that errors name.

        Returns:
            The validated dims: ``input_shape`` is ``(n, *out, c_out)``, ``output_shape`` is x_shape.

        Raises:
            ShapeError: ranks or channels do not fit, padding leaves no output, or the output cannot have
                that shape.
            ArgumentError: an option is outside its domain, or output_padding is given where it follows.

        """
        sizes = (x_shape, w_shape, stride, padding, output_padding, output_shape, dilation)
        return _transposed_dims(*map(frozen, sizes), groups, name)


@dataclass(frozen=True)
class PoolDims(_Window):
    """The sizes and geometry of one pooling. Make it with `PoolDims.of`, which validates.

    Attributes:
        n: batch size; 0 is allowed.
        c: channels, each pooled by itself.
        in_, k_, stride_, dilation_, pad_lo_, pad_hi_: as in `ConvDims`; every window holds at least one
            pixel that is not padding.
        ceil_mode: whether a last window that reaches past the high padding counts as an output, cut there.

    """

    n: int
    c: int
    in_: Sizes
    k_: Sizes
    stride_: Sizes
    dilation_: Sizes
    pad_lo_: Sizes
    pad_hi_: Sizes
    ceil_mode: bool = False

    @cached_property
    def out_(self) -> Sizes:
        """Output pixels per axis: as in `ConvDims`; in ceil mode the quotient is rounded up.

        Then a window counts where it starts before the last pixel's end: none starts in the high padding.
        """
        axes = zip(self.in_, self.pad_lo_, self.pad_hi_, self.span_, self.stride_, strict=True)
        if self.ceil_mode:
            return tuple(
                min(-((span - i - lo - hi) // s), (i + lo - 1) // s) + 1 for i, lo, hi, span, s in axes
            )
        return tuple((i + lo + hi - span) // s + 1 for i, lo, hi, span, s in axes)

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
        return hash((self.input_shape, self.k_, self.stride_, self.dilation_, self.pad_lo_))

    def __hash__(self) -> int:
        return self._hash  # kept, as plans are looked up by dims at each call

    @classmethod
    def of(
        cls,
        x_shape: Sequence[int],
        kernel: Ints,
        stride: Ints | None = None,
        padding: Padding = "valid",
        dilation: Ints = 1,
        name: str = "pool",
        ceil_mode: bool = False,
    ) -> PoolDims:
        """Dims of the pooling of an input; equal arguments give the same object.

        Args:
            x_shape: ``(n, *in, c)`` with 1 to 3 spatial axes.
            kernel: taps of the window, one for all axes or one per axis.
            stride: as in `ConvDims.of`; None for the kernel's size, so that windows tile the input.
            padding: as in `ConvDims.of`.
            dilation: as in `ConvDims.of`.
            name: the layer or operation that errors name.
            ceil_mode: keep a last window that reaches past the high padding, if it starts before that.

        Returns:
            The validated dims.

        Raises:
            ShapeError: ranks or extents do not fit, or a window holds nothing but padding.
            ArgumentError: kernel, stride, padding or dilation are outside their domain.

        """
        try:
            return _pool_dims(x_shape, kernel, stride, padding, dilation, name, ceil_mode)
        except TypeError:
            return _pool_dims(*map(frozen, (x_shape, kernel, stride, padding, dilation)), name, ceil_mode)


def _require_groups(name: str, groups: Any, channels: int, which: str) -> None:
    """ArgumentError where groups do not divide the channels."""
    if (integer(groups) or 0) < 1 or channels % groups:
        expected = f"groups that divide the {channels} {which} channels"
        raise ArgumentError(message(name, expected, repr(groups), "choose a common divisor of the channels"))


def _require_fit(name: str, dims: _Window) -> None:
    """ShapeError where no window fits into the padded input."""
    if min(dims.out_) < 1:
        padded = tuple(i + lo + hi for i, lo, hi in zip(dims.in_, dims.pad_lo_, dims.pad_hi_, strict=True))
        expected = f"a padded input of at least {dims.span_} pixels, which the kernel {dims.k_} spans"
        raise ShapeError(message(name, expected, str(padded), "pad more, or shrink kernel or dilation"))


def _require_pixels(name: str, dims: PoolDims) -> None:
    """ShapeError where some window holds nothing but padding, whose maximum and average do not exist."""
    for i, k, s, d, lo, out in zip(
        dims.in_, dims.k_, dims.stride_, dims.dilation_, dims.pad_lo_, dims.out_, strict=True
    ):
        for o in range(out):
            start = o * s - lo
            first = max(0, -(start // d))  # first tap at or past pixel 0
            if first >= k or start + first * d >= i:
                expected = f"windows that each hold a pixel of the input {dims.in_}"
                got = f"padding {dims.pad_lo_} and {dims.pad_hi_} around a kernel {dims.k_}"
                raise ShapeError(message(name, expected, got, "pad less, or use a larger kernel"))


@lru_cache(_CACHED, typed=True)
def _conv_dims(
    x_shape: Sizes,
    w_shape: Sizes,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
    name: str,
) -> ConvDims:
    n, *in_, c_in = input_extents(name, x_shape)
    rank = len(in_)
    layout = "a kernel (*k, c_in / groups, c_out)"
    *k_, c_group, c_out = extents(name, layout, w_shape, (1,) * (rank + 2))
    stride_ = per_axis(name, "stride", stride, rank)
    dilation_ = per_axis(name, "dilation", dilation, rank)
    _require_groups(name, groups, c_out, "output")
    if c_group * groups != c_in:
        expected = f"{c_group * groups} input channels, by the kernel {tuple(w_shape)} in {groups} groups"
        got = f"{c_in} in {tuple(x_shape)}"
        raise ShapeError(message(name, expected, got, "make the channels agree; they come last"))
    pad_lo_, pad_hi_ = pads(name, padding, tuple(in_), spans(k_, dilation_), stride_)
    dims = ConvDims(n, c_in, c_out, tuple(in_), tuple(k_), stride_, dilation_, pad_lo_, pad_hi_, groups)
    _require_fit(name, dims)
    return dims


@lru_cache(_CACHED, typed=True)
def _transposed_dims(
    x_shape: Sizes,
    w_shape: Sizes,
    stride: Any,
    padding: Any,
    output_padding: Any,
    output_shape: Any,
    dilation: Any,
    groups: int,
    name: str,
) -> ConvDims:
    n, *in_, c_in = input_extents(name, x_shape)
    rank = len(in_)
    *k_, c_group, c_kernel = extents(name, "a kernel (*k, c_out / groups, c_in)", w_shape, (1,) * (rank + 2))
    stride_ = per_axis(name, "stride", stride, rank)
    dilation_ = per_axis(name, "dilation", dilation, rank)
    if c_kernel != c_in:
        expected = f"{c_kernel} input channels, by the kernel {tuple(w_shape)}"
        got = f"{c_in} in {tuple(x_shape)}"
        raise ShapeError(message(name, expected, got, "make the channels agree; they come last"))
    _require_groups(name, groups, c_in, "input")
    if padding == "causal":
        expected = 'padding "valid", "same" or sizes'
        raise ArgumentError(message(name, expected, repr(padding), "pass one of these"))
    span_, axes = spans(k_, dilation_), tuple(zip(in_, stride_, strict=True))
    full = [(i - 1) * s + span for (i, s), span in zip(axes, span_, strict=True)]
    if padding == "same":  # any size of which the strided convolution leaves the input's
        least, most = tuple((i - 1) * s + 1 for i, s in axes), tuple(s - 1 for s in stride_)
        shape = tuple(i * s for i, s in axes) if output_shape is None else output_shape
        out = output_size(name, least, most, output_padding, shape)
        lo_, hi_ = pads(name, padding, out, span_, stride_)
    else:
        lo_, hi_ = pads(name, padding, tuple(in_), span_, stride_)
        least = tuple(f - lo - hi for f, lo, hi in zip(full, lo_, hi_, strict=True))
        most = tuple(max(s, d) - 1 for s, d in zip(stride_, dilation_, strict=True))
        out = output_size(name, least, most, output_padding, output_shape)
    past = (o + lo + hi - f for o, lo, hi, f in zip(out, lo_, hi_, full, strict=True))
    # Pixels past a whole stride are left unread, so that the convolution of the output has the input's size.
    hi_ = tuple(hi - p // s * s for hi, p, s in zip(hi_, past, stride_, strict=True))
    return ConvDims(n, c_group * groups, c_in, out, tuple(k_), stride_, dilation_, lo_, hi_, groups)


@lru_cache(_CACHED, typed=True)
def _pool_dims(
    x_shape: Sizes, kernel: Any, stride: Any, padding: Any, dilation: Any, name: str, ceil_mode: bool
) -> PoolDims:
    n, *in_, c = input_extents(name, x_shape)
    rank = len(in_)
    k_ = per_axis(name, "kernel", kernel, rank)
    stride_ = k_ if stride is None else per_axis(name, "stride", stride, rank)
    dilation_ = per_axis(name, "dilation", dilation, rank)
    pad_lo_, pad_hi_ = pads(name, padding, tuple(in_), spans(k_, dilation_), stride_)
    dims = PoolDims(n, c, tuple(in_), k_, stride_, dilation_, pad_lo_, pad_hi_, bool(ceil_mode))
    _require_fit(name, dims)
    _require_pixels(name, dims)
    return dims

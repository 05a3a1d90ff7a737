"""The geometry of convolution and pooling, in this one place: 1 to 3 spatial axes, channels last.

Output pixel ``o`` of an axis reads the input pixels ``o * stride - pad_lo + tap * dilation`` for
``tap = 0 .. k - 1``; those below 0 or at and above ``in`` lie in the padding.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import prod
from typing import Any

from numbacnn.errors import ArgumentError, ShapeError, message

Sizes = tuple[int, ...]
Ints = int | Sequence[int]
Padding = str | int | Sequence[int] | Sequence[tuple[int, int]]

_CACHED = 4096  # geometries remembered: far more than the layers of a model times its batch sizes


def _spans(k_: Sequence[int], dilation_: Sequence[int]) -> Sizes:
    return tuple((k - 1) * d + 1 for k, d in zip(k_, dilation_, strict=True))


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
        return _spans(self.k_, self.dilation_)

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
        pad_hi_: zeros after the last pixel, per axis.
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
                end), pixels for all ends, pixels per axis, or a pair ``(low, high)`` per axis.
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
            return _conv_dims(*map(_frozen, (x_shape, w_shape, stride, padding, dilation)), groups, name)


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
            return _pool_dims(*map(_frozen, (x_shape, kernel, stride, padding, dilation)), name, ceil_mode)


@dataclass(frozen=True)
class ReceptiveField:
    """What an output pixel of a stack of layers sees of the input, per axis.

    Output pixel ``o`` sees the input pixels ``offset + o * stride`` to ``offset + o * stride + size - 1``.

    Attributes:
        size: pixels seen.
        stride: input pixels between the fields of neighbouring outputs.
        offset: first pixel seen by output 0; negative where that lies in the padding.

    """

    size: Sizes
    stride: Sizes
    offset: Sizes


def receptive_field(layers: Iterable[ConvDims | PoolDims | tuple[Ints, Ints, Ints, Ints]]) -> ReceptiveField:
    """``size = 1 + sum((span_l - 1) S_l)``, ``offset = -sum(pad_lo_l S_l)``, ``S_l = prod(stride_m, m < l)``.

    Args:
        layers: from the input on, each a ConvDims, a PoolDims, or ``(k, stride, dilation, pad_lo)`` with one
            integer for all axes or one per axis.

    Returns:
        Size, total stride and offset in input pixels. One axis where only integers are given.

    Raises:
        ShapeError: the layers differ in their number of axes.

    Source:
        Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural Networks", Distill 2019.

    """
    rows = [
        (layer.k_, layer.stride_, layer.dilation_, layer.pad_lo_) if isinstance(layer, _Window) else layer
        for layer in layers
    ]
    ranks = {len(v) for row in rows for v in row if not isinstance(v, int)}
    if len(ranks) > 1:
        got = f"layers with {sorted(ranks)}"
        raise ShapeError(message("receptive_field", "one number of spatial axes", got, "stack one rank only"))
    rank = ranks.pop() if ranks else 1
    size, stride, offset = [1] * rank, [1] * rank, [0] * rank
    for row in rows:
        per_axis = zip(*((v,) * rank if isinstance(v, int) else v for v in row), strict=True)
        for axis, (k, s, d, lo) in enumerate(per_axis):
            size[axis] += (k - 1) * d * stride[axis]
            offset[axis] -= lo * stride[axis]
            stride[axis] *= s
    return ReceptiveField(tuple(size), tuple(stride), tuple(offset))


def _frozen(value: Any) -> Any:
    """The value with its sequences as tuples, so that it can be looked up."""
    if value is None or isinstance(value, (str, int)) or not isinstance(value, Iterable):
        return value
    return tuple(_frozen(v) for v in value)


def _integer(value: Any) -> int | None:
    return operator.index(value) if hasattr(value, "__index__") else None


def _extents(name: str, layout: str, shape: Sequence[int], least: Sizes) -> Sizes:
    """The shape as integers; ShapeError where its rank differs from `least` or an extent is below it."""
    sizes = tuple(_integer(v) for v in shape)
    whole = [v for v in sizes if v is not None]
    if len(whole) == len(sizes) == len(least) and all(map(operator.ge, whole, least)):
        return tuple(whole)
    expected = f"{layout} with {len(least) - 2} spatial axes and positive sizes"
    raise ShapeError(message(name, expected, str(tuple(shape)), "check the sizes; channels come last"))


def _input_extents(name: str, shape: Sequence[int]) -> Sizes:
    if not 3 <= len(shape) <= 5:
        expected = "an input (n, *spatial, channels) with 1 to 3 spatial axes"
        got = f"{len(shape)} axes, {tuple(shape)}"
        raise ShapeError(message(name, expected, got, "add the batch or channel axis, or reshape"))
    return _extents(name, "an input (n, *spatial, channels)", shape, (0, *[1] * (len(shape) - 1)))


def _per_axis(name: str, what: str, value: Any, rank: int) -> Sizes:
    """One positive integer per axis, from one for all or one for each."""
    each = (value,) * rank if _integer(value) is not None else value
    values = tuple(_integer(v) for v in each) if isinstance(each, tuple) else ()
    if len(values) == rank and all(v is not None and v >= 1 for v in values):
        return values  # type: ignore[return-value]
    expected = f"{what} as one integer or {rank}, each 1 or more"
    raise ArgumentError(message(name, expected, repr(value), f"pass such as {what}={(2,) * rank}"))


def _pads(name: str, padding: Any, in_: Sizes, span_: Sizes, stride_: Sizes) -> tuple[Sizes, Sizes]:
    """Padding at the low and at the high end of each axis."""
    rank = len(in_)
    if padding == "valid":
        return (0,) * rank, (0,) * rank
    if padding == "same":
        total = [
            max((-(-i // s) - 1) * s + span - i, 0) for i, span, s in zip(in_, span_, stride_, strict=True)
        ]
        return tuple(t // 2 for t in total), tuple(t - t // 2 for t in total)
    each = (padding,) * rank if _integer(padding) is not None else padding
    pairs = [p if isinstance(p, tuple) else (p, p) for p in each] if isinstance(each, tuple) else []
    ends = [tuple(_integer(v) for v in pair) for pair in pairs]
    if len(ends) != rank or any(len(e) != 2 or any(v is None or v < 0 for v in e) for e in ends):
        expected = f'padding "valid", "same", or {rank} sizes or pairs (low, high) of 0 or more'
        raise ArgumentError(message(name, expected, repr(padding), "pass one of these; to crop, slice first"))
    return tuple(e[0] for e in ends), tuple(e[1] for e in ends)  # type: ignore[misc]


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
    n, *in_, c_in = _input_extents(name, x_shape)
    rank = len(in_)
    layout = "a kernel (*k, c_in / groups, c_out)"
    *k_, c_group, c_out = _extents(name, layout, w_shape, (1,) * (rank + 2))
    stride_ = _per_axis(name, "stride", stride, rank)
    dilation_ = _per_axis(name, "dilation", dilation, rank)
    if (_integer(groups) or 0) < 1 or c_out % groups:
        expected = f"groups that divide the {c_out} output channels"
        raise ArgumentError(message(name, expected, repr(groups), "choose a common divisor of the channels"))
    if c_group * groups != c_in:
        expected = f"{c_group * groups} input channels, by the kernel {tuple(w_shape)} in {groups} groups"
        got = f"{c_in} in {tuple(x_shape)}"
        raise ShapeError(message(name, expected, got, "make the channels agree; they come last"))
    pad_lo_, pad_hi_ = _pads(name, padding, tuple(in_), _spans(k_, dilation_), stride_)
    dims = ConvDims(n, c_in, c_out, tuple(in_), tuple(k_), stride_, dilation_, pad_lo_, pad_hi_, groups)
    _require_fit(name, dims)
    return dims


@lru_cache(_CACHED, typed=True)
def _pool_dims(
    x_shape: Sizes, kernel: Any, stride: Any, padding: Any, dilation: Any, name: str, ceil_mode: bool
) -> PoolDims:
    n, *in_, c = _input_extents(name, x_shape)
    rank = len(in_)
    k_ = _per_axis(name, "kernel", kernel, rank)
    stride_ = k_ if stride is None else _per_axis(name, "stride", stride, rank)
    dilation_ = _per_axis(name, "dilation", dilation, rank)
    pad_lo_, pad_hi_ = _pads(name, padding, tuple(in_), _spans(k_, dilation_), stride_)
    dims = PoolDims(n, c, tuple(in_), k_, stride_, dilation_, pad_lo_, pad_hi_, bool(ceil_mode))
    _require_fit(name, dims)
    _require_pixels(name, dims)
    return dims

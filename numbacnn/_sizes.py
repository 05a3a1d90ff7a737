"""Sizes as users pass them: one integer for all axes or one per axis, ends, shapes; checked here."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import Any

from numbacnn.errors import ArgumentError, ShapeError, message

Sizes = tuple[int, ...]
Ints = int | Sequence[int]
Pairs = tuple[tuple[int, int], ...]
Padding = str | int | Sequence[int] | Sequence[tuple[int, int]]


def frozen(value: Any) -> Any:
    """The value with its sequences as tuples, so that it can be looked up."""
    if value is None or isinstance(value, (str, int)) or not isinstance(value, Iterable):
        return value
    return tuple(frozen(v) for v in value)


def integer(value: Any) -> int | None:
    """The value as an integer, or None where it is none."""
    return operator.index(value) if hasattr(value, "__index__") else None


def extents(name: str, layout: str, shape: Sequence[int], least: Sizes) -> Sizes:
    """The shape as integers; ShapeError where its rank differs from `least` or an extent is below it."""
    sizes = tuple(integer(v) for v in shape)
    whole = [v for v in sizes if v is not None]
    if len(whole) == len(sizes) == len(least) and all(map(operator.ge, whole, least)):
        return tuple(whole)
    expected = f"{layout} with {len(least) - 2} spatial axes and positive sizes"
    raise ShapeError(message(name, expected, str(tuple(shape)), "check the sizes; channels come last"))


def input_extents(name: str, shape: Sequence[int]) -> Sizes:
    """The shape of an input of 1 to 3 spatial axes as integers, or ShapeError."""
    if not 3 <= len(shape) <= 5:
        expected = "an input (n, *spatial, channels) with 1 to 3 spatial axes"
        got = f"{len(shape)} axes, {tuple(shape)}"
        raise ShapeError(message(name, expected, got, "add the batch or channel axis, or reshape"))
    return extents(name, "an input (n, *spatial, channels)", shape, (0, *[1] * (len(shape) - 1)))


def per_axis(name: str, what: str, value: Any, rank: int, least: int = 1) -> Sizes:
    """One integer per axis, `least` or more, from one for all or one for each."""
    each = (value,) * rank if integer(value) is not None else value
    values = tuple(integer(v) for v in each) if isinstance(each, tuple) else ()
    if len(values) == rank and all(v is not None and v >= least for v in values):
        return values  # type: ignore[return-value]
    expected = f"{what} as one integer or {rank}, each {least} or more"
    raise ArgumentError(message(name, expected, repr(value), f"pass such as {what}={(2,) * rank}"))


def pairs(padding: Any, rank: int) -> Pairs | None:
    """A pair of sizes per axis, from one size, one per axis or pairs; None where it is something else."""
    each = (padding,) * rank if integer(padding) is not None else padding
    ends = [p if isinstance(p, tuple) else (p, p) for p in each] if isinstance(each, tuple) else []
    ends = [tuple(integer(v) for v in pair) for pair in ends]
    if len(ends) != rank or any(len(e) != 2 or any(v is None or v < 0 for v in e) for e in ends):
        return None
    return tuple(ends)  # type: ignore[arg-type]


def spans(k_: Sequence[int], dilation_: Sequence[int]) -> Sizes:
    """Pixels from the first to the last tap, both included, per axis."""
    return tuple((k - 1) * d + 1 for k, d in zip(k_, dilation_, strict=True))


def spatial_shape(shape: Sequence[int], name: str) -> Sizes:
    """The shape ``(n, *spatial, c)`` as integers; ShapeError but for 1 to 3 spatial axes, none empty."""
    return input_extents(name, shape)


def pad_pairs(padding: int | Sequence[int] | Sequence[tuple[int, int]], rank: int, name: str) -> Pairs:
    """The pixels to add at both ends of each axis, as pairs.

    Args:
        padding: pixels for all ends, pixels per axis, or a pair ``(low, high)`` per axis; none negative.
        rank: spatial axes.
        name: the layer or operation that errors name.

    Returns:
        A pair ``(low, high)`` per axis.

    Raises:
        ArgumentError: the padding is none of these.

    """
    ends = pairs(frozen(padding), rank)
    if ends is None:
        expected = f"padding of {rank} sizes or pairs (low, high) of 0 or more"
        raise ArgumentError(message(name, expected, repr(padding), "pass one of these; to crop, slice"))
    return ends


def pads(name: str, padding: Any, in_: Sizes, span_: Sizes, stride_: Sizes) -> tuple[Sizes, Sizes]:
    """Padding at the low and at the high end of each axis."""
    rank = len(in_)
    if padding == "valid":
        return (0,) * rank, (0,) * rank
    if padding == "same":
        total = [
            max((-(-i // s) - 1) * s + span - i, 0) for i, span, s in zip(in_, span_, stride_, strict=True)
        ]
        return tuple(t // 2 for t in total), tuple(t - t // 2 for t in total)
    if padding == "causal" and rank == 1:
        return (span_[0] - 1,), (0,)
    ends = pairs(padding, rank)
    if ends is None:
        causal = ', "causal"' * (rank == 1)
        expected = f'padding "valid", "same"{causal}, or {rank} sizes or pairs (low, high) of 0 or more'
        raise ArgumentError(message(name, expected, repr(padding), "pass one of these; to crop, slice first"))
    return tuple(e[0] for e in ends), tuple(e[1] for e in ends)


def output_size(name: str, base: Sizes, most: Sizes, padding: Any, shape: Any) -> Sizes:
    """The spatial sizes of a transposed convolution's output: `base`, and up to `most` pixels more."""
    if shape is None:
        extra = per_axis(name, "output_padding", padding, len(base), least=0)
        if any(map(operator.gt, extra, most)):
            expected = f"output_padding below the larger of stride and dilation, at most {most}"
            raise ArgumentError(message(name, expected, repr(padding), "give less, or pad less"))
        sizes = tuple(map(operator.add, base, extra))
        if min(sizes) < 1:
            expected = "padding that leaves some output"
            raise ShapeError(message(name, expected, f"an output of {sizes} pixels", "pad less"))
        return sizes
    if padding not in (0, (0,) * len(base)):
        expected = 'no output_padding beside output_shape or padding "same"'
        raise ArgumentError(message(name, expected, repr(padding), "leave one of them out"))
    sizes = per_axis(name, "output_shape", shape, len(base))
    if any(not low <= size <= low + more for low, size, more in zip(base, sizes, most, strict=True)):
        highest = tuple(map(operator.add, base, most))
        expected = f"output_shape from {base} to {highest}"
        raise ShapeError(message(name, expected, str(sizes), "change it, or stride, kernel or padding"))
    return sizes

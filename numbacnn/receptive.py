"""What a pixel of a stack of layers sees of the input."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import NamedTuple

from numbacnn.dims import ConvDims, Ints, PoolDims, Sizes
from numbacnn.errors import ArgumentError, ShapeError, message

Number = int | Fraction
Numbers = tuple[Number, ...]


@dataclass(frozen=True)
class ReceptiveField:
    """What an output pixel of a stack of layers sees of the input, per axis.

    Output pixel ``o`` sees the input pixels ``offset + o * stride`` to ``offset + o * stride + size - 1``.
    Where the stack enlarges the input, neighbouring outputs may see the same pixels: the field then is one
    that holds what each of them sees, and where ``offset + o * stride`` is no whole number it is rounded up.

    Attributes:
        size: pixels of the field.
        stride: input pixels between the fields of neighbouring outputs; a Fraction where no whole number.
        offset: first pixel seen by output 0; negative where that lies in the padding.

    """

    size: Numbers
    stride: Numbers
    offset: Numbers

    @property
    def rank(self) -> int:
        """Number of spatial axes."""
        return len(self.size)

    def then(self, after: ReceptiveField) -> ReceptiveField:
        """The field of a layer behind the stack, from its field in the stack's output."""
        mine = tuple(zip(self.size, self.stride, self.offset, strict=True))
        axes = tuple(zip(mine, after.size, after.stride, after.offset, strict=True))
        return ReceptiveField(
            tuple(size + (k - 1) * stride for (size, stride, _), k, _, _ in axes),
            tuple(stride * s for (_, stride, _), _, s, _ in axes),
            tuple(offset + lo * stride for (_, stride, offset), _, _, lo in axes),
        )

    def joined(self, other: ReceptiveField, name: str) -> ReceptiveField:
        """The field of what sees both.

        Args:
            other: a field of equal stride.
            name: the layer that errors name.

        Raises:
            ArgumentError: the strides differ, so that the fields drift apart from output to output.

        """
        if self.stride != other.stride:
            expected = f"paths of one stride, {_listed(self.stride)}, for a receptive field"
            remedy = "ask for that of a part where paths do not meet"
            raise ArgumentError(message(name, expected, _listed(other.stride), remedy))
        first = tuple(map(min, self.offset, other.offset))
        both = zip(self.offset, self.size, other.offset, other.size, first, strict=True)
        size = tuple(max(a + m, b + n) - low for a, m, b, n, low in both)
        return ReceptiveField(size, self.stride, first)

    def whole(self) -> ReceptiveField:
        """In whole pixels: the outermost that are seen."""
        axes = zip(self.stride, self.offset, strict=True)
        offset = tuple(_plain(Fraction(ceil(lo)) if s == floor(s) else Fraction(lo)) for s, lo in axes)
        return ReceptiveField(
            tuple(floor(size) for size in self.size), tuple(_plain(Fraction(s)) for s in self.stride), offset
        )

    @staticmethod
    def identity(rank: int) -> ReceptiveField:
        """The field of the input itself."""
        return ReceptiveField((1,) * rank, (1,) * rank, (0,) * rank)

    @staticmethod
    def of(window: ConvDims | PoolDims | ReceptiveField) -> ReceptiveField:
        """The field of one convolution or pooling."""
        if isinstance(window, ReceptiveField):
            return window
        return ReceptiveField(window.span_, window.stride_, tuple(-lo for lo in window.pad_lo_))


class Seen(NamedTuple):
    """What one value of a model sees of its input, as layers pass it on.

    Attributes:
        field: of a pixel; of a value without spatial axes, that of the last feature map before it.
        spatial: whether the value has the spatial axes still.

    """

    field: ReceptiveField
    spatial: bool = True


def receptive_field(
    layers: Iterable[ConvDims | PoolDims | ReceptiveField | tuple[Ints, Ints, Ints, Ints]],
) -> ReceptiveField:
    """``size = 1 + sum((span_l - 1) S_l)``, ``offset = -sum(pad_lo_l S_l)``, ``S_l = prod(stride_m, m < l)``.

    Args:
        layers: from the input on, each a ConvDims, a PoolDims, a ReceptiveField, or ``(k, stride, dilation,
            pad_lo)`` with one integer for all axes or one per axis.

    Returns:
        Size, total stride and offset in input pixels. One axis where only integers are given.

    Raises:
        ShapeError: the layers differ in their number of axes.

    Source:
        Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural Networks", Distill 2019.

    """
    stack = [row if isinstance(row, tuple) else ReceptiveField.of(row) for row in layers]
    ranks = {row.rank for row in stack if isinstance(row, ReceptiveField)}
    ranks |= {len(v) for row in stack if isinstance(row, tuple) for v in row if not isinstance(v, int)}
    if len(ranks) > 1:
        got = f"layers with {sorted(ranks)}"
        raise ShapeError(message("receptive_field", "one number of spatial axes", got, "stack one rank only"))
    rank = ranks.pop() if ranks else 1
    field = ReceptiveField.identity(rank)
    for row in stack:
        field = field.then(_of_sizes(row, rank) if isinstance(row, tuple) else row)
    return field.whole()


def _of_sizes(row: Sequence[Ints], rank: int) -> ReceptiveField:
    k, stride, dilation, low = ((v,) * rank if isinstance(v, int) else tuple(v) for v in row)
    size: Sizes = tuple((taps - 1) * d + 1 for taps, d in zip(k, dilation, strict=True))
    return ReceptiveField(size, stride, tuple(-v for v in low))


def _plain(number: Fraction) -> Number:
    return number.numerator if number.denominator == 1 else number


def _listed(numbers: Numbers) -> str:
    return " x ".join(map(str, numbers))

"""What a pixel of a stack of layers sees of the input."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from numbacnn.dims import ConvDims, Ints, PoolDims, Sizes
from numbacnn.errors import ShapeError, message


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
        (layer.k_, layer.stride_, layer.dilation_, layer.pad_lo_)
        if isinstance(layer, (ConvDims, PoolDims))
        else layer
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

"""Copies that arrange anew: permuted axes, slices, arrays joined along an axis; and their gradients."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from numbacnn.errors import ArgumentError, ShapeError, message
from numbacnn.functional._checks import Operand, fresh, operands
from numbacnn.functional._twins import Twins
from numbacnn.kernels.cpu import copy as _cpu
from numbacnn.tensor import Tensor

kernels = Twins(_cpu)

_AXES = 5  # of an array, at most: the batch, three in space, channels


def permute_forward(x: Operand, axes: Sequence[int], *, name: str = "permute_forward") -> Tensor:
    """``y[i_axes[0], i_axes[1], ..] = x[i_0, i_1, ..]``: axis k of the result is axis ``axes[k]`` of x.

    Args:
        x: of up to 5 axes, float32 or float64.
        axes: all axes of x, in their new order; negative ones count from the last.
        name: the layer or operation that errors name.

    Returns:
        A copy, of the extents of x in that order.

    Raises:
        ShapeError: x has more than 5 axes.
        DTypeError: another type than float32 and float64.
        ArgumentError: axes are not each axis once.

    """
    (x,) = operands(name, ("the input",), x)
    order = _order(name, axes, x)
    y = fresh(tuple(x.shape[a] for a in order), x)
    strides = _strides(x.shape)
    _copy(x, 0, tuple(strides[a] for a in order), y.shape, 0, _strides(y.shape), y)
    return Tensor(y)


def permute_backward(dy: Operand, axes: Sequence[int], *, name: str = "permute_backward") -> Tensor:
    """``dx[i_0, i_1, ..] = dy[i_axes[0], i_axes[1], ..]``.

    Args:
        dy: gradient by the output, float32 or float64.
        axes: as in `permute_forward`.
        name: the layer or operation that errors name.

    Returns:
        Gradient by the input.

    Raises:
        ShapeError, DTypeError, ArgumentError: as `permute_forward`.

    """
    (dy,) = operands(name, ("the output gradient",), dy)
    order = _order(name, axes, dy)
    return permute_forward(dy, tuple(map(order.index, range(len(order)))), name=name)


def slice_forward(
    x: Operand,
    starts: Sequence[int],
    sizes: Sequence[int],
    steps: Sequence[int] | None = None,
    *,
    name: str = "slice_forward",
) -> Tensor:
    """``y[i_0, i_1, ..] = x[starts[0] + i_0 steps[0], starts[1] + i_1 steps[1], ..]``.

    Args:
        x: of up to 5 axes, float32 or float64.
        starts: the first element taken of each axis, 0 or more.
        sizes: elements taken of each axis, 0 or more.
        steps: from one taken to the next, 1 or more; None for ones.
        name: the layer or operation that errors name.

    Returns:
        A copy ``(*sizes)``.

    Raises:
        ShapeError: there is not one number per axis, or a part reaches past the end.
        DTypeError: another type than float32 and float64.
        ArgumentError: a number is outside its domain.

    """
    (x,) = operands(name, ("the input",), x)
    start, strides, extents = _part(name, x.shape, starts, sizes, steps)
    y = fresh(extents, x)
    _copy(x, start, strides, extents, 0, _strides(extents), y)
    return Tensor(y)


def slice_backward(
    dy: Operand,
    input_shape: Sequence[int],
    starts: Sequence[int],
    steps: Sequence[int] | None = None,
    *,
    name: str = "slice_backward",
) -> Tensor:
    """``dx[starts + i steps] = dy[i]``, 0 where nothing was taken.

    Args:
        dy: gradient by the output, float32 or float64.
        input_shape: of the forward pass's input.
        starts: as in `slice_forward`.
        steps: as in `slice_forward`.
        name: the layer or operation that errors name.

    Returns:
        Gradient by the input.

    Raises:
        ShapeError, DTypeError, ArgumentError: as `slice_forward`.

    """
    (dy,) = operands(name, ("the output gradient",), dy)
    shape = tuple(map(operator.index, input_shape))
    start, strides, extents = _part(name, shape, starts, dy.shape, steps)
    dx = fresh(shape, dy)
    if dx.size != dy.size:
        _zero(dx)
    _copy(dy, 0, _strides(extents), extents, start, strides, dx)
    return Tensor(dx)


def concat(xs: Sequence[Operand], *, axis: int = -1, name: str = "concat") -> Tensor:
    """``y = [xs[0], xs[1], ..]`` along an axis; its gradients are the parts of dy, which `split` gives.

    Args:
        xs: one array or more, of up to 5 axes and equal extents but along the axis, float32 or float64.
        axis: the axis; negative ones count from the last.
        name: the layer or operation that errors name.

    Returns:
        A copy of all.

    Raises:
        ShapeError: the shapes do not fit together.
        DTypeError: other types than float32 and float64, or a mix of them.
        ArgumentError: there is no array or no such axis.

    """
    if not xs:
        raise ArgumentError(message(name, "at least one array", "none", "pass a list of arrays"))
    arrays: Any = operands(name, [f"array {i}" for i in range(len(xs))], *xs)
    along = _axis(name, axis, arrays[0])
    first = arrays[0].shape
    for array in arrays[1:]:
        alike = array.shape[:along] + first[along : along + 1] + array.shape[along + 1 :]
        if array.ndim != len(first) or alike != first:
            expected = f"arrays that differ from {first} in axis {along} only"
            raise ShapeError(message(name, expected, str(array.shape), "crop or pad one of them"))
    sizes = [array.shape[along] for array in arrays]
    y = fresh((*first[:along], sum(sizes), *first[along + 1 :]), arrays[0])
    strides = _strides(y.shape)
    for array, start in zip(arrays, accumulate([0, *sizes]), strict=False):
        _copy(array, 0, _strides(array.shape), array.shape, start * strides[along], strides, y)
    return Tensor(y)


def split(x: Operand, sizes: Sequence[int], *, axis: int = -1, name: str = "split") -> tuple[Tensor, ...]:
    """Parts of x along an axis, end to end; its gradient is `concat` of those of the parts.

    Args:
        x: of up to 5 axes, float32 or float64.
        sizes: of the parts along the axis, 0 or more; their sum is that of x.
        axis: the axis; negative ones count from the last.
        name: the layer or operation that errors name.

    Returns:
        A copy of each part.

    Raises:
        ShapeError: the sizes do not sum to that of x.
        DTypeError: another type than float32 and float64.
        ArgumentError: there is no such axis, or a size is negative.

    """
    (x,) = operands(name, ("the input",), x)
    along = _axis(name, axis, x)
    if any(size < 0 for size in sizes) or sum(sizes) != x.shape[along]:
        expected = f"sizes that sum to {x.shape[along]}, the extent of axis {along}"
        raise ShapeError(message(name, expected, str(tuple(sizes)), "change the sizes"))
    parts, strides = [], _strides(x.shape)
    for size, start in zip(sizes, accumulate([0, *sizes]), strict=False):
        part = fresh((*x.shape[:along], size, *x.shape[along + 1 :]), x)
        _copy(x, start * strides[along], strides, part.shape, 0, _strides(part.shape), part)
        parts.append(Tensor(part))
    return tuple(parts)


def _copy(x: Any, x_start: int, x_strides: Any, extents: Any, y_start: int, y_strides: Any, y: Any) -> None:
    kernels.on(x).strided_copy(x, x_start, x_strides, extents, y_start, y_strides, y)


def _zero(array: Any) -> None:
    if type(array) is np.ndarray:
        array[...] = 0
    else:
        array.fill_zero()


def _strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Of a C-contiguous array, in elements."""
    return tuple(accumulate(reversed(shape[1:]), operator.mul, initial=1))[::-1] if shape else ()


def _order(name: str, axes: Sequence[int], x: Any) -> tuple[int, ...]:
    _require_axes(name, x.ndim)
    order = tuple(a + x.ndim if -x.ndim <= a < 0 else a for a in map(operator.index, axes))
    if sorted(order) != list(range(x.ndim)):
        expected = f"each of the axes 0 to {x.ndim - 1} once"
        raise ArgumentError(message(name, expected, str(tuple(axes)), "name all of them in their new order"))
    return order


def _axis(name: str, axis: int, x: Any) -> int:
    _require_axes(name, x.ndim)
    if not -x.ndim <= axis < x.ndim:
        expected = f"an axis from {-x.ndim} to {x.ndim - 1}"
        raise ArgumentError(message(name, expected, repr(axis), "the last one, -1, are the channels"))
    return axis % x.ndim


def _require_axes(name: str, rank: int) -> None:
    if not 1 <= rank <= _AXES:
        expected = f"an array of 1 to {_AXES} axes"
        raise ShapeError(message(name, expected, f"one of {rank}", "reshape it"))


def _part(
    name: str,
    shape: tuple[int, ...],
    starts: Sequence[int],
    sizes: Sequence[int],
    steps: Sequence[int] | None,
) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
    """The first element of a part, its strides and its extents."""
    _require_axes(name, len(shape))
    given = starts, sizes, (1,) * len(shape) if steps is None else steps
    first, extents, step = (tuple(map(operator.index, numbers)) for numbers in given)
    if {len(first), len(extents), len(step)} != {len(shape)}:
        got = f"{len(first)} starts, {len(extents)} sizes and {len(step)} steps"
        raise ShapeError(message(name, f"{len(shape)} numbers, one per axis", got, "give all axes"))
    if min(first) < 0 or min(extents) < 0 or min(step) < 1:
        got = f"starts {first}, sizes {extents}, steps {step}"
        raise ArgumentError(
            message(
                name,
                "starts and sizes of 0 or more, steps of 1 or more",
                got,
                "count from the first element on",
            )
        )
    ends = tuple(a + (n - 1) * s if n else 0 for a, n, s in zip(first, extents, step, strict=True))
    if any(end >= size > 0 or (n and not size) for end, size, n in zip(ends, shape, extents, strict=True)):
        expected = f"a part within {shape}"
        raise ShapeError(message(name, expected, f"elements up to {ends}", "start earlier or take less"))
    strides = _strides(shape)
    start = sum(map(operator.mul, first, strides))
    return start, tuple(map(operator.mul, strides, step)), extents

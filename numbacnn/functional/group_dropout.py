"""Dropout of whole examples, or of whole channels of an example."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from numbacnn.errors import DTypeError, ShapeError, message
from numbacnn.functional._checks import Operand, companion, fresh, number_within, operands
from numbacnn.functional._twins import Twins
from numbacnn.kernels.cpu import group_dropout as _cpu
from numbacnn.tensor import Tensor

kernels = Twins(_cpu)


def group_dropout_forward(
    x: Operand, mask: Operand, scale: float, *, name: str = "group_dropout_forward"
) -> Tensor:
    """``y[n, ..., c] = x[n, ..., c] mask[n, c] scale``, or ``mask[n]`` of whole examples.

    Args:
        x: ``(n, ..., c)``, float32 or float64.
        mask: 1 where something is kept, 0 where it is dropped, uint8 or bool: ``(n,)`` drops whole examples,
            ``(n, c)`` whole channels of an example.
        scale: ``1 / (1 - rate)`` keeps the expected value.
        name: the layer or operation that errors name.

    Returns:
        The shape and type of x.

    Raises:
        ShapeError: x has no batch axis, or the mask another shape.
        DTypeError: another type than float32 and float64, or a mask of other than uint8 and bool.
        ArgumentError: the scale is negative or not finite.

    """
    (x,) = operands(name, ("the input",), x)
    kept, scale = _mask(name, mask, x), number_within(name, "scale", scale, math.inf)
    y = fresh(x.shape, x)
    kernels.on(x).group_dropout_forward(x, kept, scale, y)
    return Tensor(y)


def group_dropout_backward(
    dy: Operand, mask: Operand, scale: float, *, name: str = "group_dropout_backward"
) -> Tensor:
    """``dx[n, ..., c] = dy[n, ..., c] mask[n, c] scale``, or ``mask[n]`` of whole examples.

    Args:
        dy: gradient by the output, float32 or float64.
        mask: as in the forward pass.
        scale: as in the forward pass.
        name: the layer or operation that errors name.

    Returns:
        Gradient by the input, of the shape and type of dy.

    Raises:
        ShapeError, DTypeError, ArgumentError: as `group_dropout_forward`.

    """
    (dy,) = operands(name, ("the output gradient",), dy)
    kept, scale = _mask(name, mask, dy), number_within(name, "scale", scale, math.inf)
    dx = fresh(dy.shape, dy)
    kernels.on(dy).group_dropout_backward(dy, kept, scale, dx)
    return Tensor(dx)


def _mask(name: str, mask: Operand, like: NDArray) -> NDArray[np.uint8]:
    if like.ndim == 0:
        raise ShapeError(message(name, "an input (n, ...)", "()", "give it a batch axis"))
    array = companion(name, "a mask", mask, like)
    if array.dtype not in (np.uint8, np.bool_):
        raise DTypeError(message(name, "a mask of uint8 or bool", str(array.dtype), "convert the mask"))
    examples, channels = like.shape[:1], (like.shape[0], like.shape[-1])
    if array.shape != examples and (like.ndim < 2 or array.shape != channels):
        expected = f"a mask of shape {examples} or {channels}" if like.ndim > 1 else f"a mask of {examples}"
        raise ShapeError(message(name, expected, str(array.shape), "draw one value per example or channel"))
    return array.view(np.uint8)

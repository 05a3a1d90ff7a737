"""Max unpooling over one to three spatial axes, and its gradient."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numbacnn.dims import Ints
from numbacnn.errors import ArgumentError, DTypeError, ShapeError, message
from numbacnn.functional._checks import Operand, companion, fresh, operands, require_shape
from numbacnn.functional._twins import Twins
from numbacnn.kernels.cpu import unpool as _cpu
from numbacnn.tensor import Tensor

kernels = Twins(_cpu)

_FROM_POOLING = "pass what max_pool_forward returned with return_indices=True"
_INT64 = np.dtype(np.int64)


def _sizes(name: str, output_size: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The spatial sizes of the output; errors where they, or the rank of the input, do not fit."""
    if not 3 <= len(shape) <= 5 or min(shape[1:]) < 1:
        expected = "an input (n, *spatial, channels) with 1 to 3 spatial axes and positive sizes"
        raise ShapeError(message(name, expected, str(shape), _FROM_POOLING))
    rank = len(shape) - 2
    each = [output_size] * rank if isinstance(output_size, (int, np.integer)) else output_size
    if (
        not isinstance(each, Sequence)
        or len(each) != rank
        or not all(isinstance(s, (int, np.integer)) and s >= 1 for s in each)
    ):
        expected = f"output_size as one number of pixels or {rank}, each 1 or more"
        raise ArgumentError(
            message(name, expected, repr(output_size), "pass the pooled input's spatial sizes")
        )
    return tuple(int(s) for s in each)


def _indices(name: str, value: Any, pixels: int, like: NDArray) -> Any:
    """Indices as int64; errors where they are no integers, or not from 0 to below `pixels`."""
    array = companion(name, "indices", value, like)
    if array.dtype.kind not in "iu":
        expected = "indices of an integer type"
        raise DTypeError(message(name, expected, str(array.dtype), _FROM_POOLING))
    if type(array) is not np.ndarray:  # looking at the values would wait for the GPU
        if array.dtype != _INT64:
            raise DTypeError(message(name, "indices of int64 on a GPU", str(array.dtype), _FROM_POOLING))
        return array
    array = array.astype(_INT64, copy=False)
    # negative numbers are large unsigned ones: one pass
    if array.size and array.view(np.uint64).max() >= pixels:
        wrong = array[(array < 0) | (array >= pixels)].flat[0]
        expected = f"indices from 0 to {pixels - 1}, of the {pixels} pixels of an image"
        raise ArgumentError(message(name, expected, str(wrong), _FROM_POOLING))
    return array


def max_unpool_forward(
    x: Operand,  # (n, *in, c)
    indices: Operand,  # (n, *in, c)
    output_size: Ints,
    *,
    name: str = "max_unpool_forward",
) -> Tensor:
    """``y[n, indices[n, i, c], c] = x[n, i, c]``, zeros elsewhere.

    Args:
        x: batch ``(n, *in, c)`` with 1 to 3 spatial axes, float32 or float64; n may be 0.
        indices: integers of the shape of x, as `max_pool_forward` returns them: flat, in row-major order,
            within the spatial axes of the output. Of equal ones in an image and channel the last, in
            row-major order, wins.
        output_size: pixels of the output, one number for all axes or one per axis.
        name: the layer or operation that errors name.

    Returns:
        ``(n, *output_size, c)``.

    Raises:
        ShapeError: the rank does not fit, or the indices have another shape than x.
        DTypeError: x is neither float32 nor float64, or the indices are no integers.
        ArgumentError: sizes are no positive integers, or an index is no pixel of the output.

    Source:
        Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", arXiv:1311.2901, section
        2.1.

    """
    (x,) = operands(name, ("the input",), x)
    sizes = _sizes(name, output_size, x.shape)
    places = _indices(name, indices, prod(sizes), x)
    require_shape(name, "indices", places, x.shape, _FROM_POOLING)
    y = fresh((x.shape[0], *sizes, x.shape[-1]), x)
    kernels.on(x).max_unpool_forward(x, places, y)
    return Tensor(y)


def max_unpool_backward(
    dy: Operand,  # (n, *out, c)
    indices: Operand,  # (n, *in, c)
    *,
    name: str = "max_unpool_backward",
) -> Tensor:
    """``dx[n, i, c] = dy[n, indices[n, i, c], c]``.

    Args:
        dy: gradient by the output, ``(n, *out, c)``, float32 or float64.
        indices: as in `max_unpool_forward`. Where some are equal, each receives the gradient of that pixel.
        name: the layer or operation that errors name.

    Returns:
        Gradient by the input, ``(n, *in, c)``.

    Raises:
        ShapeError: ranks, batch or channels of dy and the indices differ.
        DTypeError, ArgumentError: as `max_unpool_forward`.

    """
    (dy,) = operands(name, ("the output gradient",), dy)
    sizes = _sizes(name, dy.shape[1:-1], dy.shape)
    places = _indices(name, indices, prod(sizes), dy)
    shape = places.shape
    if len(shape) != dy.ndim or (shape[0], shape[-1]) != (dy.shape[0], dy.shape[-1]) or 0 in shape[1:]:
        expected = f"indices ({dy.shape[0]}, *in, {dy.shape[-1]}) with {dy.ndim - 2} spatial axes"
        raise ShapeError(message(name, expected, str(shape), _FROM_POOLING))
    dx = fresh(shape, dy)
    kernels.on(dy).max_unpool_backward(dy, places, dx)
    return Tensor(dx)

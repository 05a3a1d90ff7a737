"""Pooling to a given size over one to three spatial axes, global and adaptive, and the gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, overload

from numbacnn.dims import Ints
from numbacnn.functional._checks import Operand, fresh, operands, require_shape
from numbacnn.functional._twins import Twins
from numbacnn.functional.pool import FROM_FORWARD, max_pool_gradient, max_pooled
from numbacnn.kernels.cpu import pool as _cpu
from numbacnn.pool_dims import WindowDims
from numbacnn.tensor import Tensor

kernels = Twins(_cpu)


@overload
def adaptive_max_pool_forward(
    x: Operand, output_size: Ints, *, return_indices: Literal[False] = ..., name: str = ...
) -> Tensor: ...


@overload
def adaptive_max_pool_forward(
    x: Operand, output_size: Ints, *, return_indices: Literal[True], name: str = ...
) -> tuple[Tensor, Tensor]: ...


def adaptive_max_pool_forward(
    x: Operand,  # (n, *in, c)
    output_size: Ints,
    *,
    return_indices: bool = False,
    name: str = "adaptive_max_pool_forward",
) -> Tensor | tuple[Tensor, Tensor]:
    """``y[n, i, c] = max of x[n, p, c], p from floor(i in / out) to ceil((i + 1) in / out) - 1 per axis``.

    Args:
        x: batch ``(n, *in, c)`` with 1 to 3 spatial axes, float32 or float64; n may be 0. A NaN in a window
            is its maximum.
        output_size: outputs, one number for all axes or one per axis; more than pixels are allowed.
        return_indices: return the places of the maxima too, as `max_pool_forward` does.
        name: the layer or operation that errors name.

    Returns:
        y, ``(n, *output_size, c)``; with indices ``(y, indices)``, int64 of y's shape.

    Raises:
        ShapeError: the rank does not fit.
        DTypeError: another type than float32 and float64.
        ArgumentError: output_size is no positive integer, or not one per axis.

    Source:
        He et al., "Spatial Pyramid Pooling in Deep Convolutional Networks", arXiv:1406.4729, section 2.2.

    """
    (x,) = operands(name, ("the input",), x)
    return max_pooled(WindowDims.adaptive(x.shape, output_size, name), x, return_indices)


def adaptive_max_pool_backward(
    dy: Operand,  # (n, *out, c)
    x: Operand,  # (n, *in, c)
    y: Operand,  # (n, *out, c)
    *,
    name: str = "adaptive_max_pool_backward",
) -> Tensor:
    """``dx[n, p, c] = sum of dy[n, i, c] over the windows i whose first maximal pixel is p``.

    Args:
        dy: gradient by the output, ``(n, *out, c)``, float32 or float64.
        x: input of the forward pass, ``(n, *in, c)``, of the type of dy.
        y: output of the forward pass; its shape tells the windows.
        name: the layer or operation that errors name.

    Returns:
        Gradient by the input, ``(n, *in, c)``. Of equal maxima the first in row-major order receives it.

    Raises:
        ShapeError, DTypeError: as `adaptive_max_pool_forward`, and where shapes do not fit together.

    """
    x, y, dy = operands(name, ("the input", "the output", "the output gradient"), x, y, dy)
    dims = WindowDims.adaptive(x.shape, _size_of(y.shape, x.shape), name)
    return max_pool_gradient(name, dims, x, y, dy)


def _size_of(shape: tuple[int, ...], x_shape: Sequence[int]) -> tuple[int, ...]:
    """The spatial sizes of an output; of the wrong rank or empty, ones, which the check after refuses."""
    sizes = shape[1:-1]
    return sizes if len(shape) == len(x_shape) and 0 not in sizes else (1,) * (len(x_shape) - 2)


def adaptive_avg_pool_forward(
    x: Operand,  # (n, *in, c)
    output_size: Ints,
    *,
    name: str = "adaptive_avg_pool_forward",
) -> Tensor:
    """``y[n, i, c] = mean of x[n, p, c], p from floor(i in / out) to ceil((i + 1) in / out) - 1 per axis``.

    Args:
        x: batch ``(n, *in, c)`` with 1 to 3 spatial axes, float32 or float64; n may be 0.
        output_size: as in `adaptive_max_pool_forward`.
        name: the layer or operation that errors name.

    Returns:
        ``(n, *output_size, c)``.

    Raises:
        ShapeError, DTypeError, ArgumentError: as `adaptive_max_pool_forward`.

    """
    (x,) = operands(name, ("the input",), x)
    dims = WindowDims.adaptive(x.shape, output_size, name)
    y = fresh(dims.output_shape, x)
    kernels.on(x).avg_pool_forward(dims, x, y, False, 0.0)
    return Tensor(y)


def adaptive_avg_pool_backward(
    dy: Operand,  # (n, *out, c)
    input_shape: Sequence[int],
    *,
    name: str = "adaptive_avg_pool_backward",
) -> Tensor:
    """``dx[n, p, c] = sum of dy[n, i, c] / pixels of i over the windows i that hold p``.

    Args:
        dy: gradient by the output, ``(n, *out, c)``, float32 or float64; its shape tells the windows.
        input_shape: ``(n, *in, c)`` of the forward pass's input.
        name: the layer or operation that errors name.

    Returns:
        Gradient by the input, ``(n, *in, c)``.

    Raises:
        ShapeError, DTypeError: as `adaptive_avg_pool_forward`, and where shapes do not fit together.

    """
    (dy,) = operands(name, ("the output gradient",), dy)
    dims = WindowDims.adaptive(input_shape, _size_of(dy.shape, input_shape), name)
    require_shape(name, "an output gradient", dy, dims.output_shape, FROM_FORWARD)
    dx = fresh(dims.input_shape, dy)
    kernels.on(dy).avg_pool_backward(dims, dy, dx, False, 0.0)
    return Tensor(dx)


def global_max_pool_forward(
    x: Operand,  # (n, *in, c)
    *,
    name: str = "global_max_pool_forward",
) -> Tensor:
    """``y[n, c] = max of x[n, p, c] over all pixels p``, of shape ``(n, 1, .., c)``.

    Args:
        x: batch ``(n, *in, c)`` with 1 to 3 spatial axes, float32 or float64; n may be 0. A NaN is a maximum.
        name: the layer or operation that errors name.

    Returns:
        ``(n, 1, .., 1, c)``, of the rank of x.

    Raises:
        ShapeError: the rank does not fit.
        DTypeError: another type than float32 and float64.

    """
    return adaptive_max_pool_forward(x, 1, name=name)


def global_max_pool_backward(
    dy: Operand,  # (n, 1, .., c)
    x: Operand,  # (n, *in, c)
    y: Operand,  # (n, 1, .., c)
    *,
    name: str = "global_max_pool_backward",
) -> Tensor:
    """``dx[n, p, c] = dy[n, c]`` at the first maximal pixel p, 0 elsewhere.

    Args:
        dy: gradient by the output, ``(n, 1, .., 1, c)``, float32 or float64.
        x: input of the forward pass, ``(n, *in, c)``, of the type of dy.
        y: output of the forward pass.
        name: the layer or operation that errors name.

    Returns:
        Gradient by the input, ``(n, *in, c)``.

    Raises:
        ShapeError, DTypeError: as `global_max_pool_forward`, and where shapes do not fit together.

    """
    x, y, dy = operands(name, ("the input", "the output", "the output gradient"), x, y, dy)
    return max_pool_gradient(name, WindowDims.adaptive(x.shape, 1, name), x, y, dy)


def global_avg_pool_forward(
    x: Operand,  # (n, *in, c)
    *,
    name: str = "global_avg_pool_forward",
) -> Tensor:
    """``y[n, c] = mean of x[n, p, c] over all pixels p``, of shape ``(n, 1, .., c)``.

    Args:
        x: batch ``(n, *in, c)`` with 1 to 3 spatial axes, float32 or float64; n may be 0.
        name: the layer or operation that errors name.

    Returns:
        ``(n, 1, .., 1, c)``, of the rank of x.

    Raises:
        ShapeError, DTypeError: as `global_max_pool_forward`.

    Source:
        Lin, Chen and Yan, "Network In Network", arXiv:1312.4400, section 3.2.

    """
    return adaptive_avg_pool_forward(x, 1, name=name)


def global_avg_pool_backward(
    dy: Operand,  # (n, 1, .., c)
    input_shape: Sequence[int],
    *,
    name: str = "global_avg_pool_backward",
) -> Tensor:
    """``dx[n, p, c] = dy[n, c] / pixels``.

    Args:
        dy: gradient by the output, ``(n, 1, .., 1, c)``, float32 or float64.
        input_shape: ``(n, *in, c)`` of the forward pass's input.
        name: the layer or operation that errors name.

    Returns:
        Gradient by the input, ``(n, *in, c)``.

    Raises:
        ShapeError, DTypeError: as `global_avg_pool_forward`, and where dy has another shape than the output.

    """
    (dy,) = operands(name, ("the output gradient",), dy)
    dims = WindowDims.adaptive(input_shape, 1, name)
    require_shape(name, "an output gradient", dy, dims.output_shape, FROM_FORWARD)
    dx = fresh(dims.input_shape, dy)
    kernels.on(dy).avg_pool_backward(dims, dy, dx, False, 0.0)
    return Tensor(dx)

"""Max and average pooling of batches with one to three spatial axes, and their gradients."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, overload

import numpy as np
from numpy.typing import NDArray

from numbacnn.dims import Ints, Padding, PoolDims
from numbacnn.errors import ArgumentError, message
from numbacnn.functional._checks import Operand, fresh, operands, require_shape
from numbacnn.functional._twins import Twins
from numbacnn.kernels.cpu import pool as _cpu
from numbacnn.pool_dims import PoolGeometry
from numbacnn.tensor import Tensor

kernels = Twins(_cpu)

FROM_FORWARD = "pass what the forward pass returned, and the gradient by it"
_INT64 = np.dtype(np.int64)


def max_pooled(dims: PoolGeometry, x: NDArray, return_indices: bool) -> Tensor | tuple[Tensor, Tensor]:
    """The maxima of any windows, with their indices if asked for."""
    y = fresh(dims.output_shape, x)
    kernels.on(x).max_pool_forward(dims, x, y)
    if not return_indices:
        return Tensor(y)
    indices = fresh(dims.output_shape, x, _INT64)
    kernels.on(x).max_pool_indices(dims, x, y, indices)
    return Tensor(y), Tensor(indices)


def max_pool_gradient(name: str, dims: PoolGeometry, x: NDArray, y: NDArray, dy: NDArray) -> Tensor:
    """The gradient of the maxima of any windows, after the check of the shapes."""
    require_shape(name, "an output", y, dims.output_shape, FROM_FORWARD)
    require_shape(name, "an output gradient", dy, dims.output_shape, FROM_FORWARD)
    dx = fresh(dims.input_shape, x)
    kernels.on(x).max_pool_backward(dims, x, y, dy, dx)
    return Tensor(dx)


@overload
def max_pool_forward(
    x: Operand,
    kernel: Ints,
    *,
    stride: Ints | None = ...,
    padding: Padding = ...,
    dilation: Ints = ...,
    ceil_mode: bool = ...,
    return_indices: Literal[False] = ...,
    name: str = ...,
) -> Tensor: ...


@overload
def max_pool_forward(
    x: Operand,
    kernel: Ints,
    *,
    stride: Ints | None = ...,
    padding: Padding = ...,
    dilation: Ints = ...,
    ceil_mode: bool = ...,
    return_indices: Literal[True],
    name: str = ...,
) -> tuple[Tensor, Tensor]: ...


def max_pool_forward(
    x: Operand,  # (n, *in, c)
    kernel: Ints,
    *,
    stride: Ints | None = None,
    padding: Padding = "valid",
    dilation: Ints = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    name: str = "max_pool_forward",
) -> Tensor | tuple[Tensor, Tensor]:
    """``y[n, o, c] = max of x[n, o stride - pad + t dilation, c] over the taps t that meet a pixel``.

    Args:
        x: batch ``(n, *in, c)`` with 1 to 3 spatial axes, float32 or float64; n may be 0. A NaN in a window
            is its maximum.
        kernel: taps of the window, one number for all axes or one per axis.
        stride: pixels between windows; None for the kernel's size, so that windows tile the input.
        padding: as in `conv_forward`; padding never is the maximum.
        dilation: pixels between neighbouring taps.
        ceil_mode: round the output's size up: a last window that reaches past the high padding counts if it
            starts within the input or the low padding.
        return_indices: return the places of the maxima too, for `max_unpool_forward`.
        name: the layer or operation that errors name.

    Returns:
        y, ``(n, *out, c)``, with ``out = floor((in + pads - (k - 1) dilation - 1) / stride) + 1``, or ceil in
        the place of floor; with indices ``(y, indices)``, int64 of y's shape: the flat index, in row-major
        order within an image's spatial axes, of the first maximal pixel of each window.

    Raises:
        ShapeError: the rank does not fit, the window is larger than the padded input, or a window holds
            nothing but padding.
        DTypeError: another type than float32 and float64.
        ArgumentError: kernel, stride, padding or dilation are outside their domain.

    """
    (x,) = operands(name, ("the input",), x)
    dims = PoolDims.of(x.shape, kernel, stride, padding, dilation, name, ceil_mode)
    return max_pooled(dims, x, return_indices)


def max_pool_backward(
    dy: Operand,  # (n, *out, c)
    x: Operand,  # (n, *in, c)
    y: Operand,  # (n, *out, c)
    kernel: Ints,
    *,
    stride: Ints | None = None,
    padding: Padding = "valid",
    dilation: Ints = 1,
    ceil_mode: bool = False,
    name: str = "max_pool_backward",
) -> Tensor:
    """``dx[n, p, c] = sum of dy[n, o, c] over the windows o whose first maximal pixel is p``.

    Args:
        dy: gradient by the output, ``(n, *out, c)``, float32 or float64.
        x: input of the forward pass, ``(n, *in, c)``, of the type of dy.
        y: output of the forward pass.
        kernel: as in `max_pool_forward`.
        stride: as in `max_pool_forward`.
        padding: as in `max_pool_forward`.
        dilation: as in `max_pool_forward`.
        ceil_mode: as in `max_pool_forward`.
        name: the layer or operation that errors name.

    Returns:
        Gradient by the input, ``(n, *in, c)``. Of equal maxima the first in row-major order receives it.

    Raises:
        ShapeError, DTypeError, ArgumentError: as `max_pool_forward`, and where dy or y has another shape
            than its output.

    """
    x, y, dy = operands(name, ("the input", "the output", "the output gradient"), x, y, dy)
    dims = PoolDims.of(x.shape, kernel, stride, padding, dilation, name, ceil_mode)
    return max_pool_gradient(name, dims, x, y, dy)


def _divisor(name: str, value: float | None) -> float:
    """The divisor as a float, 0 for none; ArgumentError where it is no finite number above 0."""
    if value is None:
        return 0.0
    if not isinstance(value, (int, float, np.integer, np.floating)) or not 0 < value < math.inf:
        expected = "divisor_override as a finite number above 0, or None"
        raise ArgumentError(message(name, expected, repr(value), "pass None to divide by the taps counted"))
    return float(value)


def avg_pool_forward(
    x: Operand,  # (n, *in, c)
    kernel: Ints,
    *,
    stride: Ints | None = None,
    padding: Padding = "valid",
    dilation: Ints = 1,
    ceil_mode: bool = False,
    count_include_pad: bool = False,
    divisor_override: float | None = None,
    name: str = "avg_pool_forward",
) -> Tensor:
    """``y[n, o, c] = sum of x[n, o stride - pad + t dilation, c] over the taps t / count``.

    Args:
        x: batch ``(n, *in, c)`` with 1 to 3 spatial axes, float32 or float64; n may be 0.
        kernel: as in `max_pool_forward`.
        stride: as in `max_pool_forward`.
        padding: as in `conv_forward`; padding adds 0 to the sum.
        dilation: as in `max_pool_forward`.
        ceil_mode: as in `max_pool_forward`.
        count_include_pad: count the taps that meet a pixel or the padding, but not what lies past it in ceil
            mode; else those that meet a pixel, so that the average of ones is 1.
        divisor_override: divide by this number, above 0, instead of a count.
        name: the layer or operation that errors name.

    Returns:
        ``(n, *out, c)``, of the size of `max_pool_forward`.

    Raises:
        ShapeError, DTypeError: as `max_pool_forward`.
        ArgumentError: as `max_pool_forward`, and where the divisor is no finite number above 0.

    """
    (x,) = operands(name, ("the input",), x)
    divisor = _divisor(name, divisor_override)
    dims = PoolDims.of(x.shape, kernel, stride, padding, dilation, name, ceil_mode)
    y = fresh(dims.output_shape, x)
    kernels.on(x).avg_pool_forward(dims, x, y, bool(count_include_pad), divisor)
    return Tensor(y)


def avg_pool_backward(
    dy: Operand,  # (n, *out, c)
    input_shape: Sequence[int],
    kernel: Ints,
    *,
    stride: Ints | None = None,
    padding: Padding = "valid",
    dilation: Ints = 1,
    ceil_mode: bool = False,
    count_include_pad: bool = False,
    divisor_override: float | None = None,
    name: str = "avg_pool_backward",
) -> Tensor:
    """``dx[n, p, c] = sum of dy[n, o, c] / count over the windows o that hold p``.

    Args:
        dy: gradient by the output, ``(n, *out, c)``, float32 or float64.
        input_shape: ``(n, *in, c)`` of the forward pass's input.
        kernel: as in `max_pool_forward`.
        stride: as in `max_pool_forward`.
        padding: as in `conv_forward`.
        dilation: as in `max_pool_forward`.
        ceil_mode: as in `max_pool_forward`.
        count_include_pad: as in `avg_pool_forward`.
        divisor_override: as in `avg_pool_forward`.
        name: the layer or operation that errors name.

    Returns:
        Gradient by the input, ``(n, *in, c)``.

    Raises:
        ShapeError, DTypeError, ArgumentError: as `avg_pool_forward`, and where dy has another shape than the
            output.

    """
    (dy,) = operands(name, ("the output gradient",), dy)
    divisor = _divisor(name, divisor_override)
    dims = PoolDims.of(input_shape, kernel, stride, padding, dilation, name, ceil_mode)
    require_shape(name, "an output gradient", dy, dims.output_shape, FROM_FORWARD)
    dx = fresh(dims.input_shape, dy)
    kernels.on(dy).avg_pool_backward(dims, dy, dx, bool(count_include_pad), divisor)
    return Tensor(dx)

"""Max and average pooling of images ``(n, height, width, channels)``, and their gradients."""

from __future__ import annotations

from collections.abc import Sequence

from numbacnn.dims import Ints, Padding, PoolDims
from numbacnn.functional._checks import Operand, fresh, image_shape, operands, require_shape
from numbacnn.kernels.cpu import pool as kernels
from numbacnn.tensor import Tensor

_FROM_FORWARD = "pass what the forward pass returned, and the gradient by it"


def max_pool_forward(
    x: Operand,  # (n, h, w, c)
    kernel: Ints,
    *,
    stride: Ints | None = None,
    padding: Padding = "valid",
    dilation: Ints = 1,
    name: str = "max_pool_forward",
) -> Tensor:
    """``y[n, o, c] = max of x[n, o stride - pad + t dilation, c] over the taps t that meet a pixel``.

    Args:
        x: images ``(n, h, w, c)``, float32 or float64; n may be 0. A NaN in a window is its maximum.
        kernel: pixels of the window, one for both axes or one per axis.
        stride: pixels between windows; None for the kernel's size, so that windows tile the image.
        padding: as in `conv_forward`; padding never is the maximum.
        dilation: pixels between neighbouring taps.
        name: the layer or operation that errors name.

    Returns:
        ``(n, oh, ow, c)``.

    Raises:
        ShapeError: the rank does not fit, the window is larger than the padded input, or a window holds
            nothing but padding.
        DTypeError: another type than float32 and float64.
        ArgumentError: kernel, stride, padding or dilation are outside their domain.

    """
    (x,) = operands(name, ("the input",), x)
    dims = PoolDims.of(image_shape(name, x.shape), kernel, stride, padding, dilation, name)
    y = fresh(dims.output_shape, x)
    kernels.max_pool_forward(dims, x, y)
    return Tensor(y)


def max_pool_backward(
    dy: Operand,  # (n, oh, ow, c)
    x: Operand,  # (n, h, w, c)
    y: Operand,  # (n, oh, ow, c)
    kernel: Ints,
    *,
    stride: Ints | None = None,
    padding: Padding = "valid",
    dilation: Ints = 1,
    name: str = "max_pool_backward",
) -> Tensor:
    """``dx[n, p, c] = sum of dy[n, o, c] over the windows o whose first maximal pixel is p``.

    Args:
        dy: gradient by the output, ``(n, oh, ow, c)``, float32 or float64.
        x: input of the forward pass, ``(n, h, w, c)``, of the type of dy.
        y: output of the forward pass.
        kernel: as in `max_pool_forward`.
        stride: as in `max_pool_forward`.
        padding: as in `max_pool_forward`.
        dilation: as in `max_pool_forward`.
        name: the layer or operation that errors name.

    Returns:
        Gradient by the input, ``(n, h, w, c)``. Of equal maxima the first in row-major order receives it.

    Raises:
        ShapeError, DTypeError, ArgumentError: as `max_pool_forward`, and where dy or y has another shape
            than its output.

    """
    x, y, dy = operands(name, ("the input", "the output", "the output gradient"), x, y, dy)
    dims = PoolDims.of(image_shape(name, x.shape), kernel, stride, padding, dilation, name)
    require_shape(name, "an output", y, dims.output_shape, _FROM_FORWARD)
    require_shape(name, "an output gradient", dy, dims.output_shape, _FROM_FORWARD)
    dx = fresh(dims.input_shape, x)
    kernels.max_pool_backward(dims, x, y, dy, dx)
    return Tensor(dx)


def avg_pool_forward(
    x: Operand,  # (n, h, w, c)
    kernel: Ints,
    *,
    stride: Ints | None = None,
    padding: Padding = "valid",
    dilation: Ints = 1,
    count_include_pad: bool = False,
    name: str = "avg_pool_forward",
) -> Tensor:
    """``y[n, o, c] = sum of x[n, o stride - pad + t dilation, c] over the taps t / count``.

    Args:
        x: images ``(n, h, w, c)``, float32 or float64; n may be 0.
        kernel: as in `max_pool_forward`.
        stride: as in `max_pool_forward`.
        padding: as in `conv_forward`; padding adds 0 to the sum.
        dilation: as in `max_pool_forward`.
        count_include_pad: count all taps; else those that meet a pixel, so that the average of ones is 1.
        name: the layer or operation that errors name.

    Returns:
        ``(n, oh, ow, c)``.

    Raises:
        ShapeError, DTypeError, ArgumentError: as `max_pool_forward`.

    """
    (x,) = operands(name, ("the input",), x)
    dims = PoolDims.of(image_shape(name, x.shape), kernel, stride, padding, dilation, name)
    y = fresh(dims.output_shape, x)
    kernels.avg_pool_forward(dims, x, y, bool(count_include_pad))
    return Tensor(y)


def avg_pool_backward(
    dy: Operand,  # (n, oh, ow, c)
    input_shape: Sequence[int],
    kernel: Ints,
    *,
    stride: Ints | None = None,
    padding: Padding = "valid",
    dilation: Ints = 1,
    count_include_pad: bool = False,
    name: str = "avg_pool_backward",
) -> Tensor:
    """``dx[n, p, c] = sum of dy[n, o, c] / count over the windows o that hold p``.

    Args:
        dy: gradient by the output, ``(n, oh, ow, c)``, float32 or float64.
        input_shape: ``(n, h, w, c)`` of the forward pass's input.
        kernel: as in `max_pool_forward`.
        stride: as in `max_pool_forward`.
        padding: as in `conv_forward`.
        dilation: as in `max_pool_forward`.
        count_include_pad: as in `avg_pool_forward`.
        name: the layer or operation that errors name.

    Returns:
        Gradient by the input, ``(n, h, w, c)``.

    Raises:
        ShapeError, DTypeError, ArgumentError: as `max_pool_forward`, and where dy has another shape than
            the output.

    """
    (dy,) = operands(name, ("the output gradient",), dy)
    dims = PoolDims.of(image_shape(name, input_shape), kernel, stride, padding, dilation, name)
    require_shape(name, "an output gradient", dy, dims.output_shape, _FROM_FORWARD)
    dx = fresh(dims.input_shape, dy)
    kernels.avg_pool_backward(dims, dy, dx, bool(count_include_pad))
    return Tensor(dx)

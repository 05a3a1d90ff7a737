"""Convolution of images, and its gradients.

"Convolution" is cross-correlation here, as in every framework. Images are ``(n, height, width, channels)``,
kernels ``(kernel height, kernel width, c_in / groups, c_out)``.
"""

from __future__ import annotations

from collections.abc import Sequence

from numbacnn.dims import ConvDims, Ints, Padding
from numbacnn.functional._checks import Operand, fresh, image_shape, operands, require_shape
from numbacnn.kernels.cpu import conv as kernels
from numbacnn.tensor import Tensor

_FROM_FORWARD = "pass the gradient by what the forward pass returned"


def conv_forward(
    x: Operand,  # (n, h, w, c_in)
    w: Operand,  # (kh, kw, c_in / groups, c_out)
    b: Operand | None = None,  # (c_out,)
    *,
    stride: Ints = 1,
    padding: Padding = "valid",
    dilation: Ints = 1,
    groups: int = 1,
    name: str = "conv_forward",
) -> Tensor:
    """``y[n, o, j] = b[j] + sum over taps t, channels i of x[n, o stride - pad + t dilation, i] w[t, i, j]``.

    Args:
        x: images ``(n, h, w, c_in)``, float32 or float64; n may be 0.
        w: kernel ``(kh, kw, c_in / groups, c_out)`` of the type of x.
        b: bias ``(c_out,)``, or None for none.
        stride: pixels between neighbouring outputs, one for both axes or one per axis.
        padding: ``"valid"`` (none), ``"same"`` (``out = ceil(in / stride)``, the odd pixel at the high end),
            pixels for all ends, pixels per axis, or a pair ``(low, high)`` per axis.
        dilation: pixels between neighbouring taps, one for both axes or one per axis.
        groups: divides both channel counts; an output channel reads the input channels of its group.
        name: the layer or operation that errors name.

    Returns:
        ``(n, oh, ow, c_out)`` with ``out = floor((in + pads - (k - 1) dilation - 1) / stride) + 1``.

    Raises:
        ShapeError: ranks or channels do not fit, or the kernel is larger than the padded input.
        DTypeError: other types than float32 and float64, or a mix of them.
        ArgumentError: stride, padding, dilation or groups are outside their domain.

    Source:
        Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016, section 2.

    """
    if b is None:
        x, w = operands(name, ("the input", "the kernel"), x, w)
    else:
        x, w, b = operands(name, ("the input", "the kernel", "the bias"), x, w, b)
    dims = ConvDims.of(image_shape(name, x.shape), w.shape, stride, padding, dilation, groups, name)
    if b is not None:
        require_shape(name, "a bias", b, (dims.c_out,), "give one value per output channel")
    y = fresh(dims.output_shape, x)
    kernels.conv_forward(dims, x, w, b, y)
    return Tensor(y)


def conv_backward_data(
    dy: Operand,  # (n, oh, ow, c_out)
    w: Operand,  # (kh, kw, c_in / groups, c_out)
    input_shape: Sequence[int],
    *,
    stride: Ints = 1,
    padding: Padding = "valid",
    dilation: Ints = 1,
    groups: int = 1,
    name: str = "conv_backward_data",
) -> Tensor:
    """``dx[n, p, i] = sum of dy[n, o, j] w[t, i, j] over j, o, t with o stride - pad + t dilation = p``.

    Args:
        dy: gradient by the output, ``(n, oh, ow, c_out)``, float32 or float64.
        w: kernel of the forward pass, of the type of dy.
        input_shape: ``(n, h, w, c_in)`` of the forward pass's input; the output's shape leaves it open.
        stride: as in `conv_forward`.
        padding: as in `conv_forward`.
        dilation: as in `conv_forward`.
        groups: as in `conv_forward`.
        name: the layer or operation that errors name.

    Returns:
        Gradient by the input, ``(n, h, w, c_in)``.

    Raises:
        ShapeError, DTypeError, ArgumentError: as `conv_forward`, and where dy does not fit its output.

    """
    dy, w = operands(name, ("the output gradient", "the kernel"), dy, w)
    dims = ConvDims.of(image_shape(name, input_shape), w.shape, stride, padding, dilation, groups, name)
    require_shape(name, "an output gradient", dy, dims.output_shape, _FROM_FORWARD)
    dx = fresh(dims.input_shape, dy)
    kernels.conv_backward_data(dims, dy, w, dx)
    return Tensor(dx)


def conv_backward_weights(
    x: Operand,  # (n, h, w, c_in)
    dy: Operand,  # (n, oh, ow, c_out)
    kernel_shape: Sequence[int],
    *,
    stride: Ints = 1,
    padding: Padding = "valid",
    dilation: Ints = 1,
    groups: int = 1,
    name: str = "conv_backward_weights",
) -> Tensor:
    """``dw[t, i, j] = sum over n and o of x[n, o stride - pad + t dilation, i] dy[n, o, j]``.

    Args:
        x: input of the forward pass, ``(n, h, w, c_in)``, float32 or float64.
        dy: gradient by the output, ``(n, oh, ow, c_out)``, of the type of x.
        kernel_shape: ``(kh, kw, c_in / groups, c_out)``; the two arrays leave it open.
        stride: as in `conv_forward`.
        padding: as in `conv_forward`.
        dilation: as in `conv_forward`.
        groups: as in `conv_forward`.
        name: the layer or operation that errors name.

    Returns:
        Gradient by the kernel, of its shape.

    Raises:
        ShapeError, DTypeError, ArgumentError: as `conv_forward`, and where dy does not fit its output.

    """
    x, dy = operands(name, ("the input", "the output gradient"), x, dy)
    dims = ConvDims.of(image_shape(name, x.shape), kernel_shape, stride, padding, dilation, groups, name)
    require_shape(name, "an output gradient", dy, dims.output_shape, _FROM_FORWARD)
    dw = fresh(dims.kernel_shape, x)
    kernels.conv_backward_weights(dims, x, dy, dw)
    return Tensor(dw)

"""Transposed convolution, and its gradients.

It is the data gradient of a convolution from its output's size back to its input's, and takes that
convolution's kernel ``(*k, c_out / groups, c_in)``: ``c_out`` are its own output channels.
"""

from __future__ import annotations

from collections.abc import Sequence

from numbacnn.dims import ConvDims, Ints, Padding
from numbacnn.functional._checks import Operand, fresh, operands, require_shape
from numbacnn.functional._twins import Twins
from numbacnn.kernels.cpu import conv as _cpu
from numbacnn.tensor import Tensor

kernels = Twins(_cpu)

_FROM_FORWARD = "pass the gradient by what the forward pass returned"


def conv_transpose_forward(
    x: Operand,  # (n, *in, c_in)
    w: Operand,  # (*k, c_out / groups, c_in)
    b: Operand | None = None,  # (c_out,)
    *,
    stride: Ints = 1,
    padding: Padding = "valid",
    output_padding: Ints = 0,
    output_shape: Ints | None = None,
    dilation: Ints = 1,
    groups: int = 1,
    name: str = "conv_transpose_forward",
) -> Tensor:
    """``y[n, p, j] = b[j] + sum of x[n, q, i] w[t, j, i] over i, q, t with q stride - pad + t dilation = p``.

    Args:
        x: ``(n, *in, c_in)`` with 1 to 3 spatial axes, float32 or float64; n may be 0.
        w: kernel ``(*k, c_out / groups, c_in)`` of the type of x.
        b: bias ``(c_out,)``, or None for none.
        stride: output pixels between what neighbouring inputs add to, one for all axes or one per axis.
        padding: output pixels cut off at the ends: ``"valid"`` (none), ``"same"`` (``out = in stride``),
            pixels for all ends, pixels per axis, or a pair ``(low, high)`` per axis.
        output_padding: output pixels more at the high end, below the larger of stride and dilation; one for
            all axes or one per axis.
        output_shape: spatial sizes of the output instead, one for all axes or one per axis; or None.
        dilation: output pixels between neighbouring taps, one for all axes or one per axis.
        groups: divides both channel counts; an output channel reads the input channels of its group.
        name: the layer or operation that errors name.

    Returns:
        ``(n, *out, c_out)`` with ``out = (in - 1) stride - pads + (k - 1) dilation + 1 + output_padding``.

    Raises:
        ShapeError: ranks or channels do not fit, padding leaves no output, or the output cannot have that
            shape.
        DTypeError: other types than float32 and float64, or a mix of them.
        ArgumentError: an option is outside its domain, or output_padding is given where it follows.

    Source:
        Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016, section 4.

    """
    if b is None:
        x, w = operands(name, ("the input", "the kernel"), x, w)
    else:
        x, w, b = operands(name, ("the input", "the kernel", "the bias"), x, w, b)
    dims = ConvDims.transposed(
        x.shape, w.shape, stride, padding, output_padding, output_shape, dilation, groups, name
    )
    if b is not None:
        require_shape(name, "a bias", b, (dims.c_in,), "give one value per output channel")
    y = fresh(dims.input_shape, x)
    kernels.on(x).conv_transpose_forward(dims, x, w, b, y)
    return Tensor(y)


def conv_transpose_backward_data(
    dy: Operand,  # (n, *out, c_out)
    w: Operand,  # (*k, c_out / groups, c_in)
    input_shape: Sequence[int],
    *,
    stride: Ints = 1,
    padding: Padding = "valid",
    output_padding: Ints = 0,
    output_shape: Ints | None = None,
    dilation: Ints = 1,
    groups: int = 1,
    name: str = "conv_transpose_backward_data",
) -> Tensor:
    """``dx[n, q, i] = sum over taps t, channels j of dy[n, q stride - pad + t dilation, j] w[t, j, i]``.

    A convolution.

    Args:
        dy: gradient by the output, ``(n, *out, c_out)``, float32 or float64.
        w: kernel of the forward pass, of the type of dy.
        input_shape: ``(n, *in, c_in)`` of the forward pass's input.
        stride: as in `conv_transpose_forward`.
        padding: as in `conv_transpose_forward`.
        output_padding: as in `conv_transpose_forward`.
        output_shape: as in `conv_transpose_forward`.
        dilation: as in `conv_transpose_forward`.
        groups: as in `conv_transpose_forward`.
        name: the layer or operation that errors name.

    Returns:
        Gradient by the input, ``(n, *in, c_in)``.

    Raises:
        ShapeError, DTypeError, ArgumentError: as `conv_transpose_forward`, and where dy does not fit its
            output.

    """
    dy, w = operands(name, ("the output gradient", "the kernel"), dy, w)
    dims = ConvDims.transposed(
        input_shape, w.shape, stride, padding, output_padding, output_shape, dilation, groups, name
    )
    require_shape(name, "an output gradient", dy, dims.input_shape, _FROM_FORWARD)
    dx = fresh(dims.output_shape, dy)
    kernels.on(dy).conv_forward(dims, dy, w, None, dx)
    return Tensor(dx)


def conv_transpose_backward_weights(
    x: Operand,  # (n, *in, c_in)
    dy: Operand,  # (n, *out, c_out)
    kernel_shape: Sequence[int],
    *,
    stride: Ints = 1,
    padding: Padding = "valid",
    output_padding: Ints = 0,
    output_shape: Ints | None = None,
    dilation: Ints = 1,
    groups: int = 1,
    name: str = "conv_transpose_backward_weights",
) -> Tensor:
    """``dw[t, j, i] = sum over n and q of dy[n, q stride - pad + t dilation, j] x[n, q, i]``.

    Args:
        x: input of the forward pass, ``(n, *in, c_in)``, float32 or float64.
        dy: gradient by the output, ``(n, *out, c_out)``, of the type of x.
        kernel_shape: ``(*k, c_out / groups, c_in)``; the two arrays leave it open.
        stride: as in `conv_transpose_forward`.
        padding: as in `conv_transpose_forward`.
        output_padding: as in `conv_transpose_forward`.
        output_shape: as in `conv_transpose_forward`.
        dilation: as in `conv_transpose_forward`.
        groups: as in `conv_transpose_forward`.
        name: the layer or operation that errors name.

    Returns:
        Gradient by the kernel, of its shape.

    Raises:
        ShapeError, DTypeError, ArgumentError: as `conv_transpose_forward`, and where dy does not fit its
            output.

    """
    x, dy = operands(name, ("the input", "the output gradient"), x, dy)
    dims = ConvDims.transposed(
        x.shape, kernel_shape, stride, padding, output_padding, output_shape, dilation, groups, name
    )
    require_shape(name, "an output gradient", dy, dims.input_shape, _FROM_FORWARD)
    dw = fresh(dims.kernel_shape, x)
    kernels.on(x).conv_backward_weights(dims, dy, x, dw)
    return Tensor(dw)

"""Convolution of signals, images and volumes, and its gradients.

"Convolution" is cross-correlation here, as in every framework; ``flip=True`` gives that of mathematics.
Inputs are ``(n, *in, c_in)`` with 1 to 3 spatial axes, kernels ``(*k, c_in / groups, c_out)``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from numpy.typing import NDArray

from numbacnn.dims import ConvDims, Ints, Padding, Pairs
from numbacnn.epilogue import Activation, ActivationLike
from numbacnn.errors import ArgumentError, message
from numbacnn.functional._checks import Operand, fresh, operands, require_shape
from numbacnn.functional._twins import Twins
from numbacnn.functional.pad import pad_backward, pad_forward
from numbacnn.kernels.cpu import conv as _cpu
from numbacnn.kernels.cpu import copy as _cpu_copy
from numbacnn.tensor import Tensor

kernels, copies = Twins(_cpu), Twins(_cpu_copy)

_LABELS = ("the input", "the kernel", "the bias", "the scale", "the residual")
_FROM_FORWARD = "pass the gradient by what the forward pass returned"
_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


def conv_forward(
    x: Operand,  # (n, *in, c_in)
    w: Operand,  # (*k, c_in / groups, c_out)
    b: Operand | None = None,  # (c_out,)
    *,
    stride: Ints = 1,
    padding: Padding = "valid",
    dilation: Ints = 1,
    groups: int = 1,
    flip: bool = False,
    padding_mode: str = "zeros",
    scale: Operand | None = None,
    residual: Operand | None = None,
    activation: ActivationLike = None,
    name: str = "conv_forward",
) -> Tensor:
    """``y[n, o, j] = b[j] + sum over taps t, channels i of x[n, o stride - pad + t dilation, i] w[t, i, j]``.

    Args:
        x: ``(n, *in, c_in)`` with 1 to 3 spatial axes, float32 or float64; n may be 0.
        w: kernel ``(*k, c_in / groups, c_out)`` of the type of x.
        b: bias ``(c_out,)``, or None for none.
        stride: pixels between neighbouring outputs, one for all axes or one per axis.
        padding: ``"valid"`` (none), ``"same"`` (``out = ceil(in / stride)``, the odd pixel at the high end),
            ``"causal"`` (of one axis: ``(k - 1) dilation`` pixels at the low end), pixels for all ends, per
            axis, or a pair ``(low, high)`` per axis.
        dilation: pixels between neighbouring taps, one for all axes or one per axis.
        groups: divides both channel counts; an output channel reads the input channels of its group.
        flip: turn the kernel around in all spatial axes: tap t reads ``w[k - 1 - t]``.
        padding_mode: what padding holds: ``"zeros"``, ``"reflect"`` (about the first and the last pixel, not
            repeated), ``"replicate"`` (the nearest pixel) or ``"circular"`` (from the other end).
        scale: ``(c_out,)``, by which sums are multiplied before the bias is added, as an inference
            batch-norm does; or None.
        residual: of the output's shape, added next; or None.
        activation: applied last, while results are in the cache: None, ``"relu"``, ``"relu6"``, ``"silu"``,
            ``("leaky_relu", slope)`` or ``("clip", low, high)``.
        name: the layer or operation that errors name.

    Returns:
        ``activation(scale y + b + residual)`` where these are given, ``(n, *out, c_out)`` with
        ``out = floor((in + pads - (k - 1) dilation - 1) / stride) + 1``.

    Raises:
        ShapeError: ranks or channels do not fit, the kernel is larger than the padded input, or there is more
            padding than the mode has pixels for.
        DTypeError: other types than float32 and float64, or a mix of them.
        ArgumentError: stride, padding, dilation, groups, padding_mode or activation are outside their domain.

    Source:
        Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016, section 2.

    """
    x, w, b, scale, residual = operands(name, _LABELS, x, w, b, scale, residual)
    dims = ConvDims.of(x.shape, w.shape, stride, padding, dilation, groups, name)
    for label, array in (("a bias", b), ("a scale", scale)):
        if array is not None:
            require_shape(name, label, array, (dims.c_out,), "give one value per output channel")
    if residual is not None:
        require_shape(name, "a residual", residual, dims.output_shape, "it is added to the output")
    dims, pads = _padding(name, dims, padding_mode)
    if pads:
        x = _array(pad_forward(x, pads, mode=padding_mode, name=name))
    y = fresh(dims.output_shape, x)
    w = _turned(w) if flip else w
    if scale is None and residual is None and activation is None:
        kernels.on(x).conv_forward(dims, x, w, b, y)
    else:
        kernels.on(x).conv_forward_fused(dims, x, w, b, scale, residual, Activation.of(activation, name), y)
    return Tensor(y)


def conv_backward_data(
    dy: Operand,  # (n, *out, c_out)
    w: Operand,  # (*k, c_in / groups, c_out)
    input_shape: Sequence[int],
    *,
    stride: Ints = 1,
    padding: Padding = "valid",
    dilation: Ints = 1,
    groups: int = 1,
    flip: bool = False,
    padding_mode: str = "zeros",
    name: str = "conv_backward_data",
) -> Tensor:
    """``dx[n, p, i] = sum of dy[n, o, j] w[t, i, j] over j, o, t with o stride - pad + t dilation = p``.

    Args:
        dy: gradient by the output, ``(n, *out, c_out)``, float32 or float64.
        w: kernel of the forward pass, of the type of dy.
        input_shape: ``(n, *in, c_in)`` of the forward pass's input; the output's shape leaves it open.
        stride: as in `conv_forward`.
        padding: as in `conv_forward`.
        dilation: as in `conv_forward`.
        groups: as in `conv_forward`.
        flip: as in `conv_forward`.
        padding_mode: as in `conv_forward`; what padding shows of a pixel adds to that pixel's gradient.
        name: the layer or operation that errors name.

    Returns:
        Gradient by the input, ``(n, *in, c_in)``.

    Raises:
        ShapeError, DTypeError, ArgumentError: as `conv_forward`, and where dy does not fit its output.

    """
    dy, w = operands(name, ("the output gradient", "the kernel"), dy, w)
    dims = ConvDims.of(input_shape, w.shape, stride, padding, dilation, groups, name)
    require_shape(name, "an output gradient", dy, dims.output_shape, _FROM_FORWARD)
    shape = dims.input_shape
    dims, pads = _padding(name, dims, padding_mode)
    dx = fresh(dims.input_shape, dy)
    kernels.on(dy).conv_backward_data(dims, dy, _turned(w) if flip else w, dx)
    return pad_backward(dx, shape, pads, mode=padding_mode, name=name) if pads else Tensor(dx)


def conv_backward_weights(
    x: Operand,  # (n, *in, c_in)
    dy: Operand,  # (n, *out, c_out)
    kernel_shape: Sequence[int],
    *,
    stride: Ints = 1,
    padding: Padding = "valid",
    dilation: Ints = 1,
    groups: int = 1,
    flip: bool = False,
    padding_mode: str = "zeros",
    name: str = "conv_backward_weights",
) -> Tensor:
    """``dw[t, i, j] = sum over n and o of x[n, o stride - pad + t dilation, i] dy[n, o, j]``.

    Args:
        x: input of the forward pass, ``(n, *in, c_in)``, float32 or float64.
        dy: gradient by the output, ``(n, *out, c_out)``, of the type of x.
        kernel_shape: ``(*k, c_in / groups, c_out)``; the two arrays leave it open.
        stride: as in `conv_forward`.
        padding: as in `conv_forward`.
        dilation: as in `conv_forward`.
        groups: as in `conv_forward`.
        flip: as in `conv_forward`.
        padding_mode: as in `conv_forward`.
        name: the layer or operation that errors name.

    Returns:
        Gradient by the kernel, of its shape.

    Raises:
        ShapeError, DTypeError, ArgumentError: as `conv_forward`, and where dy does not fit its output.

    """
    x, dy = operands(name, ("the input", "the output gradient"), x, dy)
    dims = ConvDims.of(x.shape, kernel_shape, stride, padding, dilation, groups, name)
    require_shape(name, "an output gradient", dy, dims.output_shape, _FROM_FORWARD)
    dims, pads = _padding(name, dims, padding_mode)
    if pads:
        x = _array(pad_forward(x, pads, mode=padding_mode, name=name))
    dw = fresh(dims.kernel_shape, x)
    kernels.on(x).conv_backward_weights(dims, x, dy, dw)
    return Tensor(_turned(dw) if flip else dw)


def _array(tensor: Tensor) -> NDArray:
    return tensor._array


def _turned(w: Any) -> Any:
    """The kernel turned around in all spatial axes."""
    turned, taps, row = fresh(w.shape, w), math.prod(w.shape[:-2]), math.prod(w.shape[-2:])
    copies.on(w).strided_copy(w, (taps - 1) * row, (-row, 1), (taps, row), 0, (row, 1), turned)
    return turned


def _padding(name: str, dims: ConvDims, mode: str) -> tuple[ConvDims, Pairs]:
    """The dims that the kernels see, and what is to be padded before: nothing where padding is zeros."""
    if mode == "zeros":
        return dims, ()
    if mode not in _PADDING_MODES:
        expected = "padding_mode " + ", ".join(map(repr, _PADDING_MODES[:-1])) + f" or {_PADDING_MODES[-1]!r}"
        raise ArgumentError(message(name, expected, repr(mode), "pass one of these"))
    return _padded_before(dims)


@lru_cache(1024)
def _padded_before(dims: ConvDims) -> tuple[ConvDims, Pairs]:
    """The dims of the convolution without padding of the padded input, and the padding."""
    pads = tuple(zip(dims.pad_lo_, dims.pad_hi_, strict=True))
    if not any(map(any, pads)):
        return dims, ()
    sizes, none = tuple(s + sum(p) for s, p in zip(dims.in_, pads, strict=True)), (0,) * dims.rank
    return replace(dims, in_=sizes, pad_lo_=none, pad_hi_=none), pads

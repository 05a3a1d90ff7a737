"""Pooling by the p-norm of a window, over one to three spatial axes, and its gradient."""

from __future__ import annotations

import math

import numpy as np

from numbacnn.dims import Ints, Padding, PoolDims
from numbacnn.errors import ArgumentError, message
from numbacnn.functional._checks import Operand, fresh, operands, require_shape
from numbacnn.functional._twins import Twins
from numbacnn.kernels.cpu import lp_pool as _cpu
from numbacnn.tensor import Tensor

kernels = Twins(_cpu)

_FROM_FORWARD = "pass what the forward pass returned, and the gradient by it"


def _exponent(name: str, p: float) -> float:
    """The exponent as a float; ArgumentError where it is no finite number of 1 or more."""
    if not isinstance(p, (int, float, np.integer, np.floating)) or not 1 <= p < math.inf:
        expected = "a finite p of 1 or more"
        raise ArgumentError(message(name, expected, repr(p), "for the maximum use max_pool_forward"))
    return float(p)


def lp_pool_forward(
    x: Operand,  # (n, *in, c)
    kernel: Ints,
    *,
    p: float = 2.0,
    stride: Ints | None = None,
    padding: Padding = "valid",
    dilation: Ints = 1,
    ceil_mode: bool = False,
    name: str = "lp_pool_forward",
) -> Tensor:
    """``y[n, o, c] = (sum of |x[n, o stride - pad + t dilation, c]|^p over the taps t)^(1 / p)``.

    Magnitudes are raised, so that this is a norm for every p; PyTorch's lp_pool sums ``x^p``, which differs
    where p is odd and x negative.

    Args:
        x: batch ``(n, *in, c)`` with 1 to 3 spatial axes, float32 or float64; n may be 0.
        kernel: as in `max_pool_forward`.
        p: exponent, finite and 1 or more. 1 and 2 are fast and sum in the type of x; others sum in float64,
            whose range must hold ``|x|^p``.
        stride: as in `max_pool_forward`.
        padding: as in `conv_forward`; padding adds 0 to the sum.
        dilation: as in `max_pool_forward`.
        ceil_mode: as in `max_pool_forward`.
        name: the layer or operation that errors name.

    Returns:
        ``(n, *out, c)``, of the size of `max_pool_forward`.

    Raises:
        ShapeError, DTypeError: as `max_pool_forward`.
        ArgumentError: as `max_pool_forward`, and where p is outside its domain.

    Source:
        Sermanet, Chintala and LeCun, "Convolutional Neural Networks Applied to House Numbers Digit
        Classification", 2012, section 2.2.

    """
    (x,) = operands(name, ("the input",), x)
    p = _exponent(name, p)
    dims = PoolDims.of(x.shape, kernel, stride, padding, dilation, name, ceil_mode)
    y = fresh(dims.output_shape, x)
    kernels.on(x).lp_pool_forward(dims, x, y, p)
    return Tensor(y)


def lp_pool_backward(
    dy: Operand,  # (n, *out, c)
    x: Operand,  # (n, *in, c)
    y: Operand,  # (n, *out, c)
    kernel: Ints,
    *,
    p: float = 2.0,
    stride: Ints | None = None,
    padding: Padding = "valid",
    dilation: Ints = 1,
    ceil_mode: bool = False,
    name: str = "lp_pool_backward",
) -> Tensor:
    """``dx[q] = sum of dy[o] y[o]^(1 - p) sign(x[q]) |x[q]|^(p - 1) over the windows o that hold q``.

    Args:
        dy: gradient by the output, ``(n, *out, c)``, float32 or float64.
        x: input of the forward pass, ``(n, *in, c)``, of the type of dy.
        y: output of the forward pass.
        kernel: as in `max_pool_forward`.
        p: as in `lp_pool_forward`.
        stride: as in `max_pool_forward`.
        padding: as in `lp_pool_forward`.
        dilation: as in `max_pool_forward`.
        ceil_mode: as in `max_pool_forward`.
        name: the layer or operation that errors name.

    Returns:
        Gradient by the input, ``(n, *in, c)``. A window of zeros, where the norm has no slope, gives 0.

    Raises:
        ShapeError, DTypeError, ArgumentError: as `lp_pool_forward`, and where dy or y has another shape than
            its output.

    """
    x, y, dy = operands(name, ("the input", "the output", "the output gradient"), x, y, dy)
    p = _exponent(name, p)
    dims = PoolDims.of(x.shape, kernel, stride, padding, dilation, name, ceil_mode)
    require_shape(name, "an output", y, dims.output_shape, _FROM_FORWARD)
    require_shape(name, "an output gradient", dy, dims.output_shape, _FROM_FORWARD)
    dx = fresh(dims.input_shape, x)
    kernels.on(x).lp_pool_backward(dims, x, y, dy, dx, p)
    return Tensor(dx)

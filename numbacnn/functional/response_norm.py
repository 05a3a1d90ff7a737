"""Local response normalisation: each channel divided by a power of its neighbours' mean square."""

from __future__ import annotations

import math
from typing import Any

from numbacnn.errors import ArgumentError, ShapeError, message
from numbacnn.functional._checks import Operand, fresh, number_within, operands, require_shape
from numbacnn.functional._twins import Twins
from numbacnn.kernels.cpu import response_norm as _cpu
from numbacnn.tensor import Tensor

kernels = Twins(_cpu)


def local_response_norm_forward(
    x: Operand,  # (..., c)
    *,
    size: int = 5,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float = 1.0,
    name: str = "local_response_norm_forward",
) -> Tensor:
    """``y[j] = x[j] / (k + alpha / size * sum of x[i]^2)^beta``, over the channels i around j.

    The window holds ``size`` channels, ``size // 2`` of them before j; those past the ends count as zeros,
    and the sum is divided by size there too. The paper's alpha is not divided: its 1e-4 with 5 channels is
    ``alpha=5e-4`` here, and its k is 2.

    Args:
        x: ``(..., c)``, float32 or float64.
        size: channels of a window, 1 or more.
        alpha: weight of the mean square, 0 or more.
        beta: exponent, 0 or more; 0.5, 0.75 and 1 are fastest.
        k: what is added, above 0.
        name: the layer or operation that errors name.

    Returns:
        The shape and type of x.

    Raises:
        ShapeError: x has no axis, or no channel.
        DTypeError: another type than float32 and float64.
        ArgumentError: a number is out of its range.

    Source:
        Krizhevsky, Sutskever and Hinton, "ImageNet Classification with Deep Convolutional Neural Networks",
        NIPS 2012, section 3.3.

    """
    (x,) = operands(name, ("the input",), x)
    numbers = _numbers(name, x, size, alpha, beta, k)
    y = fresh(x.shape, x)
    kernels.on(x).local_response_norm_forward(x, *numbers, y)
    return Tensor(y)


def local_response_norm_backward(
    dy: Operand,  # (..., c)
    x: Operand,  # (..., c)
    *,
    size: int = 5,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float = 1.0,
    name: str = "local_response_norm_backward",
) -> Tensor:
    """``dx[i] = dy[i] s[i]^-beta - 2 alpha beta / size x[i] * sum of dy[j] x[j] s[j]^(-beta - 1)``.

    s is what the forward pass takes to the power, and the sum is over the channels whose window holds i.

    Args:
        dy: gradient by the output, ``(..., c)``, float32 or float64.
        x: input of the forward pass, of the shape and type of dy.
        size: as in the forward pass.
        alpha: as in the forward pass.
        beta: as in the forward pass.
        k: as in the forward pass.
        name: the layer or operation that errors name.

    Returns:
        Gradient by the input, of its shape.

    Raises:
        ShapeError, DTypeError, ArgumentError: as the forward pass.

    """
    dy, x = operands(name, ("the output gradient", "the input"), dy, x)
    require_shape(name, "an input", x, dy.shape, "pass the input of the forward pass")
    numbers = _numbers(name, x, size, alpha, beta, k)
    dx = fresh(x.shape, x)
    kernels.on(x).local_response_norm_backward(x, dy, *numbers, dx)
    return Tensor(dx)


def _numbers(
    name: str, x: Any, size: int, alpha: float, beta: float, k: float
) -> tuple[int, float, float, float]:
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ArgumentError(message(name, "size as an integer of 1 or more", repr(size), "pass such as 5"))
    alpha = number_within(name, "alpha", alpha, math.inf)
    beta = number_within(name, "beta", beta, math.inf)
    k = number_within(name, "k", k, math.inf)
    if k == 0.0:
        raise ArgumentError(message(name, "k above 0", repr(k), "pass such as k=1.0: x / 0 is no number"))
    if x.ndim == 0 or x.shape[-1] == 0:
        raise ShapeError(message(name, "an input (..., channels)", str(x.shape), "give it a channel axis"))
    return size, alpha, beta, k

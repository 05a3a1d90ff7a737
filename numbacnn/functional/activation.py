"""Activations beyond those of ``elementwise``: ELU, SELU, GELU, hard sigmoid and swish, Mish, softplus."""

from __future__ import annotations

import math

from numbacnn.errors import ArgumentError, message
from numbacnn.functional._checks import Operand, number_within
from numbacnn.functional._shaped import by_input, by_output, forward
from numbacnn.functional._twins import Twins
from numbacnn.kernels.cpu import activation as _cpu
from numbacnn.tensor import Tensor

kernels = Twins(_cpu)

_SELU = 1.6732632423543772, 1.0507009873554805  # alpha and scale: equations 14 of the paper


def elu_forward(x: Operand, *, alpha: float = 1.0, name: str = "elu_forward") -> Tensor:
    """``y = x where x > 0, else alpha (exp(x) - 1)``.

    Args:
        x: any shape, float32 or float64.
        alpha: 0 or more.
        name: the layer or operation that errors name.

    Returns:
        The shape and type of x.

    Raises:
        DTypeError: another type than float32 and float64.
        ArgumentError: alpha is negative or not finite.

    Source:
        Clevert, Unterthiner and Hochreiter, "Fast and Accurate Deep Network Learning by Exponential Linear
        Units", ICLR 2016, equation 15.

    """
    return forward(kernels, "elu_forward", x, name, number_within(name, "alpha", alpha, math.inf), 1.0)


def elu_backward(dy: Operand, y: Operand, *, alpha: float = 1.0, name: str = "elu_backward") -> Tensor:
    """``dx = dy where y > 0, else (y + alpha) dy``.

    Args:
        dy: gradient by the output, float32 or float64.
        y: output of the forward pass, of the shape and type of dy.
        alpha: as in the forward pass.
        name: the layer or operation that errors name.

    Returns:
        Gradient by the input, of the same shape and type.

    Raises:
        ShapeError: the shapes differ.
        DTypeError: other types than float32 and float64, or a mix of them.
        ArgumentError: as `elu_forward`.

    """
    alpha = number_within(name, "alpha", alpha, math.inf)
    return by_output(kernels, "elu_backward", dy, y, name, alpha, 1.0)


def selu_forward(x: Operand, *, name: str = "selu_forward") -> Tensor:
    """``y = scale x where x > 0, else scale alpha (exp(x) - 1)``; alpha 1.6733 and scale 1.0507.

    Args:
        x: any shape, float32 or float64.
        name: the layer or operation that errors name.

    Returns:
        The shape and type of x.

    Raises:
        DTypeError: another type than float32 and float64.

    Source:
        Klambauer, Unterthiner, Mayr and Hochreiter, "Self-Normalizing Neural Networks", NeurIPS 2017,
        equations 2 and 14.

    """
    return forward(kernels, "elu_forward", x, name, *_SELU)


def selu_backward(dy: Operand, y: Operand, *, name: str = "selu_backward") -> Tensor:
    """``dx = scale dy where y > 0, else (y + scale alpha) dy``.

    Args, returns and raises: as `elu_backward`, without its alpha.
    """
    return by_output(kernels, "elu_backward", dy, y, name, *_SELU)


def gelu_forward(x: Operand, *, approximate: bool = False, name: str = "gelu_forward") -> Tensor:
    """``y = x P(x)``, P the normal distribution's share below x: ``(1 + erf(x / sqrt(2))) / 2``.

    Args:
        x: any shape, float32 or float64.
        approximate: compute ``x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))`` instead.
        name: the layer or operation that errors name.

    Returns:
        The shape and type of x.

    Raises:
        DTypeError: another type than float32 and float64.
        ArgumentError: approximate is neither True nor False.

    Source:
        Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016, section 2.

    """
    return forward(kernels, "gelu_forward", x, name, _flag(name, approximate))


def gelu_backward(
    dy: Operand, x: Operand, *, approximate: bool = False, name: str = "gelu_backward"
) -> Tensor:
    """``dx = dy (P(x) + x exp(-x^2 / 2) / sqrt(2 pi))``; approximate, the slope of that form.

    Args:
        dy: gradient by the output, float32 or float64.
        x: input of the forward pass, of the shape and type of dy: two inputs can have one output.
        approximate: as in the forward pass.
        name: the layer or operation that errors name.

    Returns:
        Gradient by the input, of the same shape and type.

    Raises:
        ShapeError: the shapes differ.
        DTypeError: other types than float32 and float64, or a mix of them.
        ArgumentError: as `gelu_forward`.

    """
    return by_input(kernels, "gelu_backward", dy, x, name, _flag(name, approximate))


def hardsigmoid_forward(x: Operand, *, name: str = "hardsigmoid_forward") -> Tensor:
    """``y = min(max(x + 3, 0), 6) / 6``; NaN stays NaN.

    Args, returns, raises and source: as `hardswish_forward`.
    """
    return forward(kernels, "hardsigmoid_forward", x, name)


def hardsigmoid_backward(dy: Operand, y: Operand, *, name: str = "hardsigmoid_backward") -> Tensor:
    """``dx = dy / 6 where 0 < y < 1, else 0``.

    Args, returns and raises: as `elu_backward`, without its alpha.
    """
    return by_output(kernels, "hardsigmoid_backward", dy, y, name)


def hardswish_forward(x: Operand, *, name: str = "hardswish_forward") -> Tensor:
    """``y = x min(max(x + 3, 0), 6) / 6``; NaN stays NaN.

    Args:
        x: any shape, float32 or float64.
        name: the layer or operation that errors name.

    Returns:
        The shape and type of x.

    Raises:
        DTypeError: another type than float32 and float64.

    Source:
        Howard et al., "Searching for MobileNetV3", ICCV 2019, section 5.2.

    """
    return forward(kernels, "hardswish_forward", x, name)


def hardswish_backward(dy: Operand, x: Operand, *, name: str = "hardswish_backward") -> Tensor:
    """``dx = dy where x >= 3, dy (2 x + 3) / 6 where -3 < x < 3, else 0``.

    Args, returns and raises: as `gelu_backward`, without its form.
    """
    return by_input(kernels, "hardswish_backward", dy, x, name)


def mish_forward(x: Operand, *, name: str = "mish_forward") -> Tensor:
    """``y = x tanh(log(1 + exp(x)))``.

    Args:
        x: any shape, float32 or float64.
        name: the layer or operation that errors name.

    Returns:
        The shape and type of x.

    Raises:
        DTypeError: another type than float32 and float64.

    Source:
        Misra, "Mish: A Self Regularized Non-Monotonic Activation Function", BMVC 2020 (arXiv 1908.08681),
        section 2.

    """
    return forward(kernels, "mish_forward", x, name)


def mish_backward(dy: Operand, x: Operand, *, name: str = "mish_backward") -> Tensor:
    """``dx = dy (t + x (1 - t^2) / (1 + exp(-x)))``, ``t = tanh(log(1 + exp(x)))``.

    Args, returns and raises: as `gelu_backward`, without its form.
    """
    return by_input(kernels, "mish_backward", dy, x, name)


def softplus_forward(x: Operand, *, beta: float = 1.0, name: str = "softplus_forward") -> Tensor:
    """``y = log(1 + exp(beta x)) / beta``; no exponential overflows.

    Args:
        x: any shape, float32 or float64.
        beta: above 0: how sharp the bend is.
        name: the layer or operation that errors name.

    Returns:
        The shape and type of x.

    Raises:
        DTypeError: another type than float32 and float64.
        ArgumentError: beta is not above 0, or not finite.

    Source:
        Dugas, Bengio, Bélisle, Nadeau and Garcia, "Incorporating Second-Order Functional Knowledge for Better
        Option Pricing", NeurIPS 2000, section 3.

    """
    return forward(kernels, "softplus_forward", x, name, _beta(name, beta))


def softplus_backward(
    dy: Operand, y: Operand, *, beta: float = 1.0, name: str = "softplus_backward"
) -> Tensor:
    """``dx = dy (1 - exp(-beta y))``.

    Args:
        dy: gradient by the output, float32 or float64.
        y: output of the forward pass, of the shape and type of dy.
        beta: as in the forward pass.
        name: the layer or operation that errors name.

    Returns:
        Gradient by the input, of the same shape and type.

    Raises:
        ShapeError: the shapes differ.
        DTypeError: other types than float32 and float64, or a mix of them.
        ArgumentError: as `softplus_forward`.

    """
    return by_output(kernels, "softplus_backward", dy, y, name, _beta(name, beta))


def _flag(name: str, approximate: bool) -> bool:
    if not isinstance(approximate, bool):
        expected = "approximate as True or False"
        raise ArgumentError(message(name, expected, repr(approximate), "pass True for the tanh form"))
    return approximate


def _beta(name: str, beta: float) -> float:
    if number_within(name, "beta", beta, math.inf) == 0.0:
        raise ArgumentError(message(name, "a beta above 0", repr(beta), "check its value"))
    return float(beta)

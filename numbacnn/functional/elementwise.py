"""Activations, dropout, sums, products and the gradient of a bias: arrays of any shape."""

from __future__ import annotations

import math
import numbers

import numpy as np
from numpy.typing import NDArray

from numbacnn.errors import ArgumentError, DTypeError, ShapeError, message
from numbacnn.functional._checks import Operand, companion, fresh, number_within, operands, require_shape
from numbacnn.functional._shaped import by_input, by_output, forward
from numbacnn.functional._twins import Twins
from numbacnn.kernels.cpu import elementwise as _cpu
from numbacnn.tensor import Tensor

kernels = Twins(_cpu)


def relu_forward(x: Operand, *, name: str = "relu_forward") -> Tensor:
    """``y = max(x, 0)``; NaN stays NaN.

    Args:
        x: any shape, float32 or float64.
        name: the layer or operation that errors name.

    Returns:
        The shape and type of x.

    Raises:
        DTypeError: another type than float32 and float64.

    """
    return forward(kernels, "relu_forward", x, name)


def relu_backward(dy: Operand, y: Operand, *, name: str = "relu_backward") -> Tensor:
    """``dx = dy where y > 0, else 0``.

    Args:
        dy: gradient by the output, float32 or float64.
        y: output of the forward pass, of the shape and type of dy.
        name: the layer or operation that errors name.

    Returns:
        Gradient by the input, of the same shape and type.

    Raises:
        ShapeError: the shapes differ.
        DTypeError: other types than float32 and float64, or a mix of them.

    """
    return by_output(kernels, "relu_backward", dy, y, name)


def leaky_relu_forward(x: Operand, *, slope: float = 0.01, name: str = "leaky_relu_forward") -> Tensor:
    """``y = x where x > 0, else slope x``; NaN stays NaN.

    Args:
        x: any shape, float32 or float64.
        slope: of the negative side, 0 or more.
        name: the layer or operation that errors name.

    Returns:
        The shape and type of x.

    Raises:
        DTypeError: another type than float32 and float64.
        ArgumentError: the slope is negative or not finite.

    Source:
        Maas, Hannun and Ng, "Rectifier Nonlinearities Improve Neural Network Acoustic Models", ICML 2013,
        section 2.

    """
    return forward(kernels, "leaky_relu_forward", x, name, number_within(name, "slope", slope, math.inf))


def leaky_relu_backward(
    dy: Operand, y: Operand, *, slope: float = 0.01, name: str = "leaky_relu_backward"
) -> Tensor:
    """``dx = dy where y > 0, else slope dy``.

    Args:
        dy: gradient by the output, float32 or float64.
        y: output of the forward pass, of the shape and type of dy.
        slope: as in the forward pass.
        name: the layer or operation that errors name.

    Returns:
        Gradient by the input, of the same shape and type.

    Raises:
        ShapeError: the shapes differ.
        DTypeError: other types than float32 and float64, or a mix of them.
        ArgumentError: as `leaky_relu_forward`.

    """
    return by_output(
        kernels, "leaky_relu_backward", dy, y, name, number_within(name, "slope", slope, math.inf)
    )


def clip_forward(
    x: Operand, low: float = -math.inf, high: float = math.inf, *, name: str = "clip_forward"
) -> Tensor:
    """``y = min(max(x, low), high)``; NaN stays NaN. With 0 and 6 it is ReLU6.

    Args:
        x: any shape, float32 or float64.
        low: the least result.
        high: the largest result, not below low.
        name: the layer or operation that errors name.

    Returns:
        The shape and type of x.

    Raises:
        DTypeError: another type than float32 and float64.
        ArgumentError: the limits are no numbers, or the wrong way round.

    """
    return forward(kernels, "clip_forward", x, name, *_limits(name, low, high))


def clip_backward(
    dy: Operand, y: Operand, low: float = -math.inf, high: float = math.inf, *, name: str = "clip_backward"
) -> Tensor:
    """``dx = dy where low < y < high, else 0``.

    Args:
        dy: gradient by the output, float32 or float64.
        y: output of the forward pass, of the shape and type of dy; its input does as well.
        low: as in the forward pass.
        high: as in the forward pass.
        name: the layer or operation that errors name.

    Returns:
        Gradient by the input, of the same shape and type.

    Raises:
        ShapeError: the shapes differ.
        DTypeError: other types than float32 and float64, or a mix of them.
        ArgumentError: as `clip_forward`.

    """
    return by_output(kernels, "clip_backward", dy, y, name, *_limits(name, low, high))


def silu_forward(x: Operand, *, name: str = "silu_forward") -> Tensor:
    """``y = x / (1 + exp(-x))``, also called swish.

    Args, returns and raises: as `relu_forward`.

    Source:
        Elfwing, Uchibe and Doya, "Sigmoid-Weighted Linear Units for Neural Network Function Approximation in
        Reinforcement Learning", Neural Networks 107, 2018, section 2.
    """
    return forward(kernels, "silu_forward", x, name)


def silu_backward(dy: Operand, x: Operand, *, name: str = "silu_backward") -> Tensor:
    """``dx = dy s (1 + x (1 - s))`` with ``s = 1 / (1 + exp(-x))``.

    Args:
        dy: gradient by the output, float32 or float64.
        x: input of the forward pass, of the shape and type of dy: two inputs can have one output.
        name: the layer or operation that errors name.

    Returns:
        Gradient by the input, of the same shape and type.

    Raises:
        ShapeError: the shapes differ.
        DTypeError: other types than float32 and float64, or a mix of them.

    """
    return by_input(kernels, "silu_backward", dy, x, name)


def sigmoid_forward(x: Operand, *, name: str = "sigmoid_forward") -> Tensor:
    """``y = 1 / (1 + exp(-x))``.

    Args, returns and raises: as `relu_forward`.
    """
    return forward(kernels, "sigmoid_forward", x, name)


def sigmoid_backward(dy: Operand, y: Operand, *, name: str = "sigmoid_backward") -> Tensor:
    """``dx = dy y (1 - y)``.

    Args, returns and raises: as `relu_backward`.
    """
    return by_output(kernels, "sigmoid_backward", dy, y, name)


def tanh_forward(x: Operand, *, name: str = "tanh_forward") -> Tensor:
    """``y = tanh(x)``.

    Args, returns and raises: as `relu_forward`.
    """
    return forward(kernels, "tanh_forward", x, name)


def tanh_backward(dy: Operand, y: Operand, *, name: str = "tanh_backward") -> Tensor:
    """``dx = dy (1 - y^2)``.

    Args, returns and raises: as `relu_backward`.
    """
    return by_output(kernels, "tanh_backward", dy, y, name)


def dropout_forward(x: Operand, mask: Operand, scale: float, *, name: str = "dropout_forward") -> Tensor:
    """``y = x mask scale``.

    Args:
        x: any shape, float32 or float64.
        mask: 1 where an element is kept, 0 where it is dropped: uint8 or bool, the shape of x.
        scale: ``1 / (1 - rate)`` keeps the expected value.
        name: the layer or operation that errors name.

    Returns:
        The shape and type of x.

    Raises:
        ShapeError: the mask has another shape.
        DTypeError: another type than float32 and float64, or a mask of other than uint8 and bool.
        ArgumentError: the scale is negative or not finite.

    """
    (x,) = operands(name, ("the input",), x)
    kept = _mask(name, mask, x)
    y = fresh(x.shape, x)
    kernels.on(x).dropout_forward(x, kept, _scale(name, scale), y)
    return Tensor(y)


def dropout_backward(dy: Operand, mask: Operand, scale: float, *, name: str = "dropout_backward") -> Tensor:
    """``dx = dy mask scale``.

    Args:
        dy: gradient by the output, float32 or float64.
        mask: as in the forward pass.
        scale: as in the forward pass.
        name: the layer or operation that errors name.

    Returns:
        Gradient by the input, of the shape and type of dy.

    Raises:
        ShapeError, DTypeError, ArgumentError: as `dropout_forward`.

    """
    (dy,) = operands(name, ("the output gradient",), dy)
    kept = _mask(name, mask, dy)
    dx = fresh(dy.shape, dy)
    kernels.on(dy).dropout_backward(dy, kept, _scale(name, scale), dx)
    return Tensor(dx)


def add(x: Operand, y: Operand, *, name: str = "add") -> Tensor:
    """``out = x + y``.

    Args:
        x: any shape, float32 or float64.
        y: of the shape and type of x.
        name: the layer or operation that errors name.

    Returns:
        The sum.

    Raises:
        ShapeError: the shapes differ.
        DTypeError: other types than float32 and float64, or a mix of them.

    """
    x, y = operands(name, ("the first term", "the second term"), x, y)
    require_shape(name, "a second term", y, x.shape, "give both terms one shape")
    out = fresh(x.shape, x)
    kernels.on(x).add(x, y, out)
    return Tensor(out)


def multiply(x: Operand, y: Operand, *, name: str = "multiply") -> Tensor:
    """``out = x y``, element by element; its gradients are ``multiply(dy, y)`` and ``multiply(dy, x)``.

    Args:
        x: any shape, float32 or float64.
        y: of the shape and type of x.
        name: the layer or operation that errors name.

    Returns:
        The product.

    Raises:
        ShapeError: the shapes differ.
        DTypeError: other types than float32 and float64, or a mix of them.

    """
    x, y = operands(name, ("the first factor", "the second factor"), x, y)
    require_shape(name, "a second factor", y, x.shape, "give both factors one shape")
    out = fresh(x.shape, x)
    kernels.on(x).multiply(x, y, out)
    return Tensor(out)


def bias_backward(dy: Operand, *, name: str = "bias_backward") -> Tensor:
    """``db[j] = sum of dy[..., j]`` over all axes but the last: the gradient of any bias.

    Args:
        dy: gradient by the output, ``(..., c)``, float32 or float64.
        name: the layer or operation that errors name.

    Returns:
        Gradient by the bias, ``(c,)``.

    Raises:
        ShapeError: dy has no axis, or no channel.
        DTypeError: another type than float32 and float64.

    """
    (dy,) = operands(name, ("the output gradient",), dy)
    if dy.ndim == 0 or dy.shape[-1] == 0:
        expected = "an output gradient (..., channels) of 1 channel or more"
        raise ShapeError(message(name, expected, str(dy.shape), "check its shape; channels come last"))
    db = fresh(dy.shape[-1:], dy)
    kernels.on(dy).bias_backward(dy, db)
    return Tensor(db)


def _limits(name: str, low: float, high: float) -> tuple[float, float]:
    if not (isinstance(low, numbers.Real) and isinstance(high, numbers.Real) and low <= high):
        got = f"{low!r} and {high!r}"
        raise ArgumentError(message(name, "numbers low and high, low <= high", got, "check the limits"))
    return float(low), float(high)


def _mask(name: str, mask: Operand, like: NDArray) -> NDArray[np.uint8]:
    array = companion(name, "a mask", mask, like)
    if array.dtype not in (np.uint8, np.bool_):
        raise DTypeError(message(name, "a mask of uint8 or bool", str(array.dtype), "convert the mask"))
    require_shape(name, "a mask", array, like.shape, "draw one value per element")
    return array.view(np.uint8)


def _scale(name: str, scale: float) -> float:
    return number_within(name, "scale", scale, math.inf)

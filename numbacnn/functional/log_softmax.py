"""The logarithm of softmax."""

from __future__ import annotations

from numbacnn.functional._checks import Operand, fresh, operands, require_shape
from numbacnn.functional._twins import Twins
from numbacnn.functional.softmax import require_classes
from numbacnn.kernels.cpu import log_softmax as _cpu
from numbacnn.tensor import Tensor

kernels = Twins(_cpu)


def log_softmax_forward(x: Operand, *, name: str = "log_softmax_forward") -> Tensor:
    """``y[..., j] = x[..., j] - log(sum over l of exp(x[..., l]))``, over the last axis.

    Args:
        x: ``(..., k)``, float32 or float64.
        name: the layer or operation that errors name.

    Returns:
        The shape and type of x; the exponentials of each row sum to 1.

    Raises:
        ShapeError: x has no axis, or no class.
        DTypeError: another type than float32 and float64.

    """
    (x,) = operands(name, ("the input",), x)
    require_classes(name, x)
    y = fresh(x.shape, x)
    kernels.on(x).log_softmax_forward(x, y)
    return Tensor(y)


def log_softmax_backward(dy: Operand, y: Operand, *, name: str = "log_softmax_backward") -> Tensor:
    """``dx[..., j] = dy[..., j] - exp(y[..., j]) sum over l of dy[..., l]``.

    Args:
        dy: gradient by the output, ``(..., k)``, float32 or float64.
        y: output of the forward pass, of the shape and type of dy.
        name: the layer or operation that errors name.

    Returns:
        Gradient by the input, of the same shape and type.

    Raises:
        ShapeError: the shapes differ, or there is no class.
        DTypeError: other types than float32 and float64, or a mix of them.

    """
    dy, y = operands(name, ("the output gradient", "the output"), dy, y)
    require_classes(name, dy)
    require_shape(name, "an output", y, dy.shape, "pass what the forward pass returned")
    dx = fresh(dy.shape, dy)
    kernels.on(dy).log_softmax_backward(y, dy, dx)
    return Tensor(dx)

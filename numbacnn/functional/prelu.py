"""Rectifiers with learned slopes."""

from __future__ import annotations

from numpy.typing import NDArray

from numbacnn.errors import ShapeError, message
from numbacnn.functional._checks import Operand, fresh, operands, require_shape
from numbacnn.functional._twins import Twins
from numbacnn.kernels.cpu import prelu as _cpu
from numbacnn.tensor import Tensor

kernels = Twins(_cpu)


def prelu_forward(x: Operand, slope: Operand, *, name: str = "prelu_forward") -> Tensor:
    """``y = x where x > 0, else slope x``; NaN stays NaN.

    Args:
        x: ``(..., c)``, float32 or float64.
        slope: ``(c,)``, one for each channel, or ``(1,)``, one for all; of the type of x.
        name: the layer or operation that errors name.

    Returns:
        The shape and type of x.

    Raises:
        ShapeError: x has no axis, or the slopes are not as many as its channels, nor one.
        DTypeError: another type than float32 and float64, or a mix of them.

    Source:
        He, Zhang, Ren and Sun, "Delving Deep into Rectifiers", ICCV 2015, section 2.1, equation 1.

    """
    x, slope = operands(name, ("the input", "the slope"), x, slope)
    _require_slopes(name, x, slope)
    y = fresh(x.shape, x)
    kernels.on(x).prelu_forward(x, slope, y)
    return Tensor(y)


def prelu_backward(
    dy: Operand, x: Operand, slope: Operand, *, name: str = "prelu_backward"
) -> tuple[Tensor, Tensor]:
    """``dx = dy where x > 0, else slope dy``; ``dslope = sum of x dy where x <= 0``, by channels or whole.

    Args:
        dy: gradient by the output, ``(..., c)``, float32 or float64.
        x: input of the forward pass, of the shape and type of dy: a slope may be negative, or 0.
        slope: as in the forward pass.
        name: the layer or operation that errors name.

    Returns:
        Gradient by the input, of its shape, and by the slopes, of theirs.

    Raises:
        ShapeError, DTypeError: as `prelu_forward`; and the shapes of dy and x differ.

    Source:
        He, Zhang, Ren and Sun, "Delving Deep into Rectifiers", ICCV 2015, section 2.1, equations 2 and 3.

    """
    dy, x, slope = operands(name, ("the output gradient", "the input", "the slope"), dy, x, slope)
    require_shape(name, "an input", x, dy.shape, "pass what the forward pass was given")
    _require_slopes(name, x, slope)
    dx, dslope = fresh(x.shape, x), fresh(slope.shape, x)
    kernels.on(x).prelu_backward(x, slope, dy, dx, dslope)
    return Tensor(dx), Tensor(dslope)


def _require_slopes(name: str, x: NDArray, slope: NDArray) -> None:
    if x.ndim == 0 or x.shape[-1] == 0:
        raise ShapeError(message(name, "an input (..., channels)", str(x.shape), "channels come last"))
    if slope.shape not in ((1,), x.shape[-1:]):
        expected = f"slopes of shape ({x.shape[-1]},), one for each channel, or (1,)"
        raise ShapeError(message(name, expected, str(slope.shape), "pass those that were made for the input"))

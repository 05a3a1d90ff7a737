"""The mean and the maximum of each pixel's channels."""

from __future__ import annotations

from numbacnn.errors import ShapeError, message
from numbacnn.functional._checks import Operand, fresh, operands, require_shape
from numbacnn.functional._twins import Twins
from numbacnn.kernels.cpu import channel_pool as _cpu
from numbacnn.tensor import Tensor

kernels = Twins(_cpu)


def channel_pool_forward(x: Operand, *, name: str = "channel_pool_forward") -> Tensor:
    """``y[..., 0] = mean(x[..., :])``, ``y[..., 1] = max(x[..., :])``; a NaN is a maximum.

    Args:
        x: ``(..., channels)``, float32 or float64.
        name: the layer or operation that errors name.

    Returns:
        ``(..., 2)``.

    Raises:
        ShapeError: x has no axis, or no channel.
        DTypeError: another type than float32 and float64.

    Source:
        Woo, Park, Lee and Kweon, "CBAM: Convolutional Block Attention Module", ECCV 2018, section 3.2.

    """
    (x,) = operands(name, ("the input",), x)
    _require_channels(name, x.shape)
    y = fresh((*x.shape[:-1], 2), x)
    kernels.on(x).channel_pool_forward(x, y)
    return Tensor(y)


def channel_pool_backward(
    dy: Operand, x: Operand, y: Operand, others: Operand | None = None, *, name: str = "channel_pool_backward"
) -> Tensor:
    """``dx = dy[..., 0] / channels``, and ``+ dy[..., 1]`` at the first channel that is the maximum.

    Args:
        dy: gradient by the output, ``(..., 2)``, float32 or float64.
        x: input of the forward pass, ``(..., channels)``.
        y: its output.
        others: other gradients by x, which are added in the same pass; or None.
        name: the layer or operation that errors name.

    Returns:
        Gradient by x.

    Raises:
        ShapeError: the shapes do not fit.
        DTypeError: other types than float32 and float64, or a mix of them.

    """
    labels = ("the output gradient", "the input", "the output", "the other gradients")
    dy, x, y, others = operands(name, labels, dy, x, y, others)
    _require_channels(name, x.shape)
    shape = (*x.shape[:-1], 2)
    require_shape(name, "an output gradient", dy, shape, "pass the gradient of what the forward pass gave")
    require_shape(name, "an output", y, shape, "pass what the forward pass returned")
    if others is not None:
        require_shape(name, "other gradients", others, x.shape, "pass gradients by the same input")
    dx = fresh(x.shape, x)
    kernels.on(x).channel_pool_backward(x, y, dy, others, dx)
    return Tensor(dx)


def _require_channels(name: str, shape: tuple[int, ...]) -> None:
    if not shape or not shape[-1]:
        expected = "an input (..., channels) of 1 channel or more"
        raise ShapeError(message(name, expected, str(shape), "check its shape; channels come last"))

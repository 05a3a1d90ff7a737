"""Elementwise functions with their gradients, dropout, and the sum over pixels: one pass over memory each.

Arrays of a call have one shape and one element type.  An output may be an input, but for `bias_backward`.
16-bit floats are computed on in float32.  The gradients of activations need the output only, but for
SiLU's, which is not monotonic.
"""

from __future__ import annotations

from . import reduce
from .each import apply
from .memory import DeviceArray

__all__ = [
    "add",
    "bias_backward",
    "clip_backward",
    "clip_forward",
    "dropout_backward",
    "dropout_forward",
    "leaky_relu_backward",
    "leaky_relu_forward",
    "multiply",
    "relu_backward",
    "relu_forward",
    "sigmoid_backward",
    "sigmoid_forward",
    "silu_backward",
    "silu_forward",
    "tanh_backward",
    "tanh_forward",
]


def relu_forward(x: DeviceArray, y: DeviceArray) -> None:
    """``y = max(x, 0)``; NaN stays NaN."""
    apply("relu", x, None, y)


def relu_backward(y: DeviceArray, dy: DeviceArray, dx: DeviceArray) -> None:
    """``dx = dy where y > 0, else 0``."""
    apply("relu_slope", y, dy, dx)


def leaky_relu_forward(x: DeviceArray, slope: float, y: DeviceArray) -> None:
    """``y = x where x > 0, else slope x``; NaN stays NaN."""
    apply("leaky", x, None, y, slope)


def leaky_relu_backward(y: DeviceArray, dy: DeviceArray, slope: float, dx: DeviceArray) -> None:
    """``dx = dy where y > 0, else slope dy``, for a slope of 0 or more."""
    apply("leaky_slope", y, dy, dx, slope)


def clip_forward(x: DeviceArray, low: float, high: float, y: DeviceArray) -> None:
    """``y = min(max(x, low), high)``; NaN stays NaN."""
    apply("clip", x, None, y, low, high)


def clip_backward(y: DeviceArray, dy: DeviceArray, low: float, high: float, dx: DeviceArray) -> None:
    """``dx = dy where low < y < high, else 0``."""
    apply("clip_slope", y, dy, dx, _rounded(low, y), _rounded(high, y))


def silu_forward(x: DeviceArray, y: DeviceArray) -> None:
    """``y = x / (1 + exp(-x))``."""
    apply("silu", x, None, y)


def silu_backward(x: DeviceArray, dy: DeviceArray, dx: DeviceArray) -> None:
    """``dx = dy s (1 + x (1 - s))``, ``s = 1 / (1 + exp(-x))``."""
    apply("silu_slope", x, dy, dx)


def sigmoid_forward(x: DeviceArray, y: DeviceArray) -> None:
    """``y = 1 / (1 + exp(-x))``; no exponential overflows."""
    apply("sigmoid", x, None, y)


def sigmoid_backward(y: DeviceArray, dy: DeviceArray, dx: DeviceArray) -> None:
    """``dx = dy y (1 - y)``."""
    apply("sigmoid_slope", y, dy, dx)


def tanh_forward(x: DeviceArray, y: DeviceArray) -> None:
    """``y = tanh(x)``."""
    apply("tanh", x, None, y)


def tanh_backward(y: DeviceArray, dy: DeviceArray, dx: DeviceArray) -> None:
    """``dx = dy (1 - y^2)``."""
    apply("tanh_slope", y, dy, dx)


def dropout_forward(
    x: DeviceArray,
    mask: DeviceArray,  # uint8, 0 or 1
    scale: float,
    y: DeviceArray,
) -> None:
    """``y = x mask scale``, with 0 or 1 in the mask."""
    apply("masked", x, mask, y, scale)


def dropout_backward(
    dy: DeviceArray,
    mask: DeviceArray,  # uint8, 0 or 1
    scale: float,
    dx: DeviceArray,
) -> None:
    """``dx = dy mask scale``."""
    dropout_forward(dy, mask, scale, dx)


def add(x: DeviceArray, y: DeviceArray, out: DeviceArray) -> None:
    """``out = x + y``."""
    apply("sum", x, y, out)


def multiply(x: DeviceArray, y: DeviceArray, out: DeviceArray) -> None:
    """``out = x y``."""
    apply("product", x, y, out)


def bias_backward(
    dy: DeviceArray,  # (..., c) read
    db: DeviceArray,  # (c,) written
) -> None:
    """``db[j] = sum of dy[..., j]``, over all axes but the last.

    Blocks sum pixels for themselves, then their sums are added in order: the same bits on any GPU of a kind.
    """
    reduce.column_sums(dy, dy.size // db.size, db.size, db)


def _rounded(limit: float, like: DeviceArray) -> float:
    """The limit as `clip_forward` wrote it: an output at it has no slope."""
    return float(like.dtype.type(limit))

"""Dense products, and their gradients."""

from __future__ import annotations

from numpy.typing import NDArray

from numbacnn.errors import ShapeError, message
from numbacnn.functional._checks import Operand, fresh, operands, require_rank, require_shape
from numbacnn.functional._twins import Twins
from numbacnn.kernels.cpu import dense as _cpu
from numbacnn.tensor import Tensor

kernels = Twins(_cpu)

_FLATTEN = "flatten all axes but the batch"


def dense_forward(
    x: Operand,  # (n, f)
    w: Operand,  # (f, k)
    b: Operand | None = None,  # (k,)
    *,
    name: str = "dense_forward",
) -> Tensor:
    """``y = x w + b``.

    Args:
        x: ``(n, f)``, float32 or float64; n may be 0.
        w: ``(f, k)`` of the type of x.
        b: ``(k,)``, or None for none.
        name: the layer or operation that errors name.

    Returns:
        ``(n, k)``.

    Raises:
        ShapeError: ranks or extents do not fit, or f or k is 0.
        DTypeError: other types than float32 and float64, or a mix of them.

    """
    if b is None:
        x, w = operands(name, ("the input", "the weights"), x, w)
    else:
        x, w, b = operands(name, ("the input", "the weights", "the bias"), x, w, b)
    require_rank(name, "an input", x, "(n, features)", _FLATTEN)
    _require_weights(name, w)
    if x.shape[1] != w.shape[0]:
        expected, got = (
            f"{w.shape[0]} features, the rows of the weights {w.shape}",
            f"{x.shape[1]} in {x.shape}",
        )
        raise ShapeError(message(name, expected, got, _FLATTEN))
    if b is not None:
        require_shape(name, "a bias", b, w.shape[1:], "give one value per output")
    y = fresh((x.shape[0], w.shape[1]), x)
    kernels.on(x).dense_forward(x, w, b, y)
    return Tensor(y)


def dense_backward_data(
    dy: Operand,  # (n, k)
    w: Operand,  # (f, k)
    *,
    name: str = "dense_backward_data",
) -> Tensor:
    """``dx = dy w^T``.

    Args:
        dy: gradient by the output, ``(n, k)``, float32 or float64.
        w: weights of the forward pass, ``(f, k)``, of the type of dy.
        name: the layer or operation that errors name.

    Returns:
        Gradient by the input, ``(n, f)``.

    Raises:
        ShapeError, DTypeError: as `dense_forward`.

    """
    dy, w = operands(name, ("the output gradient", "the weights"), dy, w)
    require_rank(name, "an output gradient", dy, "(n, outputs)", _FLATTEN)
    _require_weights(name, w)
    shape = (dy.shape[0], w.shape[1])
    require_shape(name, "an output gradient", dy, shape, "pass one column per column of the weights")
    dx = fresh((dy.shape[0], w.shape[0]), dy)
    kernels.on(dy).dense_backward_data(dy, w, dx)
    return Tensor(dx)


def dense_backward_weights(
    x: Operand,  # (n, f)
    dy: Operand,  # (n, k)
    *,
    name: str = "dense_backward_weights",
) -> Tensor:
    """``dw = x^T dy``.

    Args:
        x: input of the forward pass, ``(n, f)``, float32 or float64.
        dy: gradient by the output, ``(n, k)``, of the type of x.
        name: the layer or operation that errors name.

    Returns:
        Gradient by the weights, ``(f, k)``.

    Raises:
        ShapeError, DTypeError: as `dense_forward`.

    """
    x, dy = operands(name, ("the input", "the output gradient"), x, dy)
    require_rank(name, "an input", x, "(n, features)", _FLATTEN)
    require_rank(name, "an output gradient", dy, "(n, outputs)", _FLATTEN)
    shape = (x.shape[0], dy.shape[1])
    require_shape(name, "an output gradient", dy, shape, "pass one row per row of the input")
    _require_positive(name, "features and outputs", (x.shape[1], dy.shape[1]))
    dw = fresh((x.shape[1], dy.shape[1]), x)
    kernels.on(x).dense_backward_weights(x, dy, dw)
    return Tensor(dw)


def _require_weights(name: str, w: NDArray) -> None:
    require_rank(name, "weights", w, "(features, outputs)", "reshape them")
    _require_positive(name, "weights (features, outputs)", w.shape)


def _require_positive(name: str, label: str, sizes: tuple[int, ...]) -> None:
    if not sizes or 0 in sizes:
        raise ShapeError(message(name, f"{label} of positive size", str(sizes), "check the shapes"))

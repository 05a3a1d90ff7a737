"""Rows of a table, chosen by integers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from numbacnn.errors import ArgumentError, DTypeError, IndexRangeError, ShapeError, message
from numbacnn.functional._checks import Operand, companion, fresh, operands, require_rank, require_shape
from numbacnn.functional._twins import Twins
from numbacnn.kernels.cpu import embedding as _cpu
from numbacnn.tensor import Tensor

kernels = Twins(_cpu)

_ON_GPUS = (np.dtype(np.int32), np.dtype(np.int64))


def embedding_forward(
    x: Operand, w: Operand, *, padding_index: int | None = None, name: str = "embedding_forward"
) -> Tensor:
    """``y[..., :] = w[x[...], :]``.

    Args:
        x: integers from 0 to v - 1, any shape; on a GPU int32 or int64.
        w: the table ``(v, d)``, float32 or float64.
        padding_index: the integer that gives zeros, whatever its row, or None.
        name: the layer or operation that errors name.

    Returns:
        ``(*x.shape, d)``, of the type of w.

    Raises:
        IndexRangeError: an integer is below 0 or not below v. On a GPU, whose values are not looked at as
            that would wait for it, its row is NaN instead.
        ShapeError: w is no table of a row and a column or more.
        DTypeError: x holds no integers, or w other than float32 and float64.
        ArgumentError: the padding index is no row of the table.

    """
    (w,) = operands(name, ("the table",), w)
    _require_table(name, w.shape, w)
    padding = _padding(name, padding_index, w.shape[0])
    indices = _indices(name, x, w, w.shape[0])
    y = fresh((*indices.shape, w.shape[1]), w)
    kernels.on(w).embedding_forward(indices, w, padding, y)
    return Tensor(y)


def embedding_backward(
    dy: Operand, x: Operand, rows: int, *, padding_index: int | None = None, name: str = "embedding_backward"
) -> Tensor:
    """``dw[k, :] = sum of dy[i, :] over the i with x[i] = k``, in their order; zeros for the padding.

    Args:
        dy: gradient by the output, ``(*x.shape, d)``, float32 or float64.
        x: integers as in the forward pass.
        rows: v, of the table.
        padding_index: as in the forward pass.
        name: the layer or operation that errors name.

    Returns:
        Gradient by the table, ``(v, d)``.

    Raises:
        ShapeError: dy is not of the shape of the forward pass's output.
        IndexRangeError, DTypeError, ArgumentError: as `embedding_forward`; on a GPU integers out of range
            give no gradient.

    """
    (dy,) = operands(name, ("the output gradient",), dy)
    if dy.ndim == 0:
        raise ShapeError(message(name, "an output gradient (..., d)", "()", "pass that of the output"))
    _require_table(name, (rows, dy.shape[-1]), dy)
    padding = _padding(name, padding_index, rows)
    indices = _indices(name, x, dy, rows)
    shape = (*indices.shape, dy.shape[-1])
    require_shape(name, "an output gradient", dy, shape, "pass that of the output")
    dw = fresh((rows, dy.shape[-1]), dy)
    kernels.on(dy).embedding_backward(indices, dy, padding, dw)
    return Tensor(dw)


def _require_table(name: str, shape: tuple[int, ...], like: NDArray) -> None:
    if len(shape) != 2:
        require_rank(name, "a table", like, "(rows, columns)", "give it a row for each integer")
    if min(shape) < 1:
        expected = "a table of a row and a column or more"
        raise ShapeError(message(name, expected, str(shape), "check its sizes"))


def _padding(name: str, index: int | None, rows: int) -> int:
    """The index of the padding, -1 for none."""
    if index is None:
        return -1
    if isinstance(index, bool) or not isinstance(index, (int, np.integer)) or not 0 <= index < rows:
        expected = f"padding_index as an integer from 0 to {rows - 1}, or None"
        raise ArgumentError(message(name, expected, repr(index), "check its value"))
    return int(index)


def _indices(name: str, x: Any, like: NDArray, rows: int) -> NDArray:
    """The integers as int64, or as they are on a GPU."""
    array = companion(name, "integers", x, like)
    if array.dtype.kind not in "iu":
        remedy = "number the words or categories from 0"
        raise DTypeError(message(name, "an input of integers", str(array.dtype), remedy))
    if type(array) is not np.ndarray:
        if array.dtype not in _ON_GPUS:
            remedy = "convert them before .to()"
            raise DTypeError(message(name, "integers of int32 or int64 on a GPU", str(array.dtype), remedy))
        return array
    # Seen as unsigned, a negative integer is out of range too: one pass finds both.
    wide = array.astype(np.int64, copy=False)
    if wide.size and wide.view(np.uint64).max() >= rows:
        at = int(np.flatnonzero(wide.reshape(-1).view(np.uint64) >= rows)[0])
        place = tuple(int(v) for v in np.unravel_index(at, array.shape))
        got = f"{array.reshape(-1)[at]} at index {place}"
        remedy = "check the integers, or make a larger table"
        raise IndexRangeError(message(name, f"integers from 0 to {rows - 1}", got, remedy))
    return wide

"""What every operation checks of its arguments before a kernel, which checks nothing, sees them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from numbacnn.errors import ArgumentError, DTypeError, ShapeError, message
from numbacnn.memory import buffer_pool
from numbacnn.tensor import Tensor, as_tensor

Operand = Tensor | ArrayLike

_FLOATS = frozenset([np.dtype(np.float32), np.dtype(np.float64)])
_PLAIN = 0x101  # of an array's flags, as NumPy numbers them: C-contiguous and aligned


def _readable(value: Any, name: str) -> NDArray:
    """The array of an argument that is only read: unlike a tensor's, it need not be writable."""
    if type(value) is Tensor:
        return value.numpy()
    if type(value) is np.ndarray and value.flags.num & _PLAIN == _PLAIN and value.dtype in _FLOATS:
        return value
    return as_tensor(value, name=name).numpy()


def operands(name: str, labels: Sequence[str], *values: Any) -> list[NDArray]:
    """The arrays of the arguments, which must share one floating-point type; None for those that are None.

    Args:
        name: the layer or operation that errors name.
        labels: what each argument is, for errors.
        values: the arguments; the first is not None.

    Returns:
        C-contiguous arrays, not copied where they are so already.

    Raises:
        DTypeError: the first is neither float32 nor float64, or another differs from it.

    """
    arrays: list[Any] = [None if v is None else _readable(v, name) for v in values]
    dtype = arrays[0].dtype
    if dtype not in _FLOATS:
        expected, got = f"{labels[0]} of float32 or float64", str(dtype)
        raise DTypeError(message(name, expected, got, "convert it, as with .astype(np.float32)"))
    for label, array in zip(labels, arrays, strict=True):
        if array is not None and array.dtype != dtype:
            expected = f"{label} of {dtype}, the type of {labels[0]}"
            raise DTypeError(message(name, expected, str(array.dtype), "convert one; types are not mixed"))
    return arrays


def require_shape(name: str, label: str, array: NDArray, shape: tuple[int, ...], remedy: str) -> None:
    """ShapeError where the array has another shape."""
    if array.shape != shape:
        raise ShapeError(message(name, f"{label} of shape {shape}", str(array.shape), remedy))


def require_rank(name: str, label: str, array: NDArray, layout: str, remedy: str) -> None:
    """ShapeError where the array has not as many axes as the layout, such as ``(n, features)``, names."""
    if array.ndim != layout.count(",") + 1:
        got = f"{array.ndim} axes, {array.shape}"
        raise ShapeError(message(name, f"{label} {layout}", got, remedy))


def number_within(name: str, label: str, value: float, high: float) -> float:
    """The value as a float; ArgumentError where it is no finite number from 0 to `high`."""
    number = isinstance(value, (int, float, np.integer, np.floating)) and math.isfinite(value)
    if not number or not 0.0 <= value <= high:
        expected = f"{label} from 0 to {high:g}" if math.isfinite(high) else f"a finite {label} of 0 or more"
        raise ArgumentError(message(name, expected, repr(value), "check its value"))
    return float(value)


def fresh(shape: tuple[int, ...], like: NDArray) -> NDArray:
    """Memory of undefined contents from the pool, of the element type of `like`."""
    return buffer_pool.array(shape, like.dtype)

"""What the normalisations share: scale and shift, and the statistics that their gradients take."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numbacnn.errors import ArgumentError, DTypeError, ShapeError, message
from numbacnn.functional._checks import Operand, companion, fresh, require_shape
from numbacnn.tensor import Tensor


def exact_dtype(x: NDArray) -> np.dtype:
    """The type of an array's statistics: float32 of 16-bit floats, else its own."""
    return x.dtype if x.dtype.itemsize >= 4 else np.dtype(np.float32)


def require_elements(name: str, x: NDArray, least: int, layout: str) -> None:
    """ShapeError unless x has so many axes and, but for the batch, no empty one."""
    if x.ndim < least or 0 in x.shape[1:]:
        remedy = "add the missing axes, or check the sizes; channels come last"
        raise ShapeError(message(name, f"an input {layout}, none but n 0", str(x.shape), remedy))


def factor(name: str, label: str, value: Operand | None, x: NDArray, shape: tuple[int, ...]) -> Any:
    """Scale or shift: of the type of x, or of its statistics, on its device; None stays None."""
    if value is None:
        return None
    array = companion(name, label, value, x)
    if array.dtype != x.dtype and array.dtype != exact_dtype(x):
        expected = f"{label} of {x.dtype}, the type of the input"
        raise DTypeError(message(name, expected, str(array.dtype), "convert one; types are not mixed"))
    require_shape(name, label, array, shape, "give a value for each element that is normalised alike")
    return array


def kept(name: str, value: Operand, x: NDArray, shape: tuple[int, ...]) -> Any:
    """The statistics that a forward pass returned."""
    array = companion(name, "statistics", value, x)
    if array.dtype != exact_dtype(x):
        expected, got = f"statistics of {exact_dtype(x)}", str(array.dtype)
        raise DTypeError(message(name, expected, got, "pass what the forward pass returned"))
    require_shape(name, "statistics", array, shape, "pass what the forward pass returned")
    return array


def stabiliser(name: str, epsilon: float) -> float:
    """Epsilon as a float, or ArgumentError."""
    number = isinstance(epsilon, (int, float, np.integer, np.floating)) and not isinstance(epsilon, bool)
    if not number or not 0.0 < epsilon < math.inf:
        expected = "a finite epsilon above 0"
        raise ArgumentError(message(name, expected, repr(epsilon), "pass such as epsilon=1e-5"))
    return float(epsilon)


def gradients(x: NDArray, shape: tuple[int, ...]) -> tuple[Any, Any, Any]:
    """Memory for the gradients of the input, the scale and the shift."""
    exact = exact_dtype(x)
    return fresh(x.shape, x), fresh(shape, x, exact), fresh(shape, x, exact)


def tensors(*arrays: Any) -> tuple[Any, ...]:
    """The arrays as tensors."""
    return tuple(Tensor(a) for a in arrays)

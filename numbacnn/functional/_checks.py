"""What every operation checks of its arguments before a kernel, which checks nothing, sees them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from numbacnn.errors import ArgumentError, DeviceError, DTypeError, ShapeError, message
from numbacnn.memory import buffer_pool
from numbacnn.tensor import Tensor, as_tensor, device_name

Operand = Tensor | ArrayLike

_F32, _F64 = np.dtype(np.float32), np.dtype(np.float64)
_FLOATS = frozenset([_F32, _F64])
_HALVES = ("float16", "bfloat16")  # by name, as only GPUs have them
_PLAIN = 0x101  # of an array's flags, as NumPy numbers them: C-contiguous and aligned


def _readable(value: Any, name: str) -> Any:
    """The array of an argument that is only read: unlike a tensor's, it need not be writable."""
    if type(value) is np.ndarray and value.flags.num & _PLAIN == _PLAIN and value.dtype in _FLOATS:
        return value
    return as_tensor(value, name=name)._array


def operands(name: str, labels: Sequence[str], *values: Any) -> list[NDArray]:
    """The arrays of the arguments, which must lie on one device and share one floating-point type.

    The device that they lie on becomes the thread's current one.

    Args:
        name: the layer or operation that errors name.
        labels: what each argument is, for errors.
        values: the arguments; the first is not None.

    Returns:
        C-contiguous arrays, of NumPy or of a GPU, not copied where they are so already; None for arguments
        that are None.

    Raises:
        DTypeError: the first is neither float32 nor float64 (on a GPU: nor float16 nor bfloat16), or another
            differs from it.
        DeviceError: they do not lie on one device.

    """
    arrays: list[Any] = [
        v._array if type(v) is Tensor else None if v is None else _readable(v, name) for v in values
    ]
    first = arrays[0]
    dtype = first.dtype  # of NumPy's element types there is one object each
    if type(first) is not np.ndarray or (dtype is not _F32 and dtype is not _F64):
        _check_first(name, labels, arrays)
        if type(first) is not np.ndarray:
            return [_aligned(array) for array in arrays]
    for array in arrays:
        if array is not None and (type(array) is not np.ndarray or array.dtype is not dtype):
            _check_same(name, labels, arrays)
    return arrays


def _check_first(name: str, labels: Sequence[str], arrays: Sequence[Any]) -> None:
    """Check operands whose first one is not of a CPU's floats."""
    first = arrays[0]
    on_gpu = type(first) is not np.ndarray
    if first.dtype not in _FLOATS and not (on_gpu and first.dtype.name in _HALVES):
        expected, got = f"{labels[0]} of float32 or float64", str(first.dtype)
        raise DTypeError(message(name, expected, got, "convert it, as with .astype(np.float32)"))
    if on_gpu:
        _check_same(name, labels, arrays)
        from numbacnn.kernels.cuda import _driver

        _driver.use(first.device)


def _aligned(array: Any) -> Any:
    """An array on a GPU as kernels read it, four elements at once: parts of others may need a copy."""
    return array if array is None or array.aligned else array.copy()


def _check_same(name: str, labels: Sequence[str], arrays: Sequence[Any]) -> None:
    """Check that operands lie where the first one does, and are of its type."""
    first = arrays[0]
    place = device_name(first)
    for label, array in zip(labels, arrays, strict=True):
        if array is None:
            continue
        if device_name(array) != place:
            expected = f"{label} on {place!r}, where {labels[0]} is"
            remedy = f"move one, as by .to({place!r})"
            raise DeviceError(message(name, expected, repr(device_name(array)), remedy))
        if array.dtype != first.dtype:
            expected = f"{label} of {first.dtype}, the type of {labels[0]}"
            raise DTypeError(message(name, expected, str(array.dtype), "convert one; types are not mixed"))


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


def fresh(shape: tuple[int, ...], like: NDArray, dtype: np.dtype | None = None) -> NDArray:
    """Memory of undefined contents from the pool where `like` lies, of its element type or another."""
    if type(like) is np.ndarray:
        return buffer_pool.array(shape, dtype or like.dtype)
    from numbacnn.kernels.cuda import memory

    array: Any = like
    return memory.empty(shape, dtype or array.dtype, array.device)  # type: ignore[return-value]


def companion(name: str, label: str, value: Any, like: NDArray) -> Any:
    """The array of an argument of any element type, which must lie where `like` does."""
    array = as_tensor(value, name=name)._array
    if device_name(array) != device_name(like):
        place = device_name(like)
        got, remedy = repr(device_name(array)), f"move one, as by .to({place!r})"
        raise DeviceError(message(name, f"{label} on {place!r}, where the rest is", got, remedy))
    return array if type(array) is np.ndarray else _aligned(array)

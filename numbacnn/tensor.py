"""Tensors: C-contiguous, aligned, writable arrays on a device, their memory leased from the buffer pool."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import DTypeLike, NDArray

from numbacnn.errors import ArgumentError, DeviceError, DTypeError, ShapeError, message
from numbacnn.memory import buffer_pool

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
_DTYPES = frozenset([*_FLOATS, np.dtype(bool), *(np.dtype(c) for c in "bBhHiIlLqQ")])


class Tensor:
    """A C-contiguous array on a device. Takes an array without copying where it can.

    Args:
        array: float32, float64, integer or boolean. An array that is not C-contiguous, aligned, writable
            and of native byte order is copied.
        device: where the memory lies: ``"cpu"``.

    Raises:
        DTypeError: another element type.
        DeviceError: another device.

    """

    __slots__ = ("_array", "device")

    def __init__(self, array: Any, device: str = "cpu") -> None:
        if device != "cpu":
            raise _no_such_device(device)
        self._array = _plain_array(array, "Tensor")
        self.device = device

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents of the axes."""
        return self._array.shape

    @property
    def dtype(self) -> np.dtype:
        """Element type."""
        return self._array.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self._array.ndim

    @property
    def size(self) -> int:
        """Number of elements."""
        return self._array.size

    @property
    def nbytes(self) -> int:
        """Bytes of the elements."""
        return self._array.nbytes

    def numpy(self) -> NDArray:
        """The array itself, not a copy: writing to it writes to the tensor."""
        return self._array

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray:
        if copy is None:  # NumPy 1 knows no such parameter
            return np.asarray(self._array, dtype)
        if copy:
            return np.array(self._array, dtype)
        if dtype is not None and np.dtype(dtype) != self.dtype:
            raise ValueError(f"a Tensor of {self.dtype} needs a copy to become {np.dtype(dtype)}")
        return self._array

    def __dlpack__(self, **options: Any) -> Any:
        given = {key: value for key, value in options.items() if value is not None}
        return self._array.__dlpack__(**given)  # older NumPy takes fewer options

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._array.__dlpack_device__()

    def __len__(self) -> int:
        return len(self._array)

    def __getitem__(self, index: Any) -> Tensor:
        return Tensor(np.asarray(self._array[index]))

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        body = np.array2string(self._array, separator=", ", prefix="Tensor(")
        return f"Tensor({body}, shape={self.shape}, dtype={self.dtype}, device={self.device!r})"

    def reshape(self, *shape: SupportsIndex | Sequence[SupportsIndex]) -> Tensor:
        """The same memory under another shape of equal size; one extent may be -1."""
        try:
            return Tensor(self._array.reshape(*shape))
        except ValueError as error:
            wanted = shape[0] if len(shape) == 1 else shape
            raise ShapeError(
                message("reshape", f"a shape of {self.size} elements", repr(wanted), "keep the size")
            ) from error

    def item(self) -> float | int | bool:
        """The only element, as a Python number."""
        if self.size != 1:
            raise ShapeError(message("item", "a tensor of one element", str(self.shape), "index it first"))
        return self._array.item()

    def astype(self, dtype: DTypeLike) -> Tensor:
        """A tensor of another element type; itself where it is of that type already."""
        wanted = _known_dtype(dtype, "astype")
        return self if wanted == self.dtype else self._copied(wanted)

    def copy(self) -> Tensor:
        """A tensor with memory of its own."""
        return self._copied(self.dtype)

    def _copied(self, dtype: np.dtype) -> Tensor:
        fresh = buffer_pool.array(self.shape, dtype)
        np.copyto(fresh, self._array, casting="unsafe")
        return Tensor(fresh)

    def to(self, device: str) -> Tensor:
        """The tensor on a device: itself where it is there already."""
        if device != self.device:
            raise _no_such_device(device)
        return self


def as_tensor(x: Any, dtype: DTypeLike | None = None, name: str = "input") -> Tensor:
    """A tensor over the same memory where possible.

    Args:
        x: a Tensor, an array, an object that exports DLPack (a PyTorch tensor), or nested sequences.
            C-contiguous, aligned, writable arrays are not copied.
        dtype: the element type to convert to; None keeps that of x.
        name: the operation or argument that errors name.

    Returns:
        The tensor; x itself where it is one of that type.

    Raises:
        DTypeError: x is neither of floats (32 or 64 bits) nor of integers.
        DeviceError: x lies on another device.
        ArgumentError: x cannot be read.

    """
    tensor = x if type(x) is Tensor else Tensor(_plain_array(x, name))
    return tensor if dtype is None else tensor.astype(dtype)


def empty(shape: int | Sequence[int], dtype: DTypeLike = np.float32) -> Tensor:
    """A tensor of undefined contents, whose memory comes from the buffer pool.

    Args:
        shape: extents of the axes.
        dtype: float32, float64, an integer type or bool.

    Returns:
        The tensor, 64-byte aligned from 4 KiB on.

    Raises:
        ShapeError: an extent is negative or no integer.
        DTypeError: another element type.

    """
    extents = tuple(shape) if isinstance(shape, Iterable) else (shape,)
    if not all(isinstance(extent, (int, np.integer)) and extent >= 0 for extent in extents):
        raise ShapeError(message("empty", "extents of 0 or more", str(shape), "check the sizes"))
    return Tensor(buffer_pool.array(tuple(map(int, extents)), _known_dtype(dtype, "empty")))


def _known_dtype(dtype: DTypeLike, name: str) -> np.dtype:
    wanted = np.dtype(dtype)
    if wanted not in _DTYPES:
        raise DTypeError(
            message(name, "float32, float64, integers or booleans", str(wanted), "convert it first")
        )
    return wanted


def _no_such_device(device: Any) -> DeviceError:
    return DeviceError(message("device", "'cpu'", repr(device), "copy the data to the CPU"))


def _plain_array(x: Any, name: str) -> NDArray:
    """The array of anything array-like, copied only where it does not meet what a tensor promises."""
    if type(x) is np.ndarray and x.dtype in _DTYPES and x.flags.carray:
        return x
    if isinstance(x, Tensor):
        return x.numpy()
    array = np.asarray(x) if isinstance(x, np.ndarray) else _imported(x, name)
    native = array.dtype.newbyteorder("=")
    if native not in _DTYPES:
        got = f"{array.dtype} from {type(x).__name__}"
        raise DTypeError(message(name, "float32, float64 or integers", got, "convert it, as to np.float32"))
    return np.require(array, native, ["C", "A", "W"])


def _imported(x: Any, name: str) -> NDArray:
    """The array of an object that is none itself."""
    if hasattr(x, "__dlpack_device__"):
        kind = int(x.__dlpack_device__()[0])
        if kind != 1:  # kDLCPU
            got = f"DLPack device {kind} from {type(x).__name__}"
            raise DeviceError(message(name, "memory on the CPU", got, "copy it to the CPU first"))
    try:
        return np.from_dlpack(x) if hasattr(x, "__dlpack__") else np.asarray(x)
    except Exception as error:  # whatever the exporter raises: the caller hears of the argument, and why
        remedy = "pass an array (of a tensor that tracks gradients, its .detach())"
        got = f"{type(x).__name__} ({type(error).__name__}: {error})"
        raise ArgumentError(message(name, "something that reads as an array", got, remedy)) from error

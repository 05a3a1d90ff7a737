"""Tensors: C-contiguous, aligned, writable arrays on a device, their memory leased from a pool.

On the CPU a tensor holds a NumPy array, on a GPU a `numbacnn.kernels.cuda.memory.DeviceArray`. Nothing
moves between them but by `Tensor.to`, `Tensor.numpy` and an explicit ``device=``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import DTypeLike, NDArray

from numbacnn.errors import ArgumentError, DeviceError, DTypeError, ShapeError, message, require
from numbacnn.memory import buffer_pool

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
_DTYPES = frozenset([*_FLOATS, np.dtype(bool), *(np.dtype(c) for c in "bBhHiIlLqQ")])
_HALVES = ("float16", "bfloat16")  # names of the element types that only GPUs have
_CPU = -1  # as the number of a device
_MEMORY = "numbacnn.kernels.cuda.memory"


class Tensor:
    """A C-contiguous array on a device. Takes an array without copying where it can.

    Args:
        array: float32, float64, integer or boolean, on a GPU float16 or bfloat16 as well: an array of
            NumPy's, or one on a GPU. An array of NumPy's that is not C-contiguous, aligned, writable and of
            native byte order is copied.
        device: where the memory lies: ``"cpu"``, ``"cuda"`` for the first GPU or ``"cuda:1"`` for the second;
            an array from elsewhere is copied there. None: where the array is.

    Raises:
        DTypeError: another element type.
        DeviceError: there is no such device, or what it takes is missing.

    """

    __slots__ = ("_array", "device")
    _array: Any

    def __init__(self, array: Any, device: str | None = None) -> None:
        if type(array) is np.ndarray and (device is None or device == "cpu"):
            self._array = array if array.dtype in _DTYPES and array.flags.carray else _plain(array, "Tensor")
            self.device = "cpu"
        else:
            number = None if device is None else _number(device)
            found = _found(array, "Tensor", halves=number not in (None, _CPU))
            self._array = found if number is None else _moved(found, number, "Tensor")
            self.device = device_name(self._array)

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
        """The elements as an array of NumPy's.

        On the CPU the array itself, not a copy: writing to it writes to the tensor. Of a tensor on a GPU a
        copy, once the GPU has done what it was given before.
        """
        array = self._array
        return array if type(array) is np.ndarray else array.numpy()

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray:
        if type(self._array) is not np.ndarray:
            raise DeviceError(message("array", "memory on the CPU", f"{self.device!r}", "call .numpy()"))
        if copy is None:  # NumPy 1 knows no such parameter
            return np.asarray(self._array, dtype)
        if copy:
            return np.array(self._array, dtype)
        if dtype is not None and np.dtype(dtype) != self.dtype:
            raise ValueError(f"a Tensor of {self.dtype} needs a copy to become {np.dtype(dtype)}")
        return self._array

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        if type(self._array) is np.ndarray:
            raise AttributeError("a Tensor on the CPU has no __cuda_array_interface__")
        return self._array.__cuda_array_interface__

    def __dlpack__(self, **options: Any) -> Any:
        given = {key: value for key, value in options.items() if value is not None}
        return self._array.__dlpack__(**given)  # older NumPy takes fewer options

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._array.__dlpack_device__()

    def __len__(self) -> int:
        return len(self._array)

    def __getitem__(self, index: Any) -> Tensor:
        part = self._array[index]
        return Tensor(np.asarray(part) if type(self._array) is np.ndarray else part)

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        facts = f"shape={self.shape}, dtype={self.dtype}, device={self.device!r}"
        if type(self._array) is not np.ndarray:  # showing values would be a copy
            return f"Tensor({facts})"
        body = np.array2string(self._array, separator=", ", prefix="Tensor(")
        return f"Tensor({body}, {facts})"

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
        return self.numpy().item()

    def astype(self, dtype: DTypeLike) -> Tensor:
        """A tensor of another element type; itself where it is of that type already.

        Raises:
            DTypeError: an element type that no tensor has there, or on a GPU one that is no float.

        """
        array = _converted(self._array, _known_dtype(dtype, "astype", self.device))
        return self if array is self._array else Tensor(array)

    def copy(self) -> Tensor:
        """A tensor with memory of its own."""
        if type(self._array) is not np.ndarray:
            return Tensor(self._array.copy())
        fresh = buffer_pool.array(self.shape, self.dtype)
        np.copyto(fresh, self._array)
        return Tensor(fresh)

    def to(self, device: str) -> Tensor:
        """The tensor on a device: itself where it is there already, else a copy.

        Raises:
            DTypeError: float16 or bfloat16 would come to the CPU.
            DeviceError: there is no such device, or what it takes is missing.

        """
        if device == self.device:
            return self
        array = _moved(self._array, _number(device), "to")
        return self if array is self._array else Tensor(array)


def as_tensor(
    x: Any, dtype: DTypeLike | None = None, name: str = "input", device: str | None = None
) -> Tensor:
    """A tensor over the same memory where possible.

    Args:
        x: a Tensor, an array, an object that exports DLPack (a PyTorch tensor) or has
            ``__cuda_array_interface__``, or nested sequences. C-contiguous, aligned, writable arrays are not
            copied, nor are contiguous ones on a GPU.
        dtype: the element type to convert to; None keeps that of x.
        name: the operation or argument that errors name.
        device: where the tensor shall lie; None leaves it where x is.

    Returns:
        The tensor; x itself where it is one of that type on that device.

    Raises:
        DTypeError: x is neither of floats (32 or 64 bits, on a GPU also 16) nor of integers.
        DeviceError: x lies on a device that is not known here.
        ArgumentError: x cannot be read.

    """
    if type(x) is Tensor and dtype is None and device is None:
        return x
    number = None if device is None else _number(device)
    array = _found(x, name, halves=number not in (None, _CPU))
    if dtype is not None:  # before it moves where it can: the CPU converts to all types, a GPU to floats
        wanted = _known_dtype(dtype, name, device or device_name(array))
        on_cpu = type(array) is np.ndarray
        if array.dtype in _DTYPES and wanted in _DTYPES if on_cpu else _is_float(wanted):
            array = _converted(array, wanted)
    if number is not None:
        array = _moved(array, number, name)
    if dtype is not None:
        array = _converted(array, wanted)
    return x if type(x) is Tensor and array is x._array else Tensor(array)


def empty(shape: int | Sequence[int], dtype: DTypeLike = np.float32, device: str = "cpu") -> Tensor:
    """A tensor of undefined contents, whose memory comes from the pool of its device.

    Args:
        shape: extents of the axes.
        dtype: float32, float64, an integer type or bool, on a GPU also float16 or bfloat16.
        device: where it shall lie.

    Returns:
        The tensor, 64-byte aligned from 4 KiB on.

    Raises:
        ShapeError: an extent is negative or no integer.
        DTypeError: another element type.
        DeviceError: there is no such device, or what it takes is missing.
        DeviceMemoryError: it has not enough memory left.

    """
    extents = tuple(shape) if isinstance(shape, Iterable) else (shape,)
    if not all(isinstance(extent, (int, np.integer)) and extent >= 0 for extent in extents):
        raise ShapeError(message("empty", "extents of 0 or more", str(shape), "check the sizes"))
    sizes, kind = tuple(map(int, extents)), _known_dtype(dtype, "empty", device)
    if device == "cpu":
        return Tensor(buffer_pool.array(sizes, kind))
    from numbacnn.kernels.cuda import memory

    return Tensor(memory.empty(sizes, kind, _number(device)))


def _known_dtype(dtype: DTypeLike, name: str, device: str = "cpu") -> np.dtype:
    if dtype == "bfloat16":  # NumPy learns the name from the package
        require("ml_dtypes", "cuda13", "bfloat16")
    wanted = np.dtype(dtype)
    if wanted in _DTYPES or (wanted.name in _HALVES and device != "cpu"):
        return wanted
    raise _wrong_dtype(name, "float32, float64, integers or booleans", wanted, str(wanted))


def _wrong_dtype(name: str, expected: str, dtype: np.dtype, got: str) -> DTypeError:
    if dtype.name in _HALVES:
        return DTypeError(message(name, expected, got, 'convert it first; only GPUs take it: device="cuda"'))
    return DTypeError(message(name, expected, got, "convert it first, as to np.float32"))


def _number(device: Any) -> int:
    """The number of the GPU that a device's name means, or `_CPU`."""
    if device == "cpu":
        return _CPU
    if device == "cuda":
        return 0
    if isinstance(device, str) and device.startswith("cuda:") and device[5:].isdecimal():
        return int(device[5:])
    raise DeviceError(message("device", "'cpu', 'cuda' or 'cuda:1'", repr(device), "name one of these"))


def device_name(array: Any) -> str:
    """The name of the device where an array lies, of NumPy or of a GPU."""
    if type(array) is np.ndarray:
        return "cpu"
    return f"cuda:{array.device}" if array.device else "cuda"


def _is_device_array(x: Any) -> bool:
    module = sys.modules.get(_MEMORY)  # who has one has loaded it
    return module is not None and type(x) is module.DeviceArray


def _is_float(dtype: np.dtype) -> bool:
    return dtype in _FLOATS or dtype.name in _HALVES


def _found(x: Any, name: str, halves: bool = False) -> Any:
    """The array of anything array-like where it lies, copied only where it is not what a tensor promises."""
    if isinstance(x, Tensor):
        return x._array
    if isinstance(x, np.ndarray) or not (_is_device_array(x) or _is_on_gpu(x)):
        return _plain(x, name, halves)
    if _is_device_array(x):
        return x
    from numbacnn.kernels.cuda import foreign

    return foreign.from_foreign(x, name)


def _moved(array: Any, device: int, name: str) -> Any:
    """The array on a device: itself where it is there."""
    if type(array) is not np.ndarray:
        if device == array.device:
            return array
        return _plain(array.numpy(), name) if device == _CPU else array.to(device)
    if device == _CPU:
        return _plain(array, name)
    from numbacnn.kernels.cuda import memory

    return memory.from_numpy(array, device)


def _converted(array: Any, dtype: np.dtype) -> Any:
    """The array as elements of another type, where it lies: itself where they are."""
    if array.dtype == dtype:
        return array
    if type(array) is np.ndarray:
        fresh = buffer_pool.array(array.shape, dtype)
        np.copyto(fresh, array, casting="unsafe")
        return fresh
    if not _is_float(dtype):
        expected, remedy = "on a GPU, a floating-point type", "convert it on the CPU, before .to()"
        raise DTypeError(message("astype", expected, str(dtype), remedy))
    from numbacnn.kernels.cuda import _driver, cast, memory

    with _driver.on(array.device):
        out = memory.empty(array.shape, dtype)
        cast.cast(array, out)
    return out


def _is_on_gpu(x: Any) -> bool:
    """Whether another library's object lies in a GPU's memory, as DLPack or the CUDA interface tell."""
    if hasattr(x, "__dlpack_device__"):
        return int(x.__dlpack_device__()[0]) in (2, 13)  # kDLCUDA, kDLCUDAManaged
    return hasattr(x, "__cuda_array_interface__")


def _plain(x: Any, name: str, halves: bool = False) -> NDArray:
    """The array on the CPU of anything array-like, copied only where it is not what a tensor promises."""
    if type(x) is np.ndarray and x.dtype in _DTYPES and x.flags.carray:
        return x
    array = np.asarray(x) if isinstance(x, np.ndarray) else _imported(x, name)
    native = array.dtype.newbyteorder("=")
    if native not in _DTYPES and not (halves and native.name in _HALVES):
        got = f"{array.dtype} from {type(x).__name__}"
        raise _wrong_dtype(name, "float32, float64 or integers", native, got)
    return np.require(array, native, ["C", "A", "W"])


def _imported(x: Any, name: str) -> NDArray:
    """The array of an object that is none itself."""
    if hasattr(x, "__dlpack_device__"):
        kind = int(x.__dlpack_device__()[0])
        if kind != 1:  # kDLCPU
            got = f"DLPack device {kind} from {type(x).__name__}"
            raise DeviceError(message(name, "memory on the CPU or an NVIDIA GPU", got, "copy it first"))
    try:
        return np.from_dlpack(x) if hasattr(x, "__dlpack__") else np.asarray(x)
    except Exception as error:  # whatever the exporter raises: the caller hears of the argument, and why
        remedy = "pass an array (of a tensor that tracks gradients, its .detach())"
        got = f"{type(x).__name__} ({type(error).__name__}: {error})"
        raise ArgumentError(message(name, "something that reads as an array", got, remedy)) from error

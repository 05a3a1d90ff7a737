"""Arrays on a device.

A `DeviceArray` is what kernels take: C-contiguous, of any element type that NumPy or ml_dtypes names. It is
exchanged with PyTorch, CuPy and others without copying, by DLPack or by ``__cuda_array_interface__``, in
the order of the streams. Nothing copies between host and device but `from_numpy`, `DeviceArray.write` and
`DeviceArray.numpy`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import DTypeLike, NDArray

from numbacnn.errors import ArgumentError, DeviceError, DTypeError, ShapeError, message

from . import _driver, _staging
from ._allocator import Allocator, Lease, allocator
from ._driver import Event, Stream
from ._staging import pinned

__all__ = ["Allocator", "DeviceArray", "allocator", "empty", "from_numpy", "pinned", "read_into"]

_BYTE = np.dtype(np.uint8)


class _Bytes:
    """Bytes of the simulator's device memory, as NumPy reads them; keeps what owns them."""

    __slots__ = ("__array_interface__", "lease")

    def __init__(self, address: int, nbytes: int, lease: Lease) -> None:
        self.lease = lease
        self.__array_interface__ = {
            "data": (address, False),
            "shape": (nbytes,),
            "typestr": "|u1",
            "version": 3,
        }


class DeviceArray:
    """A C-contiguous array in a device's memory, made by `empty` or `from_numpy`.

    Attributes:
        shape: extents of the axes.
        dtype: element type.
        size: number of elements.
        nbytes: bytes of the elements.
        device: index of the device.

    """

    __slots__ = ("__weakref__", "_address", "_host", "_lease", "device", "dtype", "nbytes", "shape", "size")

    def __init__(self, lease: Lease, address: int, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self._lease, self._address = lease, address
        self._host: NDArray | None = None
        self.shape, self.dtype = shape, dtype
        self.size = math.prod(shape)
        self.nbytes = self.size * dtype.itemsize
        self.device = lease.stream.device

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def aligned(self) -> bool:
        """Whether the first element lies at whole 16 bytes, so that vectors of elements can be read."""
        return self._address % 16 == 0

    @property
    def pointer(self) -> int:
        """The address of the first element, for work that is given to the current stream now.

        Raises:
            DeviceError: another device is current.

        """
        self._use()
        return self._address

    def _use(self) -> None:
        stream = _driver.current_stream()
        if stream is not self._lease.stream:
            self._lease.use(stream)

    @property
    def host(self) -> NDArray:
        """The elements as a flat NumPy array, in the simulator alone."""
        self._use()
        if self._host is None:
            if not _driver.simulated():
                raise DeviceError(message("host", "the simulator", "a GPU", "copy by .numpy()"))
            owned = np.asarray(_Bytes(self._address, self.nbytes, self._lease))
            self._host = owned.view(self.dtype)
        return self._host

    def __repr__(self) -> str:
        return f"DeviceArray(shape={self.shape}, dtype={self.dtype}, device={self.device})"

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of an array without axes")
        return self.shape[0]

    def __getitem__(self, index: Any) -> DeviceArray:
        """A part along the first axis, over the same memory: a number or a slice of step 1.

        Raises:
            ArgumentError: another index, whose result would not be contiguous.
            IndexError: beyond the end.

        """
        if isinstance(index, tuple) and len(index) == 1:
            index = index[0]
        if not self.shape:
            raise IndexError("an array without axes has no parts")
        count, *rest = self.shape
        row = self.nbytes // count if count else 0
        if isinstance(index, slice):
            start, stop, step = index.indices(count)
            if step == 1:
                shape = (max(stop - start, 0), *rest)
                return DeviceArray(self._lease, self._address + start * row, shape, self.dtype)
        elif isinstance(index, (int, np.integer)) and not isinstance(index, (bool, np.bool_)):
            place = index + count if index < 0 else index
            if not 0 <= place < count:
                raise IndexError(f"index {index} is out of range for an axis of {count}")
            return DeviceArray(self._lease, self._address + int(place) * row, tuple(rest), self.dtype)
        expected = "on a device, a number or a slice of step 1 along the first axis"
        raise ArgumentError(message("index", expected, repr(index), "copy to the host by .numpy() first"))

    def reshape(self, *shape: SupportsIndex | Sequence[SupportsIndex]) -> DeviceArray:
        """The same memory under another shape of equal size; one extent may be -1."""
        given: Any = shape[0] if len(shape) == 1 and not hasattr(shape[0], "__index__") else shape
        extents = [int(extent) for extent in given]
        if extents.count(-1) == 1:
            known = math.prod(extent for extent in extents if extent != -1)
            extents[extents.index(-1)] = self.size // known if known else -1
        if math.prod(extents) != self.size or min(extents, default=0) < 0:
            expected = f"a shape of {self.size} elements"
            raise ShapeError(message("reshape", expected, repr(tuple(given)), "keep the size"))
        return DeviceArray(self._lease, self._address, tuple(extents), self.dtype)

    def view(self, dtype: DTypeLike) -> DeviceArray:
        """The same bytes as elements of another type; the last axis shrinks or grows by the ratio of sizes.

        Raises:
            DTypeError: the last axis holds no whole number of such elements.

        """
        wanted = np.dtype(dtype)
        if wanted.itemsize == self.dtype.itemsize:
            return DeviceArray(self._lease, self._address, self.shape, wanted)
        nbytes = self.shape[-1] * self.dtype.itemsize if self.shape else 1
        if not self.shape or nbytes % wanted.itemsize or self._address % wanted.itemsize:
            expected = f"a last axis of whole elements of {wanted}"
            got = f"{self.dtype} of shape {self.shape}"
            raise DTypeError(message("view", expected, got, "reshape it first"))
        return DeviceArray(self._lease, self._address, (*self.shape[:-1], nbytes // wanted.itemsize), wanted)

    def copy(self) -> DeviceArray:
        """An array with memory of its own, on the same device."""
        return self._copied_to(self.device)

    def to(self, device: int) -> DeviceArray:
        """The array on a device: itself where it is there already."""
        return self if device == self.device else self._copied_to(device)

    def _copied_to(self, device: int) -> DeviceArray:
        with _driver.on(self.device):
            source = _driver.current_stream()
            self._use()
        with _driver.on(device):
            stream = _driver.current_stream()
            target = empty(self.shape, self.dtype)
            if self.nbytes:
                stream.wait(source)
                _driver.calls().copy(target._address, self._address, self.nbytes, stream.handle)
                if stream is not source:
                    self._lease.use(stream, peer=True)
        return target

    def fill_zero(self) -> None:
        """Make all elements 0."""
        if self.nbytes:
            with _driver.on(self.device):
                _driver.calls().fill(self.pointer, 0, self.nbytes, _driver.current_stream().handle)

    def write(self, array: NDArray | DeviceArray) -> None:
        """Overwrite the elements by those of an array of this shape and type, on the host or the same device.

        The call returns once the array may change again, mostly before the device has the values.
        """
        if array.shape != self.shape or array.dtype != self.dtype:
            expected, got = f"{self.dtype} of shape {self.shape}", f"{array.dtype} of shape {array.shape}"
            raise ShapeError(message("write", expected, got, "convert it first"))
        with _driver.on(self.device):
            if isinstance(array, DeviceArray):
                if self.nbytes:
                    stream = _driver.current_stream()
                    _driver.calls().copy(self.pointer, array.pointer, self.nbytes, stream.handle)
            else:
                _staging.send(self.pointer, np.ascontiguousarray(array))

    def numpy(self) -> NDArray:
        """A copy on the host; waits for the work given to the current stream before."""
        with _driver.on(self.device):
            flat = _staging.fetch(self.pointer, self.nbytes)
        return flat.view(self.dtype).reshape(self.shape)

    def __array__(self, *arguments: Any, **options: Any) -> NDArray:
        raise DeviceError(
            message("array", "memory on the CPU", f"'cuda:{self.device}'", "copy it to the host by .numpy()")
        )

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """Version 3; the consumer's stream has to wait for ``stream``, or it works on that."""
        if self.dtype.kind not in "biuf":  # bfloat16 has no type string
            raise AttributeError(f"__cuda_array_interface__ knows no {self.dtype}: exchange it by DLPack")
        with _driver.on(self.device):
            address, stream = self.pointer, _driver.current_stream().handle
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (address if self.size else 0, False),
            "strides": None,
            "stream": stream,
            "version": 3,
        }

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, self.device  # kDLCUDA

    def __dlpack__(
        self,
        *,
        stream: int | None = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        """A DLPack capsule over the same memory; the consumer's stream waits for the current one.

        Args:
            stream: the consumer's stream: None or 1 is the default stream, -1 asks not to wait.
            max_version: the newest DLPack version that the consumer reads.
            dl_device: where it wants the data.
            copy: whether it wants a copy.

        """
        from . import dlpack

        if dl_device is not None and tuple(dl_device) != self.__dlpack_device__():
            raise BufferError(
                f"the array is on DLPack device {self.__dlpack_device__()}: copy it by .numpy()"
            )
        with _driver.on(self.device):
            array = self.copy() if copy else self
            if stream != -1:
                consumer = Stream.foreign(1 if stream is None else stream)
                own = _driver.current_stream()
                consumer.wait(own)
                if consumer is not array._lease.stream:  # it may be freed while the consumer's work runs
                    array._lease.use(consumer)
            return dlpack.export(array, max_version, copied=bool(copy))

    def __reduce__(self) -> Any:
        raise DeviceError(
            message("pickle", "memory on the CPU", f"'cuda:{self.device}'", "copy it to the host by .numpy()")
        )

    def __deepcopy__(self, memo: dict) -> DeviceArray:
        return self.copy()


def empty(shape: tuple[int, ...], dtype: DTypeLike, device: int | None = None) -> DeviceArray:
    """An array of undefined contents; nothing is checked.

    Args:
        shape: extents, none negative.
        dtype: element type.
        device: index of the device; by default the current one.

    Raises:
        DeviceError: there is no such device.
        DeviceMemoryError: it has not enough memory left.

    """
    kind = np.dtype(dtype)
    lease = allocator(device).take(math.prod(shape) * kind.itemsize)
    return DeviceArray(lease, lease.address, shape, kind)


def from_numpy(array: NDArray, device: int | None = None, stream: Stream | None = None) -> DeviceArray:
    """A copy of an array of the host's on a device.

    The values travel through page-locked memory, and the call does not wait for them: it returns once the
    array may change. An array made by `pinned` is sent from where it lies: it must not change before the
    stream has done its work.

    Args:
        array: of any layout.
        device: index of the device; by default that of the stream, or the current one.
        stream: which the values travel on; by default the current one. Other streams must wait for it.

    """
    if stream is not None:
        with stream:
            return from_numpy(array, stream.device)
    native = np.ascontiguousarray(array, array.dtype.newbyteorder("=")).reshape(array.shape)
    with _driver.on(_driver.current_stream().device if device is None else device):
        target = empty(native.shape, native.dtype)
        _staging.send(target.pointer, native)
    return target


def read_into(array: DeviceArray, host: NDArray) -> Event:
    """Copy to an array made by `pinned` of the same size, once the current stream has come so far.

    Returns:
        What is done when the values are there.

    """
    with _driver.on(array.device):
        stream = _staging.idle_stream("a copy to the host")
        _driver.calls().copy(host.ctypes.data, array.pointer, array.nbytes, stream.handle)
        return stream.record()

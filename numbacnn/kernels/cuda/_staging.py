"""Copies between host and device through page-locked memory, which the device reads and writes by itself."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from numbacnn.errors import DeviceError, message
from numbacnn.memory import buffer_pool

from . import _driver
from ._allocator import PinnedLease, pinned_pool

_CHUNK = 4 << 20  # bytes of a staging buffer: copying into one overlaps with the transfer of the one before
_BYTE = np.dtype(np.uint8)


def pinned(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray:
    """An array of undefined contents in page-locked host memory, which `from_numpy` sends without a copy.

    Its memory is used again when the array has died and its copies are done.
    """
    kind = np.dtype(dtype)
    nbytes = math.prod(shape) * kind.itemsize
    return np.asarray(pinned_pool.take(nbytes))[:nbytes].view(kind).reshape(shape)


def _pinned_lease(array: NDArray) -> PinnedLease | None:
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    return base if type(base) is PinnedLease else None


def idle_stream(what: str) -> _driver.Stream:
    """The current stream; DeviceError where it captures: each launch of the graph would copy again."""
    stream = _driver.current_stream()
    if stream.capture is not None:
        expected, remedy = "work on the device alone within a capture", "copy before or after it"
        raise DeviceError(message("capture", expected, what, remedy))
    return stream


def send(address: int, array: NDArray) -> None:
    """Copy a contiguous array of the host to the current device, on the current stream."""
    if not array.nbytes:
        return
    stream = idle_stream("a copy to the device")
    copy = _driver.calls().copy
    lease = _pinned_lease(array)
    if lease is not None:
        copy(address, array.ctypes.data, array.nbytes, stream.handle)
        lease.use(stream)
        return
    flat = array.reshape(-1).view(_BYTE)
    for start in range(0, flat.size, _CHUNK):
        part = flat[start : start + _CHUNK]
        lease = pinned_pool.take(part.size)
        np.asarray(lease)[: part.size] = part
        copy(address + start, lease.address, part.size, stream.handle)
        lease.use(stream)


def fetch(address: int, nbytes: int) -> NDArray:
    """The bytes at an address of the current device, once the current stream has done its work."""
    flat = buffer_pool.array((nbytes,), _BYTE)
    stream = idle_stream("a copy to the host")
    before = None
    for start in range(0, nbytes, _CHUNK):
        part = flat[start : start + _CHUNK]
        lease = pinned_pool.take(part.size)
        _driver.calls().copy(lease.address, address + start, part.size, stream.handle)
        under_way = part, lease, lease.use(stream)
        if before:
            _land(*before)
        before = under_way
    if before:
        _land(*before)
    return flat


def _land(part: NDArray, lease: PinnedLease, event: _driver.Event) -> None:
    event.synchronize()
    part[...] = np.asarray(lease)[: part.size]

"""Device memory of other libraries, by DLPack or by ``__cuda_array_interface__``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from numbacnn.errors import DeviceError, DTypeError, message

from . import _driver, dlpack
from ._allocator import ForeignLease, allocator
from ._driver import Stream
from .memory import DeviceArray


def from_foreign(x: Any, name: str = "input") -> DeviceArray:
    """An array over device memory of another library, by DLPack or else by ``__cuda_array_interface__``.

    The current stream waits for what x's library was given before. x's memory is let go when the last array
    over it has died and the device has done the work that uses it.

    Args:
        x: a PyTorch tensor, a CuPy or Numba array, or whatever has either interface.
        name: the argument that errors name.

    Raises:
        ArgumentError: its elements do not lie side by side in C order.
        DeviceError: it is not in a GPU's memory.
        DTypeError: its element type is complex or unknown.

    """
    if hasattr(x, "__dlpack_device__"):
        kind, index = map(int, x.__dlpack_device__())
        if kind not in dlpack.DEVICES:
            got = f"DLPack device {kind} from {type(x).__name__}"
            raise DeviceError(message(name, "memory of an NVIDIA GPU", got, "copy it there first"))
        with _driver.on(index):
            return dlpack.imported(x, name)
    return _from_interface(x, name)


def _from_interface(x: Any, name: str) -> DeviceArray:
    facts = x.__cuda_array_interface__
    shape = tuple(map(int, facts["shape"]))
    address, read_only = facts["data"]
    try:
        dtype = np.dtype(facts["typestr"])
        if facts.get("descr") is None or len(facts["descr"]) == 1:
            known = dtype.kind in "biuf" and dtype.isnative
        else:
            known = False
    except TypeError:
        known = False
    if not known or facts.get("mask") is not None:
        remedy = "convert it (bfloat16 is exchanged by DLPack)"
        raise DTypeError(message(name, "floats, integers or booleans", repr(facts["typestr"]), remedy))
    dlpack.require_contiguous(name, x, shape, facts.get("strides"), dtype.itemsize)
    size = math.prod(shape)
    index = _driver.calls().device_of(address) if size else _driver.current_stream().device
    if index is None:
        got = f"address {address:#x} from {type(x).__name__}"
        raise DeviceError(message(name, "memory of an NVIDIA GPU", got, "copy it there first"))
    with _driver.on(index):
        stream = _driver.current_stream()
        if facts.get("stream") is not None:
            stream.wait(Stream.foreign(facts["stream"]))
        lease = ForeignLease(allocator(index), address, size * dtype.itemsize, stream, owner=x)
        array = DeviceArray(lease, address, shape, dtype)
        return array.copy() if read_only else array

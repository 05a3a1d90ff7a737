"""DLPack capsules over device memory, made and read by ctypes.

Source: https://dmlc.github.io/dlpack/latest/c_api.html, versions 0.8 (legacy) and 1.0 (versioned).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from ctypes import (
    POINTER,
    Structure,
    c_char_p,
    c_int32,
    c_int64,
    c_uint8,
    c_uint16,
    c_uint32,
    c_uint64,
    c_void_p,
)
from typing import Any

import numpy as np

from numbacnn.errors import ArgumentError, DeviceError, DTypeError, message

from . import _driver
from ._allocator import ForeignLease, allocator
from .memory import DeviceArray

DEVICES = (2, 13)  # kDLCUDA, kDLCUDAManaged
_CODES = {"i": 0, "u": 1, "f": 2, "b": 6}
_BFLOAT = 4
_READ_ONLY, _COPIED = 1, 2  # flags of the versioned capsule
_LEGACY, _VERSIONED = b"dltensor", b"dltensor_versioned"
_USED = {_LEGACY: b"used_dltensor", _VERSIONED: b"used_dltensor_versioned"}  # names must outlive capsules


class _DLDevice(Structure):
    _fields_ = [("device_type", c_int32), ("device_id", c_int32)]


class _DLDataType(Structure):
    _fields_ = [("code", c_uint8), ("bits", c_uint8), ("lanes", c_uint16)]


class _DLTensor(Structure):
    _fields_ = [
        ("data", c_void_p),
        ("device", _DLDevice),
        ("ndim", c_int32),
        ("dtype", _DLDataType),
        ("shape", POINTER(c_int64)),
        ("strides", POINTER(c_int64)),
        ("byte_offset", c_uint64),
    ]


class _Managed(Structure):
    _fields_ = [("dl_tensor", _DLTensor), ("manager_ctx", c_void_p), ("deleter", c_void_p)]


class _ManagedVersioned(Structure):
    _fields_ = [
        ("major", c_uint32),
        ("minor", c_uint32),
        ("manager_ctx", c_void_p),
        ("deleter", c_void_p),
        ("flags", c_uint64),
        ("dl_tensor", _DLTensor),
    ]


_KINDS: dict[bytes, type[Structure]] = {_LEGACY: _Managed, _VERSIONED: _ManagedVersioned}


def _python(name: str, result: Any, *arguments: Any) -> Any:
    """A function of Python itself, called while holding its lock."""
    return ctypes.PYFUNCTYPE(result, *arguments)((name, ctypes.pythonapi))


_new = _python("PyCapsule_New", ctypes.py_object, c_void_p, c_char_p, c_void_p)
_name_of = _python("PyCapsule_GetName", c_char_p, ctypes.py_object)
_pointer_of = _python("PyCapsule_GetPointer", c_void_p, ctypes.py_object, c_char_p)
_rename = _python("PyCapsule_SetName", ctypes.c_int, ctypes.py_object, c_char_p)
# On a dying capsule, which must not be referred to again: by its address
_valid_at = _python("PyCapsule_IsValid", ctypes.c_int, c_void_p, c_char_p)
_pointer_at = _python("PyCapsule_GetPointer", c_void_p, c_void_p, c_char_p)

_Deleter = ctypes.CFUNCTYPE(None, c_void_p)
_exported: dict[int, tuple[Any, ...]] = {}  # by the address of the managed tensor: what it needs to live


@_Deleter
def _let_go(address: int) -> None:
    """The deleter of exported tensors: any thread may call it, once."""
    _exported.pop(address, None)


@ctypes.PYFUNCTYPE(None, c_void_p)
def _drop_capsule(capsule: int) -> None:
    """The destructor of capsules: one that nobody consumed still owns its tensor."""
    for name in (_LEGACY, _VERSIONED):
        if _valid_at(capsule, name):
            _exported.pop(_pointer_at(capsule, name), None)


def export(array: DeviceArray, max_version: tuple[int, int] | None, copied: bool) -> Any:
    """A capsule over an array's memory, versioned where the consumer reads version 1."""
    name = _VERSIONED if max_version is not None and tuple(max_version) >= (1, 0) else _LEGACY
    managed: Any = _KINDS[name]()
    if name is _VERSIONED:
        managed.major, managed.minor = 1, 0
        managed.flags = _COPIED if copied else 0
    count = array.ndim
    shape = (c_int64 * max(count, 1))(*array.shape)
    strides = (c_int64 * max(count, 1))()
    step = 1
    for axis in range(count - 1, -1, -1):
        strides[axis] = step
        step *= max(array.shape[axis], 1)
    tensor = managed.dl_tensor
    tensor.data = array._address if array.size else None
    tensor.device = _DLDevice(2, array.device)
    tensor.ndim = count
    code = _BFLOAT if array.dtype.name == "bfloat16" else _CODES.get(array.dtype.kind)
    if code is None:
        raise BufferError(f"DLPack has no element type for {array.dtype}")
    tensor.dtype = _DLDataType(code, 8 * array.dtype.itemsize, 1)
    tensor.shape = ctypes.cast(shape, POINTER(c_int64))
    tensor.strides = ctypes.cast(strides, POINTER(c_int64))
    managed.deleter = ctypes.cast(_let_go, c_void_p)
    address = ctypes.addressof(managed)
    _exported[address] = managed, shape, strides, array
    return _new(address, name, ctypes.cast(_drop_capsule, c_void_p))


def imported(x: Any, name: str) -> DeviceArray:
    """An array over the memory of an object that exports DLPack, on the current device.

    Args:
        x: the object.
        name: the argument that errors name.

    Raises:
        ArgumentError: it is not contiguous, or its owner refuses.
        DeviceError: its memory is not the current device's.
        DTypeError: its element type is none that NumPy or ml_dtypes has.

    """
    stream = _driver.current_stream()
    try:
        try:
            capsule = x.__dlpack__(stream=stream.handle, max_version=(1, 0))
        except TypeError:  # from before version 1
            capsule = x.__dlpack__(stream=stream.handle)
    except Exception as error:  # whatever the exporter raises: the caller hears of the argument, and why
        remedy = "pass an array (of a tensor that tracks gradients, its .detach())"
        got = f"{type(x).__name__} ({type(error).__name__}: {error})"
        raise ArgumentError(message(name, "something that exports DLPack", got, remedy)) from error
    kind = _name_of(capsule)
    if kind not in _KINDS:
        raise ArgumentError(message(name, "a fresh DLPack capsule", repr(kind), "export it anew"))
    address = _pointer_of(capsule, kind)
    managed: Any = _KINDS[kind].from_address(address)
    if kind == _VERSIONED and managed.major != 1:
        got = f"version {managed.major}.{managed.minor}"
        raise ArgumentError(
            message(name, "DLPack of version 1", got, "use a release of its library that has it")
        )
    tensor = managed.dl_tensor
    place = tensor.device.device_type, tensor.device.device_id
    if place[0] not in DEVICES or place[1] != stream.device:
        expected = f"memory of 'cuda:{stream.device}'"
        raise DeviceError(message(name, expected, f"DLPack device {place}", "copy it there first"))
    shape = tuple(tensor.shape[axis] for axis in range(tensor.ndim))
    dtype = _dtype(name, tensor.dtype)
    if tensor.strides:
        strides = [tensor.strides[axis] for axis in range(tensor.ndim)]
        require_contiguous(name, x, shape, strides, 1)
    _rename(capsule, _USED[kind])  # from here on the tensor is ours to delete
    start = (tensor.data or 0) + tensor.byte_offset
    read_only = kind == _VERSIONED and managed.flags & _READ_ONLY
    size = dtype.itemsize * int(np.prod(shape, dtype=np.int64))
    lease = ForeignLease(allocator(), start, size, stream, release=_deleting(managed.deleter, address))
    array = DeviceArray(lease, start, shape, dtype)
    return array.copy() if read_only else array


def _deleting(deleter: int | None, address: int) -> Callable[[], None]:
    if not deleter:
        return lambda: None
    call = _Deleter(deleter)
    return lambda: call(address)


def _dtype(name: str, given: _DLDataType) -> np.dtype:
    """The NumPy type of DLPack's."""
    if given.lanes == 1 and given.code == _BFLOAT and given.bits == 16:
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    kind = next((kind for kind, code in _CODES.items() if code == given.code), None)
    sizes = {"i": (8, 16, 32, 64), "u": (8, 16, 32, 64), "f": (16, 32, 64), "b": (8,)}
    if kind is None or given.lanes != 1 or given.bits not in sizes[kind]:
        got = f"DLPack type code {given.code} of {given.bits} bits and {given.lanes} lanes"
        raise DTypeError(message(name, "floats, integers or booleans", got, "convert it first"))
    return np.dtype("bool" if kind == "b" else f"{kind}{given.bits // 8}")


def require_contiguous(
    name: str, x: Any, shape: tuple[int, ...], strides: Sequence[int] | None, unit: int
) -> None:
    """ArgumentError where elements do not lie side by side in C order; `unit` is the last stride."""
    if strides is None or 0 in shape:
        return
    expected = unit
    for extent, stride in zip(reversed(shape), reversed(strides), strict=True):
        if extent != 1 and stride != expected:
            got = f"{type(x).__name__} of shape {shape}, strides {tuple(strides)}"
            remedy = "make it contiguous, as by .contiguous() or cupy.ascontiguousarray"
            raise ArgumentError(message(name, "contiguous memory in C order", got, remedy))
        expected *= extent

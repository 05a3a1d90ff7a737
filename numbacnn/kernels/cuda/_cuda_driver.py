"""The one owner of ``cuda.bindings``: the few calls of the CUDA driver that the kernels need.

Every function works on the context that is bound to the calling thread. Handles of streams are integers.
"""

from __future__ import annotations

import ctypes
import os
from array import array
from collections.abc import Sequence
from typing import Any

from numbacnn.errors import DeviceError, message

_INSTALL = 'pip install "numbacnn[cuda13]", or "numbacnn[cuda12]" for drivers before 580'
_STATIC_SHARED = 48 << 10  # bytes of shared memory that a kernel may have without asking

_cu: Any = None  # cuda.bindings.driver, once loaded


def _check(result: tuple, what: str) -> Any:
    """The values of a driver call; DeviceError where it failed."""
    if result[0]:
        raise DeviceError(
            message(what, "the CUDA driver to succeed", _reason(result[0]), "see the driver's documentation")
        )
    return result[1] if len(result) == 2 else result[1:]


def _reason(code: Any) -> str:
    _, text = _cu.cuGetErrorString(code)
    return f"{code.name} ({text.decode() if text else 'unknown'})"


def open_driver() -> int:
    """Load the driver; return the number of GPUs.

    Raises:
        DeviceError: the packages, the driver or a GPU is missing, or the driver is too old.

    """
    global _cu
    try:
        from cuda import bindings
        from cuda.bindings import driver
    except ImportError as error:
        got = f"{type(error).__name__} ({error})"
        raise DeviceError(message("cuda", "the package cuda-bindings", got, _INSTALL)) from error
    major = int(bindings.__version__.partition(".")[0])
    _cu = driver
    try:
        version = driver_version()
        if version == 0:  # the toolkit's stub in place of the driver
            raise RuntimeError("a driver of version 0")
        if version // 1000 < major:
            remedy = 'update the driver, or pip install "numbacnn[cuda12]" where it supports CUDA 12'
            got = f"one for CUDA {version // 1000}.{version % 1000 // 10}"
            raise DeviceError(message("cuda", f"a driver for CUDA {major}", got, remedy))
        (code,) = driver.cuInit(0)
    except RuntimeError as error:
        if isinstance(error, DeviceError):
            raise
        remedy = "install NVIDIA's driver (in a container: let it see the GPU, as by --gpus all)"
        raise DeviceError(message("cuda", "an NVIDIA driver", str(error), remedy)) from error
    if code == driver.CUresult.CUDA_ERROR_NO_DEVICE:
        count = 0
    else:
        _check((code,), "cuInit")
        count = _check(driver.cuDeviceGetCount(), "cuDeviceGetCount")
    if count == 0:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        got = "none" if visible is None else f"none with CUDA_VISIBLE_DEVICES={visible!r}"
        raise DeviceError(
            message("cuda", "an NVIDIA GPU", got, "compute on the CPU, or make the GPU visible")
        )
    return count


def driver_version() -> int:
    """1000 times the major version of CUDA that the driver supports plus 10 times the minor."""
    return _check(_cu.cuDriverGetVersion(), "cuDriverGetVersion")


def describe(index: int) -> tuple[str, tuple[int, int], int, int, int]:
    """Name, compute capability, multiprocessors, shared bytes a block may have, bytes of memory."""
    device = _check(_cu.cuDeviceGet(index), "cuDeviceGet")

    def attribute(name: str) -> int:
        key = getattr(_cu.CUdevice_attribute, f"CU_DEVICE_ATTRIBUTE_{name}")
        return _check(_cu.cuDeviceGetAttribute(key, device), f"cuDeviceGetAttribute({name})")

    name = _check(_cu.cuDeviceGetName(128, device), "cuDeviceGetName").partition(b"\0")[0].decode()
    capability = attribute("COMPUTE_CAPABILITY_MAJOR"), attribute("COMPUTE_CAPABILITY_MINOR")
    shared = attribute("MAX_SHARED_MEMORY_PER_BLOCK_OPTIN")
    memory = _check(_cu.cuDeviceTotalMem(device), "cuDeviceTotalMem")
    return name, capability, attribute("MULTIPROCESSOR_COUNT"), shared, memory


def context(index: int) -> Any:
    """The device's primary context, which other libraries share; retained until the process ends."""
    device = _check(_cu.cuDeviceGet(index), "cuDeviceGet")
    return _check(_cu.cuDevicePrimaryCtxRetain(device), "cuDevicePrimaryCtxRetain")


def bind(context: Any) -> None:
    """Make a context the calling thread's."""
    _check(_cu.cuCtxSetCurrent(context), "cuCtxSetCurrent")


def synchronize() -> None:
    """Wait for all work of the bound context."""
    _check(_cu.cuCtxSynchronize(), "cuCtxSynchronize")


def memory_info() -> tuple[int, int]:
    """Bytes free and in all."""
    return _check(_cu.cuMemGetInfo(), "cuMemGetInfo")


def allocate(nbytes: int) -> int | None:
    """The address of fresh memory; None where there is not enough."""
    code, pointer = _cu.cuMemAlloc(nbytes)
    if code == _cu.CUresult.CUDA_ERROR_OUT_OF_MEMORY:
        return None
    return int(_check((code, pointer), "cuMemAlloc"))


def free(address: int) -> None:
    """Give memory back."""
    _check(_cu.cuMemFree(address), "cuMemFree")


def allocate_pinned(nbytes: int) -> int | None:
    """The address of fresh page-locked host memory; None where there is not enough."""
    code, address = _cu.cuMemHostAlloc(nbytes, _cu.CU_MEMHOSTALLOC_PORTABLE)
    if code == _cu.CUresult.CUDA_ERROR_OUT_OF_MEMORY:
        return None
    return int(_check((code, address), "cuMemHostAlloc"))


def free_pinned(address: int) -> None:
    """Give page-locked memory back."""
    _check(_cu.cuMemFreeHost(address), "cuMemFreeHost")


def device_of(address: int) -> int | None:
    """The index of the device that an address belongs to; None where it is no device memory."""
    code, index = _cu.cuPointerGetAttribute(
        _cu.CUpointer_attribute.CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, address
    )
    return None if code or index < 0 else int(index)


def copy(target: int, source: int, nbytes: int, stream: int) -> None:
    """Copy bytes between any two places; with page-locked host memory the call does not wait."""
    _check(_cu.cuMemcpyAsync(target, source, nbytes, stream), "cuMemcpyAsync")


def fill(address: int, byte: int, nbytes: int, stream: int) -> None:
    """Set each byte."""
    _check(_cu.cuMemsetD8Async(address, byte, nbytes, stream), "cuMemsetD8Async")


def create_stream() -> int:
    """The handle of a new stream of the bound context, which does not wait for the default stream."""
    flags = int(_cu.CUstream_flags.CU_STREAM_NON_BLOCKING)
    return int(_check(_cu.cuStreamCreate(flags), "cuStreamCreate"))


def synchronize_stream(stream: int) -> None:
    """Wait until a stream has done its work."""
    _check(_cu.cuStreamSynchronize(stream), "cuStreamSynchronize")


def create_event(timing: bool) -> Any:
    """A new event of the bound context."""
    flags = _cu.CUevent_flags.CU_EVENT_DEFAULT if timing else _cu.CUevent_flags.CU_EVENT_DISABLE_TIMING
    return _check(_cu.cuEventCreate(int(flags)), "cuEventCreate")


def record(event: Any, stream: int) -> None:
    """Mark this point of a stream."""
    _check(_cu.cuEventRecord(event, stream), "cuEventRecord")


def wait(stream: int, event: Any) -> None:
    """What a stream does from now on waits for an event."""
    _check(_cu.cuStreamWaitEvent(stream, event, 0), "cuStreamWaitEvent")


def event_done(event: Any) -> bool:
    """Whether the marked point is reached."""
    (code,) = _cu.cuEventQuery(event)
    if code == _cu.CUresult.CUDA_ERROR_NOT_READY:
        return False
    _check((code,), "cuEventQuery")
    return True


def synchronize_event(event: Any) -> None:
    """Wait for the marked point."""
    _check(_cu.cuEventSynchronize(event), "cuEventSynchronize")


def elapsed_ms(start: Any, end: Any) -> float:
    """Milliseconds from one event to another."""
    return _check(_cu.cuEventElapsedTime(start, end), "cuEventElapsedTime")


def begin_capture(stream: int) -> None:
    """Record what a stream is given from now on, instead of doing it."""
    # Relaxed: memory may be asked for meanwhile, and other threads may do as they like
    mode = _cu.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_RELAXED
    _check(_cu.cuStreamBeginCapture(stream, mode), "cuStreamBeginCapture")


def end_capture(stream: int) -> Any:
    """What can be launched of what was recorded."""
    graph = _check(_cu.cuStreamEndCapture(stream), "cuStreamEndCapture")
    try:
        return _check(_cu.cuGraphInstantiate(graph, 0), "cuGraphInstantiate")
    finally:
        _cu.cuGraphDestroy(graph)


def abandon_capture(stream: int) -> None:
    """End a recording and forget it, whatever state it is in."""
    code, graph = _cu.cuStreamEndCapture(stream)
    if not code and int(graph):
        _cu.cuGraphDestroy(graph)


def launch_graph(graph: Any, stream: int) -> None:
    """Do on a stream what was recorded."""
    _check(_cu.cuGraphLaunch(graph, stream), "cuGraphLaunch")


def free_graph(graph: Any) -> None:
    """Give back what was made for launching; launches under way go on."""
    _check(_cu.cuGraphExecDestroy(graph), "cuGraphExecDestroy")


def load(cubin: bytes, name: str, shared: int) -> Any:
    """The function of a compiled module, allowed as much dynamic shared memory as it will ask for."""
    module = _check(_cu.cuModuleLoadData(cubin), f"loading the kernel {name}")
    function = _check(_cu.cuModuleGetFunction(module, name.encode()), f"finding the kernel {name}")
    if shared > _STATIC_SHARED:
        limit = _cu.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
        _check(_cu.cuFuncSetAttribute(function, limit, shared), f"{shared} bytes of shared memory for {name}")
    return function


def launch(
    function: Any, grid: tuple[int, int, int], threads: int, shared: int, words: Sequence[Any], stream: int
) -> None:
    """Start a kernel on a stream; ctypes scalars are its arguments, which the driver copies."""
    places = array("Q", map(ctypes.addressof, words))
    _check(
        _cu.cuLaunchKernel(function, *grid, threads, 1, 1, shared, stream, places.buffer_info()[0], 0),
        "starting a kernel (an error of an earlier one may show here)",
    )

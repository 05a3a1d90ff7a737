"""What ``_cuda_driver`` does, without a GPU: device memory is host memory, streams run at once.

Fresh memory is filled with 0xFF, a NaN in every floating-point type. Tests say which streams are `held`:
events recorded there are not done before the stream is let go or synchronised.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from numbacnn.errors import DeviceError, message

DEVICES = 2  # so that mixing devices can be tested
ALIGNMENT = 256  # bytes, as the driver promises

memory_bytes = 4 << 30  # of each device
held: set[int] = set()
_blocks: dict[int, tuple[int, np.ndarray]] = {}  # address: device, and what keeps the memory
_pinned: dict[int, np.ndarray] = {}
_captures: dict[int, list[Callable[[], Any]]] = {}  # by stream, what it was given since
_bound = 0
_last_handle = 100  # streams and events count upwards; the first ones are the driver's own


class _Event:
    """What was recorded last: the stream, and whether that was captured then."""

    __slots__ = ("captured", "stream")

    def __init__(self) -> None:
        self.stream, self.captured = 0, False


def open_driver() -> int:
    """The number of devices."""
    return DEVICES


def driver_version() -> int:
    """1000 times the major version plus 10 times the minor."""
    return 13000


def describe(index: int) -> tuple[str, tuple[int, int], int, int, int]:
    """Name, compute capability, multiprocessors, shared bytes a block may have, bytes of memory."""
    return "simulator", (8, 0), 4, 163 << 10, memory_bytes


def context(index: int) -> int:
    """The device's context."""
    return index


def bind(context: int) -> None:
    """Make a context the calling thread's. The simulator needs it for counting memory only."""
    global _bound
    _bound = context


def synchronize() -> None:
    """Wait for all work of the bound context."""
    held.clear()


def memory_info() -> tuple[int, int]:
    """Bytes free and in all."""
    used = sum(memory.size for index, memory in _blocks.values() if index == _bound)
    return memory_bytes - used, memory_bytes


def _aligned(nbytes: int) -> tuple[int, np.ndarray]:
    raw = np.full(nbytes + ALIGNMENT, 0xFF, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw.ctypes.data + start, raw[start : start + nbytes]


def allocate(nbytes: int) -> int | None:
    """The address of fresh memory; None where there is not enough."""
    if nbytes > memory_info()[0]:
        return None
    address, memory = _aligned(nbytes)
    _blocks[address] = _bound, memory
    return address


def free(address: int) -> None:
    """Give memory back."""
    del _blocks[address]


def allocate_pinned(nbytes: int) -> int | None:
    """The address of fresh page-locked host memory; None where there is not enough."""
    address, memory = _aligned(nbytes)
    _pinned[address] = memory
    return address


def free_pinned(address: int) -> None:
    """Give page-locked memory back."""
    del _pinned[address]


def device_of(address: int) -> int | None:
    """The index of the device that an address belongs to; None where it is no device memory."""
    for start, (index, memory) in _blocks.items():
        if start <= address < start + memory.size:
            return index
    return None


def copy(target: int, source: int, nbytes: int, stream: int) -> None:
    """Copy bytes between any two places; with page-locked host memory the call does not wait."""
    _do(stream, functools.partial(ctypes.memmove, target, source, nbytes))


def fill(address: int, byte: int, nbytes: int, stream: int) -> None:
    """Set each byte."""
    _do(stream, functools.partial(ctypes.memset, address, byte, nbytes))


def create_stream() -> int:
    """The handle of a new stream of the bound context."""
    global _last_handle
    _last_handle += 1
    return _last_handle


def synchronize_stream(stream: int) -> None:
    """Wait until a stream has done its work."""
    _refuse(stream in _captures, "synchronising")
    held.discard(stream)


def create_event(timing: bool) -> Any:
    """A new event of the bound context."""
    return _Event()


def record(event: Any, stream: int) -> None:
    """Mark this point of a stream."""
    event.stream, event.captured = stream, stream in _captures


def wait(stream: int, event: Any) -> None:
    """What a stream does from now on waits for an event."""
    _refuse(event.captured != (stream in _captures), "waiting for other streams")


def event_done(event: Any) -> bool:
    """Whether the marked point is reached."""
    _refuse(event.captured, "asking for an event")
    return event.stream not in held


def synchronize_event(event: Any) -> None:
    """Wait for the marked point."""
    _refuse(event.captured, "waiting for an event")
    held.discard(event.stream)


def elapsed_ms(start: Any, end: Any) -> float:
    """Milliseconds from one event to another."""
    return 0.0


def _do(stream: int, work: Callable[[], Any]) -> None:
    """Do what a stream is given, or record it."""
    if stream in _captures:
        _captures[stream].append(work)
    else:
        work()


def _refuse(wrong: bool, what: str) -> None:
    if wrong:
        raise DeviceError(message("capture", "work on the device alone", what, "do it before or after"))


def begin_capture(stream: int) -> None:
    """Record what a stream is given from now on, instead of doing it."""
    if stream == 1:
        raise DeviceError(message("capture", "a stream of one's own", "the default stream", "make a Stream"))
    _captures[stream] = []


def end_capture(stream: int) -> Any:
    """What can be launched of what was recorded."""
    return _captures.pop(stream)


def abandon_capture(stream: int) -> None:
    """End a recording and forget it."""
    _captures.pop(stream, None)


def launch_graph(graph: Any, stream: int) -> None:
    """Do on a stream what was recorded."""
    _refuse(stream in _captures, "launching a graph")
    for work in graph:
        work()


def free_graph(graph: Any) -> None:
    """Give back what was made for launching."""
    graph.clear()


def load(cubin: bytes, name: str, shared: int) -> Any:
    """Compiled code has nothing to run on here."""
    raise DeviceError(message("load", "a GPU", "the simulator", "unset NUMBA_ENABLE_CUDASIM"))


def launch(
    function: Any, grid: tuple[int, int, int], threads: int, shared: int, words: Sequence[Any], stream: int
) -> None:
    """Compiled code has nothing to run on here."""
    raise DeviceError(message("launch", "a GPU", "the simulator", "unset NUMBA_ENABLE_CUDASIM"))

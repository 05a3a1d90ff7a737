"""Devices, streams, events and compiled functions: a thin layer over the CUDA driver or its simulated twin.

A thread has a current device, at first number 0, and on each device a current stream, at first the default
stream, which PyTorch and CuPy use as well. Everything here acts on them. Work of one stream runs in order;
streams know nothing of each other but by `Stream.wait`.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType, TracebackType
from typing import Any

from numbacnn.errors import ArgumentError, DeviceError, message

DEFAULT_STREAM = 1  # the driver's name for the stream that all libraries start from


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU.

    Attributes:
        index: its number, from 0.
        name: as the driver calls it.
        capability: what its instructions are, such as ``(9, 0)``.
        multiprocessors: how many it has.
        shared_limit: bytes of shared memory that a block may ask for.
        memory_bytes: bytes of its memory.

    """

    index: int
    name: str
    capability: tuple[int, int]
    multiprocessors: int
    shared_limit: int
    memory_bytes: int


class _Thread(threading.local):
    """What is current in a thread."""

    def __init__(self) -> None:
        self.stream: Stream | None = None  # on the current device
        self.streams: dict[int, Stream] = {}  # of each device
        self.entered: list[tuple[Stream, Stream | None]] = []


class _State:
    """What is current in the process; a test takes a fresh one."""

    def __init__(self, refusal: str | None = None) -> None:
        self.lock = threading.RLock()
        self.thread = _Thread()
        self.refusal = refusal
        self.calls: ModuleType | None = None  # the driver's, or the simulator's
        self.simulated: bool | None = None
        self.devices: list[Device | None] = []
        self.contexts: dict[int, Any] = {}
        self.defaults: dict[int, Stream] = {}
        self.spare_streams: dict[int, deque[int]] = {}
        self.spare_events: dict[int, deque[Any]] = {}


_state = _State()


def simulated() -> bool:
    """Whether ``NUMBA_ENABLE_CUDASIM`` asked for the simulator when this was first called."""
    if _state.simulated is None:
        _state.simulated = os.environ.get("NUMBA_ENABLE_CUDASIM", "").strip() not in ("", "0")
    return _state.simulated


def calls() -> Any:
    """The module with the calls of the driver: `_cuda_driver` or `_simulated_driver`, opened.

    Raises:
        DeviceError: a package, the driver or a GPU is missing, and how to get it.

    """
    return _state.calls or _open()


def _open() -> ModuleType:
    with _state.lock:
        if _state.calls is None:
            if _state.refusal:
                raise DeviceError(_state.refusal)
            if simulated():
                from . import _simulated_driver as module
            else:
                from . import _cuda_driver as module  # type: ignore[no-redef]
            _state.devices = [None] * module.open_driver()
            _state.calls = module
        return _state.calls


def driver_version() -> tuple[int, int]:
    """The newest CUDA that the driver supports."""
    version = calls().driver_version()
    return version // 1000, version % 1000 // 10


def device_count() -> int:
    """How many devices there are."""
    calls()
    return len(_state.devices)


def device(index: int | None = None) -> Device:
    """A device; without an index the current one.

    Raises:
        DeviceError: there is none, or none of that number.

    """
    index = current_stream().device if index is None else _known(index)
    found = _state.devices[index]
    if found is None:
        found = _state.devices[index] = Device(index, *calls().describe(index))
    return found


def _known(index: int) -> int:
    """The index; DeviceError where no device has it."""
    count = device_count()
    if not 0 <= index < count:
        expected = "'cuda'" if count == 1 else f"'cuda:0' to 'cuda:{count - 1}'"
        raise DeviceError(message("device", expected, f"'cuda:{index}'", "choose one that is there"))
    return index


def use(index: int) -> None:
    """Make a device the calling thread's current one."""
    thread = _state.thread
    if thread.stream is None or thread.stream.device != index:
        _bind(index)
        thread.stream = thread.streams.get(index) or default_stream(index)


@contextmanager
def on(index: int) -> Iterator[None]:
    """Make a device current for the length of a ``with``."""
    before = current_stream().device
    use(index)
    try:
        yield
    finally:
        use(before)


def _bind(index: int) -> None:
    context = _state.contexts.get(_known(index))
    if context is None:
        with _state.lock:
            if index not in _state.contexts:
                _state.contexts[index] = calls().context(index)
        context = _state.contexts[index]
    calls().bind(context)


def current_stream() -> Stream:
    """The stream that kernels and copies of this thread go to, its device ready for use.

    Raises:
        DeviceError: there is no device.

    """
    stream = _state.thread.stream
    if stream is None:
        use(0)
        return _state.thread.stream  # type: ignore[return-value]
    if len(_state.devices) > 1:  # another library may have turned to another device since
        calls().bind(_state.contexts[stream.device])
    return stream


def default_stream(index: int) -> Stream:
    """The default stream of a device."""
    with _state.lock:
        if index not in _state.defaults:
            _state.defaults[index] = Stream._of(DEFAULT_STREAM, index)
        return _state.defaults[index]


class Stream:
    """Work that a device does in order. ``with stream:`` makes it, and its device, the thread's current one.

    Args:
        device: the index of the device; by default the current one.

    Attributes:
        handle: the driver's number for it, as other libraries take it.
        device: the index of its device.

    """

    __slots__ = ("__weakref__", "_spare", "capture", "device", "handle")
    handle: int
    device: int
    capture: Any  # of `_graph`, while what the stream is given is recorded
    _spare: deque[int] | None

    def __init__(self, device: int | None = None) -> None:
        self._spare = self.capture = None
        self.device = current_stream().device if device is None else _known(device)
        spare = _state.spare_streams.setdefault(self.device, deque())
        try:
            self.handle = spare.popleft()
        except IndexError:
            with on(self.device):
                self.handle = calls().create_stream()
        self._spare = spare

    @classmethod
    def _of(cls, handle: int, device: int) -> Stream:
        stream = cls.__new__(cls)
        stream.handle, stream.device = handle, device
        stream._spare = stream.capture = None
        return stream

    @classmethod
    def foreign(cls, handle: int, device: int | None = None) -> Stream:
        """A stream of another library, by its handle; it must outlive its use here."""
        if not isinstance(handle, int) or handle < 1:
            raise ArgumentError(message("stream", "a handle of 1 or more", repr(handle), "pass the stream's"))
        index = current_stream().device if device is None else device
        return default_stream(index) if handle == DEFAULT_STREAM else cls._of(handle, index)

    def __del__(self) -> None:
        # Handles are used again rather than destroyed: memory may still be ordered by one.
        spare = getattr(self, "_spare", None)
        if spare is not None:
            spare.append(self.handle)

    def __repr__(self) -> str:
        return f"Stream(handle={self.handle:#x}, device={self.device})"

    def __enter__(self) -> Stream:
        thread = _state.thread
        before = current_stream()
        thread.entered.append((before, thread.streams.get(self.device)))
        if before.device != self.device:
            _bind(self.device)
        thread.stream = thread.streams[self.device] = self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        thread = _state.thread
        before, mine = thread.entered.pop()
        if mine is None:
            del thread.streams[self.device]
        else:
            thread.streams[self.device] = mine
        thread.stream = before
        if before.device != self.device:
            _bind(before.device)

    def synchronize(self) -> None:
        """Return when all work given to the stream is done."""
        self._call("synchronize_stream", self.handle)

    def record(self) -> Event:
        """A new event at this point of the stream."""
        event = Event(self.device)
        event.record(self)
        return event

    def wait(self, other: Stream | Event) -> None:
        """What is given to this stream from now on waits for what the other was given before now."""
        if isinstance(other, Stream):
            if (other.handle, other.device) == (self.handle, self.device):
                return
            other = other.record()
        self._call("wait", self.handle, other.handle)

    def _call(self, name: str, *arguments: Any) -> Any:
        """A call of the driver with the stream's device current: the default stream is each device's own."""
        if current_stream().device == self.device:
            return getattr(calls(), name)(*arguments)
        with on(self.device):
            return getattr(calls(), name)(*arguments)


class Event:
    """A point in the work of a stream.

    Args:
        device: the index of the device whose streams it is for; by default the current one.
        timing: whether `elapsed_ms` will be asked.

    """

    __slots__ = ("_spare", "device", "handle")

    def __init__(self, device: int | None = None, timing: bool = False) -> None:
        self._spare: deque[Any] | None = None
        self.device = current_stream().device if device is None else device
        spare = None if timing else _state.spare_events.setdefault(self.device, deque())
        try:
            self.handle = spare.popleft() if spare else None
        except IndexError:  # another thread took the last
            self.handle = None
        if self.handle is None:
            with on(self.device):
                self.handle = calls().create_event(timing)
        self._spare = spare

    def __del__(self) -> None:
        spare = getattr(self, "_spare", None)
        if spare is not None:
            spare.append(self.handle)

    def record(self, stream: Stream | None = None) -> None:
        """Mark this point of a stream, by default of the current one."""
        stream = stream or current_stream()
        stream._call("record", self.handle, stream.handle)

    def done(self) -> bool:
        """Whether the marked point is reached."""
        current_stream()  # which makes the driver usable in this thread
        return calls().event_done(self.handle)

    def synchronize(self) -> None:
        """Return when the marked point is reached."""
        current_stream()
        calls().synchronize_event(self.handle)

    def elapsed_ms(self, since: Event) -> float:
        """Milliseconds from another event to this one; both were made with ``timing=True`` and are done."""
        current_stream()
        return calls().elapsed_ms(since.handle, self.handle)


def synchronize() -> None:
    """Return when all work of the current device is done."""
    current_stream()
    calls().synchronize()


def load(cubin: bytes, name: str, shared: int) -> Any:
    """The function of a compiled module, loaded into the current device.

    Args:
        cubin: the module's bytes.
        name: the function's name in it.
        shared: bytes of dynamic shared memory that it will be started with at most.

    Raises:
        DeviceError: the driver refuses it.

    """
    current_stream()
    return calls().load(cubin, name, shared)


def launch(
    function: Any, grid: tuple[int, int, int], threads: int, shared: int, words: Sequence[Any]
) -> None:
    """Start a function on the current stream.

    Args:
        function: from `load`, on the current device.
        grid: blocks along x, y and z, each 1 or more.
        threads: threads of a block.
        shared: bytes of dynamic shared memory.
        words: its arguments, as ctypes scalars.

    Raises:
        DeviceError: the driver refuses it.

    """
    handle = current_stream().handle
    calls().launch(function, grid, threads, shared, words, handle)


def _after_fork() -> None:
    """A child has no use of its parent's driver; the simulator's memory is as good as before."""
    global _state
    if _state.calls is not None and not _state.simulated:
        expected, got = "the process that first used the GPU", "a child forked from it"
        _state = _State(message("cuda", expected, got, "start processes by multiprocessing's 'spawn'"))
    else:
        _state.lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

"""Device memory and page-locked host memory, kept for reuse.

Work on a stream runs in order, so a block freed on the stream that it was taken on is handed out there at
once: whatever still reads it comes first. Where another stream has used it, events are recorded on that
stream when the block is freed, and the block waits for them.

A block is freed by the garbage collector, at any instruction of a thread that may itself hold the lock, so
freeing only puts it into a queue (as in ``numbacnn.memory``); who next asks for memory files what is there.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from numbacnn.config import config
from numbacnn.errors import DeviceError, DeviceMemoryError, message
from numbacnn.memory import size_class

from . import _driver
from ._driver import Event, Stream

_SMALLEST = 512  # bytes of the smallest block
_PINNED_SMALLEST = 4096  # a page
_PINNED_KEPT = 256 << 20  # bytes of page-locked memory kept for reuse; more would hurt the host


_Freed = tuple[int, int, Stream, "set[Stream] | None", "Callable[[], None] | None"]


@functools.lru_cache(4096)
def size_of(nbytes: int) -> int:
    """The size of the block that so many bytes get."""
    return size_class(max(nbytes, _SMALLEST))


class Lease:
    """Memory of a device in use; it goes back when this dies.

    Attributes:
        address: of its first byte.
        size: its bytes.
        stream: where it was taken: what is given to this stream may use it with no further ado.
        others: the streams besides that used it, None before there is one.

    """

    __slots__ = ("address", "allocator", "others", "size", "stream")

    def __init__(self, allocator: Any, address: int, size: int, stream: Stream) -> None:
        self.allocator, self.address, self.size, self.stream = allocator, address, size, stream
        self.others: set[Stream] | None = None

    def use(self, stream: Stream, peer: bool = False) -> None:
        """Note that what is given to another stream uses the memory, of another device only as a peer."""
        if not peer and stream.device != self.stream.device:
            expected, got = f"'cuda:{self.stream.device}', where the array lies", f"'cuda:{stream.device}'"
            raise DeviceError(message("current device", expected, got, "move the array, or use its device"))
        if stream.capture is not None:  # it is used whenever the graph is launched
            stream.capture.keep(self)
            return
        if self.others is None:
            self.others = set()
        self.others.add(stream)

    def __del__(self) -> None:
        self.allocator._returned.append((self.address, self.size, self.stream, self.others, None))


class ForeignLease(Lease):
    """Memory of another library; `release` is called once work given to the device before has used it."""

    __slots__ = ("owner", "release")

    def __init__(
        self,
        allocator: Allocator,
        address: int,
        size: int,
        stream: Stream,
        owner: Any = None,
        release: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(allocator, address, size, stream)
        self.owner, self.release = owner, release

    def __del__(self) -> None:
        release = self.release or deque((self.owner,)).clear  # which lets the owner go
        self.allocator._returned.append((0, 0, self.stream, {self.stream, *(self.others or ())}, release))
        if not sys.is_finalizing():
            with suppress(DeviceError):  # in a forked child, which has no part in its parent's GPU
                self.allocator._settle_if_free()


class Allocator:
    """Blocks of a device's memory, kept for reuse. All threads may use one.

    Args:
        device: the index of the device.

    Attributes:
        limit: bytes taken from the device at most, in use and kept; None for all that it has.
        hits: blocks handed out again.
        misses: blocks that the driver was asked for.
        taken_bytes: bytes taken from the device.
        held_bytes: of those, the bytes kept for reuse, as far as freed blocks have been filed.
        poison: fill memory with 0xFF, a NaN, when it is handed out; on in the simulator.

    """

    def __init__(self, device: int) -> None:
        self.device = device
        self.limit = config.device_limit_bytes
        self.poison = _driver.simulated()
        self.hits = self.misses = 0
        self.taken_bytes = self.held_bytes = 0
        self._bins: dict[int, dict[int, list[tuple[int, Event | None]]]] = {}  # by stream's handle, size
        self._waiting: list[tuple[list[Event], int, int, int, Callable[[], None] | None]] = []
        self._returned: deque[_Freed] = deque()
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        counts = f"hits={self.hits}, misses={self.misses}, held_bytes={self.held_bytes}"
        return (
            f"Allocator(device={self.device}, {counts}, taken_bytes={self.taken_bytes}, limit={self.limit})"
        )

    def take(self, nbytes: int) -> Lease:
        """Memory of undefined contents for the current stream of the allocator's device.

        Raises:
            DeviceMemoryError: there is not enough, even with nothing kept for reuse.

        """
        stream = _driver.current_stream()
        if stream.device != self.device:
            with _driver.on(self.device):
                return self.take(nbytes)
        if stream.capture is not None:
            return stream.capture.take(nbytes, stream)
        size = size_of(nbytes)
        with self._lock:
            released = self._settle() if self._returned or self._waiting else ()
            address = self._reused(size, stream)
            if address is None:
                self.misses += 1
            else:
                self.hits += 1
                self.held_bytes -= size
        for release in released:  # the lock is free: they may do anything
            release()
        lease = Lease(self, self.fresh(size, nbytes) if address is None else address, size, stream)
        if self.poison:
            _driver.calls().fill(lease.address, 0xFF, size, stream.handle)
        return lease

    def clear(self) -> None:
        """Give all memory that is kept for reuse back to the driver, once the device has done its work."""
        with _driver.on(self.device):
            with self._lock:
                released = self._settle()
                _driver.synchronize()
                released += self._settle()
                kept, self._bins = self._bins, {}
                for size, address in _addresses(kept):
                    _driver.calls().free(address)
                    self.held_bytes -= size
                    self.taken_bytes -= size
            for release in released:
                release()

    def fresh(self, size: int, nbytes: int) -> int:
        """The address of memory that the driver is asked for; see `take`."""
        for attempt in range(2):
            with self._lock:
                allowed = self.limit is None or self.taken_bytes + size <= self.limit
                if allowed:
                    self.taken_bytes += size  # before it is: another thread asks at the same time
            if allowed:
                address = _driver.calls().allocate(size)
                if address is not None:
                    return address
                with self._lock:
                    self.taken_bytes -= size
            if attempt == 0:
                self.clear()
        free, total = _driver.calls().memory_info()
        own = f"numbacnn holds {self.taken_bytes:,}, {self.held_bytes:,} of them for reuse"
        limit = "" if self.limit is None else f", its limit is {self.limit:,}"
        got = f"{free:,} free of {total:,} ({own}{limit})"
        expected = f"{nbytes:,} bytes on 'cuda:{self.device}'"
        raise DeviceMemoryError(
            message("device memory", expected, got, "use a smaller batch or free tensors")
        )

    def _reused(self, size: int, stream: Stream) -> int | None:
        """A kept block that the stream may use; the lock is held."""
        mine = self._bins.get(stream.handle)
        if mine:
            bin = mine.get(size)
            if bin:
                return bin.pop()[0]
        if len(self._bins) > (mine is not None):
            for handle, bins in self._bins.items():
                bin = bins.get(size)
                if bin and handle != stream.handle:
                    address, event = bin[0]
                    if event is None:  # the block was freed before now, so this is late enough
                        event = Event(self.device)
                        event.record(Stream._of(handle, self.device))
                        bin[0] = address, event
                    if event.done():
                        del bin[0]
                        return address
        return None

    def _settle(self) -> list[Callable[[], None]]:
        """File what was freed and is no longer used; return what then has to be called. The lock is held."""
        released = []
        while self._returned:
            address, size, stream, others, release = self._returned.popleft()
            self.held_bytes += size
            if others:
                self._waiting.append((_recorded(others), address, size, stream.handle, release))
            else:
                self._keep(address, size, stream.handle)
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for entry in waiting:
                events, address, size, handle, release = entry
                if not all(event.done() for event in events):
                    self._waiting.append(entry)
                elif release is not None:
                    released.append(release)
                else:
                    self._keep(address, size, handle)
        return released

    def _keep(self, address: int, size: int, handle: int) -> None:
        try:
            self._bins[handle][size].append((address, None))
        except KeyError:
            self._bins.setdefault(handle, {}).setdefault(size, []).append((address, None))

    def _settle_if_free(self) -> None:
        """Let go of what others own, unless the lock is held: then the next `take` does."""
        if self._lock.acquire(False):
            try:
                released = self._settle()
            finally:
                self._lock.release()
            for release in released:
                release()


def _addresses(bins: dict[int, dict[int, list[tuple[int, Event | None]]]]) -> Iterator[tuple[int, int]]:
    """Size and address of each kept block."""
    for sizes in bins.values():
        for size, blocks in sizes.items():
            yield from ((size, address) for address, _ in blocks)


def _recorded(streams: set[Stream]) -> list[Event]:
    """An event at the present point of each stream."""
    try:
        return [stream.record() for stream in streams]
    except DeviceError:  # another library's stream that is no more: wait for all work instead
        _driver.synchronize()
        return []


class PinnedLease:
    """Page-locked memory in use; it goes back when this, the base of an array, dies."""

    __slots__ = ("__array_interface__", "address", "events", "pool", "size")

    def __init__(self, pool: PinnedPool, address: int, size: int) -> None:
        self.pool, self.address, self.size = pool, address, size
        self.events: dict[int, Event] = {}  # by stream, after the last copy that reads or writes it
        interface = {"data": (address, False), "shape": (size,), "typestr": "|u1", "version": 3}
        self.__array_interface__ = interface

    def use(self, stream: Stream) -> Event:
        """Note a copy that was just given to a stream."""
        event = self.events[stream.handle] = stream.record()
        return event

    def __del__(self) -> None:
        self.pool._returned.append((self.address, self.size, [*self.events.values()]))


class PinnedPool:
    """Page-locked host memory, kept for reuse: with it copies to and from a device do not wait.

    Attributes:
        hits: blocks handed out again.
        misses: blocks that the driver was asked for.
        held_bytes: bytes kept for reuse.

    """

    def __init__(self) -> None:
        self.hits = self.misses = 0
        self.held_bytes = 0
        self._bins: dict[int, list[tuple[int, list[Event]]]] = {}
        self._returned: deque[tuple[int, int, list[Event]]] = deque()
        self._lock = threading.Lock()

    def take(self, nbytes: int) -> PinnedLease:
        """Page-locked memory that no copy uses any more.

        Raises:
            DeviceMemoryError: the host gives no more.

        """
        _driver.current_stream()
        size = size_class(max(nbytes, _PINNED_SMALLEST))
        with self._lock:
            self._settle()
            kept = self._bins.get(size, [])
            for place, (address, events) in enumerate(kept):
                if all(event.done() for event in events):
                    del kept[place]
                    self.held_bytes -= size
                    self.hits += 1
                    return PinnedLease(self, address, size)
            self.misses += 1
        fresh = _driver.calls().allocate_pinned(size)
        if fresh is None:
            expected = f"{size:,} bytes of page-locked host memory"
            raise DeviceMemoryError(message("pinned", expected, "none left", "use smaller arrays"))
        return PinnedLease(self, fresh, size)

    def _settle(self) -> None:
        while self._returned:
            address, size, events = self._returned.popleft()
            if self.held_bytes + size > _PINNED_KEPT:
                for event in events:
                    event.synchronize()
                _driver.calls().free_pinned(address)
                continue
            self.held_bytes += size
            self._bins.setdefault(size, []).append((address, events))


_allocators: dict[int, Allocator] = {}
_lock = threading.Lock()
pinned_pool = PinnedPool()


def allocator(index: int | None = None) -> Allocator:
    """The allocator of a device, by default of the current one."""
    if index is None:
        index = _driver.current_stream().device
    found = _allocators.get(index)
    if found is None:
        _driver.device(index)
        with _lock:
            found = _allocators.setdefault(index, Allocator(index))
    return found


def _after_fork() -> None:
    """Another thread may have held a lock."""
    global _lock
    _lock = threading.Lock()
    pinned_pool._lock = threading.Lock()
    for each in _allocators.values():
        each._lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

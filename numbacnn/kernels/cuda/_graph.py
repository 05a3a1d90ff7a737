"""Work that is recorded once and done again and again: CUDA graphs.

While a thread is within `capture`, what it gives to its stream is recorded instead of done. Memory taken
meanwhile comes from a pool of the graph's own: its addresses are part of what was recorded, so nobody else
may get it before the graph dies. Arrays from outside that the work uses are kept alive as long.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from numbacnn.errors import ArgumentError, DeviceError, message

from . import _driver
from ._allocator import Allocator, Lease, allocator, size_of
from ._driver import Stream


class PrivatePool:
    """Memory of a graph; goes back to the device's allocator when the graph and all arrays in it are dead."""

    def __init__(self, owner: Allocator) -> None:
        self.owner = owner
        self._home = _driver.default_stream(owner.device)
        self.streams: set[Stream] = set()  # where the graph was launched
        self._returned: deque[Any] = deque()  # leases put themselves here when they die
        self._used: set[Stream] = set()
        self._free: dict[int, list[int]] = {}
        self._blocks: list[tuple[int, int]] = []

    def take(self, nbytes: int, stream: Stream) -> Lease:
        """Memory for the capturing stream: what the recorded work has done with, else new."""
        self._settle()
        size = size_of(nbytes)
        kept = self._free.get(size)
        if kept:
            address = kept.pop()
        else:
            address = self.owner.fresh(size, nbytes)
            self._blocks.append((address, size))
        lease = Lease(self, address, size, stream)
        if self.owner.poison:
            _driver.calls().fill(address, 0xFF, size, stream.handle)
        return lease

    def _settle(self) -> None:
        while self._returned:
            address, size, _, others, _ = self._returned.popleft()
            self._used |= others or set()
            self._free.setdefault(size, []).append(address)

    def __del__(self) -> None:
        self._settle()
        others = self.streams | self._used
        for address, size in self._blocks:
            self.owner._returned.append((address, size, self._home, others, None))


class Graph:
    """Recorded work, made by `capture`.

    Attributes:
        device: index of the device that it runs on.

    """

    def __init__(self, pool: PrivatePool) -> None:
        self.device = pool.owner.device
        self._pool = pool
        self._kept: set[Lease] = set()
        self._handle: Any = None

    def launch(self) -> None:
        """Do the work again, on the current stream.

        Raises:
            DeviceError: another device is current, or the recording was broken off.

        """
        stream = _driver.current_stream()
        if stream.device != self.device:
            expected, got = f"'cuda:{self.device}', where it was captured", f"'cuda:{stream.device}'"
            raise DeviceError(message("graph", expected, got, "make that device current"))
        if self._handle is None:
            raise DeviceError(message("graph", "a finished capture", "none", "capture it anew"))
        self._pool.streams.add(stream)
        _driver.calls().launch_graph(self._handle, stream.handle)

    def __del__(self) -> None:
        for lease in self._kept:  # it may die with this, while the last launch still uses it
            lease.others = (lease.others or set()) | (self._pool.streams - {lease.stream})
        if self._handle is not None and not sys.is_finalizing():
            with suppress(DeviceError):  # in a forked child, which has no part in its parent's GPU
                _driver.calls().free_graph(self._handle)


class Capture:
    """A capture under way: what a stream's `capture` holds meanwhile."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def take(self, nbytes: int, stream: Stream) -> Lease:
        """Memory of the graph's own."""
        return self.graph._pool.take(nbytes, stream)

    def keep(self, lease: Lease) -> None:
        """Keep memory from outside alive with the graph."""
        self.graph._kept.add(lease)


@contextmanager
def capture(device: int | None = None) -> Iterator[Graph]:
    """Record what the thread gives to the device within a ``with`` block, on a stream of its own.

    Nothing is done meanwhile: results are there after `Graph.launch`. Run the work once before, so that its
    kernels are loaded. Copies between host and device are refused: they would repeat what was sent then.

    Args:
        device: index of the device; by default the current one.

    Returns:
        The graph, which can be launched after the block.

    Raises:
        ArgumentError: the thread captures already.
        DeviceError: the driver refuses.

    """
    if _driver.current_stream().capture is not None:
        raise ArgumentError(message("capture", "no capture under way", "one", "leave it first"))
    stream = Stream(device)
    graph = Graph(PrivatePool(allocator(stream.device)))
    with stream:
        _driver.calls().begin_capture(stream.handle)
        stream.capture = Capture(graph)
        try:
            yield graph
        except BaseException:
            stream.capture = None
            _driver.calls().abandon_capture(stream.handle)
            raise
        stream.capture = None
        graph._handle = _driver.calls().end_capture(stream.handle)

"""The buffer pool: large blocks of memory, leased as arrays and kept for reuse.

Fresh memory costs page faults, which take up to a third of a convolution's time.  A block goes back to the
pool when the last array over it dies.
"""

from __future__ import annotations

import math
import os
import threading
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numbacnn.config import config

_ALIGNMENT = 64  # bytes: a cache line, and the widest vector register
_SMALL = 4096  # bytes: below a page, malloc reuses memory as fast as the pool would
_SCRATCH = 1 << 17  # bytes of a thread's own scratch: up to half of a small L2
_LARGE = 1 << 18  # bytes: blocks from here on may serve smaller leases
_LOOSE = 2  # times the size that a lease may take
_STEPS = 8  # size classes per doubling: a new block has at most 1/8 more than is asked for


class _Block:
    """Aligned memory of the pool, and how NumPy was last told to see it."""

    __slots__ = ("dtype", "memory", "shape", "struct")

    def __init__(self, size: int) -> None:
        raw = np.empty(size + _ALIGNMENT, np.uint8)
        start = -raw.__array_interface__["data"][0] % _ALIGNMENT
        self.memory = raw[start : start + size]
        self.see((size,), self.memory.dtype)

    def see(self, shape: tuple[int, ...], dtype: np.dtype) -> None:
        """Keep the description of an array over the memory; the next lease mostly wants the same."""
        self.shape, self.dtype = shape, dtype
        self.struct = np.ndarray(shape, dtype, self.memory).__array_struct__


class Lease:
    """The base of an array over a block; the block goes back to the pool when this dies."""

    __slots__ = ("__array_struct__", "block", "pool")
    __array_struct__: Any
    block: _Block
    pool: BufferPool

    def __del__(self) -> None:
        self.pool._give_back(self.block)


class _Scratch(threading.local):
    """A thread's own scratch, by dtype."""

    def __init__(self) -> None:
        self.arrays: dict[np.dtype, NDArray] = {}


def size_class(nbytes: int) -> int:
    """The least of the pool's sizes that holds `nbytes`."""
    step = 1 << max(nbytes.bit_length() - _STEPS.bit_length(), 6)
    return -(-nbytes // step) * step


class BufferPool:
    """Blocks of memory, kept for reuse up to ``config.pool_limit_bytes``. All threads may use one pool.

    A returned block waits in a queue until someone holds the lock: `_give_back` runs inside the garbage
    collector, at any instruction of a thread that may itself hold the lock, so it must never wait for it.

    Attributes:
        hits: leases served from the pool.
        misses: leases that took fresh memory.
        held_bytes: bytes kept for reuse now; arrays in use do not count.
        poison: fill arrays with NaN on lease, to show a read of what was never written.

    """

    def __init__(self) -> None:
        self.poison = False
        self.hits = 0
        self.misses = 0
        self._restart()

    def _restart(self) -> None:
        """Start empty. In a forked child too: another thread may have held the lock."""
        self.held_bytes = 0
        self._bins: dict[int, list[_Block]] = {}  # the size class refilled longest ago comes first
        self._returned: deque[_Block] = deque()
        self._lock = threading.Lock()
        self._scratch = _Scratch()

    def __repr__(self) -> str:
        return f"BufferPool(hits={self.hits}, misses={self.misses}, held_bytes={self.held_bytes})"

    def array(self, shape: tuple[int, ...], dtype: np.dtype) -> NDArray:
        """An array of undefined contents; nothing is checked.

        Args:
            shape: extents, none negative.
            dtype: element type, as a dtype object.

        Returns:
            A C-contiguous writable array, 64-byte aligned from 4 KiB on.

        """
        nbytes = math.prod(shape) * dtype.itemsize
        if nbytes < _SMALL:
            array = np.empty(shape, dtype)
        else:
            block = self._take(size_class(nbytes))
            if block.shape != shape or block.dtype is not dtype:
                block.see(shape, dtype)
            lease = Lease()
            lease.pool = self
            lease.block = block
            lease.__array_struct__ = block.struct
            array = np.asarray(lease)
        if self.poison:
            array.reshape(-1).view(np.uint8).fill(0xFF)  # NaN in either float type
        return array

    def scratch(self, size: int, dtype: np.dtype) -> NDArray:
        """An array of ``size`` elements at least, of undefined contents, for one call of a kernel.

        A thread's small scratch is the same memory each time: it lies in the cache, and costs no lease.
        """
        if size == 0 or size * dtype.itemsize > _SCRATCH or self.poison:
            return self.array((size,), dtype)
        arrays = self._scratch.arrays
        if dtype not in arrays:
            arrays[dtype] = _Block(_SCRATCH).memory.view(dtype)
        return arrays[dtype]

    def clear(self) -> None:
        """Give all held memory back to the system. Arrays in use stay valid."""
        with self._lock:
            self._settle()
            self._bins.clear()
            self.held_bytes = 0

    def _take(self, size: int) -> _Block:
        with self._lock:
            if self._returned:
                self._settle()
            held = size if size in self._bins else self._larger(size)
            if held:
                kept = self._bins[held]
                block = kept.pop()
                if not kept:
                    del self._bins[held]
                self.held_bytes -= held
                self.hits += 1
            else:
                block = None
                self.misses += 1
        if self._returned:
            self._settle_if_free()
        return block or self._fresh(size)

    def _larger(self, size: int) -> int:
        """The least size of held blocks of up to `_LOOSE` times the size, or 0. The lock is held.

        In a backward pass gradients of parameters find room where activations were let go.
        """
        if size < _LARGE:
            return 0
        return min((held for held in self._bins if size < held <= _LOOSE * size), default=0)

    def _fresh(self, size: int) -> _Block:
        try:
            return _Block(size)
        except MemoryError:
            self.clear()
            return _Block(size)

    def _give_back(self, block: _Block) -> None:
        self._returned.append(block)
        self._settle_if_free()

    def _settle_if_free(self) -> None:
        """File returned blocks. Who held the lock calls this after releasing it, so none is forgotten."""
        while self._returned and self._lock.acquire(False):
            try:
                self._settle()
            finally:
                self._lock.release()

    def _settle(self) -> None:
        """File the returned blocks, and drop those longest unused beyond the limit. The lock is held."""
        limit = config.pool_limit_bytes
        while self._returned:
            block = self._returned.popleft()
            size = block.memory.size
            if size > limit:
                continue
            self.held_bytes += size
            if size in self._bins:
                self._bins[size].append(block)
            else:
                self._bins[size] = [block]
            while self.held_bytes > limit:
                oldest = next(iter(self._bins))
                self._bins[oldest].pop()
                if not self._bins[oldest]:
                    del self._bins[oldest]
                self.held_bytes -= oldest


buffer_pool = BufferPool()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=buffer_pool._restart)

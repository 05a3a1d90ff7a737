"""Packed forms of kernels that do not change, kept from call to call.

A kernel whose array is read-only is taken not to change; what it was packed into for a plan is kept until the
array dies, is made writable again, or until others need the room.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Hashable

import numpy as np

from ...config import config


def constant(w: np.ndarray) -> bool:
    """Tell whether a kernel's values stay as they are: it and the arrays it is a view of are read-only."""
    array: np.ndarray | None = w
    while isinstance(array, np.ndarray):
        if array.flags.writeable:
            return False
        array = array.base
    return True


class KeptKernels:
    """Packed kernels by array and plan, ``config.pool_limit_bytes`` at most; the longest unused go first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[int, Hashable], tuple[weakref.ref, np.ndarray]] = OrderedDict()
        self._lock = threading.RLock()  # a dying array's callback may run anywhere
        self.bytes = 0

    def get(self, w: np.ndarray, plan: Hashable) -> np.ndarray | None:
        """Return what the kernel was packed into for the plan, or None."""
        with self._lock:
            found = self._kept.get((id(w), plan))
            if found is None or found[0]() is not w:
                return None
            self._kept.move_to_end((id(w), plan))
            return found[1]

    def put(self, w: np.ndarray, plan: Hashable, packed: np.ndarray) -> None:
        """Keep a packed kernel until its array dies."""
        key = (id(w), plan)
        with self._lock:
            self._drop(key)
            self._kept[key] = (weakref.ref(w, lambda _: self._drop(key)), packed)
            self.bytes += packed.nbytes
            while self.bytes > config.pool_limit_bytes:
                self._drop(next(iter(self._kept)))

    def forget(self, w: np.ndarray) -> None:
        """Drop all that this kernel was packed into: its values change."""
        with self._lock:
            for key in [k for k in self._kept if k[0] == id(w)]:
                self._drop(key)

    def _drop(self, key: tuple[int, Hashable]) -> None:
        with self._lock:
            found = self._kept.pop(key, None)
            if found is not None:
                self.bytes -= found[1].nbytes


kept_kernels = KeptKernels()

"""Packed forms of kernels that do not change, kept from call to call.

A kernel whose array is read-only is taken not to change; what it was packed into for a plan is kept until the
array dies, is used while it is writable again, or until others need the room.  A sample of its values is
compared each time, so that one that was changed in between is packed anew.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

import numpy as np

from ...config import config
from ...memory import Lease

SAMPLE = 64  # values of a kernel that are compared


def constant(w: np.ndarray) -> bool:
    """Tell whether a kernel stays as it is: it is read-only, and so is all that it is a view of."""
    array: Any = w
    while isinstance(array, np.ndarray):
        if array.flags.writeable:
            return False
        array = array.base
    # other owners of memory, such as other frameworks, may write to it
    return array is None or isinstance(array, (bytes, Lease))


def _sample(w: np.ndarray) -> bytes:
    flat = w.reshape(-1)
    return flat[:: max(1, flat.size // SAMPLE)].tobytes()


class KeptKernels:
    """Packed kernels by array and plan, ``config.pool_limit_bytes`` at most; the longest unused go first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[int, Hashable], tuple[weakref.ref, bytes, np.ndarray]] = OrderedDict()
        self._lock = threading.RLock()  # a dying array's callback may run anywhere
        self.bytes = 0

    def get(self, w: np.ndarray, plan: Hashable) -> np.ndarray | None:
        """Return what the kernel was packed into for the plan, or None."""
        with self._lock:
            found = self._kept.get((id(w), plan))
            if found is None or found[0]() is not w:
                return None
            if found[1] != _sample(w):
                self.forget(w)
                return None
            self._kept.move_to_end((id(w), plan))
            return found[2]

    def put(self, w: np.ndarray, plan: Hashable, packed: np.ndarray) -> None:
        """Keep a packed kernel until its array dies."""
        key = (id(w), plan)
        with self._lock:
            self._drop(key)
            self._kept[key] = (weakref.ref(w, lambda _: self._drop(key)), _sample(w), packed)
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
                self.bytes -= found[2].nbytes


kept_kernels = KeptKernels()

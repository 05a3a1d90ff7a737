"""Placeholder until the allocator lands: simulated device arrays only."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


class DeviceArray:
    def __init__(self, host: np.ndarray, shape: tuple[int, ...]) -> None:
        self.host, self.shape = host, shape
        self.dtype, self.size, self.ndim, self.nbytes = host.dtype, host.size, len(shape), host.nbytes

    def reshape(self, *shape: Any) -> DeviceArray:
        wanted = shape[0] if len(shape) == 1 and isinstance(shape[0], tuple) else shape
        return DeviceArray(self.host, np.broadcast_to(np.empty(1), self.shape).reshape(wanted).shape)

    def numpy(self) -> np.ndarray:
        return self.host.reshape(self.shape).copy()

    def fill_zero(self) -> None:
        self.host.view(np.uint8).fill(0)


def empty(shape: tuple[int, ...], dtype: Any) -> DeviceArray:
    kind = np.dtype(dtype)
    return DeviceArray(np.full(math.prod(shape) * kind.itemsize, 0xFF, np.uint8).view(kind), tuple(shape))


def from_numpy(array: np.ndarray) -> DeviceArray:
    return DeviceArray(np.array(array, order="C").reshape(-1), array.shape)

"""Copies between strided parts of arrays, by NumPy: they wait for memory, and NumPy orders and joins axes."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import as_strided


def strided_copy(
    x: np.ndarray,  # read
    x_start: int,
    x_strides: tuple[int, ...],  # in elements, one per axis of the part
    extents: tuple[int, ...],  # of the part
    y_start: int,
    y_strides: tuple[int, ...],
    y: np.ndarray,  # written in the part only
) -> None:
    """``y[y_start + sum(i y_strides)] = x[x_start + sum(i x_strides)]``, flat, for all i in the extents."""
    if 0 not in extents:
        np.copyto(_part(y, y_start, y_strides, extents), _part(x, x_start, x_strides, extents))


def _part(array: np.ndarray, start: int, strides: tuple[int, ...], extents: tuple[int, ...]) -> np.ndarray:
    steps = tuple(stride * array.itemsize for stride in strides)
    return as_strided(array.reshape(-1)[start:], extents, steps)

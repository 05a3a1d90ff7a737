"""Whole rows of arrays, moved."""

from __future__ import annotations

from .intrinsics import block_x, i64, load, store, thread
from .launch import ceil_div, kernel
from .memory import DeviceArray

_THREADS = 256


@kernel("x y rows:i64 row:i64", threads=_THREADS)
def _reverse(x, y, rows, row):
    i = i64(block_x()) * _THREADS + thread()
    if i < rows * row:
        at = i // row
        store(y, (rows - 1 - at) * row + (i - at * row), load(x, i))


def reverse_rows(
    x: DeviceArray,  # read
    rows: int,
    y: DeviceArray,  # of the shape and type of x, written
) -> None:
    """``y[r] = x[rows - 1 - r]`` of an array seen as so many rows."""
    if x.size:
        _reverse(ceil_div(x.size, _THREADS), x, y, rows, x.size // rows)

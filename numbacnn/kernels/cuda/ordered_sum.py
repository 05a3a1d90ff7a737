"""The sum of slices, in order: what a product's blocks left in a workspace, finished."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from .intrinsics import block_x, div64, i64, load, real, store, thread
from .launch import ceil_div, kernel
from .tile import finished

if TYPE_CHECKING:
    SCALE = BIAS = RESIDUAL = cast(Any, None)

_THREADS = 256


@kernel("slices scale bias residual y size:i64 count:i32 channels:i32 low:real high:real", threads=_THREADS)
def add_slices(slices, scale, bias, residual, y, size, count, channels, low, high):
    """Write one element; see `sum_slices`."""
    i = i64(block_x()) * 256 + thread()
    if i < size:
        total = load(slices, i)
        for s in range(1, count):
            total = total + load(slices, i + s * size)
        factor, more, other = real(0), real(0), real(0)
        if SCALE or BIAS:
            channel = i - div64(i, i64(channels)) * channels
            if SCALE:
                factor = load(scale, channel)
            if BIAS:
                more = load(bias, channel)
        if RESIDUAL:
            other = load(residual, i)
        store(y, i, finished(total, factor, more, other, low, high))


def sum_slices(
    slices: Any,  # (count, *y's shape) read, of float32 or float64
    y: Any,  # (..., channels) written
    scale: Any = None,
    bias: Any = None,
    residual: Any = None,
    flags: tuple[tuple[str, Any], ...] = (),
    limits: tuple[float, float] = (0.0, 0.0),
) -> None:
    """``y = sum over slices, first to last``, then scaled and so on as the flags of ``tile.flags`` say."""
    grid = ceil_div(y.size, _THREADS)
    variant = add_slices.of(**dict(flags))
    variant(grid, slices, scale, bias, residual, y, y.size, slices.shape[0], y.shape[-1], *limits)

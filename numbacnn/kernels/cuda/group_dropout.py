"""Dropout of whole examples, or of whole channels of an example: a vector of four elements a thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .intrinsics import (
    block_x,
    div,
    i32,
    i64,
    load,
    load4,
    local_array,
    real,
    static_range,
    store,
    store4,
    thread,
)
from .launch import ceil_div, kernel
from .memory import DeviceArray

__all__ = ["group_dropout_backward", "group_dropout_forward"]

if TYPE_CHECKING:  # constants that kernels are specialised by
    CHANNELS = False  # the mask is of channels
    VECTORS = False  # examples begin at multiples of four elements

_THREADS = 256


@kernel("x mask out scale:real size:i64 channels:i32 chunks:i32", threads=_THREADS)
def _drop(x, mask, out, scale, size, channels, chunks):
    """A block per chunk of an example's elements; an example has less than 2^31."""
    example = i32(div(block_x(), chunks))
    first = i32((block_x() - example * chunks) * (4 * _THREADS) + thread() * 4)
    base = i64(example) * size + first
    factors = local_array(4, real)
    for k in static_range(4):
        place = i64(example)
        if CHANNELS:
            place = i64(example) * channels + (first + k - i64(div(i32(first + k), channels)) * channels)
        factors[k] = real(load(mask, place)) * scale
    if VECTORS:
        if first < size:
            values = load4(x, base)
            store4(
                out,
                base,
                (
                    real(values[0]) * factors[0],
                    real(values[1]) * factors[1],
                    real(values[2]) * factors[2],
                    real(values[3]) * factors[3],
                ),
            )
    else:
        for k in static_range(4):
            if first + k < size:
                store(out, base + k, real(load(x, base + k)) * factors[k])


def group_dropout_forward(
    x: DeviceArray,  # (n, ..., c) read
    mask: DeviceArray,  # uint8, 0 or 1: (n,) for examples, (n, c) for their channels
    scale: float,
    y: DeviceArray,  # (n, ..., c) written
) -> None:
    """``y[n, ..., c] = x[n, ..., c] mask[n, c] scale``, or ``mask[n]`` of whole examples."""
    n = mask.shape[0]
    size = x.size // max(1, n)
    chunks = ceil_div(size, 4 * _THREADS)
    variant = _drop.of(CHANNELS=mask.ndim == 2, VECTORS=size % 4 == 0)
    variant(n * chunks, x, mask, y, scale, size, x.shape[-1], chunks)


def group_dropout_backward(
    dy: DeviceArray,  # (n, ..., c) read
    mask: DeviceArray,  # as in the forward pass
    scale: float,
    dx: DeviceArray,  # (n, ..., c) written
) -> None:
    """``dx[n, ..., c] = dy[n, ..., c] mask[n, c] scale``, or ``mask[n]`` of whole examples."""
    group_dropout_forward(dy, mask, scale, dx)

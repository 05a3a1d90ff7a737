"""Conversion of elements to another floating-point type."""

from __future__ import annotations

from typing import Any

from .intrinsics import block_x, f32, i64, load, store, thread
from .launch import ceil_div, kernel

_THREADS = 256


@kernel("x out n:i64", threads=_THREADS)
def cast_elements(x, out, n):
    """One element each. What is stored in 16 bits passes through float32."""
    i = i64(block_x()) * 256 + thread()
    if i < n:
        if HALF:  # noqa: F821
            store(out, i, f32(load(x, i)))
        else:
            store(out, i, load(x, i))


def cast(
    x: Any,  # any shape, any element type, read
    out: Any,  # the same shape, float16, bfloat16, float32 or float64, written
) -> None:
    """``out = x``, rounded to nearest, ties to even."""
    half = out.dtype.itemsize == 2
    cast_elements.of(HALF=half)(ceil_div(out.size, _THREADS), x, out, out.size)

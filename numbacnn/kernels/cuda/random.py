"""Random numbers that depend on a seed and a place alone: Philox4x32-10.

Source: Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011, section 3.3.
"""

from __future__ import annotations

from .intrinsics import block_x, i64, static_range, store, store4, thread, u32, u64
from .launch import ceil_div, device, kernel
from .memory import DeviceArray

__all__ = ["dropout_mask"]

_THREADS = 256
_ROUNDS = 10
_MULTIPLIER_0, _MULTIPLIER_1 = 0xD2511F53, 0xCD9E8D57
_KEY_STEP_0, _KEY_STEP_1 = 0x9E3779B9, 0xBB67AE85


@device
def philox(c0, c1, c2, c3, k0, k1):
    """Four random u32 of a counter of four and a key of two."""
    for _ in static_range(_ROUNDS):
        first, second = u64(c0) * u64(_MULTIPLIER_0), u64(c2) * u64(_MULTIPLIER_1)
        c0, c1, c2, c3 = (
            u32(u32(second >> u64(32)) ^ c1 ^ k0),
            u32(second),
            u32(u32(first >> u64(32)) ^ c3 ^ k1),
            u32(first),
        )
        k0, k1 = u32(u64(k0) + u64(_KEY_STEP_0)), u32(u64(k1) + u64(_KEY_STEP_1))
    return c0, c1, c2, c3


@kernel("mask low:u32 high:u32 offset:u64 least:u32 n:i64", threads=_THREADS)
def _mask(mask, low, high, offset, least, n):
    """Four elements a thread, of one counter."""
    quad = i64(block_x()) * _THREADS + thread()
    counter = u64(offset + u64(quad))
    drawn = philox(u32(counter), u32(counter >> u64(32)), u32(0), u32(0), low, high)
    if 4 * quad + 4 <= n:
        store4(mask, 4 * quad, (drawn[0] >= least, drawn[1] >= least, drawn[2] >= least, drawn[3] >= least))
    else:
        for k in static_range(4):
            if 4 * quad + k < n:
                store(mask, 4 * quad + k, drawn[k] >= least)


def dropout_mask(
    seed: int,
    offset: int,
    rate: float,
    mask: DeviceArray,  # uint8 written
) -> None:
    """``mask[i] = 1 where draw i is rate or more, else 0``: 0 with the probability rate, to 2^-32.

    Args:
        seed: of 64 bits: one for a run.
        offset: counters that earlier masks of the run used up: a mask uses ``ceil(size / 4)``.
        rate: share of zeros, in [0, 1).
        mask: of any shape; element i in row-major order is word ``i % 4`` of counter ``offset + i // 4``.

    """
    key, least = seed % (1 << 64), min(round(rate * 2.0**32), (1 << 32) - 1)
    grid = ceil_div(mask.size, 4 * _THREADS)
    _mask(grid, mask, key % (1 << 32), key >> 32, offset % (1 << 64), least, mask.size)

"""Local response normalisation: each channel divided by a power of its neighbours' mean square.

A thread takes an element and reads its neighbours, which are in a cache.  The backward pass writes each
element's share of its neighbours' gradients first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import memory
from .intrinsics import block_x, div64, exp, i32, i64, load, log, maximum, minimum, real, sqrt, store, thread
from .launch import ceil_div, device, kernel
from .memory import DeviceArray

__all__ = ["local_response_norm_backward", "local_response_norm_forward"]

if TYPE_CHECKING:  # constants that kernels are specialised by
    STEP = ""  # "forward"; "shares" and then "slope" of the backward pass
    POWER = ""  # "1/2", "3/4" or "1", of exponents that are roots, or "any"

_THREADS = 256
_POWERS = {0.5: "1/2", 0.75: "3/4", 1.0: "1"}


@device
def raised(s, beta):
    """``s^-beta``."""
    if POWER == "1/2":
        return real(1) / sqrt(s)
    if POWER == "3/4":
        root = sqrt(s)
        return real(1) / (root * sqrt(root))
    if POWER == "1":
        return real(1) / s
    return exp(-beta * log(s))


@kernel(
    "x dy shares out size:i32 alpha:real beta:real k:real c:i32 n:i64",
    threads=_THREADS,
)
def _respond(x, dy, shares, out, size, alpha, beta, k, c, n):
    """An element a thread."""
    i = i64(block_x()) * _THREADS + thread()
    if i < n:
        row = div64(i, i64(c)) * c
        channel = i32(i - row)
        before = i32(size >> 1)
        last = minimum(channel - before + size, c)
        total, j = real(0), maximum(channel - before, i32(0))
        while j < last:
            value = load(x, row + j)
            total += value * value
            j += 1
        s = k + alpha * total
        power = raised(s, beta)
        value = load(x, i)
        if STEP == "forward":
            store(out, i, value * power)
        elif STEP == "shares":
            store(out, i, load(dy, i) * value * (power / s))
        else:
            after = i32(size - 1) - before
            last = minimum(channel - after + size, c)
            total, j = real(0), maximum(channel - after, i32(0))
            while j < last:
                total += load(shares, row + j)
                j += 1
            store(out, i, load(dy, i) * power - (alpha + alpha) * beta * (value * total))


def _run(
    step: str, x: Any, dy: Any, shares: Any, out: Any, size: int, alpha: float, beta: float, k: float
) -> None:
    variant = _respond.of(STEP=step, POWER=_POWERS.get(float(beta), "any"))
    numbers = size, alpha / size, beta, k, x.shape[-1], x.size
    variant(ceil_div(x.size, _THREADS), x, dy, shares, out, *numbers)


def local_response_norm_forward(
    x: DeviceArray,  # (..., c) read
    size: int,
    alpha: float,
    beta: float,
    k: float,
    y: DeviceArray,  # (..., c) written
) -> None:
    """``y = x s^-beta``, ``s[j] = k + alpha / size sum of x[i]^2`` over ``-(size // 2) <= i - j < size / 2``.

    Channels past the ends count as zeros; the division is by size there too.
    """
    _run("forward", x, None, None, y, size, alpha, beta, k)


def local_response_norm_backward(
    x: DeviceArray,  # (..., c) read
    dy: DeviceArray,  # (..., c) read
    size: int,
    alpha: float,
    beta: float,
    k: float,
    dx: DeviceArray,  # (..., c) written
) -> None:
    """``dx[i] = dy[i] s[i]^-beta - 2 alpha beta / size x[i] sum of dy[j] x[j] s[j]^(-beta - 1)``.

    The sum is over the channels j whose window holds i.
    """
    shares = memory.empty(x.shape, np.float64 if x.dtype == np.float64 else np.float32)
    _run("shares", x, dy, None, shares, size, alpha, beta, k)
    _run("slope", x, dy, shares, dx, size, alpha, beta, k)

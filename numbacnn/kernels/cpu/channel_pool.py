"""The mean and the maximum of each pixel's channels, and their gradient: pixels are the parts' items."""

from __future__ import annotations

import numpy as np

from numbacnn._jit import jit, kernel, parts_for, run, split

__all__ = ["channel_pool_backward", "channel_pool_forward"]

_GRAIN = 16384  # elements per part: some microseconds
_STREAM = 0.06  # nanoseconds per byte on one thread


@jit
def _forward_part(part, parts, x, y):
    lo, hi = split(part, parts, x.shape[0])
    share = x.dtype.type(1.0 / x.shape[1])
    for row in range(lo, hi):
        values = x[row]
        total = x.dtype.type(0)
        for i in range(values.size):
            total += values[i]
        top = a = b = c = values[0]
        # four chains, as LLVM keeps the order of maxima, and in a chain each waits for the one before
        whole = values.size - values.size % 4
        for i in range(0, whole, 4):
            top = values[i] if values[i] > top else top
            a = values[i + 1] if values[i + 1] > a else a
            b = values[i + 2] if values[i + 2] > b else b
            c = values[i + 3] if values[i + 3] > c else c
        for i in range(whole, values.size):
            top = values[i] if values[i] > top else top
        a, b = (a if a > b else b), (c if c > top else top)
        top = a if a > b else b
        if total != total:  # a NaN, of which comparisons know nothing, or infinities of both signs
            for i in range(values.size):
                if values[i] != values[i]:
                    top = values[i]
        y[row, 0], y[row, 1] = total * share, top


@jit
def _backward_part(part, parts, x, y, dy, others, dx):
    lo, hi = split(part, parts, x.shape[0])
    share = x.dtype.type(1.0 / x.shape[1])
    for row in range(lo, hi):
        values, out, top = x[row], dx[row], y[row, 1]
        mean = dy[row, 0] * share
        if others.size:
            more = others[row]
            for i in range(out.size):
                out[i] = more[i] + mean
        else:
            for i in range(out.size):
                out[i] = mean
        first = 0
        if top == top:
            while first < values.size - 1 and values[first] != top:
                first += 1
        else:
            while first < values.size - 1 and values[first] == values[first]:
                first += 1
        out[first] += dy[row, 1]


@kernel
def _forward(team, parts, x, y):
    run(team, _forward_part, parts, (x, y))


@kernel
def _backward(team, parts, x, y, dy, others, dx):
    run(team, _backward_part, parts, (x, y, dy, others, dx))


def _row_parts(x: np.ndarray) -> int:
    return max(1, min(x.size // x.shape[-1], parts_for(x.size, _GRAIN)))


def channel_pool_forward(
    x: np.ndarray,  # (..., c) read
    y: np.ndarray,  # (..., 2) written
) -> None:
    """``y[..., 0] = mean(x[..., :])``, ``y[..., 1] = max(x[..., :])``; a NaN is a maximum."""
    _forward(x.nbytes * _STREAM, _row_parts(x), x.reshape(-1, x.shape[-1]), y.reshape(-1, 2))


def channel_pool_backward(
    x: np.ndarray,  # (..., c) read
    y: np.ndarray,  # (..., 2) read: what the forward pass wrote
    dy: np.ndarray,  # (..., 2) read
    others: np.ndarray | None,  # (..., c) read: gradients of x from elsewhere, or None for 0
    dx: np.ndarray,  # (..., c) written
) -> None:
    """``dx = others + dy[..., 0] / c``, and ``+ dy[..., 1]`` at the first channel that is the maximum."""
    rows = x.reshape(-1, x.shape[-1])
    more = rows[:0] if others is None else others.reshape(rows.shape)
    pairs = y.reshape(-1, 2), dy.reshape(-1, 2)
    _backward(3 * x.nbytes * _STREAM, _row_parts(x), rows, *pairs, more, dx.reshape(rows.shape))

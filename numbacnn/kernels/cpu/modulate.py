"""Products with a factor that is repeated along an axis, such as a gate per channel or per pixel.

Where the last axis is repeated (b = 1), a factor meets a run of elements; else runs of factors meet runs of
elements. Sums over the repeated axis are cut by sizes alone, so the bits do not depend on the threads.
"""

from __future__ import annotations

import numpy as np

from numbacnn._jit import jit, kernel, parts_for, run, split
from numbacnn.memory import buffer_pool

__all__ = ["modulate_backward_scale", "modulate_forward"]

_GRAIN = 16384  # elements per part: some microseconds
_STREAM = 0.035  # nanoseconds per byte on one thread: memory gives some 30 GB/s
_ROWS = 64  # of the repeated axis that are summed at once, so that long sums keep their places
_RUN = 4096  # likewise where it is the last
_DOUBLE = np.dtype(np.float64)


@jit
def _rows_part(part, parts, x, scale, shift, y, length):
    """A factor for each row."""
    lo, hi = split(part, parts, scale.size)
    for row in range(lo, hi):
        source, target = x[row * length : (row + 1) * length], y[row * length : (row + 1) * length]
        factor, more = scale[row], x.dtype.type(0)
        if shift.size:
            more = shift[row]
        for i in range(length):
            target[i] = source[i] * factor + more


@jit
def _runs_part(part, parts, x, scale, shift, y, m):
    """A row of factors for each m rows."""
    b = scale.shape[1]
    lo, hi = split(part, parts, scale.shape[0] * m)
    for row in range(lo, hi):
        source, target = x[row * b : (row + 1) * b], y[row * b : (row + 1) * b]
        factors = scale[row // m]
        if shift.size:
            more = shift[row // m]
            for i in range(b):
                target[i] = source[i] * factors[i] + more[i]
        else:
            for i in range(b):
                target[i] = source[i] * factors[i]


@jit
def _slope_part(part, parts, x, dy, sums, m, chunk, chunks):
    """Row u of the sums is over chunk ``u % chunks`` of the m rows of ``u // chunks``."""
    b = sums.shape[1]
    lo, hi = split(part, parts, sums.shape[0])
    for unit in range(lo, hi):
        at = unit // chunks
        first = unit % chunks * chunk
        end = min(first + chunk, m)
        if b == 1:
            p, q = x[at * m + first : at * m + end], dy[at * m + first : at * m + end]
            total = x.dtype.type(0)
            for i in range(p.size):
                total += p[i] * q[i]
            sums[unit, 0] = total
        else:
            out = sums[unit]
            for j in range(b):
                out[j] = 0
            for row in range(at * m + first, at * m + end):
                p, q = x[row * b : (row + 1) * b], dy[row * b : (row + 1) * b]
                for j in range(b):
                    out[j] += p[j] * q[j]


@jit
def _total_part(part, parts, partial, wide, sums, chunks):
    """Add the chunks of each row in order, in float64, as they may be many."""
    lo, hi = split(part, parts, sums.shape[0])
    for row in range(lo, hi):
        out, total = sums[row], wide[row]
        for j in range(out.size):
            total[j] = 0
        for chunk in range(row * chunks, (row + 1) * chunks):
            more = partial[chunk]
            for j in range(out.size):
                total[j] += more[j]
        for j in range(out.size):
            out[j] = total[j]


@kernel
def _rows(team, parts, x, scale, shift, y, length):
    run(team, _rows_part, parts, (x, scale, shift, y, length))


@kernel
def _runs(team, parts, x, scale, shift, y, m):
    run(team, _runs_part, parts, (x, scale, shift, y, m))


@kernel
def _slope(team, parts, x, dy, partial, wide, sums, m, chunk, chunks):
    run(team, _slope_part, parts, (x, dy, partial, m, chunk, chunks))
    if chunks > 1:
        run(team, _total_part, sums.shape[0], (partial, wide, sums, chunks))


def modulate_forward(
    x: np.ndarray,  # (a, m, b) read
    scale: np.ndarray,  # (a, b) read
    shift: np.ndarray | None,  # (a, b) read, or None for 0
    y: np.ndarray,  # (a, m, b) written
) -> None:
    """``y[a, m, b] = x[a, m, b] scale[a, b] + shift[a, b]``; of dy it is the gradient by x."""
    _, m, b = x.shape
    shift = scale[:0] if shift is None else shift
    work, parts = 2 * x.nbytes * _STREAM, parts_for(x.size, _GRAIN)
    if b == 1:
        flat = scale.reshape(-1), shift.reshape(-1)
        _rows(work, min(parts, max(1, scale.size)), x.reshape(-1), *flat, y.reshape(-1), m)
    else:
        _runs(work, parts, x.reshape(-1), scale, shift, y.reshape(-1), m)


def modulate_backward_scale(
    x: np.ndarray,  # (a, m, b) read
    dy: np.ndarray,  # (a, m, b) read
    dscale: np.ndarray,  # (a, b) written
) -> None:
    """``dscale[a, b] = sum of x[a, m, b] dy[a, m, b] over m``."""
    a, m, b = x.shape
    chunk = _RUN if b == 1 else _ROWS
    chunks = parts_for(m, chunk)
    partial = dscale if chunks == 1 else buffer_pool.array((a * chunks, b), x.dtype)
    wide = buffer_pool.array((a if chunks > 1 else 0, b), _DOUBLE)
    parts = min(parts_for(x.size, _GRAIN), max(1, a * chunks))
    flat = x.reshape(-1), dy.reshape(-1)
    _slope(2 * x.nbytes * _STREAM, parts, *flat, partial, wide, dscale, m, chunk, chunks)

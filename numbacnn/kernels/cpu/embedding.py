"""Rows of a table, chosen by integers, and the sums of the rows' gradients.

A part of the gradient owns a range of the table's rows and goes through all indices in order: no two parts
write one row, and each row's sum has one order, whatever the number of threads.
"""

from __future__ import annotations

import numpy as np

from numbacnn._jit import get_num_threads, jit, kernel, parts_for, run, split

__all__ = ["embedding_backward", "embedding_forward"]

_GRAIN = 16384  # elements per part: some microseconds
_STREAM = 0.1  # nanoseconds per byte on one thread, of rows read here and there


@jit
def _rows_part(part, parts, x, w, padding, y):
    lo, hi = split(part, parts, x.size)
    zero = w.dtype.type(0)
    for i in range(lo, hi):
        out = y[i]
        if x[i] == padding:
            for j in range(out.size):
                out[j] = zero
        else:
            row = w[x[i]]
            for j in range(out.size):
                out[j] = row[j]


@jit
def _sums_part(part, parts, x, dy, padding, dw):
    lo, hi = split(part, parts, dw.shape[0])
    zero = dw.dtype.type(0)
    for k in range(lo, hi):
        for j in range(dw.shape[1]):
            dw[k, j] = zero
    for i in range(x.size):
        k = x[i]
        if lo <= k < hi and k != padding:
            row, gradient = dw[k], dy[i]
            for j in range(row.size):
                row[j] += gradient[j]


@kernel
def _rows(team, parts, x, w, padding, y):
    run(team, _rows_part, parts, (x, w, padding, y))


@kernel
def _sums(team, parts, x, dy, padding, dw):
    run(team, _sums_part, parts, (x, dy, padding, dw))


def embedding_forward(
    x: np.ndarray,  # (...) int64 from 0 to v - 1, read
    w: np.ndarray,  # (v, d) read
    padding: int,  # the index that gives zeros; -1 for none
    y: np.ndarray,  # (..., d) written
) -> None:
    """``y[i, :] = w[x[i], :]``, zeros where ``x[i]`` is the padding."""
    arrays = x.reshape(-1), w, padding, y.reshape(-1, w.shape[1])
    _rows(2 * y.nbytes * _STREAM, parts_for(y.size, _GRAIN), *arrays)


def embedding_backward(
    x: np.ndarray,  # (...) int64 from 0 to v - 1, read
    dy: np.ndarray,  # (..., d) read
    padding: int,
    dw: np.ndarray,  # (v, d) written
) -> None:
    """``dw[k, :] = sum of dy[i, :] over the i with x[i] = k``; zeros for the padding."""
    parts = min(2 * get_num_threads(), len(dw))  # each goes through the indices
    arrays = x.reshape(-1), dy.reshape(-1, dw.shape[1]), padding, dw
    _sums((2 * dy.nbytes + dw.nbytes) * _STREAM, parts, *arrays)

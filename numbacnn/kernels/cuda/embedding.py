"""Rows of a table, chosen by integers, and the sums of the rows' gradients: no atomics, one order.

The gradient sorts the indices: a thread counts those that come before its own, equal ones in their order,
which takes as many steps as there are indices, n^2 in all.  Then a thread for each column walks along each
run of equal indices.  Indices outside of the table, which the host does not look at as it would wait for the
GPU, give NaN and no gradient.
"""

from __future__ import annotations

import math

import numpy as np

from .intrinsics import block_x, div64, i64, load, real, store, thread
from .launch import ceil_div, kernel
from .memory import DeviceArray, empty

__all__ = ["embedding_backward", "embedding_forward"]

_THREADS = 256
_NAN = math.nan


@kernel("w x y padding:i64 rows:i64 d:i64 size:i64", threads=_THREADS)
def _rows(w, x, y, padding, rows, d, size):
    at = i64(block_x()) * _THREADS + thread()
    if at < size:
        i = div64(at, d)
        k = i64(load(x, i))
        value = real(0)
        if k < 0 or k >= rows:
            value = real(_NAN)
        elif k != padding:
            value = real(load(w, k * d + (at - i * d)))
        store(y, at, value)


@kernel("x order n:i64", threads=_THREADS)
def _sort(x, order, n):
    """The places of the indices, in the order of the indices."""
    i = i64(block_x()) * _THREADS + thread()
    if i < n:
        mine, place, k = i64(load(x, i)), i64(0), i64(0)
        while k < n:
            other = i64(load(x, k))
            if other < mine or (other == mine and k < i):
                place += 1
            k += 1
        store(order, place, i)


@kernel("dy x order dw padding:i64 n:i64 rows:i64 d:i64", threads=_THREADS)
def _sums(dy, x, order, dw, padding, n, rows, d):
    """A thread for each column of each place in the order; those at which an index begins sum its run."""
    at = i64(block_x()) * _THREADS + thread()
    first = div64(at, d)
    if first < n:
        column = at - first * d
        k = i64(load(x, i64(load(order, first))))
        begins = first == 0 or i64(load(x, i64(load(order, first - 1)))) != k
        if begins and k != padding and k >= 0 and k < rows:
            value, place, i = real(0), first, i64(load(order, first))
            while i >= 0:
                value += real(load(dy, i * d + column))
                place += 1
                i = i64(-1)
                if place < n:
                    following = i64(load(order, place))
                    if i64(load(x, following)) == k:
                        i = following
            store(dw, k * d + column, value)


def embedding_forward(
    x: DeviceArray,  # (...) int32 or int64, read
    w: DeviceArray,  # (v, d) read
    padding: int,  # the index that gives zeros; -1 for none
    y: DeviceArray,  # (..., d) written
) -> None:
    """``y[i, :] = w[x[i], :]``, zeros where ``x[i]`` is the padding."""
    rows, d = w.shape
    _rows(ceil_div(y.size, _THREADS), w, x, y, padding, rows, d, y.size)


def embedding_backward(
    x: DeviceArray,  # (...) int32 or int64, read
    dy: DeviceArray,  # (..., d) read
    padding: int,
    dw: DeviceArray,  # (v, d) written
) -> None:
    """``dw[k, :] = sum of dy[i, :] over the i with x[i] = k``; zeros for the padding."""
    n, (rows, d) = x.size, dw.shape
    dw.fill_zero()
    order = empty((n,), np.int64)
    _sort(ceil_div(n, _THREADS), x, order, n)
    _sums(ceil_div(dy.size, _THREADS), dy, x, order, dw, padding, n, rows, d)

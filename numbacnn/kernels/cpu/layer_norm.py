"""Normalisation of each row: of the last axes of an array.  A row stays in the cache for its three passes.

The mean is that of blocks, and the squares are those of what differs from a block's own mean, joined in
float64; nothing large is subtracted from something as large.
"""

from __future__ import annotations

import math

import numpy as np

from numbacnn._jit import jit, kernel, parts_for, run, split
from numbacnn._threads import POOL

from ...memory import buffer_pool

__all__ = ["layer_norm_backward", "layer_norm_forward"]

_BLOCK = 4096  # elements summed in the element type, before the sum goes to float64
_GRAIN = 16384  # elements per part, about
_ROWS = 64  # per part that sums gradients, at least, so that partial sums are little beside what they sum
_COLUMNS = 512  # per part where rows are few
_FORWARD = 0.07  # nanoseconds per byte of x on one thread
_BACKWARD = 0.14
_ROW = 40.0  # and per row


@jit
def _moments(x):
    """Return the mean, and the sum of squared differences from it."""
    mean = squares = 0.0
    for first in range(0, x.size, _BLOCK):
        block = x[first : first + _BLOCK]
        total = square = rest = x.dtype.type(0)
        for i in range(block.size):
            total += block[i]
        centre = total / x.dtype.type(block.size)
        for i in range(block.size):
            d = block[i] - centre
            rest += d
            square += d * d
        # the block's mean is the centre, which was rounded, and the mean of what differs from it
        more = np.float64(rest) / block.size
        delta = centre + more - mean
        mean += delta * (block.size / (first + block.size))
        squares += square - more * rest
        squares += delta * delta * (np.float64(first) * block.size / (first + block.size))
    return mean, squares


@jit
def _forward_part(part, parts, x, gamma, beta, epsilon, y, statistics):
    lo, hi = split(part, parts, x.shape[0])
    for row in range(lo, hi):
        a, b = x[row], y[row]
        mean, squares = _moments(a)
        statistics[row, 0] = mean
        statistics[row, 1] = 1.0 / math.sqrt(squares / a.size + epsilon)
        centre, inverse = statistics[row, 0], statistics[row, 1]
        lost = x.dtype.type((centre - mean) * inverse)  # what rounding took from the mean
        for i in range(a.size):
            b[i] = ((a[i] - centre) * inverse + lost) * gamma[i] + beta[i]


@jit
def _row_factors(x, dy, gamma, centre, inverse):
    """Return what a row's differences are multiplied by in dx, and what is added."""
    level = along = 0.0
    for first in range(0, x.size, _BLOCK):
        a, b, c = x[first : first + _BLOCK], dy[first : first + _BLOCK], gamma[first : first + _BLOCK]
        sums = products = x.dtype.type(0)
        for i in range(a.size):
            g = b[i] * c[i]
            sums += g
            products += g * (a[i] - centre)
        level += sums
        along += products
    scale = -np.float64(inverse) / x.size
    return x.dtype.type(along * inverse * inverse * scale), x.dtype.type(level * scale)


@jit
def _row_slopes(x, dy, gamma, centre, inverse, along, level, dx, dgamma, dbeta):
    """Write part of a row of dx, and add to the gradients of scale and shift."""
    for i in range(x.size):
        dx[i] = inverse * (dy[i] * gamma[i]) + (along * (x[i] - centre) + level)
    for i in range(x.size):  # a loop of its own: over six arrays LLVM gives up on vectors
        dgamma[i] += dy[i] * ((x[i] - centre) * inverse)
        dbeta[i] += dy[i]


@jit
def _zero(x):
    for i in range(x.size):
        x[i] = 0


@jit
def _rows_part(part, parts, x, dy, gamma, statistics, dx, partial):
    """Some rows: both passes of each, and their sums into the part's own."""
    lo, hi = split(part, parts, x.shape[0])
    _zero(partial[part, 0])
    _zero(partial[part, 1])
    for row in range(lo, hi):
        centre, inverse = statistics[row, 0], statistics[row, 1]
        along, level = _row_factors(x[row], dy[row], gamma, centre, inverse)
        _row_slopes(
            x[row],
            dy[row],
            gamma,
            centre,
            inverse,
            along,
            level,
            dx[row],
            partial[part, 0],
            partial[part, 1],
        )


@jit
def _factors_part(part, parts, x, dy, gamma, statistics, factors):
    lo, hi = split(part, parts, x.shape[0])
    for row in range(lo, hi):
        along, level = _row_factors(x[row], dy[row], gamma, statistics[row, 0], statistics[row, 1])
        factors[row, 0] = along
        factors[row, 1] = level


@jit
def _columns_part(part, parts, x, dy, gamma, statistics, factors, dx, sums):
    """Some columns of all rows, after the rows' factors are known."""
    lo, hi = split(part, parts, x.shape[1])
    dgamma, dbeta = sums[0, 0], sums[0, 1]
    _zero(dgamma[lo:hi])
    _zero(dbeta[lo:hi])
    for row in range(x.shape[0]):
        a, b, c = x[row], dy[row], dx[row]
        _row_slopes(
            a[lo:hi],
            b[lo:hi],
            gamma[lo:hi],
            statistics[row, 0],
            statistics[row, 1],
            factors[row, 0],
            factors[row, 1],
            c[lo:hi],
            dgamma[lo:hi],
            dbeta[lo:hi],
        )


@kernel
def _forward(team, parts, x, gamma, beta, epsilon, y, statistics):
    run(team, _forward_part, parts, (x, gamma, beta, epsilon, y, statistics))


@kernel
def _backward(team, parts, few, x, dy, gamma, statistics, factors, dx, partial, dgamma, dbeta):
    """By rows, or, where these are few, by rows and then by columns."""
    if few:
        run(team, _factors_part, x.shape[0], (x, dy, gamma, statistics, factors))
        run(team, _columns_part, parts, (x, dy, gamma, statistics, factors, dx, partial))
    else:
        run(team, _rows_part, parts, (x, dy, gamma, statistics, dx, partial))
    for part in range(1, partial.shape[0]):
        a, b, c, d = partial[0, 0], partial[0, 1], partial[part, 0], partial[part, 1]
        for j in range(dgamma.size):
            a[j] += c[j]
        for j in range(dgamma.size):
            b[j] += d[j]
    for j in range(dgamma.size):
        dgamma[j] = partial[0, 0, j]
    for j in range(dgamma.size):
        dbeta[j] = partial[0, 1, j]


def _or(gamma: np.ndarray | None, value: float, size: int, dtype: np.dtype) -> np.ndarray:
    return np.full(size, value, dtype) if gamma is None else gamma.reshape(-1)


def layer_norm_forward(
    x: np.ndarray,  # (*rows, *inner) read
    gamma: np.ndarray | None,  # (*inner,) read; None: ones
    beta: np.ndarray | None,  # (*inner,) read; None: zeros
    epsilon: float,
    y: np.ndarray,  # (*rows, *inner) written
    statistics: np.ndarray,  # (*rows, 2) written: the mean, and 1 / sqrt(variance + epsilon), of each row
) -> None:
    """``y = gamma (x - mean) / sqrt(variance + epsilon) + beta``, mean and variance being those of a row."""
    size = math.prod(x.shape[statistics.ndim - 1 :])
    rows, moments = x.reshape(-1, size), statistics.reshape(-1, 2)
    affine = _or(gamma, 1.0, size, x.dtype), _or(beta, 0.0, size, x.dtype), float(epsilon)
    work, parts = x.nbytes * _FORWARD + len(rows) * _ROW, max(1, min(len(rows), parts_for(x.size, _GRAIN)))
    _forward(work, parts, rows, *affine, y.reshape(rows.shape), moments)


def layer_norm_backward(
    x: np.ndarray,  # (*rows, *inner) read
    statistics: np.ndarray,  # (*rows, 2) read: what the forward pass wrote
    gamma: np.ndarray | None,  # (*inner,) read
    dy: np.ndarray,  # (*rows, *inner) read
    dx: np.ndarray,  # (*rows, *inner) written
    dgamma: np.ndarray,  # (*inner,) written
    dbeta: np.ndarray,  # (*inner,) written
) -> None:
    """``dx = (g - mean(g) - z mean(g z)) / sqrt(variance + epsilon)``, ``g = gamma dy``, z the normalised x.

    ``dgamma = sum over rows of dy z`` and ``dbeta = sum over rows of dy``.
    """
    size = math.prod(x.shape[statistics.ndim - 1 :])
    rows = x.reshape(-1, size)
    n = len(rows)
    few = n < 8 * _ROWS and size >= _COLUMNS
    parts = parts_for(size, _COLUMNS) if few else max(1, n // max(_ROWS, min(512, _GRAIN // size)))
    team = POOL.team(x.nbytes * _BACKWARD + n * _ROW)
    partial = buffer_pool.array((1 if few else parts, 2, size), x.dtype)
    factors = buffer_pool.array((n if few else 0, 2), x.dtype)
    arrays = rows, dy.reshape(rows.shape), _or(gamma, 1.0, size, x.dtype), statistics.reshape(-1, 2), factors
    outs = dx.reshape(rows.shape), partial, dgamma.reshape(-1), dbeta.reshape(-1)
    _backward.on(team, parts, few, *arrays, *outs)

"""Normalisation of each example's groups of channels, over all pixels: channels are the lanes.

An example is rows of one pixel, or of some where channels are few.  Rows are summed in chunks that stay in
the cache, column by column, and of each chunk the squares of what differs from its own means; so memory is
read once for a mean and a variance, and nothing large is subtracted from something as large (Chan, Golub and
LeVeque, "Algorithms for Computing the Sample Variance", The American Statistician 37, 1983).  Chunks depend
on sizes alone and are joined in order, in float64.
"""

from __future__ import annotations

import math

import numpy as np

from numbacnn._jit import jit, kernel, run, split
from numbacnn._threads import POOL

from ...memory import buffer_pool

__all__ = ["group_norm_backward", "group_norm_forward"]

_WIDTH = 1024  # elements of a row, about: shorter ones are read more slowly
_ROWS = 32  # of a chunk: what is kept of it is three of them
_ALL = 4  # stages at once
_FORWARD = 0.07  # nanoseconds per byte of x on one thread
_BACKWARD = 0.14
_DOUBLE = np.dtype(np.float64)


@jit
def _chunk(unit, chunks, full):
    """Return the example of a unit, the chunk's number, and the bounds of its full rows."""
    example = unit // chunks
    number = unit - example * chunks
    lo, hi = split(number, chunks, full)
    return example, number, lo, hi


@jit
def _add_rows(x, width, means):
    """Sum a chunk's columns; the last row may be short."""
    for j in range(width):
        means[j] = 0
    i, quads = 0, x.size // width // 4 * 4
    while i < quads:  # four at a time: a sum is then read and written once for four
        a, b = x[i * width : (i + 1) * width], x[(i + 1) * width : (i + 2) * width]
        c, d = x[(i + 2) * width : (i + 3) * width], x[(i + 3) * width : (i + 4) * width]
        for j in range(width):
            means[j] += (a[j] + b[j]) + (c[j] + d[j])
        i += 4
    while i * width < x.size:
        a = x[i * width : (i + 1) * width]
        for j in range(a.size):
            means[j] += a[j]
        i += 1


@jit
def _add_squares(x, width, means, rests, squares):
    """Sum a chunk's differences from its columns' means, which were rounded, and their squares."""
    for j in range(width):
        rests[j] = 0
    for j in range(width):
        squares[j] = 0
    i, pairs = 0, x.size // width // 2 * 2
    while i < pairs:
        a, b = x[i * width : (i + 1) * width], x[(i + 1) * width : (i + 2) * width]
        for j in range(width):
            p, q = a[j] - means[j], b[j] - means[j]
            rests[j] += p + q
            squares[j] += p * p + q * q
        i += 2
    while i * width < x.size:
        a = x[i * width : (i + 1) * width]
        for j in range(a.size):
            p = a[j] - means[j]
            rests[j] += p
            squares[j] += p * p
        i += 1


@jit
def _add_products(x, dy, width, means, sums, products):
    """Sum gradients, and their products with the differences from the means.

    One row at a time: memory is read in two streams, which the hardware sees coming.
    """
    for j in range(width):
        sums[j] = 0
    for j in range(width):
        products[j] = 0
    for first in range(0, x.size, width):
        a, b = x[first : min(first + width, x.size)], dy[first : min(first + width, x.size)]
        for j in range(a.size):
            sums[j] += b[j]
            products[j] += b[j] * (a[j] - means[j])


@jit
def _moments(unit, x, sizes, partial):
    """Of a chunk's columns the means, and the sums of the differences from them and of their squares."""
    _, width, full, chunks = sizes
    example, number, lo, hi = _chunk(unit, chunks, full)
    values, means = x[example], partial[unit, 0]
    end = x.shape[1] if number == chunks - 1 else hi * width
    values = values[lo * width : end]
    _add_rows(values, width, means)
    one = x.dtype.type(1)
    short = values.size - (hi - lo) * width
    more, rest = one / x.dtype.type(hi - lo + 1), one / x.dtype.type(hi - lo)
    for j in range(short):
        means[j] *= more
    for j in range(short, width):
        means[j] *= rest
    _add_squares(values, width, means, partial[unit, 1], partial[unit, 2])


@jit
def _fold(column, c, first, last):
    """The sum over a group's columns: channels first to last of each of a row's pixels."""
    total = 0.0
    for pixel in range(0, column.size, c):
        for j in range(pixel + first, pixel + last):
            total += column[j]
    return total


@jit
def _spread(column, c, first, last, value):
    for pixel in range(0, column.size, c):
        for j in range(pixel + first, pixel + last):
            column[j] = value


@jit
def _finish(example, x, gamma, beta, epsilon, sizes, partial, work, factors, statistics):
    """Join an example's chunks: statistics, and what its columns are multiplied by and added to."""
    c, width, full, chunks = sizes
    groups, first, size = statistics.shape[1], example * chunks, x.shape[1]
    per, count = c // groups, size // groups
    means, total = work[example, 0], work[example, 1]
    centre, scale, shift = factors[example, 0], factors[example, 1], factors[example, 2]
    for j in range(width):
        total[j] = 0.0
    for number in range(chunks):
        lo, hi = split(number, chunks, full)
        short = size - full * width if number == chunks - 1 else 0
        centres, rests = partial[first + number, 0], partial[first + number, 1]
        for j in range(short):
            total[j] += centres[j]
        for j in range(width):
            total[j] += np.float64(centres[j]) * (hi - lo) + rests[j]
    for g in range(groups):
        _spread(means, c, g * per, g * per + per, _fold(total, c, g * per, g * per + per) / count)
    for j in range(width):
        total[j] = 0.0
    for number in range(chunks):
        lo, hi = split(number, chunks, full)
        short = size - full * width if number == chunks - 1 else 0
        centres, rests, squares = (
            partial[first + number, 0],
            partial[first + number, 1],
            partial[first + number, 2],
        )
        for j in range(short):
            total[j] += (centres[j] - means[j]) * (centres[j] - means[j])
        for j in range(width):
            d = centres[j] - means[j]
            total[j] += squares[j] + d * (2.0 * rests[j] + d * (hi - lo))
    for g in range(groups):
        variance = _fold(total, c, g * per, g * per + per) / count
        statistics[example, g, 0] = means[g * per]
        statistics[example, g, 1] = 1.0 / math.sqrt(variance + epsilon)
        _spread(centre, c, g * per, g * per + per, statistics[example, g, 0])
        _spread(scale, c, g * per, g * per + per, statistics[example, g, 1])
    for pixel in range(0, width, c):
        for j in range(c):
            i = pixel + j
            # what rounding took from the mean goes to what is added
            lost = centre[i] - means[i]
            scale[i] *= gamma[j]
            shift[i] = beta[j] + scale[i] * lost


@jit
def _apply(unit, x, sizes, factors, y):
    _, width, full, chunks = sizes
    example, number, lo, hi = _chunk(unit, chunks, full)
    centre, scale, shift = factors[example, 0], factors[example, 1], factors[example, 2]
    values, results = x[example], y[example]
    end = x.shape[1] if number == chunks - 1 else hi * width
    for first in range(lo * width, end, width):
        a, b = values[first : min(first + width, end)], results[first : min(first + width, end)]
        for j in range(a.size):
            b[j] = (a[j] - centre[j]) * scale[j] + shift[j]


@jit
def _slopes(unit, x, dy, sizes, factors, partial):
    """Of a chunk's columns the sums of gradients, and of their products with the differences."""
    c, width, full, chunks = sizes
    example, number, lo, hi = _chunk(unit, chunks, full)
    end = x.shape[1] if number == chunks - 1 else hi * width
    values, gradients = x[example], dy[example]
    values, gradients = values[lo * width : end], gradients[lo * width : end]
    _add_products(values, gradients, width, factors[example, 0], partial[unit, 0], partial[unit, 1])


@jit
def _centre(example, statistics, c, factors):
    """Spread an example's means over columns."""
    per = c // statistics.shape[1]
    for g in range(statistics.shape[1]):
        _spread(factors[example, 0], c, g * per, g * per + per, statistics[example, g, 0])


@jit
def _finish_slopes(example, x, statistics, gamma, sizes, partial, work, factors):
    """Join an example's chunks: the gradients of its scale and shift, and the factors of dx."""
    c, width, _, chunks = sizes
    groups, first, size = statistics.shape[1], example * chunks, x.shape[1]
    per, count = c // groups, size // groups
    sums, products = work[example, 0], work[example, 1]
    own, along, level = factors[example, 1], factors[example, 2], factors[example, 3]
    for j in range(width):
        sums[j] = products[j] = 0.0
    for number in range(chunks):
        a, b = partial[first + number, 0], partial[first + number, 1]
        for j in range(width):
            sums[j] += a[j]
        for j in range(width):
            products[j] += b[j]
    for pixel in range(c, width, c):
        for j in range(c):
            sums[j] += sums[pixel + j]
            products[j] += products[pixel + j]
    for g in range(groups):
        inverse = statistics[example, g, 1]
        mean = slope = 0.0
        for j in range(g * per, g * per + per):
            products[j] *= inverse
            mean += gamma[j] * sums[j]
            slope += gamma[j] * products[j]
        _spread(along, c, g * per, g * per + per, -inverse * inverse * (slope / count))
        _spread(level, c, g * per, g * per + per, -inverse * (mean / count))
        for j in range(g * per, g * per + per):
            own[j] = inverse * gamma[j]
    for pixel in range(c, width, c):
        for j in range(c):
            own[pixel + j] = own[j]


@jit
def _apply_slopes(unit, x, dy, sizes, factors, dx):
    _, width, full, chunks = sizes
    example, number, lo, hi = _chunk(unit, chunks, full)
    centre, own, along, level = (
        factors[example, 0],
        factors[example, 1],
        factors[example, 2],
        factors[example, 3],
    )
    values, gradients, results = x[example], dy[example], dx[example]
    end = x.shape[1] if number == chunks - 1 else hi * width
    for first in range(lo * width, end, width):
        last = min(first + width, end)
        a, g, r = values[first:last], gradients[first:last], results[first:last]
        for j in range(a.size):
            r[j] = own[j] * g[j] + (along[j] * (a[j] - centre[j]) + level[j])


@jit
def _forward_part(part, parts, stage, x, gamma, beta, epsilon, sizes, partial, work, factors, statistics, y):
    """A stage: of a chunk, 1 and 3, or of an example, 2; or all of an example, which a cache may hold."""
    chunks = sizes[3]
    first, last = (part * chunks, (part + 1) * chunks) if stage == _ALL else (part, part + 1)
    if stage == 1 or stage == _ALL:
        for unit in range(first, last):
            _moments(unit, x, sizes, partial)
    if stage == 2 or stage == _ALL:
        _finish(part, x, gamma, beta, epsilon, sizes, partial, work, factors, statistics)
    if stage == 3 or stage == _ALL:
        for unit in range(first, last):
            _apply(unit, x, sizes, factors, y)


@jit
def _backward_part(part, parts, stage, x, dy, statistics, gamma, sizes, partial, work, factors, dx):
    """A stage: of a chunk, 1 and 3, or of an example, 0 and 2; or all of an example."""
    chunks = sizes[3]
    first, last = (part * chunks, (part + 1) * chunks) if stage == _ALL else (part, part + 1)
    if stage == 0 or stage == _ALL:
        _centre(part, statistics, sizes[0], factors)
    if stage == 1 or stage == _ALL:
        for unit in range(first, last):
            _slopes(unit, x, dy, sizes, factors, partial)
    if stage == 2 or stage == _ALL:
        _finish_slopes(part, x, statistics, gamma, sizes, partial, work, factors)
    if stage == 3 or stage == _ALL:
        for unit in range(first, last):
            _apply_slopes(unit, x, dy, sizes, factors, dx)


@kernel
def _forward(team, apart, x, gamma, beta, epsilon, sizes, partial, work, factors, statistics, y):
    """By examples if apart, else by stages; one call, so that what it calls is compiled once."""
    n, chunks = x.shape[0], sizes[3]
    for stage in range(_ALL if apart else 1, _ALL + 1 if apart else _ALL):
        arguments = (stage, x, gamma, beta, epsilon, sizes, partial, work, factors, statistics, y)
        run(team, _forward_part, n * chunks if stage % 2 else n, arguments)


@kernel
def _backward(team, apart, x, dy, statistics, gamma, sizes, partial, work, factors, dx, dgamma, dbeta):
    n, chunks = x.shape[0], sizes[3]
    for stage in range(_ALL if apart else 0, _ALL + 1 if apart else _ALL):
        arguments = (stage, x, dy, statistics, gamma, sizes, partial, work, factors, dx)
        run(team, _backward_part, n * chunks if stage % 2 else n, arguments)
    for example in range(1, n):
        a, b = work[0, 0], work[example, 0]
        for j in range(dbeta.size):
            a[j] += b[j]
        a, b = work[0, 1], work[example, 1]
        for j in range(dbeta.size):
            a[j] += b[j]
    for j in range(dbeta.size):
        dbeta[j] = work[0, 0, j]
        dgamma[j] = work[0, 1, j]


def _sizes(pixels: int, c: int) -> tuple[int, int, int, int]:
    """Channels, elements of a row, full rows, and chunks of them."""
    width = c * max(1, min(pixels // _ROWS, _WIDTH // c))
    full = pixels * c // width
    return c, width, full, max(1, full // _ROWS)


def _workspace(
    x: np.ndarray, sizes: tuple[int, ...], factors: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each chunk three rows, of each example two in float64, and its factors."""
    n, (_, width, _, chunks) = len(x), sizes
    partial = buffer_pool.array((n * chunks, 3, width), x.dtype)
    work = buffer_pool.array((n, 2, width), _DOUBLE)
    return partial, work, buffer_pool.array((n, factors, width), x.dtype)


def _apart(n: int, threads: int) -> bool:
    """Whether examples are enough for the threads, one at a time each."""
    return n % threads == 0 or n >= 4 * threads


def _or(gamma: np.ndarray | None, value: float, c: int, dtype: np.dtype) -> np.ndarray:
    return np.full(c, value, dtype) if gamma is None else gamma


def group_norm_forward(
    x: np.ndarray,  # (n, *pixels, c) read
    gamma: np.ndarray | None,  # (c,) read; None: ones
    beta: np.ndarray | None,  # (c,) read; None: zeros
    epsilon: float,
    y: np.ndarray,  # (n, *pixels, c) written
    statistics: np.ndarray,  # (n, groups, 2) written: mean, and 1 / sqrt(variance + epsilon), of each group
) -> None:
    """``y = gamma (x - mean) / sqrt(variance + epsilon) + beta``, of an example's group of channels."""
    n, c = len(x), x.shape[-1]
    if n == 0:
        return
    sizes, team = _sizes(x.size // (n * c), c), POOL.team(x.nbytes * _FORWARD)
    affine = _or(gamma, 1.0, c, x.dtype), _or(beta, 0.0, c, x.dtype), float(epsilon)
    rows, space = x.reshape(n, -1), _workspace(x, sizes, 3)
    _forward.on(team, _apart(n, team[1]), rows, *affine, sizes, *space, statistics, y.reshape(rows.shape))


def group_norm_backward(
    x: np.ndarray,  # (n, *pixels, c) read
    statistics: np.ndarray,  # (n, groups, 2) read: what the forward pass wrote
    gamma: np.ndarray | None,  # (c,) read
    dy: np.ndarray,  # (n, *pixels, c) read
    dx: np.ndarray,  # (n, *pixels, c) written
    dgamma: np.ndarray,  # (c,) written
    dbeta: np.ndarray,  # (c,) written
) -> None:
    """``dx = (g - mean(g) - z mean(g z)) / sqrt(variance + epsilon)``, ``g = gamma dy``, z the normalised x.

    Means are over a group's channels and pixels; ``dgamma = sum of dy z`` and ``dbeta = sum of dy`` over
    examples and pixels.
    """
    n, c = len(x), x.shape[-1]
    if n == 0:
        dgamma[...] = dbeta[...] = 0
        return
    sizes, team = _sizes(x.size // (n * c), c), POOL.team(x.nbytes * _BACKWARD)
    rows, space = x.reshape(n, -1), _workspace(x, sizes, 4)
    arrays = rows, dy.reshape(rows.shape), statistics, _or(gamma, 1.0, c, x.dtype), sizes, *space
    _backward.on(team, _apart(n, team[1]), *arrays, dx.reshape(rows.shape), dgamma, dbeta)

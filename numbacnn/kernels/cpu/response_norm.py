"""Local response normalisation: each channel divided by a power of its neighbours' mean square.

Squares of some pixels are laid out with zeros between pixels, in the cache, so that the windows of all are
one run.  The backward pass computes them again: writing them and reading them would take longer.
"""

from __future__ import annotations

import math as scalar_math

import numpy as np

from numbacnn._jit import jit, kernel, parts_for, run_slots, split
from numbacnn._threads import POOL

from ...memory import buffer_pool
from . import math

__all__ = ["local_response_norm_backward", "local_response_norm_forward"]

_STRIP = 1024  # elements of the pixels taken together, about
_GRAIN = 16384  # elements per part
_KINDS = {0.5: 1, 0.75: 2, 1.0: 3}  # of exponents that are roots
_ROOT, _GENERAL = 1.5, 8.0  # nanoseconds per element on one thread


@jit
def _sum_windows(x, size, sums):
    """``sums[i] = x[i] + ... + x[i + size - 1]``."""
    for i in range(sums.size):
        sums[i] = x[i]
    t = 1
    while t + 4 <= size:
        a = x[t : t + sums.size + 3]
        for i in range(sums.size):
            sums[i] += (a[i] + a[i + 1]) + (a[i + 2] + a[i + 3])
        t += 4
    while t < size:
        a = x[t : t + sums.size]
        for i in range(sums.size):
            sums[i] += a[i]
        t += 1


@jit
def _raise(s, kind, beta, results):
    """``s^-beta``, by roots where beta is such."""
    one = s.dtype.type(1)
    if kind == 1:
        for i in range(s.size):
            results[i] = one / scalar_math.sqrt(s[i])
    elif kind == 2:
        for i in range(s.size):
            root = scalar_math.sqrt(s[i])
            results[i] = one / (root * scalar_math.sqrt(root))
    elif kind == 3:
        for i in range(s.size):
            results[i] = one / s[i]
    else:
        for i in range(s.size):
            results[i] = scalar_math.log(s[i])
        for i in range(s.size):
            results[i] = math.exp(-beta * results[i])


@jit
def _denominators(x, first, count, pitch, size, alpha, beta, k, kind, strips):
    """Of some pixels the sums s, and their power, each channel's at its place in the strip."""
    squares, s = strips[0], strips[1]
    c, before = x.shape[1], size // 2
    for pixel in range(count):
        a, start = x[first + pixel], pixel * pitch + before
        b = squares[start : start + c]
        for i in range(c):
            b[i] = a[i] * a[i]
    s = s[: count * pitch]
    _sum_windows(squares, size, s)
    for i in range(s.size):
        s[i] = k + alpha * s[i]
    _raise(s, kind, beta, strips[2])


@jit
def _clear(strips):
    for i in range(strips.shape[1]):
        strips[0, i] = 0
    for i in range(strips.shape[1]):
        strips[3, i] = 0


@jit
def _forward_part(slot, part, parts, x, size, alpha, beta, k, kind, work, y):
    lo, hi = split(part, parts, x.shape[0])
    strips, c = work[slot], x.shape[1]
    pitch = c + size - 1
    at_once = max(1, _STRIP // pitch)
    _clear(strips)
    for first in range(lo, hi, at_once):
        count = min(at_once, hi - first)
        _denominators(x, first, count, pitch, size, alpha, beta, k, kind, strips)
        for pixel in range(count):
            a, b, f = x[first + pixel], y[first + pixel], strips[2, pixel * pitch : pixel * pitch + c]
            for i in range(c):
                b[i] = a[i] * f[i]


@jit
def _backward_part(slot, part, parts, x, dy, size, alpha, beta, k, kind, work, dx):
    lo, hi = split(part, parts, x.shape[0])
    strips, c = work[slot], x.shape[1]
    pitch, after = c + size - 1, (size - 1) // 2
    at_once, factor = max(1, _STRIP // pitch), -(alpha + alpha) * beta
    shares = strips[3]
    _clear(strips)
    for first in range(lo, hi, at_once):
        count = min(at_once, hi - first)
        _denominators(x, first, count, pitch, size, alpha, beta, k, kind, strips)
        for pixel in range(count):
            start = pixel * pitch
            a, b = x[first + pixel], dy[first + pixel]
            s, f = strips[1, start : start + c], strips[2, start : start + c]
            r = shares[start + after : start + after + c]
            for i in range(c):
                r[i] = b[i] * a[i] * f[i] / s[i]
        sums = strips[1, : count * pitch]
        _sum_windows(shares, size, sums)
        for pixel in range(count):
            start = pixel * pitch
            a, b, d = x[first + pixel], dy[first + pixel], dx[first + pixel]
            s, f = strips[1, start : start + c], strips[2, start : start + c]
            for i in range(c):
                d[i] = b[i] * f[i] + factor * a[i] * s[i]


@kernel
def _forward(team, parts, x, size, alpha, beta, k, kind, work, y):
    run_slots(team, _forward_part, parts, (x, size, alpha, beta, k, kind, work, y))


@kernel
def _backward(team, parts, x, dy, size, alpha, beta, k, kind, work, dx):
    run_slots(team, _backward_part, parts, (x, dy, size, alpha, beta, k, kind, work, dx))


def _launch(
    kernel_: object,
    arrays: tuple[np.ndarray, ...],
    numbers: tuple[int, float, float, float],
    out: np.ndarray,
) -> None:
    """Run on rows of channels, with strips for each thread."""
    (size, alpha, beta, k), c = numbers, out.shape[-1]
    rows, real = out.size // c, out.dtype.type
    kind = _KINDS.get(float(beta), 0)
    team = POOL.team(out.size * (_ROOT if kind else _GENERAL) * len(arrays))
    work = buffer_pool.array((team[1], 4, max(_STRIP, c + size - 1) + size), out.dtype)
    given = tuple(a.reshape(rows, c) for a in arrays)
    parts = max(1, min(rows, parts_for(out.size, _GRAIN)))
    exponent = real(alpha / size), real(beta), real(k)
    kernel_.on(team, parts, *given, int(size), *exponent, kind, work, out.reshape(rows, c))  # type: ignore[attr-defined]


def local_response_norm_forward(
    x: np.ndarray,  # (..., c) read
    size: int,
    alpha: float,
    beta: float,
    k: float,
    y: np.ndarray,  # (..., c) written
) -> None:
    """``y = x s^-beta``, ``s[j] = k + alpha / size sum of x[i]^2`` over ``-(size // 2) <= i - j < size / 2``.

    Channels past the ends count as zeros; the division is by size there too.
    """
    _launch(_forward, (x,), (size, alpha, beta, k), y)


def local_response_norm_backward(
    x: np.ndarray,  # (..., c) read
    dy: np.ndarray,  # (..., c) read
    size: int,
    alpha: float,
    beta: float,
    k: float,
    dx: np.ndarray,  # (..., c) written
) -> None:
    """``dx[i] = dy[i] s[i]^-beta - 2 alpha beta / size x[i] sum of dy[j] x[j] s[j]^(-beta - 1)``.

    The sum is over the channels j whose window holds i.
    """
    _launch(_backward, (x, dy), (size, alpha, beta, k), dx)

"""Means and variances that do not cancel, of lines of numbers side by side.

Sums of a block of lines are taken from its first line, and blocks, parts and lanes are joined by their means
(Chan, Golub and LeVeque, "Algorithms for computing the sample variance", The American Statistician 37, 1983)
in float64.
"""

from __future__ import annotations

import numpy as np

from numbacnn._jit import jit, split

__all__ = ["BLOCK", "STATE", "TILE", "join", "moments_part"]

TILE = 1024  # elements of a line that are worked on together: their sums and factors stay in L1
BLOCK = 64  # lines whose sums are taken in the element type
STATE = 5  # rows of a thread's state, of a tile each


@jit
def _shifted_sums(x, start, width, lines, count, state):
    """Sum ``x - first`` and its squares over lines, ``first`` being the first of them, into the state."""
    for j in range(count):
        state[j] = x[start + j]
        state[TILE + j] = 0
        state[2 * TILE + j] = 0
    streams = lines // 4  # four at once, each long: what hardware prefetches
    for line in range(streams):
        at, step = start + line * width, streams * width
        a, b = x[at : at + count], x[at + step : at + step + count]
        at += 2 * step
        c, d = x[at : at + count], x[at + step : at + step + count]
        for j in range(count):
            first = state[j]
            p, q, r, s = a[j] - first, b[j] - first, c[j] - first, d[j] - first
            state[TILE + j] += (p + q) + (r + s)
            state[2 * TILE + j] += (p * p + q * q) + (r * r + s * s)
    for line in range(4 * streams, lines):
        at = start + line * width
        a = x[at : at + count]
        for j in range(count):
            p = a[j] - state[j]
            state[TILE + j] += p
            state[2 * TILE + j] += p * p


@jit
def _join_block(state, count, lines, done, means, squares):
    """Join the block's moments with those of the ``done`` lines before it, lane by lane."""
    total = done + lines
    share, weight = lines / total, done * (lines / total)
    for j in range(count):
        offset = np.float64(state[TILE + j]) / lines
        within = np.float64(state[2 * TILE + j]) - offset * offset * lines
        delta = np.float64(state[j]) + offset - means[j]
        means[j] += delta * share
        squares[j] += max(within, 0.0) + delta * delta * weight


@jit
def moments_part(slot, part, parts, x, width, lines, partial, work):
    """Write the mean and the sum of squared differences from it of some lines, for each lane."""
    lo, hi = split(part, parts, lines)
    state = work[slot * STATE * TILE : (slot + 1) * STATE * TILE]
    for first in range(0, width, TILE):
        count = min(TILE, width - first)
        at = 2 * part * width + first
        means, squares = partial[at : at + count], partial[at + width : at + width + count]
        means[:] = 0
        squares[:] = 0
        for top in range(lo, hi, BLOCK):
            block = min(BLOCK, hi - top)
            _shifted_sums(x, top * width + first, width, block, count, state)
            _join_block(state, count, block, top - lo, means, squares)


@jit
def join(means, squares, done, more, means_, squares_):
    """Join moments of ``done`` numbers with those of ``more`` others, of each lane."""
    total = done + more
    share, weight = more / total, done * (more / total)
    for j in range(means.size):
        delta = means_[j] - means[j]
        means[j] += delta * share
        squares[j] += squares_[j] + delta * delta * weight

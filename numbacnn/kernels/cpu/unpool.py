"""Max unpooling: values put back to the pixels that they were the maxima of, and the gradient.

A part owns an image, or where threads are more than images a block of its channels, whatever their indices,
and goes through its values in order: so the last of equal indices wins for any number of threads.
"""

from __future__ import annotations

from math import prod

import numpy as np

from ..._jit import jit, kernel, parts_for, run, split
from ..._threads import POOL

__all__ = ["max_unpool_backward", "max_unpool_forward"]

_GRAIN = 16384  # elements per part
_LINE = 64  # bytes of a cache line: blocks of channels are that wide at least: threads rarely share one
_SCATTER = 1.5  # nanoseconds per value


@jit
def _clear_part(part, parts, y):
    lo, hi = split(part, parts, y.size)
    y[lo:hi] = 0


@jit
def _put_part(part, parts, x, indices, y, sizes):
    _, pixels, out_pixels, c, blocks = sizes
    image = part // blocks
    first, end = split(part - image * blocks, blocks, c)
    for pixel in range(pixels):
        at = (image * pixels + pixel) * c
        for k in range(first, end):
            # unsigned: no test for a negative index
            value, place = np.uint64(at + k), indices[np.uint64(at + k)]
            y[np.uint64((image * out_pixels + place) * c + k)] = x[value]


@jit
def _take_part(part, parts, dy, indices, dx, sizes):
    images, pixels, out_pixels, c, _ = sizes
    first, end = split(part, parts, images * pixels)
    for pixel in range(first, end):
        at, image = pixel * c, pixel // pixels * out_pixels
        for k in range(c):
            goal = np.uint64(at + k)
            dx[goal] = dy[np.uint64((image + indices[goal]) * c + k)]


@kernel
def _put(team, parts, x, indices, y, sizes):
    run(team, _clear_part, parts, (y,))
    run(team, _put_part, sizes[0] * sizes[4], (x, indices, y, sizes))


@kernel
def _take(team, parts, dy, indices, dx, sizes):
    run(team, _take_part, parts, (dy, indices, dx, sizes))


def _sizes(pooled: np.ndarray, whole: np.ndarray, threads: int) -> tuple[int, int, int, int, int]:
    """Images, pixels of the pooled and of the whole image, channels, and blocks of channels."""
    n, *pixels, c = pooled.shape
    # no more than needed: four narrow sweeps over an image took four times as long as one
    blocks = min(max(1, c * pooled.itemsize // _LINE), -(-threads // max(1, n)))
    return n, prod(pixels), prod(whole.shape[1:-1]), c, blocks


def max_unpool_forward(
    x: np.ndarray,  # (n, *in, c) read
    indices: np.ndarray,  # int64 (n, *in, c) read: flat indices within y's spatial axes
    y: np.ndarray,  # (n, *out, c) written
) -> None:
    """``y[n, indices[n, i, c], c] = x[n, i, c]``, zeros elsewhere; of equal indices the last i wins."""
    arrays = x.reshape(-1), indices.reshape(-1), y.reshape(-1)
    team = POOL.team(x.size * _SCATTER + y.nbytes * 0.03)
    _put.on(team, parts_for(y.size, _GRAIN), *arrays, _sizes(x, y, team[1]))


def max_unpool_backward(
    dy: np.ndarray,  # (n, *out, c) read
    indices: np.ndarray,  # int64 (n, *in, c) read
    dx: np.ndarray,  # (n, *in, c) written
) -> None:
    """``dx[n, i, c] = dy[n, indices[n, i, c], c]``."""
    arrays = dy.reshape(-1), indices.reshape(-1), dx.reshape(-1)
    _take(dx.size * _SCATTER, parts_for(dx.size, _GRAIN), *arrays, _sizes(dx, dy, 1))

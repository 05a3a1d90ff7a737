"""Dropout of whole examples, or of whole channels of an example: one pass over memory."""

from __future__ import annotations

import numpy as np

from numbacnn._jit import jit, kernel, parts_for, run, split

__all__ = ["group_dropout_backward", "group_dropout_forward"]

_GRAIN = 16384  # elements per part: some microseconds
_STREAM = 0.035  # nanoseconds per byte on one thread: memory gives some 30 GB/s
_WIDTH = 256  # elements that go side by side: enough full vectors for few channels too


@jit
def _part(part, parts, x, factors, y):
    """A piece of an example: rows as wide as its factors, of which the last may be shorter."""
    pieces, width = parts // x.shape[0], factors.shape[1]
    example = part // pieces
    lo, hi = split(part % pieces, pieces, -(-x.shape[1] // width))
    row = factors[example]
    for k in range(lo, hi):
        values, out = x[example, k * width : (k + 1) * width], y[example, k * width : (k + 1) * width]
        for j in range(values.size):
            out[j] = values[j] * row[j]


@kernel
def _multiply(team, parts, x, factors, y):
    run(team, _part, parts, (x, factors, y))


def group_dropout_forward(
    x: np.ndarray,  # (n, ..., c) read
    mask: np.ndarray,  # uint8, 0 or 1: (n,) for examples, (n, c) for their channels
    scale: float,
    y: np.ndarray,  # (n, ..., c) written
) -> None:
    """``y[n, ..., c] = x[n, ..., c] mask[n, c] scale``, or ``mask[n]`` of whole examples."""
    n = len(mask)
    if x.size == 0:
        return
    groups, rows = mask.reshape(n, -1), x.reshape(n, -1)
    factors = np.tile(groups, (1, max(1, _WIDTH // groups.shape[1]))) * x.dtype.type(scale)
    parts = n * parts_for(rows.shape[1], _GRAIN)
    _multiply(2 * x.nbytes * _STREAM, parts, rows, factors, y.reshape(n, -1))


def group_dropout_backward(
    dy: np.ndarray,  # (n, ..., c) read
    mask: np.ndarray,  # as in the forward pass
    scale: float,
    dx: np.ndarray,  # (n, ..., c) written
) -> None:
    """``dx[n, ..., c] = dy[n, ..., c] mask[n, c] scale``, or ``mask[n]`` of whole examples."""
    group_dropout_forward(dy, mask, scale, dx)

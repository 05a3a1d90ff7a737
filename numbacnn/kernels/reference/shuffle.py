"""Pixel shuffle and unshuffle: one transposition of axes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .window import Array

Sizes = tuple[int, ...]


def _spread(x: NDArray, block: Sizes) -> NDArray:
    """(n, *in, c r) to (n, *in block, c): each block axis goes behind its spatial axis."""
    n, *in_, wide = x.shape
    rank, c = len(in_), wide // int(np.prod(block))
    split = x.reshape(n, *in_, c, *block)
    order = [0, *(axis for i in range(rank) for axis in (1 + i, rank + 2 + i)), rank + 1]
    return split.transpose(order).reshape(n, *(s * b for s, b in zip(in_, block, strict=True)), c)


def pixel_shuffle_forward(
    x: Array,  # (n, *in, c r) read
    block: Sizes,  # pixels per spatial axis, r in all
    y: Array,  # (n, *in block, c) written
) -> None:
    """``y[n, p block + q, j] = x[n, p, j r + q]``, q being a pixel of the block and its number there."""
    y[...] = _spread(x, block)


def pixel_shuffle_backward(
    dy: Array,  # (n, *in block, c) read
    block: Sizes,
    dx: Array,  # (n, *in, c r) written
) -> None:
    """``dx[n, p, j r + q] = dy[n, p block + q, j]``."""
    numbers = np.arange(dx.size).reshape(dx.shape)
    dx.reshape(-1)[_spread(numbers, block)] = dy


def pixel_unshuffle_forward(
    x: Array,  # (n, *out block, c) read
    block: Sizes,  # pixels per spatial axis, r in all
    y: Array,  # (n, *out, c r) written
) -> None:
    """``y[n, p, j r + q] = x[n, p block + q, j]``, q being a pixel of the block and its number there."""
    pixel_shuffle_backward(x, block, y)


def pixel_unshuffle_backward(
    dy: Array,  # (n, *out, c r) read
    block: Sizes,
    dx: Array,  # (n, *out block, c) written
) -> None:
    """``dx[n, p block + q, j] = dy[n, p, j r + q]``."""
    pixel_shuffle_forward(dy, block, dx)

"""Average pooling with a weight per tap, and its gradient."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from numbacnn.dims import PoolDims

from .window import Array, box, double, gather_back, is_pixel, windows


def _shares(dims: PoolDims, weights: tuple[tuple[float, ...], ...]) -> NDArray[np.float64]:
    """What each tap adds to the average: its weight over the sum of those that meet a pixel."""
    taps = box([np.array(w) for w in weights]).reshape(-1, *[1] * (dims.rank + 2))
    met = np.where(is_pixel(dims), taps, 0.0)
    return met / met.sum(axis=0)


def weighted_pool_forward(
    dims: PoolDims,
    x: Array,  # (n, *in, c) read
    y: Array,  # (n, *out, c) written
    weights: tuple[tuple[float, ...], ...],  # per axis one positive weight per tap; a tap's is their product
) -> None:
    """``y[n, o, c] = sum of w x over the window of o / sum of w over its taps that meet a pixel``."""
    y[...] = (_shares(dims, weights) * windows(dims, x, 0.0)).sum(axis=0)


def weighted_pool_backward(
    dims: PoolDims,
    dy: Array,  # (n, *out, c) read
    dx: Array,  # (n, *in, c) written
    weights: tuple[tuple[float, ...], ...],  # as in the forward pass
) -> None:
    """``dx[n, p, c] = sum of w dy[n, o, c] / sum of w of o, over the windows o that hold p``."""
    dx[...] = gather_back(dims, _shares(dims, weights) * double(dy))

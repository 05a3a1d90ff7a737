"""Average pooling with a weight per tap, and its gradient.

A tap's weight is the product of one per axis, as that of a Gaussian window is, so that the sum goes axis by
axis, and so does the sum of the weights of the taps that meet a pixel, which divides it.
"""

from __future__ import annotations

import numpy as np

from ...dims import PoolDims
from .pool_plan import passes
from .reduction import lanes_of, reduce_sum

__all__ = ["weighted_pool_backward", "weighted_pool_forward"]


def weighted_pool_forward(
    dims: PoolDims,
    x: np.ndarray,  # (n, *in, c) read
    y: np.ndarray,  # (n, *out, c) written
    weights: tuple[tuple[float, ...], ...],  # per axis one positive weight per tap; a tap's is their product
) -> None:
    """``y[n, o, c] = sum of w x over the window of o / sum of w over its taps that meet a pixel``."""
    reduce_sum(passes(dims, lanes_of(x), weights, False, x.dtype), x, y)


def weighted_pool_backward(
    dims: PoolDims,
    dy: np.ndarray,  # (n, *out, c) read
    dx: np.ndarray,  # (n, *in, c) written
    weights: tuple[tuple[float, ...], ...],  # as in the forward pass
) -> None:
    """``dx[n, p, c] = sum of w dy[n, o, c] / sum of w of o, over the windows o that hold p``."""
    reduce_sum(passes(dims, lanes_of(dx), weights, True, dx.dtype), dy, dx)

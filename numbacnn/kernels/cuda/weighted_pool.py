"""Average pooling with a weight per tap, and its gradient.

A tap's weight is the product of one per axis, and so is the sum of the weights of the taps that meet a pixel.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...dims import PoolDims
from .axes import device_of, windows
from .gather import gather

__all__ = ["weighted_pool_backward", "weighted_pool_forward"]


def weighted_pool_forward(
    dims: PoolDims,
    x: Any,  # (n, *in, c) read
    y: Any,  # (n, *out, c) written
    weights: tuple[tuple[float, ...], ...],  # per axis one positive weight per tap; a tap's is their product
) -> None:
    """``y[n, o, c] = sum of w x over the window of o / sum of w over its taps that meet a pixel``."""
    gather(windows(dims, weights, False, x.dtype == np.float64, device_of(x)), x, None, y, "value")


def weighted_pool_backward(
    dims: PoolDims,
    dy: Any,  # (n, *out, c) read
    dx: Any,  # (n, *in, c) written
    weights: tuple[tuple[float, ...], ...],  # as in the forward pass
) -> None:
    """``dx[n, p, c] = sum of w dy[n, o, c] / sum of w of o, over the windows o that hold p``."""
    gather(windows(dims, weights, True, dy.dtype == np.float64, device_of(dy)), dy, None, dx, "value")

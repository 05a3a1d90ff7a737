"""Pooling by the p-norm of a window, and its gradient."""

from __future__ import annotations

import numpy as np

from numbacnn.pool_dims import PoolGeometry

from .window import Array, double, gather_back, is_pixel, windows


def lp_pool_forward(
    dims: PoolGeometry,
    x: Array,  # (n, *in, c) read
    y: Array,  # (n, *out, c) written
    p: float,
) -> None:
    """``y[n, o, c] = (sum of |x|^p over the window of o)^(1 / p)``."""
    y[...] = (np.abs(windows(dims, x, 0.0)) ** p).sum(axis=0) ** (1.0 / p)


def lp_pool_backward(
    dims: PoolGeometry,
    x: Array,  # (n, *in, c) read
    y: Array,  # (n, *out, c) read: what the forward pass wrote
    dy: Array,  # (n, *out, c) read
    dx: Array,  # (n, *in, c) written
    p: float,
) -> None:
    """``dx[n, q, c] = sum of dy y^(1 - p) sign(x) |x|^(p - 1) over the windows that hold q``; 0 if y is."""
    values, norm = windows(dims, x, 0.0), double(y)
    share = np.where(norm == 0, 0.0, double(dy) * np.where(norm == 0, 1.0, norm) ** (1.0 - p))
    parts = np.sign(values) * np.abs(values) ** (p - 1.0) * share
    dx[...] = gather_back(dims, np.where(is_pixel(dims), parts, 0.0))

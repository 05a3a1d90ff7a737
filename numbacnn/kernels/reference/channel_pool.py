"""The mean and the maximum of each pixel's channels."""

from __future__ import annotations

import numpy as np

from .window import Array, double


def channel_pool_forward(
    x: Array,  # (..., c) read
    y: Array,  # (..., 2) written
) -> None:
    """``y[..., 0] = mean(x[..., :])``, ``y[..., 1] = max(x[..., :])``; a NaN is a maximum."""
    y[..., 0] = double(x).mean(axis=-1)
    y[..., 1] = x.max(axis=-1)


def channel_pool_backward(
    x: Array,  # (..., c) read
    y: Array,  # (..., 2) read: what the forward pass wrote
    dy: Array,  # (..., 2) read
    others: Array | None,  # (..., c) read: gradients of x from elsewhere, or None for 0
    dx: Array,  # (..., c) written
) -> None:
    """``dx = others + dy[..., 0] / c``, and ``+ dy[..., 1]`` at the first channel that is the maximum."""
    c, top = x.shape[-1], y[..., 1:]
    first = np.where(np.isnan(top), np.isnan(x), x == top).argmax(axis=-1)
    won = np.arange(c) == first[..., None]
    slopes = double(dy[..., :1]) / c + won * double(dy[..., 1:])
    dx[...] = slopes if others is None else double(others) + slopes

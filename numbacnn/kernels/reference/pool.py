"""Pooling and its gradients: all taps of all windows at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from numbacnn.dims import PoolDims

from .window import Array, crop, double, is_pixel, padded_zeros, taps, windows


def _counts(dims: PoolDims, count_include_pad: bool) -> NDArray[np.float64]:
    """By what each window's sum is divided: (n, *out, c)."""
    pixels = is_pixel(dims)
    return (
        np.full(dims.output_shape, len(pixels), float)
        if count_include_pad
        else pixels.sum(axis=0, dtype=float)
    )


def max_pool_forward(
    dims: PoolDims,
    x: Array,  # (n, *in, c) read
    y: Array,  # (n, *out, c) written
) -> None:
    """``y[n, o, c] = max over the window of o``; padding never wins, NaN wins as in ``np.max``."""
    y[...] = windows(dims, x, -np.inf).max(axis=0)


def max_pool_backward(
    dims: PoolDims,
    x: Array,  # (n, *in, c) read
    y: Array,  # (n, *out, c) read: what the forward pass wrote
    dy: Array,  # (n, *out, c) read
    dx: Array,  # (n, *in, c) written
) -> None:
    """``dx[n, p, c] = sum of dy[n, o, c] over the windows o whose first maximal pixel is p``.

    First in row-major order. Where the maximum is NaN, the first NaN counts as the maximal pixel.
    """
    values, top = windows(dims, x, -np.inf), double(y)
    maximal = ((values == top) | (np.isnan(values) & np.isnan(top))) & is_pixel(dims)
    winner = maximal.argmax(axis=0)
    padded = padded_zeros(dims)
    for index, (_, pixels) in enumerate(taps(dims)):
        padded[pixels] += np.where(winner == index, double(dy), 0.0)
    dx[...] = crop(dims, padded)


def avg_pool_forward(
    dims: PoolDims,
    x: Array,  # (n, *in, c) read
    y: Array,  # (n, *out, c) written
    count_include_pad: bool,
) -> None:
    """``y[n, o, c] = sum of the window of o / count``: count of its taps, or of those that meet a pixel."""
    y[...] = windows(dims, x, 0.0).sum(axis=0) / _counts(dims, count_include_pad)


def avg_pool_backward(
    dims: PoolDims,
    dy: Array,  # (n, *out, c) read
    dx: Array,  # (n, *in, c) written
    count_include_pad: bool,
) -> None:
    """``dx[n, p, c] = sum of dy[n, o, c] / count over the windows o that hold p``."""
    share = double(dy) / _counts(dims, count_include_pad)
    padded = padded_zeros(dims)
    for _, pixels in taps(dims):
        padded[pixels] += share
    dx[...] = crop(dims, padded)

"""Max and average pooling and their gradients: all taps of all windows at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from numbacnn.pool_dims import PoolGeometry, WindowDims

from .window import Array, box, double, gather_back, is_pixel, pixel_indices, places, windows


def _winner(dims: PoolGeometry, x: Array, y: Array) -> NDArray[np.intp]:
    """The first tap that meets the maximum, or the first NaN where that is the maximum: (n, *out, c)."""
    values, top = windows(dims, x, -np.inf), double(y)
    maximal = ((values == top) | (np.isnan(values) & np.isnan(top))) & is_pixel(dims)
    return maximal.argmax(axis=0)


def _counts(dims: PoolGeometry, count_include_pad: bool, divisor: float) -> NDArray[np.float64]:
    """By what each window's sum is divided: (*out, 1)."""
    per_axis = [(table >= 0).sum(axis=1) for table in places(dims)]
    if count_include_pad and not isinstance(dims, WindowDims):
        for axis, (size, k, stride) in enumerate(zip(dims.in_, dims.k_, dims.stride_, strict=True)):
            place = np.arange(dims.out_[axis]) * stride - dims.pad_lo_[axis]
            tap = np.c_[place] + np.arange(k) * dims.dilation_[axis]
            per_axis[axis] = (tap < size + dims.pad_hi_[axis]).sum(axis=1)
    counts = box([count.astype(float) for count in per_axis])
    return (np.full_like(counts, divisor) if divisor else counts)[..., None]


def max_pool_forward(
    dims: PoolGeometry,
    x: Array,  # (n, *in, c) read
    y: Array,  # (n, *out, c) written
) -> None:
    """``y[n, o, c] = max over the window of o``; padding never wins, NaN wins as in ``np.max``."""
    y[...] = windows(dims, x, -np.inf).max(axis=0)


def max_pool_indices(
    dims: PoolGeometry,
    x: Array,  # (n, *in, c) read
    y: Array,  # (n, *out, c) read: what the forward pass wrote
    indices: NDArray[np.int64],  # (n, *out, c) written
) -> None:
    """``indices[n, o, c]`` = flat index, within the spatial axes, of the first maximal pixel of the window.

    First in row-major order. Where the maximum is NaN, the first NaN counts as the maximal pixel.
    """
    winner = _winner(dims, x, y)
    indices[...] = np.take_along_axis(pixel_indices(dims), winner[None], axis=0)[0]


def max_pool_backward(
    dims: PoolGeometry,
    x: Array,  # (n, *in, c) read
    y: Array,  # (n, *out, c) read: what the forward pass wrote
    dy: Array,  # (n, *out, c) read
    dx: Array,  # (n, *in, c) written
) -> None:
    """``dx[n, p, c] = sum of dy[n, o, c] over the windows o whose first maximal pixel is p``.

    First in row-major order. Where the maximum is NaN, the first NaN counts as the maximal pixel.
    """
    winner, taps = _winner(dims, x, y), len(is_pixel(dims))
    won = [np.where(winner == tap, double(dy), 0.0) for tap in range(taps)]
    dx[...] = gather_back(dims, np.stack(won))


def avg_pool_forward(
    dims: PoolGeometry,
    x: Array,  # (n, *in, c) read
    y: Array,  # (n, *out, c) written
    count_include_pad: bool,
    divisor: float,
) -> None:
    """``y[n, o, c] = sum of the window of o / count``.

    The count is `divisor`, or where that is 0 the taps that meet a pixel, or a pixel or the padding.
    """
    y[...] = windows(dims, x, 0.0).sum(axis=0) / _counts(dims, count_include_pad, divisor)


def avg_pool_backward(
    dims: PoolGeometry,
    dy: Array,  # (n, *out, c) read
    dx: Array,  # (n, *in, c) written
    count_include_pad: bool,
    divisor: float,
) -> None:
    """``dx[n, p, c] = sum of dy[n, o, c] / count over the windows o that hold p``."""
    share = double(dy) / _counts(dims, count_include_pad, divisor)
    dx[...] = gather_back(dims, np.where(is_pixel(dims), share, 0.0))

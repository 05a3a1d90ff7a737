"""Max and average pooling, forward and gradients: any window over one to three axes, channels last.

The gradient of a maximum first finds the place of each window's maximum, then every pixel sums over the
windows that hold it those that it won: no pixel is added to from two sides.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...pool_dims import PoolGeometry
from . import memory
from .axes import Rule, counted_windows, device_of, windows
from .gather import gather

__all__ = [
    "avg_pool_backward",
    "avg_pool_forward",
    "max_pool_backward",
    "max_pool_forward",
    "max_pool_indices",
]

_INT32_PIXELS = 1 << 31


def _double(x: Any) -> bool:
    return x.dtype == np.float64


def _ones(dims: PoolGeometry) -> tuple[float, ...]:
    return (1.0,) * dims.rank


def max_pool_forward(
    dims: PoolGeometry,
    x: Any,  # (n, *in, c) read
    y: Any,  # (n, *out, c) written
) -> None:
    """``y[n, o, c] = max over the window of o``; padding never wins, NaN wins as in ``np.max``."""
    gather(windows(dims, _ones(dims), False, _double(x), device_of(x)), x, None, y, "max")


def max_pool_indices(
    dims: PoolGeometry,
    x: Any,  # (n, *in, c) read
    y: Any,  # (n, *out, c) read: what the forward pass wrote
    indices: Any,  # int64 (n, *out, c) written
) -> None:
    """``indices[n, o, c]`` = flat index, within the spatial axes, of the first maximal pixel of the window.

    First in row-major order. Where the maximum is NaN, the first NaN counts as the maximal pixel.
    """
    gather(windows(dims, _ones(dims), False, _double(x), device_of(x)), x, y, indices, "place")


def max_pool_backward(
    dims: PoolGeometry,
    x: Any,  # (n, *in, c) read
    y: Any,  # (n, *out, c) read: what the forward pass wrote
    dy: Any,  # (n, *out, c) read
    dx: Any,  # (n, *in, c) written
) -> None:
    """``dx[n, p, c] = sum of dy[n, o, c] over the windows o whose first maximal pixel is p``.

    First in row-major order. Where the maximum is NaN, the first NaN counts as the maximal pixel.
    """
    pixels = math.prod(dims.in_)
    winners = memory.empty(dims.output_shape, np.int32 if pixels < _INT32_PIXELS else np.int64)
    max_pool_indices(dims, x, y, winners)
    plan = windows(dims, _ones(dims), True, _double(dy), device_of(x))
    gather(plan, dy, winners, dx, "routed")


def avg_pool_forward(
    dims: PoolGeometry,
    x: Any,  # (n, *in, c) read
    y: Any,  # (n, *out, c) written
    count_include_pad: bool,
    divisor: float,
) -> None:
    """``y[n, o, c] = sum of the window of o / count``.

    The count is `divisor`, or where that is 0 the taps that meet a pixel, or a pixel or the padding.
    """
    plan = counted_windows(dims, count_include_pad, divisor, _double(x), device_of(x))
    gather(plan, x, None, y, "value", "divided")


def avg_pool_backward(
    dims: PoolGeometry,
    dy: Any,  # (n, *out, c) read
    dx: Any,  # (n, *in, c) written
    count_include_pad: bool,
    divisor: float,
) -> None:
    """``dx[n, p, c] = sum of dy[n, o, c] / count over the windows o that hold p``."""
    rules: tuple[Rule, ...] = ("padded" if count_include_pad else "pixels",) * dims.rank
    if divisor:
        rules = (*[1.0] * (dims.rank - 1), 1.0 / divisor)
    gather(windows(dims, rules, True, _double(dy), device_of(dy)), dy, None, dx, "value")

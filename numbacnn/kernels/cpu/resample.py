"""Resizing of images by nearest or linear interpolation, 1 to 3 spatial axes, channels last, and gradients.

Interpolation is separable: along each axis an output pixel takes one or two input pixels.  The gradient
gathers by the transposed lists, so nothing is added from two sides.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ...axis_maps import AxisMap, linear, nearest
from .gather import gather
from .gather_plan import GatherPlan, gather_plan

__all__ = ["resize_backward", "resize_forward"]

_PLANS = 1024  # kept: more than the resizings of a process

Sizes = tuple[int, ...]
Ratios = tuple[float, ...]


@lru_cache(_PLANS)
def _plan(
    in_: Sizes,
    out_: Sizes,
    c: int,
    mode: str,
    align_corners: bool,
    ratios: Ratios | None,
    dtype: np.dtype,
    backward: bool,
) -> GatherPlan:
    maps: list[AxisMap] = []
    for size, out, ratio in zip(in_, out_, ratios or [None] * len(in_), strict=True):
        copied = mode == "nearest"
        forward = nearest(size, out, ratio) if copied else linear(size, out, align_corners, ratio)
        maps.append(forward.transposed if backward else forward)
    return gather_plan(tuple(maps), c, dtype)


def resize_forward(
    x: np.ndarray,  # (n, *in, c) read
    mode: str,  # "nearest" or "linear"
    align_corners: bool,  # the first and the last pixels' centres stay; for "linear"
    ratios: Ratios | None,  # input pixels per output pixel and axis; None: as the sizes have it
    y: np.ndarray,  # (n, *out, c) written
) -> None:
    """``y[n, o, c] = x[n, floor(o ratio), c]``, or between the pixels around ``(o + 0.5) ratio - 0.5``."""
    sizes = x.shape[1:-1], y.shape[1:-1], x.shape[-1]
    gather(_plan(*sizes, mode, align_corners, ratios, x.dtype, False), x, y, 0.0)


def resize_backward(
    dy: np.ndarray,  # (n, *out, c) read
    mode: str,
    align_corners: bool,
    ratios: Ratios | None,
    dx: np.ndarray,  # (n, *in, c) written
) -> None:
    """``dx[n, p, c] = sum over outputs o of dy[n, o, c] times the weight with which o takes p``."""
    sizes = dx.shape[1:-1], dy.shape[1:-1], dx.shape[-1]
    gather(_plan(*sizes, mode, align_corners, ratios, dx.dtype, True), dy, dx, 0.0)

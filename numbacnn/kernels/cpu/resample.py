"""Resizing of images by nearest or linear interpolation, 1 to 3 spatial axes, channels last, and gradients.

Interpolation is separable: along each axis an output pixel takes one or two input pixels.  The gradient
gathers by the transposed lists, so nothing is added from two sides.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .gather import gather
from .gather_plan import AxisMap, GatherPlan, copying, gather_plan

__all__ = ["resize_backward", "resize_forward"]

_PLANS = 1024  # kept: more than the resizings of a process

Sizes = tuple[int, ...]
Ratios = tuple[float, ...]


def _nearest(size: int, out: int, ratio: float | None) -> AxisMap:
    """In float32, as PyTorch computes it: where the product is whole but for rounding, the choice is its."""
    step = np.float32(size) / np.float32(out) if ratio is None else np.float32(ratio)
    sources = np.floor(np.arange(out, dtype=np.float32) * step).astype(np.int64)
    return copying(size, np.minimum(sources, size - 1))


def _linear(size: int, out: int, align_corners: bool, ratio: float | None) -> AxisMap:
    if align_corners:
        places = np.arange(out) * (size - 1) / max(1, out - 1)
    else:
        half = (np.arange(out) * 2 + 1) * (size / (2 * out) if ratio is None else ratio / 2)
        places = np.maximum(half - 0.5, 0.0)
    low = np.minimum(places.astype(np.int64), size - 1)
    high = np.minimum(low + 1, size - 1)
    share = np.minimum(places - low, 1.0)  # of the high one; past the last pixel both are that one
    share[low == high] = 0.0
    targets, sources = np.repeat(np.arange(out), 2), np.stack([low, high], 1).reshape(-1)
    weights = np.stack([1.0 - share, share], 1).reshape(-1)
    some = weights != 0.0
    return AxisMap.of(size, out, targets[some], sources[some], weights[some])


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
        nearest = mode == "nearest"
        forward = _nearest(size, out, ratio) if nearest else _linear(size, out, align_corners, ratio)
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

"""Padding of images, 1 to 3 spatial axes, channels last, and its gradient."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ...axis_maps import AxisMap, padding
from ...dims import Pairs
from .gather import gather
from .gather_plan import GatherPlan, gather_plan

__all__ = ["pad_backward", "pad_forward"]

_PLANS = 1024  # kept: more than the paddings of a process


@lru_cache(_PLANS)
def _plan(
    in_: tuple[int, ...], c: int, pads: Pairs, mode: str, dtype: np.dtype, backward: bool
) -> GatherPlan:
    maps: list[AxisMap] = []
    for size, (low, high) in zip(in_, pads, strict=True):
        forward = padding(size, low, high, mode)
        maps.append(forward.transposed if backward else forward)
    return gather_plan(tuple(maps), c, dtype)


def pad_forward(
    x: np.ndarray,  # (n, *in, c) read
    pads: Pairs,  # pixels (low, high) per spatial axis
    mode: str,  # "constant", "reflect", "replicate" or "circular"
    value: float,  # of what is added, where the mode is "constant"
    y: np.ndarray,  # (n, *padded, c) written
) -> None:
    """``y[n, p, c] = x[n, s(p - low), c]``, or `value` where s, which the mode gives, is no pixel."""
    gather(_plan(x.shape[1:-1], x.shape[-1], pads, mode, x.dtype, False), x, y, value)


def pad_backward(
    dy: np.ndarray,  # (n, *padded, c) read
    pads: Pairs,
    mode: str,
    dx: np.ndarray,  # (n, *in, c) written
) -> None:
    """``dx[n, q, c] = sum of dy[n, p, c] over the p that show q``, in row-major order."""
    gather(_plan(dx.shape[1:-1], dx.shape[-1], pads, mode, dx.dtype, True), dy, dx, 0.0)

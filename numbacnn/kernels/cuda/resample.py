"""Resizing of images by nearest or linear interpolation, 1 to 3 spatial axes, channels last, and gradients.

Interpolation is separable: along each axis an output pixel takes one or two input pixels.  The gradient
gathers by the transposed lists, so nothing is added from two sides.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .axes import Plan, device_of, resized
from .gather import gather

__all__ = ["resize_backward", "resize_forward"]

Ratios = tuple[float, ...]


def _plan(x: Any, y: Any, mode: str, align_corners: bool, ratios: Ratios | None, transposed: bool) -> Plan:
    options = mode, align_corners, ratios, transposed
    return resized(x.shape[1:-1], y.shape[1:-1], *options, x.dtype == np.float64, device_of(x))


def resize_forward(
    x: Any,  # (n, *in, c) read
    mode: str,  # "nearest" or "linear"
    align_corners: bool,  # the first and the last pixels' centres stay; for "linear"
    ratios: Ratios | None,  # input pixels per output pixel and axis; None: as the sizes have it
    y: Any,  # (n, *out, c) written
) -> None:
    """``y[n, o, c] = x[n, floor(o ratio), c]``, or between the pixels around ``(o + 0.5) ratio - 0.5``."""
    plan = _plan(x, y, mode, align_corners, ratios, False)
    gather(plan, x, None, y, "copy" if plan.single else "value")


def resize_backward(
    dy: Any,  # (n, *out, c) read
    mode: str,
    align_corners: bool,
    ratios: Ratios | None,
    dx: Any,  # (n, *in, c) written
) -> None:
    """``dx[n, p, c] = sum over outputs o of dy[n, o, c] times the weight with which o takes p``."""
    gather(_plan(dx, dy, mode, align_corners, ratios, True), dy, None, dx, "value")

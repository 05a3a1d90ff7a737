"""Padding of images, 1 to 3 spatial axes, channels last, and its gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...dims import Pairs
from .axes import device_of, padded
from .gather import gather

__all__ = ["pad_backward", "pad_forward"]


def pad_forward(
    x: Any,  # (n, *in, c) read
    pads: Pairs,  # pixels (low, high) per spatial axis
    mode: str,  # "constant", "reflect", "replicate" or "circular"
    value: float,  # of what is added, where the mode is "constant"
    y: Any,  # (n, *padded, c) written
) -> None:
    """``y[n, p, c] = x[n, s(p - low), c]``, or `value` where s, which the mode gives, is no pixel."""
    plan = padded(x.shape[1:-1], pads, mode, False, x.dtype == np.float64, device_of(x))
    gather(plan, x, None, y, "copy", "filled" if mode == "constant" else "value", value)


def pad_backward(
    dy: Any,  # (n, *padded, c) read
    pads: Pairs,
    mode: str,
    dx: Any,  # (n, *in, c) written
) -> None:
    """``dx[n, q, c] = sum of dy[n, p, c] over the p that show q``, in row-major order."""
    plan = padded(dx.shape[1:-1], pads, mode, True, dy.dtype == np.float64, device_of(dx))
    gather(plan, dy, None, dx, "copy" if plan.single else "value")

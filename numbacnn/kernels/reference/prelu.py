"""Rectifiers with learned slopes."""

from __future__ import annotations

import numpy as np

from .window import Array, double


def prelu_forward(
    x: Array,  # (..., c) read
    slope: Array,  # (c,) or (1,) read
    y: Array,  # (..., c) written
) -> None:
    """``y = x where x > 0, else slope x``; NaN stays NaN."""
    y[...] = np.where(x > 0.0, x, double(slope) * double(x))


def prelu_backward(
    x: Array,  # (..., c) read
    slope: Array,  # (c,) or (1,) read
    dy: Array,  # (..., c) read
    dx: Array,  # (..., c) written
    dslope: Array,  # (c,) or (1,) written
) -> None:
    """``dx = dy where x > 0, else slope dy``; ``dslope = sum of x dy where x <= 0``, by channels or whole."""
    dx[...] = np.where(x > 0.0, dy, double(slope) * double(dy))
    terms = np.where(x <= 0.0, double(x) * double(dy), 0.0)
    dslope[...] = terms.reshape(-1, dslope.size).sum(axis=0)

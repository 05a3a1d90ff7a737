"""Padding by NumPy, and its gradient: each padded pixel's is added to the pixel that it shows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from numbacnn.dims import Pairs

from .window import Array, double

_NUMPY = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def _padded(x: NDArray, pads: Pairs, mode: str, value: float) -> NDArray:
    ends = [(0, 0), *pads, (0, 0)]
    filling = {"constant_values": value} if mode == "constant" else {}
    return np.pad(x, ends, mode=_NUMPY[mode], **filling)  # type: ignore[call-overload]


def pad_forward(
    x: Array,  # (n, *in, c) read
    pads: Pairs,  # pixels (low, high) per spatial axis
    mode: str,  # "constant", "reflect", "replicate" or "circular"
    value: float,  # of what is added, where the mode is "constant"
    y: Array,  # (n, *padded, c) written
) -> None:
    """``y[n, p, c] = x[n, s(p - low), c]``, or `value` where s, which the mode gives, is no pixel."""
    y[...] = _padded(double(x), pads, mode, value)


def pad_backward(
    dy: Array,  # (n, *padded, c) read
    pads: Pairs,
    mode: str,
    dx: Array,  # (n, *in, c) written
) -> None:
    """``dx[n, q, c] = sum of dy[n, p, c] over the p that show q``, in row-major order."""
    numbers = np.arange(dx.size).reshape(dx.shape)
    shown = _padded(numbers, pads, mode, dx.size)  # one place more for what shows none
    total = np.bincount(shown.reshape(-1), double(dy).reshape(-1), dx.size + 1)
    dx[...] = total[:-1].reshape(dx.shape)

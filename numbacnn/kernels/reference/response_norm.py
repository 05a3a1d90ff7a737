"""Local response normalisation: each channel divided by a power of its neighbours' mean square."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .window import Array, double


def _window_sums(x: NDArray, before: int, after: int) -> NDArray[np.float64]:
    """Of each channel the sum over so many channels before it, itself, and so many after it."""
    c = x.shape[-1]
    padded = np.pad(double(x), [(0, 0)] * (x.ndim - 1) + [(before, after)])
    return sum((padded[..., t : t + c] for t in range(before + after + 1)), np.zeros(x.shape))


def local_response_norm_forward(
    x: Array,  # (..., c) read
    size: int,
    alpha: float,
    beta: float,
    k: float,
    y: Array,  # (..., c) written
) -> None:
    """``y = x s^-beta``, ``s[j] = k + alpha / size sum of x[i]^2`` over ``-(size // 2) <= i - j < size / 2``.

    Channels past the ends count as zeros; the division is by size there too.
    """
    before, after = size // 2, (size - 1) // 2
    s = k + alpha / size * _window_sums(double(x) ** 2, before, after)
    y[...] = double(x) * s**-beta


def local_response_norm_backward(
    x: Array,  # (..., c) read
    dy: Array,  # (..., c) read
    size: int,
    alpha: float,
    beta: float,
    k: float,
    dx: Array,  # (..., c) written
) -> None:
    """``dx[i] = dy[i] s[i]^-beta - 2 alpha beta / size x[i] sum of dy[j] x[j] s[j]^(-beta - 1)``.

    The sum is over the channels j whose window holds i.
    """
    before, after = size // 2, (size - 1) // 2
    s = k + alpha / size * _window_sums(double(x) ** 2, before, after)
    shares = _window_sums(double(dy) * double(x) * s ** (-beta - 1.0), after, before)
    dx[...] = double(dy) * s**-beta - 2.0 * alpha * beta / size * double(x) * shares

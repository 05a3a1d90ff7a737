"""Max unpooling: values put back to the pixels that they were the maxima of, and the gradient."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .window import Array


def max_unpool_forward(
    x: Array,  # (n, *in, c) read
    indices: NDArray[np.int64],  # (n, *in, c) read: flat indices within y's spatial axes
    y: Array,  # (n, *out, c) written
) -> None:
    """``y[n, indices[n, i, c], c] = x[n, i, c]``, zeros elsewhere; of equal indices the last i wins."""
    y[...] = 0
    flat = y.reshape(len(y), math.prod(y.shape[1:-1]), y.shape[-1])
    for n, *i, c in np.ndindex(*x.shape):
        flat[n, indices[(n, *i, c)], c] = x[(n, *i, c)]


def max_unpool_backward(
    dy: Array,  # (n, *out, c) read
    indices: NDArray[np.int64],  # (n, *in, c) read
    dx: Array,  # (n, *in, c) written
) -> None:
    """``dx[n, i, c] = dy[n, indices[n, i, c], c]``."""
    flat = dy.reshape(len(dy), math.prod(dy.shape[1:-1]), dy.shape[-1])
    for n, *i, c in np.ndindex(*dx.shape):
        dx[(n, *i, c)] = flat[n, indices[(n, *i, c)], c]

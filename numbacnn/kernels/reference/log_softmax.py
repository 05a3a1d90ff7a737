"""The logarithm of softmax."""

from __future__ import annotations

import numpy as np

from .softmax import _log_softmax
from .window import Array, double


def log_softmax_forward(
    x: Array,  # (..., k) read
    y: Array,  # (..., k) written
) -> None:
    """``y[..., j] = x[..., j] - log(sum over l of exp(x[..., l]))``."""
    y[...] = _log_softmax(x)


def log_softmax_backward(
    y: Array,  # (..., k) read: what the forward pass wrote
    dy: Array,  # (..., k) read
    dx: Array,  # (..., k) written
) -> None:
    """``dx[..., j] = dy[..., j] - exp(y[..., j]) sum over l of dy[..., l]``."""
    dx[...] = double(dy) - np.exp(double(y)) * double(dy).sum(axis=-1, keepdims=True)

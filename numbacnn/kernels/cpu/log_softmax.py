"""The logarithm of softmax over the last axis: rows are the parts' items.

No exponential overflows: each row is shifted by its maximum.  Rows with NaN give NaN.
"""

from __future__ import annotations

import math as scalar_math

import numpy as np

from numbacnn._jit import jit, kernel, run, split

from . import math
from .softmax import _EXP, _ROW, _row_parts, normalise

__all__ = ["log_softmax_backward", "log_softmax_forward"]


@jit
def _forward_part(part, parts, x, y):
    lo, hi = split(part, parts, x.shape[0])
    for row in range(lo, hi):
        values, out = x[row], y[row]
        top, total = normalise(values, out)
        level = x.dtype.type(scalar_math.log(total))
        # in two loops: in one LLVM adds the level to the maximum, beside which it may lose its places
        for i in range(values.size):
            out[i] = values[i] - top
        for i in range(values.size):
            out[i] -= level


@jit
def _backward_part(part, parts, y, dy, dx):
    lo, hi = split(part, parts, y.shape[0])
    for row in range(lo, hi):
        values, gradient, out = y[row], dy[row], dx[row]
        total = y.dtype.type(0)
        for i in range(gradient.size):
            total += gradient[i]
        for i in range(values.size):
            out[i] = gradient[i] - math.exp(values[i]) * total


@kernel
def _forward(team, parts, x, y):
    run(team, _forward_part, parts, (x, y))


@kernel
def _backward(team, parts, y, dy, dx):
    run(team, _backward_part, parts, (y, dy, dx))


def log_softmax_forward(
    x: np.ndarray,  # (..., k) read
    y: np.ndarray,  # (..., k) written
) -> None:
    """``y[..., j] = x[..., j] - log(sum over l of exp(x[..., l]))``."""
    rows = x.reshape(-1, x.shape[-1])
    _forward(x.size * _EXP + len(rows) * _ROW, _row_parts(len(rows), x.size), rows, y.reshape(rows.shape))


def log_softmax_backward(
    y: np.ndarray,  # (..., k) read: what the forward pass wrote
    dy: np.ndarray,  # (..., k) read
    dx: np.ndarray,  # (..., k) written
) -> None:
    """``dx[..., j] = dy[..., j] - exp(y[..., j]) sum over l of dy[..., l]``."""
    rows = y.reshape(-1, y.shape[-1])
    arrays = rows, dy.reshape(rows.shape), dx.reshape(rows.shape)
    _backward(y.size * _EXP + len(rows) * _ROW, _row_parts(len(rows), y.size), *arrays)

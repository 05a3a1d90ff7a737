"""Softmax over the last axis, cross-entropy with it, and the squared error: rows are the parts' items.

No exponential overflows: each row is shifted by its maximum.  Rows with NaN give NaN.
"""

from __future__ import annotations

import math as scalar_math

import numpy as np

from numbacnn._jit import jit, kernel, parts_for, run, split

from . import math

__all__ = [
    "mean_squared_error_backward",
    "mean_squared_error_forward",
    "softmax_backward",
    "softmax_cross_entropy_backward",
    "softmax_cross_entropy_forward",
    "softmax_forward",
]

_GRAIN = 4096  # elements per part: some microseconds of exponentials
_EXP = 0.8  # nanoseconds per element on one thread, with an exponential
_ROW = 40.0  # and per row, for what does not fill vectors
_STREAM = 0.035  # nanoseconds per byte on one thread: memory gives some 30 GB/s
_BLOCK = 4096  # elements summed in the element type, before the sum goes to float64


def _row_parts(rows: int, size: int) -> int:
    return max(1, min(rows, parts_for(size, _GRAIN)))


@jit
def _normalise(x, p):
    """Write softmax(x) to p; return the maximum of x and the sum of exp(x - maximum)."""
    top = a = b = c = x[0]
    # four chains, as LLVM keeps the order of maxima, and in a chain each waits for the one before
    whole = x.size - x.size % 4
    for i in range(0, whole, 4):
        top = x[i] if x[i] > top else top
        a = x[i + 1] if x[i + 1] > a else a
        b = x[i + 2] if x[i + 2] > b else b
        c = x[i + 3] if x[i + 3] > c else c
    for i in range(whole, x.size):
        top = x[i] if x[i] > top else top
    a, b = (a if a > b else b), (c if c > top else top)
    top = a if a > b else b
    total = x.dtype.type(0)
    for i in range(x.size):
        value = math.exp(x[i] - top)
        p[i] = value
        total += value
    share = x.dtype.type(1) / total
    for i in range(x.size):
        p[i] *= share
    return top, total


@jit
def _softmax_part(part, parts, x, y):
    lo, hi = split(part, parts, x.shape[0])
    for row in range(lo, hi):
        _normalise(x[row], y[row])


@jit
def _softmax_gradient_part(part, parts, y, dy, dx):
    lo, hi = split(part, parts, y.shape[0])
    for row in range(lo, hi):
        p, g, out = y[row], dy[row], dx[row]
        mean = y.dtype.type(0)
        for i in range(p.size):
            mean += p[i] * g[i]
        for i in range(p.size):
            out[i] = p[i] * (g[i] - mean)


@jit
def _classes_part(part, parts, x, target, smoothing, loss, p):
    lo, hi = split(part, parts, x.shape[0])
    for row in range(lo, hi):
        logits = x[row]
        top, total = _normalise(logits, p[row])
        value = scalar_math.log(total) - (1 - smoothing) * (logits[target[row]] - top)
        if smoothing > 0:
            rest = x.dtype.type(0)
            for i in range(logits.size):
                rest += logits[i] - top
            value -= smoothing / logits.size * rest
        loss[row] = value


@jit
def _probabilities_part(part, parts, x, target, smoothing, loss, p):
    lo, hi = split(part, parts, x.shape[0])
    for row in range(lo, hi):
        logits, wanted = x[row], target[row]
        top, total = _normalise(logits, p[row])
        level = top + scalar_math.log(total)
        keep, share = x.dtype.type(1 - smoothing), x.dtype.type(smoothing / logits.size)
        value = x.dtype.type(0)
        for i in range(logits.size):
            value += (keep * wanted[i] + share) * (level - logits[i])
        loss[row] = value


@jit
def _classes_gradient_part(part, parts, p, target, smoothing, scale, dx):
    lo, hi = split(part, parts, p.shape[0])
    for row in range(lo, hi):
        q, out = p[row], dx[row]
        share = p.dtype.type(smoothing / q.size)
        for i in range(q.size):
            out[i] = scale * (q[i] - share)
        out[target[row]] = scale * (q[target[row]] - share - (1 - smoothing))


@jit
def _probabilities_gradient_part(part, parts, p, target, smoothing, scale, dx):
    lo, hi = split(part, parts, p.shape[0])
    for row in range(lo, hi):
        q, wanted, out = p[row], target[row], dx[row]
        keep, share = p.dtype.type(1 - smoothing), p.dtype.type(smoothing / q.size)
        for i in range(q.size):
            out[i] = scale * (q[i] - (keep * wanted[i] + share))


@jit
def _squares_part(part, parts, x, target, loss):
    lo, hi = split(part, parts, x.shape[0])
    for row in range(lo, hi):
        total = 0.0
        for first in range(0, x.shape[1], _BLOCK):
            a, b = x[row, first : first + _BLOCK], target[row, first : first + _BLOCK]
            block = x.dtype.type(0)
            for i in range(a.size):
                block += (a[i] - b[i]) * (a[i] - b[i])
            total += block
        loss[row] = total / x.shape[1]


@jit
def _differences_part(part, parts, x, target, scale, dx):
    lo, hi = split(part, parts, x.size)
    x, target, dx = x[lo:hi], target[lo:hi], dx[lo:hi]
    for i in range(x.size):
        dx[i] = scale * (x[i] - target[i])


@kernel
def _softmax(team, parts, x, y):
    run(team, _softmax_part, parts, (x, y))


@kernel
def _softmax_gradient(team, parts, y, dy, dx):
    run(team, _softmax_gradient_part, parts, (y, dy, dx))


@kernel
def _classes(team, parts, x, target, smoothing, loss, p):
    run(team, _classes_part, parts, (x, target, smoothing, loss, p))


@kernel
def _probabilities(team, parts, x, target, smoothing, loss, p):
    run(team, _probabilities_part, parts, (x, target, smoothing, loss, p))


@kernel
def _classes_gradient(team, parts, p, target, smoothing, scale, dx):
    run(team, _classes_gradient_part, parts, (p, target, smoothing, scale, dx))


@kernel
def _probabilities_gradient(team, parts, p, target, smoothing, scale, dx):
    run(team, _probabilities_gradient_part, parts, (p, target, smoothing, scale, dx))


@kernel
def _squares(team, parts, x, target, loss):
    run(team, _squares_part, parts, (x, target, loss))


@kernel
def _differences(team, parts, x, target, scale, dx):
    run(team, _differences_part, parts, (x, target, scale, dx))


def softmax_forward(
    x: np.ndarray,  # (..., k) read
    y: np.ndarray,  # (..., k) written
) -> None:
    """``y[..., j] = exp(x[..., j]) / sum over l of exp(x[..., l])``."""
    rows = x.reshape(-1, x.shape[-1])
    _softmax(x.size * _EXP + len(rows) * _ROW, _row_parts(len(rows), x.size), rows, y.reshape(rows.shape))


def softmax_backward(
    y: np.ndarray,  # (..., k) read: what the forward pass wrote
    dy: np.ndarray,  # (..., k) read
    dx: np.ndarray,  # (..., k) written
) -> None:
    """``dx[..., j] = y[..., j] (dy[..., j] - sum over l of dy[..., l] y[..., l])``."""
    rows = y.reshape(-1, y.shape[-1])
    arrays = rows, dy.reshape(rows.shape), dx.reshape(rows.shape)
    _softmax_gradient(3 * y.nbytes * _STREAM, _row_parts(len(rows), y.size), *arrays)


def softmax_cross_entropy_forward(
    x: np.ndarray,  # (n, k) read
    target: np.ndarray,  # (n,) int64 classes, or (n, k) probabilities of the element type of x; read
    smoothing: float,
    loss: np.ndarray,  # (n,) written
    p: np.ndarray,  # (n, k) written
) -> None:
    """``p = softmax(x)``, ``loss[n] = -sum over j of t[n, j] log p[n, j]``, ``t = (1-s) target + s / k``."""
    run_rows = _classes if target.ndim == 1 else _probabilities
    run_rows(x.size * _EXP + len(x) * _ROW, _row_parts(len(x), x.size), x, target, float(smoothing), loss, p)


def softmax_cross_entropy_backward(
    p: np.ndarray,  # (n, k) read: what the forward pass wrote
    target: np.ndarray,  # (n,) or (n, k) read
    smoothing: float,
    scale: float,
    dx: np.ndarray,  # (n, k) written
) -> None:
    """``dx = scale (p - t)``: the gradient of ``scale sum(loss)`` for targets that sum to 1."""
    run_rows = _classes_gradient if target.ndim == 1 else _probabilities_gradient
    factor = p.dtype.type(scale)
    parts = _row_parts(len(p), p.size)
    run_rows(3 * p.nbytes * _STREAM, parts, p, target, float(smoothing), factor, dx)


def mean_squared_error_forward(
    x: np.ndarray,  # (n, ...) read
    target: np.ndarray,  # (n, ...) read
    loss: np.ndarray,  # (n,) written
) -> None:
    """``loss[n] = mean of (x[n, ...] - target[n, ...])^2``."""
    shape = len(x), x.size // max(1, len(x))
    arrays = x.reshape(shape), target.reshape(shape), loss
    _squares(2 * x.nbytes * _STREAM, _row_parts(len(x), x.size), *arrays)


def mean_squared_error_backward(
    x: np.ndarray,  # (n, ...) read
    target: np.ndarray,  # (n, ...) read
    scale: float,
    dx: np.ndarray,  # (n, ...) written
) -> None:
    """``dx[n, ...] = 2 scale (x - target) / m``, m values per item: the gradient of ``scale sum(loss)``."""
    factor = x.dtype.type(2.0 * scale * len(x) / max(1, x.size))
    arrays = x.reshape(-1), target.reshape(-1), factor, dx.reshape(-1)
    _differences(3 * x.nbytes * _STREAM, parts_for(x.size, _GRAIN), *arrays)

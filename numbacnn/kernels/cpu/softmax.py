"""Softmax over the last axis, and cross-entropy with it: rows are the parts' items.

No exponential overflows: each row is shifted by its maximum.  Rows with NaN give NaN.
"""

from __future__ import annotations

import math as scalar_math

import numpy as np

from numbacnn._jit import jit, kernel, parts_for, run, split

from . import math
from .pointwise import log1p

__all__ = [
    "focal_cross_entropy_backward",
    "focal_cross_entropy_forward",
    "softmax_backward",
    "softmax_cross_entropy_backward",
    "softmax_cross_entropy_forward",
    "softmax_forward",
    "target_weights",
]

_GRAIN = 4096  # elements per part: some microseconds of exponentials
_EXP = 0.8  # nanoseconds per element on one thread, with an exponential
_ROW = 40.0  # and per row, for what does not fill vectors
_STREAM = 0.035  # nanoseconds per byte on one thread: memory gives some 30 GB/s


def _row_parts(rows: int, size: int) -> int:
    return max(1, min(rows, parts_for(size, _GRAIN)))


@jit
def normalise(x, p):
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
        normalise(x[row], y[row])


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
def _classes_part(part, parts, x, target, weights, ignore, smoothing, loss, p):
    lo, hi = split(part, parts, x.shape[0])
    for row in range(lo, hi):
        logits = x[row]
        top, total = normalise(logits, p[row])
        if target[row] == ignore:
            loss[row] = 0
            continue
        keep = 1 - smoothing
        if weights.size:
            keep *= weights[target[row]]
        level = scalar_math.log(total)
        if smoothing > 0 or weights.size:
            value = keep * (level - (logits[target[row]] - top))
        else:
            value = level - (logits[target[row]] - top)
        if smoothing > 0:
            rest = x.dtype.type(0)
            if weights.size:
                for i in range(logits.size):
                    rest += weights[i] * (level - (logits[i] - top))
            else:
                for i in range(logits.size):
                    rest += level - (logits[i] - top)
            value += smoothing / logits.size * rest
        loss[row] = value


@jit
def _probabilities_part(part, parts, x, target, weights, smoothing, loss, p):
    lo, hi = split(part, parts, x.shape[0])
    for row in range(lo, hi):
        logits, wanted = x[row], target[row]
        top, total = normalise(logits, p[row])
        level = top + scalar_math.log(total)
        keep, share = x.dtype.type(1 - smoothing), x.dtype.type(smoothing / logits.size)
        value = x.dtype.type(0)
        if weights.size:
            for i in range(logits.size):
                value += weights[i] * (keep * wanted[i] + share) * (level - logits[i])
        else:
            for i in range(logits.size):
                value += (keep * wanted[i] + share) * (level - logits[i])
        loss[row] = value


@jit
def _classes_gradient_part(part, parts, p, target, weights, ignore, smoothing, scale, dx):
    lo, hi = split(part, parts, p.shape[0])
    every = 0.0  # the sum of the weights
    for i in range(weights.size):
        every += weights[i]
    for row in range(lo, hi):
        q, out = p[row], dx[row]
        share = p.dtype.type(smoothing / q.size)
        if target[row] == ignore:
            out[:] = 0
        elif weights.size:
            keep = (1 - smoothing) * weights[target[row]]
            whole = p.dtype.type(keep + smoothing / q.size * every)
            for i in range(q.size):
                out[i] = scale * (whole * q[i] - share * weights[i])
            last = target[row]
            out[last] = scale * (whole * q[last] - share * weights[last] - keep)
        else:
            for i in range(q.size):
                out[i] = scale * (q[i] - share)
            out[target[row]] = scale * (q[target[row]] - share - (1 - smoothing))


@jit
def _probabilities_gradient_part(part, parts, p, target, weights, smoothing, scale, dx):
    lo, hi = split(part, parts, p.shape[0])
    for row in range(lo, hi):
        q, wanted, out = p[row], target[row], dx[row]
        keep, share = p.dtype.type(1 - smoothing), p.dtype.type(smoothing / q.size)
        if weights.size:
            whole = p.dtype.type(0)
            for i in range(q.size):
                whole += weights[i] * (keep * wanted[i] + share)
            for i in range(q.size):
                out[i] = scale * (whole * q[i] - weights[i] * (keep * wanted[i] + share))
        else:
            for i in range(q.size):
                out[i] = scale * (q[i] - (keep * wanted[i] + share))


@jit
def _others(q, place):
    """The sum of the other probabilities: 1 minus the one would lose places near 1."""
    rest = q.dtype.type(0)
    for i in range(q.size):
        rest += q.dtype.type(0) if i == place else q[i]
    return rest


@jit
def _focal_part(part, parts, x, target, weights, ignore, gamma, loss, p):
    lo, hi = split(part, parts, x.shape[0])
    for row in range(lo, hi):
        top, total = normalise(x[row], p[row])
        if target[row] == ignore:
            loss[row] = 0
            continue
        entropy = np.float64(scalar_math.log(total) - (x[row, target[row]] - top))
        value = np.float64(_others(p[row], target[row])) ** gamma * entropy
        loss[row] = value * weights[target[row]] if weights.size else value


@jit
def _focal_gradient_part(part, parts, p, target, weights, ignore, gamma, scale, dx):
    lo, hi = split(part, parts, p.shape[0])
    for row in range(lo, hi):
        q, out, wanted = p[row], dx[row], target[row]
        if wanted == ignore:
            out[:] = 0
            continue
        right, rest = np.float64(q[wanted]), _others(q, wanted)
        wrong, ratio = np.float64(rest), 1.0  # -log(right) / wrong, of which 1 is the limit
        if wrong > 0 and right > 0:
            ratio = -(log1p(-wrong) if right > 0.5 else scalar_math.log(right)) / wrong
        slope = wrong**gamma * (1 + gamma * right * ratio)
        factor = p.dtype.type(scale * (slope * weights[wanted] if weights.size else slope))
        for i in range(q.size):
            out[i] = factor * q[i]
        out[wanted] = -factor * rest


@kernel
def _softmax(team, parts, x, y):
    run(team, _softmax_part, parts, (x, y))


@kernel
def _softmax_gradient(team, parts, y, dy, dx):
    run(team, _softmax_gradient_part, parts, (y, dy, dx))


@kernel
def _classes(team, parts, x, target, weights, ignore, smoothing, loss, p):
    run(team, _classes_part, parts, (x, target, weights, ignore, smoothing, loss, p))


@kernel
def _probabilities(team, parts, x, target, weights, smoothing, loss, p):
    run(team, _probabilities_part, parts, (x, target, weights, smoothing, loss, p))


@kernel
def _classes_gradient(team, parts, p, target, weights, ignore, smoothing, scale, dx):
    run(team, _classes_gradient_part, parts, (p, target, weights, ignore, smoothing, scale, dx))


@kernel
def _probabilities_gradient(team, parts, p, target, weights, smoothing, scale, dx):
    run(team, _probabilities_gradient_part, parts, (p, target, weights, smoothing, scale, dx))


@kernel
def _focal(team, parts, x, target, weights, ignore, gamma, loss, p):
    run(team, _focal_part, parts, (x, target, weights, ignore, gamma, loss, p))


@kernel
def _focal_gradient(team, parts, p, target, weights, ignore, gamma, scale, dx):
    run(team, _focal_gradient_part, parts, (p, target, weights, ignore, gamma, scale, dx))


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
    weights: np.ndarray | None,  # (k,) read, of the classes; None for ones
    ignore: int,  # rows of this class cost nothing
    smoothing: float,
    loss: np.ndarray,  # (n,) written
    p: np.ndarray,  # (n, k) written
) -> None:
    """``p = softmax(x)``, ``loss[n] = -sum over j of w[j] t[n, j] log p[n, j]``; 0 where target is ignore.

    ``t = (1-s) target + s / k``.
    """
    work, parts = _rows_work(x)
    w = _given(weights, x)
    if target.ndim == 1:
        _classes(work, parts, x, target, w, int(ignore), float(smoothing), loss, p)
    else:
        _probabilities(work, parts, x, target, w, float(smoothing), loss, p)


def softmax_cross_entropy_backward(
    p: np.ndarray,  # (n, k) read: what the forward pass wrote
    target: np.ndarray,  # (n,) or (n, k) read
    weights: np.ndarray | None,  # (k,) read
    ignore: int,
    smoothing: float,
    divisor: np.ndarray | None,  # () read; None for 1
    scale: float,
    dx: np.ndarray,  # (n, k) written
) -> None:
    """``dx = scale / divisor (p sum over j of (w t)[j] - w t)``, for targets that sum to 1.

    The gradient of ``scale / divisor sum(loss)``; 0 where the divisor is 0.
    """
    factor = p.dtype.type(_quotient(scale, divisor))
    work, parts, w = 3 * p.nbytes * _STREAM, _row_parts(len(p), p.size), _given(weights, p)
    if target.ndim == 1:
        _classes_gradient(work, parts, p, target, w, int(ignore), float(smoothing), factor, dx)
    else:
        _probabilities_gradient(work, parts, p, target, w, float(smoothing), factor, dx)


def focal_cross_entropy_forward(
    x: np.ndarray,  # (n, k) read
    target: np.ndarray,  # (n,) int64 classes, read
    weights: np.ndarray | None,  # (k,) read
    ignore: int,
    gamma: float,
    loss: np.ndarray,  # (n,) written
    p: np.ndarray,  # (n, k) written
) -> None:
    """``p = softmax(x)``, ``loss[n] = -w[c] (1 - p[n, c])^gamma log p[n, c]`` of the target's class c."""
    work, parts = _rows_work(x)
    _focal(work, parts, x, target, _given(weights, x), int(ignore), float(gamma), loss, p)


def focal_cross_entropy_backward(
    p: np.ndarray,  # (n, k) read: what the forward pass wrote
    target: np.ndarray,  # (n,) read
    weights: np.ndarray | None,  # (k,) read
    ignore: int,
    gamma: float,
    divisor: np.ndarray | None,  # () read; None for 1
    scale: float,
    dx: np.ndarray,  # (n, k) written
) -> None:
    """``dx = scale / divisor w[c] f (p - [j = c])``, the gradient of ``scale / divisor sum(loss)``.

    ``f = (1 - q)^gamma - gamma (1 - q)^(gamma - 1) q log q`` with ``q = p[n, c]``.
    """
    factor = float(_quotient(scale, divisor))
    work, parts = 3 * p.nbytes * _STREAM + len(p) * _ROW, _row_parts(len(p), p.size)
    _focal_gradient(work, parts, p, target, _given(weights, p), int(ignore), float(gamma), factor, dx)


def target_weights(
    target: np.ndarray,  # (n,) int64 classes, read
    weights: np.ndarray | None,  # (k,) read
    ignore: int,
    share: np.ndarray,  # (n,) written
) -> None:
    """``share[n] = w[target[n]]``, 0 where target is ignore: what a weighted mean divides by the sum of."""
    ignored = target == ignore
    if weights is None:
        share.fill(1)
    else:
        np.take(weights, target, out=share, mode="clip")
    share[ignored] = 0


def _rows_work(x: np.ndarray) -> tuple[float, int]:
    """Nanoseconds on a thread, and parts."""
    return x.size * _EXP + len(x) * _ROW, _row_parts(len(x), x.size)


def _given(weights: np.ndarray | None, like: np.ndarray) -> np.ndarray:
    """The weights as kernels take them: none of them for none."""
    return like.reshape(-1)[:0] if weights is None else weights


def _quotient(scale: float, divisor: np.ndarray | None) -> float:
    if divisor is None:
        return scale
    return scale / float(divisor) if divisor else 0.0

"""Losses of vectors by their distances: the sums over a vector are a part's, in float64."""

from __future__ import annotations

import math

import numpy as np

from numbacnn._jit import jit, kernel, parts_for, run, split

__all__ = ["cosine_embedding_backward", "cosine_embedding_forward", "triplet_backward", "triplet_forward"]

_GRAIN = 4096  # elements per part
_STREAM = 0.1  # nanoseconds per byte on one thread
_COSINE = 1e-12  # added to squared lengths, so that a vector of zeros has an angle
_DISTANCE = 1e-6  # added to each difference of a distance that is a root


@jit
def _cosine(a, b):
    """The cosine of two vectors, and their squared lengths."""
    product, aa, bb = 0.0, _COSINE, _COSINE
    for i in range(a.size):
        u, v = np.float64(a[i]), np.float64(b[i])
        product += u * v
        aa += u * u
        bb += v * v
    return product / math.sqrt(aa * bb), aa, bb


@jit
def _cosine_part(part, parts, a, b, target, margin, loss):
    lo, hi = split(part, parts, a.shape[0])
    for row in range(lo, hi):
        cosine, _, _ = _cosine(a[row], b[row])
        far = cosine - margin
        loss[row] = 1.0 - cosine if target[row] == 1 else (0.0 if far <= 0.0 else far)


@jit
def _cosine_gradient_part(part, parts, a, b, target, margin, scale, da, db):
    lo, hi = split(part, parts, a.shape[0])
    for row in range(lo, hi):
        u, v, du, dv, real = a[row], b[row], da[row], db[row], a.dtype.type
        cosine, aa, bb = _cosine(u, v)
        factor = -scale if target[row] == 1 else (0.0 if cosine <= margin else scale)
        cross = real(factor / math.sqrt(aa * bb))
        mine, other = real(factor * cosine / aa), real(factor * cosine / bb)
        for i in range(u.size):
            du[i] = cross * v[i] - mine * u[i]
            dv[i] = cross * u[i] - other * v[i]


@jit
def _distances(a, p, n, squared):
    """The distances from a to p and to n."""
    near, far, more = 0.0, 0.0, 0.0 if squared else _DISTANCE
    for i in range(a.size):
        u, v = np.float64(a[i]) - p[i] + more, np.float64(a[i]) - n[i] + more
        near += u * u
        far += v * v
    return (near, far) if squared else (math.sqrt(near), math.sqrt(far))


@jit
def _triplet_part(part, parts, a, p, n, margin, squared, loss):
    lo, hi = split(part, parts, a.shape[0])
    for row in range(lo, hi):
        near, far = _distances(a[row], p[row], n[row], squared)
        value = near - far + margin
        loss[row] = 0.0 if value <= 0.0 else value


@jit
def _triplet_gradient_part(part, parts, anchor, positive, negative, margin, squared, scale, da, dp, dn):
    lo, hi = split(part, parts, anchor.shape[0])
    more = anchor.dtype.type(0.0 if squared else _DISTANCE)
    for row in range(lo, hi):
        a, p, n, real = anchor[row], positive[row], negative[row], anchor.dtype.type
        near, far = _distances(a, p, n, squared)
        active = 0.0 if near - far + margin <= 0.0 else scale
        if squared:
            to_near, to_far = real(2.0 * active), real(2.0 * active)
        else:
            to_near = real(active / near if near > 0.0 else 0.0)
            to_far = real(active / far if far > 0.0 else 0.0)
        du, dv, dw = da[row], dp[row], dn[row]
        for i in range(a.size):
            u, v = to_near * (a[i] - p[i] + more), to_far * (a[i] - n[i] + more)
            du[i] = u - v
            dv[i] = -u
            dw[i] = v


@kernel
def _cosines(team, parts, a, b, target, margin, loss):
    run(team, _cosine_part, parts, (a, b, target, margin, loss))


@kernel
def _cosines_gradient(team, parts, a, b, target, margin, scale, da, db):
    run(team, _cosine_gradient_part, parts, (a, b, target, margin, scale, da, db))


@kernel
def _triplets(team, parts, a, p, n, margin, squared, loss):
    run(team, _triplet_part, parts, (a, p, n, margin, squared, loss))


@kernel
def _triplets_gradient(team, parts, a, p, n, margin, squared, scale, da, dp, dn):
    run(team, _triplet_gradient_part, parts, (a, p, n, margin, squared, scale, da, dp, dn))


def _plan(a: np.ndarray, arrays: int) -> tuple[float, int]:
    """Nanoseconds on one thread, and parts."""
    return arrays * a.nbytes * _STREAM, max(1, min(len(a), parts_for(a.size, _GRAIN)))


def cosine_embedding_forward(
    a: np.ndarray,  # (n, d) read
    b: np.ndarray,  # (n, d) read
    target: np.ndarray,  # (n,) int64: 1 for like vectors, -1 for unlike ones; read
    margin: float,
    loss: np.ndarray,  # (n,) written
) -> None:
    """``loss[n] = 1 - cos(a[n], b[n])`` where target is 1, else ``max(0, cos(a[n], b[n]) - margin)``."""
    _cosines(*_plan(a, 2), a, b, target, float(margin), loss)


def cosine_embedding_backward(
    a: np.ndarray,  # (n, d) read
    b: np.ndarray,  # (n, d) read
    target: np.ndarray,  # (n,) read
    margin: float,
    scale: float,
    da: np.ndarray,  # (n, d) written
    db: np.ndarray,  # (n, d) written
) -> None:
    """The gradients of ``scale sum(loss)``: ``b / (|a| |b|) - cos a / |a|^2`` times scale and a sign."""
    _cosines_gradient(*_plan(a, 4), a, b, target, float(margin), float(scale), da, db)


def triplet_forward(
    anchor: np.ndarray,  # (n, d) read
    positive: np.ndarray,  # (n, d) read
    negative: np.ndarray,  # (n, d) read
    margin: float,
    squared: bool,
    loss: np.ndarray,  # (n,) written
) -> None:
    """``loss[n] = max(0, d(anchor, positive) - d(anchor, negative) + margin)``.

    d is the Euclidean distance of vectors, with 1e-6 added to each difference, or its square.
    """
    arrays = anchor, positive, negative
    _triplets(*_plan(anchor, 3), *arrays, float(margin), bool(squared), loss)


def triplet_backward(
    anchor: np.ndarray,  # (n, d) read
    positive: np.ndarray,  # (n, d) read
    negative: np.ndarray,  # (n, d) read
    margin: float,
    squared: bool,
    scale: float,
    da: np.ndarray,  # (n, d) written
    dp: np.ndarray,  # (n, d) written
    dn: np.ndarray,  # (n, d) written
) -> None:
    """The gradients of ``scale sum(loss)``: 0 where the loss is 0."""
    arrays, options = (anchor, positive, negative), (float(margin), bool(squared), float(scale))
    _triplets_gradient(*_plan(anchor, 6), *arrays, *options, da, dp, dn)

"""Softmax, and the losses of classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .window import Array, double


def _log_softmax(x: NDArray) -> NDArray[np.float64]:
    shifted = double(x) - double(x).max(axis=-1, keepdims=True)  # so that no exponential overflows
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def _wanted(
    target: NDArray, classes: int, ignore: int, smoothing: float, weights: NDArray | None
) -> NDArray[np.float64]:
    """What multiplies each negative log-probability, (n, k): 0 in the rows of ignored classes."""
    if target.ndim == 1:
        there = target != ignore
        probabilities = np.eye(classes)[np.where(there, target, 0)]
    else:
        there, probabilities = np.ones(len(target), dtype=bool), double(target)
    wanted = (1.0 - smoothing) * probabilities + smoothing / classes
    return np.where(there[:, None], wanted if weights is None else wanted * double(weights), 0.0)


def softmax_forward(
    x: Array,  # (..., k) read
    y: Array,  # (..., k) written
) -> None:
    """``y[..., j] = exp(x[..., j]) / sum over l of exp(x[..., l])``."""
    y[...] = np.exp(_log_softmax(x))


def softmax_backward(
    y: Array,  # (..., k) read: what the forward pass wrote
    dy: Array,  # (..., k) read
    dx: Array,  # (..., k) written
) -> None:
    """``dx[..., j] = y[..., j] (dy[..., j] - sum over l of dy[..., l] y[..., l])``."""
    weighted = double(dy) * double(y)
    dx[...] = weighted - double(y) * weighted.sum(axis=-1, keepdims=True)


def softmax_cross_entropy_forward(
    x: Array,  # (n, k) read
    target: NDArray,  # (n,) int64 classes, or (n, k) probabilities of the element type of x; read
    weights: Array | None,  # (k,) read, of the classes; None for ones
    ignore: int,  # rows of this class cost nothing
    smoothing: float,
    loss: Array,  # (n,) written
    p: Array,  # (n, k) written
) -> None:
    """``p = softmax(x)``, ``loss[n] = -sum over j of w[j] t[n, j] log p[n, j]``; 0 where target is ignore.

    ``t = (1-s) target + s / k``.
    """
    log_p = _log_softmax(x)
    loss[...] = -(_wanted(target, x.shape[1], ignore, smoothing, weights) * log_p).sum(axis=1)
    p[...] = np.exp(log_p)


def softmax_cross_entropy_backward(
    p: Array,  # (n, k) read: what the forward pass wrote
    target: NDArray,  # (n,) or (n, k) read
    weights: Array | None,  # (k,) read
    ignore: int,
    smoothing: float,
    divisor: Array | None,  # () read; None for 1
    scale: float,
    dx: Array,  # (n, k) written
) -> None:
    """``dx = scale / divisor (p sum over j of (w t)[j] - w t)``, for targets that sum to 1.

    The gradient of ``scale / divisor sum(loss)``; 0 where the divisor is 0.
    """
    wanted = _wanted(target, p.shape[1], ignore, smoothing, weights)
    whole = wanted.sum(axis=1) if weights is not None else target != ignore if target.ndim == 1 else 1.0
    dx[...] = _quotient(scale, divisor) * (double(p) * np.reshape(whole, (-1, 1)) - wanted)


def focal_cross_entropy_forward(
    x: Array,  # (n, k) read
    target: NDArray,  # (n,) int64 classes, read
    weights: Array | None,  # (k,) read
    ignore: int,
    gamma: float,
    loss: Array,  # (n,) written
    p: Array,  # (n, k) written
) -> None:
    """``p = softmax(x)``, ``loss[n] = -w[c] (1 - p[n, c])^gamma log p[n, c]`` of the target's class c."""
    log_p = _log_softmax(x)
    wanted = _wanted(target, x.shape[1], ignore, 0.0, weights)
    loss[...] = (wanted * (-np.expm1(log_p)) ** gamma * -log_p).sum(axis=1)
    p[...] = np.exp(log_p)


def focal_cross_entropy_backward(
    p: Array,  # (n, k) read: what the forward pass wrote
    target: NDArray,  # (n,) read
    weights: Array | None,  # (k,) read
    ignore: int,
    gamma: float,
    divisor: Array | None,  # () read; None for 1
    scale: float,
    dx: Array,  # (n, k) written
) -> None:
    """``dx = scale / divisor w[c] f (p - [j = c])``, the gradient of ``scale / divisor sum(loss)``.

    ``f = (1 - q)^gamma - gamma (1 - q)^(gamma - 1) q log q`` with ``q = p[n, c]``.
    """
    wanted = _wanted(target, p.shape[1], ignore, 0.0, weights)
    hit = wanted != 0.0
    right = (double(p) * hit).sum(axis=1)
    rest = (double(p) * ~hit).sum(axis=1)  # 1 - q would lose places near 1
    log_right = np.where(right > 0.5, np.log1p(-np.minimum(rest, 0.6)), np.log(np.maximum(right, 1e-300)))
    ratio = np.where(rest > 0.0, -log_right / np.where(rest > 0.0, rest, 1.0), 1.0)
    factor = rest**gamma * (1.0 + gamma * right * ratio)
    weight = wanted.sum(axis=1)
    dx[...] = _quotient(scale, divisor) * ((factor * weight)[:, None] * (double(p) - hit))


def target_weights(
    target: NDArray,  # (n,) int64 classes, read
    weights: Array | None,  # (k,) read
    ignore: int,
    share: Array,  # (n,) written
) -> None:
    """``share[n] = w[target[n]]``, 0 where target is ignore: what a weighted mean divides by the sum of."""
    there = target != ignore
    each = np.ones(len(target)) if weights is None else double(weights)[np.where(there, target, 0)]
    share[...] = np.where(there, each, 0.0)


def _quotient(scale: float, divisor: NDArray | None) -> float:
    if divisor is None:
        return scale
    return scale / float(divisor) if divisor else 0.0

"""Softmax and the losses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .window import Array, double


def _log_softmax(x: NDArray) -> NDArray[np.float64]:
    shifted = double(x) - double(x).max(axis=-1, keepdims=True)  # so that no exponential overflows
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def _smoothed(target: NDArray, classes: int, smoothing: float) -> NDArray[np.float64]:
    """Targets as probabilities, (n, k), with the share `smoothing` spread over all classes."""
    probabilities = np.eye(classes)[target] if target.ndim == 1 else double(target)
    return (1.0 - smoothing) * probabilities + smoothing / classes


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
    smoothing: float,
    loss: Array,  # (n,) written
    p: Array,  # (n, k) written
) -> None:
    """``p = softmax(x)``, ``loss[n] = -sum over j of t[n, j] log p[n, j]``, ``t = (1-s) target + s / k``."""
    log_p = _log_softmax(x)
    loss[...] = -(_smoothed(target, x.shape[1], smoothing) * log_p).sum(axis=1)
    p[...] = np.exp(log_p)


def softmax_cross_entropy_backward(
    p: Array,  # (n, k) read: what the forward pass wrote
    target: NDArray,  # (n,) or (n, k) read
    smoothing: float,
    scale: float,
    dx: Array,  # (n, k) written
) -> None:
    """``dx = scale (p - t)``: the gradient of ``scale sum(loss)`` for targets that sum to 1."""
    dx[...] = scale * (double(p) - _smoothed(target, p.shape[1], smoothing))


def mean_squared_error_forward(
    x: Array,  # (n, ...) read
    target: Array,  # (n, ...) read
    loss: Array,  # (n,) written
) -> None:
    """``loss[n] = mean of (x[n, ...] - target[n, ...])^2``."""
    loss[...] = ((double(x) - double(target)) ** 2).mean(axis=tuple(range(1, x.ndim)))


def mean_squared_error_backward(
    x: Array,  # (n, ...) read
    target: Array,  # (n, ...) read
    scale: float,
    dx: Array,  # (n, ...) written
) -> None:
    """``dx[n, ...] = 2 scale (x - target) / m``, m values per item: the gradient of ``scale sum(loss)``."""
    per_item = np.prod(x.shape[1:])
    dx[...] = 2.0 * scale * (double(x) - double(target)) / per_item

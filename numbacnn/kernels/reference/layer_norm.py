"""Normalisation of each row: of the last axes of an array."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .window import Array, double


def _rows(x: NDArray, leading: int) -> NDArray[np.float64]:
    """As (rows, elements), of so many leading axes and the others."""
    return double(x).reshape(math.prod(x.shape[:leading]), math.prod(x.shape[leading:]))


def layer_norm_forward(
    x: Array,  # (*rows, *inner) read
    gamma: Array | None,  # (*inner,) read; None: ones
    beta: Array | None,  # (*inner,) read; None: zeros
    epsilon: float,
    y: Array,  # (*rows, *inner) written
    statistics: Array,  # (*rows, 2) written: the mean, and 1 / sqrt(variance + epsilon), of each row
) -> None:
    """``y = gamma (x - mean) / sqrt(variance + epsilon) + beta``, mean and variance being those of a row."""
    rows = _rows(x, statistics.ndim - 1)
    mean = rows.mean(axis=1, keepdims=True)
    inverse = 1.0 / np.sqrt(((rows - mean) ** 2).mean(axis=1, keepdims=True) + epsilon)
    normal = (rows - mean) * inverse
    scaled = normal if gamma is None else normal * double(gamma).reshape(-1)
    y[...] = (scaled if beta is None else scaled + double(beta).reshape(-1)).reshape(y.shape)
    statistics[...] = np.concatenate([mean, inverse], axis=1).reshape(statistics.shape)


def layer_norm_backward(
    x: Array,  # (*rows, *inner) read
    statistics: Array,  # (*rows, 2) read: what the forward pass wrote
    gamma: Array | None,  # (*inner,) read
    dy: Array,  # (*rows, *inner) read
    dx: Array,  # (*rows, *inner) written
    dgamma: Array,  # (*inner,) written
    dbeta: Array,  # (*inner,) written
) -> None:
    """``dx = (g - mean(g) - z mean(g z)) / sqrt(variance + epsilon)``, ``g = gamma dy``, z the normalised x.

    ``dgamma = sum over rows of dy z`` and ``dbeta = sum over rows of dy``.
    """
    leading = statistics.ndim - 1
    rows, slopes = _rows(x, leading), _rows(dy, leading)
    mean, inverse = double(statistics).reshape(-1, 2, 1).swapaxes(0, 1)
    normal = (rows - mean) * inverse
    g = slopes if gamma is None else slopes * double(gamma).reshape(-1)
    along = (g * normal).mean(axis=1, keepdims=True)
    dx[...] = (inverse * (g - g.mean(axis=1, keepdims=True) - normal * along)).reshape(dx.shape)
    dgamma[...] = (slopes * normal).sum(axis=0).reshape(dgamma.shape)
    dbeta[...] = slopes.sum(axis=0).reshape(dbeta.shape)

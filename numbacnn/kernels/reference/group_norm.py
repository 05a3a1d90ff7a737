"""Normalisation of each example's groups of channels, over all pixels."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .window import Array, double


def _grouped(x: NDArray, groups: int) -> NDArray[np.float64]:
    """As (n, pixels, groups, channels of a group)."""
    pixels = math.prod(x.shape[1:-1])
    return double(x).reshape(x.shape[0], pixels, groups, x.shape[-1] // groups)


def _scaled(x: NDArray, gamma: NDArray | None) -> NDArray[np.float64]:
    return x if gamma is None else x * double(gamma).reshape(x.shape[2:])


def group_norm_forward(
    x: Array,  # (n, *pixels, c) read
    gamma: Array | None,  # (c,) read; None: ones
    beta: Array | None,  # (c,) read; None: zeros
    epsilon: float,
    y: Array,  # (n, *pixels, c) written
    statistics: Array,  # (n, groups, 2) written: mean, and 1 / sqrt(variance + epsilon), of each group
) -> None:
    """``y = gamma (x - mean) / sqrt(variance + epsilon) + beta``, of an example's group of channels."""
    values = _grouped(x, statistics.shape[1])
    mean = values.mean(axis=(1, 3), keepdims=True)
    inverse = 1.0 / np.sqrt(((values - mean) ** 2).mean(axis=(1, 3), keepdims=True) + epsilon)
    scaled = _scaled((values - mean) * inverse, gamma)
    y[...] = (scaled if beta is None else scaled + double(beta).reshape(scaled.shape[2:])).reshape(y.shape)
    statistics[...] = np.stack([mean, inverse], axis=-1).reshape(statistics.shape)


def group_norm_backward(
    x: Array,  # (n, *pixels, c) read
    statistics: Array,  # (n, groups, 2) read: what the forward pass wrote
    gamma: Array | None,  # (c,) read
    dy: Array,  # (n, *pixels, c) read
    dx: Array,  # (n, *pixels, c) written
    dgamma: Array,  # (c,) written
    dbeta: Array,  # (c,) written
) -> None:
    """``dx = (g - mean(g) - z mean(g z)) / sqrt(variance + epsilon)``, ``g = gamma dy``, z the normalised x.

    Means are over a group's channels and pixels; ``dgamma = sum of dy z`` and ``dbeta = sum of dy`` over
    examples and pixels.
    """
    groups = statistics.shape[1]
    values, slopes = _grouped(x, groups), _grouped(dy, groups)
    mean, inverse = (double(statistics[..., i])[:, None, :, None] for i in (0, 1))
    normal, g = (values - mean) * inverse, _scaled(slopes, gamma)
    along = (g * normal).mean(axis=(1, 3), keepdims=True)
    dx[...] = (inverse * (g - g.mean(axis=(1, 3), keepdims=True) - normal * along)).reshape(dx.shape)
    dgamma[...] = (slopes * normal).sum(axis=(0, 1)).reshape(dgamma.shape)
    dbeta[...] = slopes.sum(axis=(0, 1)).reshape(dbeta.shape)

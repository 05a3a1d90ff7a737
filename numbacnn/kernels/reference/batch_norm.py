"""Batch normalisation: statistics by channel, the normalised output with what follows it, and its gradients.

The last axis is the channels'; all others are the batch's. Statistics and parameters are of the element type
of x, or float32 where x has 16 bits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from numbacnn.epilogue import Activation

from .activated import activated, slope
from .window import Array, double


def batch_norm_statistics(
    x: Array,  # (..., c) read
    momentum: float,
    running_mean: Array | None,  # (c,) updated, or None
    running_variance: Array | None,  # (c,) updated, or None
    mean: Array,  # (c,) written
    variance: Array,  # (c,) written
) -> None:
    """``mean = E[x]``, ``variance = E[(x - mean)^2]``; ``running = momentum running + (1 - momentum) new``.

    The running variance takes the unbiased ``variance m / (m - 1)`` of m values. Of less than two values the
    running statistics stay as they are; of none mean and variance are 0.
    """
    rows = double(x).reshape(-1, x.shape[-1])
    count = len(rows)
    exact = rows.mean(axis=0) if count else np.zeros(x.shape[-1])
    squares = ((rows - exact) ** 2).sum(axis=0)
    mean[...], variance[...] = exact, squares / max(1, count)
    if running_mean is not None and running_variance is not None and count > 1:
        running_mean[...] = momentum * double(running_mean) + (1.0 - momentum) * exact
        unbiased = squares / (count - 1)
        running_variance[...] = momentum * double(running_variance) + (1.0 - momentum) * unbiased


def _linear(
    x: Array, mean: Array, variance: Array, gamma: Array | None, beta: Array | None, epsilon: float,
    residual: Array | None,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:  # fmt: skip
    """The normalised x, the inverse of the deviation, and what the activation is applied to."""
    inverse = 1.0 / np.sqrt(double(variance) + epsilon)
    normal = (double(x) - mean) * inverse
    z = normal if gamma is None else normal * gamma
    z = z if beta is None else z + beta
    return normal, inverse, z if residual is None else z + residual


def batch_norm_forward(
    x: Array,  # (..., c) read
    mean: Array,  # (c,) read
    variance: Array,  # (c,) read
    gamma: Array | None,  # (c,) read, or None for 1
    beta: Array | None,  # (c,) read, or None for 0
    epsilon: float,
    residual: Array | None,  # (..., c) read, or None for 0
    activation: Activation | None,
    y: Array,  # (..., c) written
) -> None:
    """``y = activation(gamma (x - mean) / sqrt(variance + epsilon) + beta + residual)``."""
    y[...] = activated(_linear(x, mean, variance, gamma, beta, epsilon, residual)[2], activation)


def batch_norm_backward(
    x: Array,  # (..., c) read
    mean: Array,  # (c,) read
    variance: Array,  # (c,) read
    gamma: Array | None,  # (c,) read, or None for 1
    beta: Array | None,  # (c,) read, or None for 0
    epsilon: float,
    residual: Array | None,  # (..., c) read, or None for 0
    activation: Activation | None,
    constant: bool,  # whether mean and variance do not depend on x
    dy: Array,  # (..., c) read
    dx: Array | None,  # (..., c) written, or None
    dresidual: Array | None,  # (..., c) written, or None
    dgamma: Array | None,  # (c,) written, or None
    dbeta: Array | None,  # (c,) written, or None
) -> None:
    """``dresidual = g = dy activation'``, ``dbeta = sum(g)``, ``dgamma = sum(g n)``, n the normalised x.

    ``dx = gamma (g - dbeta / m - n dgamma / m) / sqrt(variance + epsilon)`` of m values per channel; where
    the statistics are constant, ``dx = gamma g / sqrt(variance + epsilon)``.
    """
    normal, inverse, z = _linear(x, mean, variance, gamma, beta, epsilon, residual)
    g = double(dy) * slope(z, activation)
    axes = tuple(range(x.ndim - 1))
    sums, products = g.sum(axis=axes), (g * normal).sum(axis=axes)
    if dx is not None:
        m = max(1, x.size // x.shape[-1])
        core = g if constant else g - sums / m - normal * (products / m)
        dx[...] = core * inverse if gamma is None else core * inverse * gamma
    if dresidual is not None:
        dresidual[...] = g
    if dgamma is not None:
        dgamma[...] = products
    if dbeta is not None:
        dbeta[...] = sums

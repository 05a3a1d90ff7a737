"""Sums of arrays with a weight each, as they are or normalised."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .window import Array, double


def _factors(weights: Array, epsilon: float | None) -> NDArray[np.float64]:
    """The weights, or ``relu(w) / (epsilon + sum(relu(w)))``."""
    if epsilon is None:
        return double(weights)
    positive = np.maximum(double(weights), 0.0)
    return positive / (epsilon + positive.sum())


def weighted_sum_forward(
    inputs: tuple[Array, ...],  # of one shape, read
    weights: Array,  # (len(inputs),) read
    epsilon: float | None,  # None: weights as they are, else normalised
    y: Array,  # of that shape, written
) -> None:
    """``y = sum of n_k x_k``, ``n = weights`` or ``n_k = relu(w_k) / (epsilon + sum of relu(w_j))``."""
    factors = _factors(weights, epsilon)
    y[...] = sum(n * double(x) for n, x in zip(factors, inputs, strict=True))


def weighted_sum_backward(
    dy: Array,  # of the inputs' shape, read
    weights: Array,  # (inputs,) read
    epsilon: float | None,
    gradients: tuple[Array, ...],  # of that shape each, written
) -> None:
    """``dx_k = n_k dy``."""
    for n, dx in zip(_factors(weights, epsilon), gradients, strict=True):
        dx[...] = n * double(dy)


def weighted_sum_backward_weights(
    inputs: tuple[Array, ...],  # of one shape, read
    dy: Array,  # of that shape, read
    weights: Array,  # (len(inputs),) read
    epsilon: float | None,
    dw: Array,  # (len(inputs),) written
) -> None:
    """``dw_k = dn_k = sum(x_k dy)``; normalised ``(dn_k - sum of n_j dn_j) / (epsilon + sum of relu(w_j))``.

    Of a weight that is not above 0 the latter is 0.
    """
    dn = np.array([(double(x) * double(dy)).sum() for x in inputs])
    if epsilon is None:
        dw[...] = dn
        return
    total = epsilon + np.maximum(double(weights), 0.0).sum()
    dw[...] = np.where(double(weights) > 0.0, dn - (_factors(weights, epsilon) * dn).sum(), 0.0) / total

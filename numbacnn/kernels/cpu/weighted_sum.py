"""Sums of arrays with a weight each, as they are or normalised.

A part goes through its stretch in blocks that stay in the cache, array by array: each is read once, and the
sum is written once, however many there are.
"""

from __future__ import annotations

import numpy as np

from numbacnn._jit import jit, kernel, parts_for, run, split

__all__ = ["weighted_sum_backward", "weighted_sum_backward_weights", "weighted_sum_forward"]

_GRAIN = 16384  # elements per part: some microseconds
_BLOCK = 2048  # elements that stay in L1 while array after array is added
_RUN = 4096  # elements summed in the element type, before the sum goes to float64
_STREAM = 0.035  # nanoseconds per byte on one thread: memory gives some 30 GB/s


@jit
def _sum_part(part, parts, arrays, factors, y):
    first, last = split(part, parts, y.size)
    for lo in range(first, last, _BLOCK):
        hi = min(lo + _BLOCK, last)
        out = y[lo:hi]
        x, factor = arrays[0][lo:hi], factors[0]
        for i in range(out.size):
            out[i] = factor * x[i]
        for k in range(1, len(arrays)):
            x, factor = arrays[k][lo:hi], factors[k]
            for i in range(out.size):
                out[i] += factor * x[i]


@jit
def _scale_part(part, parts, dy, factors, arrays):
    first, last = split(part, parts, dy.size)
    for lo in range(first, last, _BLOCK):
        hi = min(lo + _BLOCK, last)
        gradient = dy[lo:hi]
        for k in range(len(arrays)):
            dx, factor = arrays[k][lo:hi], factors[k]
            for i in range(dx.size):
                dx[i] = factor * gradient[i]


@jit
def _dot_part(part, parts, arrays, dy, sums):
    """Sums of a run of elements for each array."""
    lo, hi = part * _RUN, min((part + 1) * _RUN, dy.size)
    gradient = dy[lo:hi]
    for k in range(len(arrays)):
        x = arrays[k][lo:hi]
        total = dy.dtype.type(0)
        for i in range(x.size):
            total += x[i] * gradient[i]
        sums[part, k] = total


@kernel
def _sum(team, parts, arrays, factors, y):
    run(team, _sum_part, parts, (arrays, factors, y))


@kernel
def _scale(team, parts, dy, factors, arrays):
    run(team, _scale_part, parts, (dy, factors, arrays))


@kernel
def _dot(team, parts, arrays, dy, sums):
    run(team, _dot_part, parts, (arrays, dy, sums))


def _factors(weights: np.ndarray, epsilon: float | None) -> np.ndarray:
    """The weights, or ``relu(w) / (epsilon + sum(relu(w)))``."""
    if epsilon is None:
        return weights
    positive = np.maximum(weights.astype(np.float64), 0.0)
    return (positive / (epsilon + positive.sum())).astype(weights.dtype)


def weighted_sum_forward(
    inputs: tuple[np.ndarray, ...],  # of one shape, read
    weights: np.ndarray,  # (len(inputs),) read
    epsilon: float | None,  # None: weights as they are, else normalised
    y: np.ndarray,  # of that shape, written
) -> None:
    """``y = sum of n_k x_k``, ``n = weights`` or ``n_k = relu(w_k) / (epsilon + sum of relu(w_j))``."""
    work = (len(inputs) + 1) * y.nbytes * _STREAM
    flat = tuple(x.reshape(-1) for x in inputs)
    _sum(work, parts_for(y.size, _GRAIN), flat, _factors(weights, epsilon), y.reshape(-1))


def weighted_sum_backward(
    dy: np.ndarray,  # of the inputs' shape, read
    weights: np.ndarray,  # (inputs,) read
    epsilon: float | None,
    gradients: tuple[np.ndarray, ...],  # of that shape each, written
) -> None:
    """``dx_k = n_k dy``."""
    work = (len(gradients) + 1) * dy.nbytes * _STREAM
    flat = tuple(dx.reshape(-1) for dx in gradients)
    _scale(work, parts_for(dy.size, _GRAIN), dy.reshape(-1), _factors(weights, epsilon), flat)


def weighted_sum_backward_weights(
    inputs: tuple[np.ndarray, ...],  # of one shape, read
    dy: np.ndarray,  # of that shape, read
    weights: np.ndarray,  # (len(inputs),) read
    epsilon: float | None,
    dw: np.ndarray,  # (len(inputs),) written
) -> None:
    """``dw_k = dn_k = sum(x_k dy)``; normalised ``(dn_k - sum of n_j dn_j) / (epsilon + sum of relu(w_j))``.

    Of a weight that is not above 0 the latter is 0.
    """
    parts = parts_for(dy.size, _RUN)
    sums = np.zeros((parts, len(inputs)), np.float64)
    work = (len(inputs) + 1) * dy.nbytes * _STREAM
    _dot(work, parts, tuple(x.reshape(-1) for x in inputs), dy.reshape(-1), sums)
    dn = sums.sum(axis=0)
    if epsilon is not None:
        positive = np.maximum(weights.astype(np.float64), 0.0)
        total = epsilon + positive.sum()
        dn = np.where(weights > 0, dn - (positive / total * dn).sum(), 0.0) / total
    dw[...] = dn

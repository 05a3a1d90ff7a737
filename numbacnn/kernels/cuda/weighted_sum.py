"""Sums of arrays with a weight each, as they are or normalised; the weights stay on the device.

A launch takes up to four arrays; the sum of more goes on from that of those before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .intrinsics import block_x, i64, load, maximum, real, store, thread
from .launch import ceil_div, device, kernel
from .memory import DeviceArray, empty
from .reduce import row_sums

__all__ = ["weighted_sum_backward", "weighted_sum_backward_weights", "weighted_sum_forward"]

if TYPE_CHECKING:  # constants that kernels are specialised by
    COUNT = 1  # arrays of the launch
    NORMAL = False  # weights are normalised
    ONWARD = False  # the sum goes on from what was written

_THREADS = 256
_MOST = 4  # arrays of a launch


@device
def share_of(weights, count, epsilon):
    """What positive weights are multiplied by: 1 over epsilon and their sum."""
    total = epsilon
    for k in range(count):
        total += maximum(load(weights, k), real(0))
    return real(1) / total


@device
def factor_of(weights, k, share):
    """A weight, normalised where that is asked for."""
    weight = load(weights, k)
    return maximum(weight, real(0)) * share if NORMAL else weight


@kernel("weights a b c d y epsilon:real count:i32 first:i32 n:i64", threads=_THREADS)
def _sum(weights, a, b, c, d, y, epsilon, count, first, n):
    """One element of the sum of COUNT arrays."""
    i = i64(block_x()) * _THREADS + thread()
    if i < n:
        share = share_of(weights, count, epsilon) if NORMAL else real(1)
        total = factor_of(weights, first, share) * load(a, i)
        if ONWARD:
            total = load(y, i) + total
        if COUNT > 1:
            total += factor_of(weights, first + 1, share) * load(b, i)
        if COUNT > 2:
            total += factor_of(weights, first + 2, share) * load(c, i)
        if COUNT > 3:
            total += factor_of(weights, first + 3, share) * load(d, i)
        store(y, i, total)


@kernel("dy weights a b c d epsilon:real count:i32 first:i32 n:i64", threads=_THREADS)
def _scale(dy, weights, a, b, c, d, epsilon, count, first, n):
    """One element of the gradients of COUNT arrays."""
    i = i64(block_x()) * _THREADS + thread()
    if i < n:
        share = share_of(weights, count, epsilon) if NORMAL else real(1)
        gradient = load(dy, i)
        store(a, i, factor_of(weights, first, share) * gradient)
        if COUNT > 1:
            store(b, i, factor_of(weights, first + 1, share) * gradient)
        if COUNT > 2:
            store(c, i, factor_of(weights, first + 2, share) * gradient)
        if COUNT > 3:
            store(d, i, factor_of(weights, first + 3, share) * gradient)


@kernel("sums weights dw epsilon:real count:i32", threads=32)
def _finish(sums, weights, dw, epsilon, count):
    """The gradients by the weights, from those by what the arrays were multiplied by."""
    if thread() == 0:
        share = share_of(weights, count, epsilon) if NORMAL else real(1)
        mean = real(0)
        if NORMAL:
            for k in range(count):
                mean += factor_of(weights, k, share) * load(sums, k)
        for k in range(count):
            slope = load(sums, k)
            if NORMAL:
                slope = (slope - mean) * share if load(weights, k) > real(0) else real(0)
            store(dw, k, slope)


def weighted_sum_forward(
    inputs: tuple[DeviceArray, ...],  # of one shape, read
    weights: DeviceArray,  # (len(inputs),) read
    epsilon: float | None,  # None: weights as they are, else normalised
    y: DeviceArray,  # of that shape, written
) -> None:
    """``y = sum of n_k x_k``, ``n = weights`` or ``n_k = relu(w_k) / (epsilon + sum of relu(w_j))``."""
    for first in range(0, len(inputs), _MOST):
        taken = inputs[first : first + _MOST]
        variant = _sum.of(COUNT=len(taken), NORMAL=epsilon is not None, ONWARD=first > 0)
        variant(*_arguments((weights,), taken, y, epsilon, len(inputs), first))


def weighted_sum_backward(
    dy: DeviceArray,  # of the inputs' shape, read
    weights: DeviceArray,  # (inputs,) read
    epsilon: float | None,
    gradients: tuple[DeviceArray, ...],  # of that shape each, written
) -> None:
    """``dx_k = n_k dy``."""
    for first in range(0, len(gradients), _MOST):
        taken = gradients[first : first + _MOST]
        variant = _scale.of(COUNT=len(taken), NORMAL=epsilon is not None)
        variant(*_arguments((dy, weights), taken, None, epsilon, len(gradients), first))


def weighted_sum_backward_weights(
    inputs: tuple[DeviceArray, ...],  # of one shape, read
    dy: DeviceArray,  # of that shape, read
    weights: DeviceArray,  # (len(inputs),) read
    epsilon: float | None,
    dw: DeviceArray,  # (len(inputs),) written
) -> None:
    """``dw_k = dn_k = sum(x_k dy)``; normalised ``(dn_k - sum of n_j dn_j) / (epsilon + sum of relu(w_j))``.

    Of a weight that is not above 0 the latter is 0.
    """
    computed = np.float64 if dy.dtype == np.float64 else np.float32
    sums = empty((len(inputs),), computed)
    for k, x in enumerate(inputs):
        row_sums("products", x, dy, 1, sums[k : k + 1])
    number = 0.0 if epsilon is None else epsilon
    _finish.of(NORMAL=epsilon is not None)(1, sums, weights, dw, number, len(inputs))


def _arguments(
    before: tuple[DeviceArray, ...],
    taken: tuple[DeviceArray, ...],
    y: DeviceArray | None,
    epsilon: float | None,
    count: int,
    first: int,
) -> tuple[Any, ...]:
    """The grid and the arguments of a launch."""
    n, missing = taken[0].size, (None,) * (_MOST - len(taken))
    after = () if y is None else (y,)
    number = 0.0 if epsilon is None else epsilon
    return ceil_div(n, _THREADS), *before, *taken, *missing, *after, number, count, first, n

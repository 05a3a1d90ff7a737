"""Losses that are the mean, or the sum, of what each element and its target cost: one body for all of them.

Which loss it is, is a literal that the two kernels are compiled for. Terms are summed in their own type over
blocks of a row, and the blocks in float64; a row is a part's, so that no sum depends on the parts.
"""

from __future__ import annotations

import math as scalar_math

import numpy as np

from numbacnn._jit import jit, kernel, parts_for, run, split
from numbacnn._native import Literal

from . import math

__all__ = [
    "binary_cross_entropy_backward",
    "binary_cross_entropy_forward",
    "focal_backward",
    "focal_forward",
    "huber_backward",
    "huber_forward",
    "kl_divergence_backward",
    "kl_divergence_forward",
    "mean_absolute_error_backward",
    "mean_absolute_error_forward",
    "mean_squared_error_backward",
    "mean_squared_error_forward",
]

_SQUARED, _ABSOLUTE, _HUBER, _BINARY, _FOCAL, _KL, _KL_LOG = range(7)

_GRAIN = 4096  # elements per part
_BLOCK = 4096  # elements summed in the element type, before the sum goes to float64
_STREAM = 0.035  # nanoseconds per byte on one thread: memory gives some 30 GB/s
_LOG = 8.0  # nanoseconds per element with a logarithm, on one thread


@jit
def log1p(x):
    """``log(1 + x)`` for x from -1/2 to 1, which vectorises: ``2 artanh(s)``, ``s = x / (2 + x)``.

    The series in s^2, of 1/9 at most, is cut where its terms are below a float64's last place.
    """
    s = x / (type(x)(2) + x)
    square, total = s * s, type(x)(0)
    for k in range(16, -1, -1):
        total = total * square + type(x)(2.0 / (2 * k + 1))
    return s * total


@jit
def _softpluses(x):
    """``log(1 + exp(-x))`` and ``log(1 + exp(x))``, neither a difference of large numbers."""
    zero = type(x)(0)
    tail = log1p(math.exp(-abs(x)))
    return tail + (-x if x < zero else zero), tail + (x if x > zero else zero)


@jit
def _chances(x):
    """``1 / (1 + exp(x))`` and ``1 / (1 + exp(-x))``."""
    one = type(x)(1)
    small = math.exp(-abs(x))
    large = one / (one + small)
    return (small * large, large) if x >= type(x)(0) else (large, small * large)


@jit
def _term(what, x, t, w, a, b, c):
    """What an element costs: w is the weight of its class, a to c numbers of the loss."""
    zero, one = type(x)(0), type(x)(1)
    if what == _SQUARED:
        return (x - t) * (x - t)
    if what == _ABSOLUTE:
        return abs(x - t)
    if what == _HUBER:
        r = abs(x - t)
        return type(x)(0.5) * r * r if r < a else a * (r - type(x)(0.5) * a)
    if what == _KL:
        return t * (scalar_math.log(t) - x) if t > zero else zero
    if what == _KL_LOG:
        p = math.exp(t)
        return p * (t - x) if p > zero else zero
    right, wrong = _softpluses(x)
    if what == _BINARY:
        return w * t * right + (one - t) * wrong
    low, high = _chances(x)
    return (a * t + b * (one - t)) * (t * low + (one - t) * high) ** c * (t * right + (one - t) * wrong)


@jit
def _slope(what, x, t, w, a, b, c):
    """The slope of `_term` by x."""
    zero, one = type(x)(0), type(x)(1)
    if what == _SQUARED:
        return type(x)(2) * (x - t)
    if what == _ABSOLUTE:
        r = x - t
        return one if r > zero else (-one if r < zero else r)  # 0 and NaN stay
    if what == _HUBER:
        r = x - t
        r = a if r > a else r
        return -a if r < -a else r
    if what == _KL:
        return -t
    if what == _KL_LOG:
        return -math.exp(t)
    low, high = _chances(x)
    if what == _BINARY:
        return (one - t) * high - w * t * low
    right, wrong = _softpluses(x)
    missed = t * low + (one - t) * high
    ratio = low * high / missed if missed > zero else zero
    entropy = t * right + (one - t) * wrong
    slope = (one - t) * high - t * low + c * ratio * (one - t - t) * entropy
    return (a * t + b * (one - t)) * missed**c * slope


@jit
def _values_part(part, parts, what, x, target, weights, numbers, factor, loss):
    lo, hi = split(part, parts, x.shape[0])
    a, b, c = numbers
    for row in range(lo, hi):
        total, k = 0.0, 0
        for first in range(0, x.shape[1], _BLOCK):
            values, wanted = x[row, first : first + _BLOCK], target[row, first : first + _BLOCK]
            block = x.dtype.type(0)
            if weights.size == 1:
                for i in range(values.size):
                    block += _term(what, values[i], wanted[i], weights[0], a, b, c)
            else:
                for i in range(values.size):
                    block += _term(what, values[i], wanted[i], weights[k], a, b, c)
                    k = k + 1 if k + 1 < weights.size else 0
            total += block
        loss[row] = total * factor


@jit
def _slopes_part(part, parts, what, x, target, weights, numbers, factor, dx):
    lo, hi = split(part, parts, x.size)
    a, b, c = numbers
    k = lo % weights.size
    x, target, dx = x[lo:hi], target[lo:hi], dx[lo:hi]
    if weights.size == 1:
        for i in range(x.size):
            dx[i] = factor * _slope(what, x[i], target[i], weights[0], a, b, c)
    else:
        for i in range(x.size):
            dx[i] = factor * _slope(what, x[i], target[i], weights[k], a, b, c)
            k = k + 1 if k + 1 < weights.size else 0


@kernel
def _values(team, parts, what, x, target, weights, numbers, factor, loss):
    run(team, _values_part, parts, (what, x, target, weights, numbers, factor, loss))


@kernel
def _slopes(team, parts, what, x, target, weights, numbers, factor, dx):
    run(team, _slopes_part, parts, (what, x, target, weights, numbers, factor, dx))


def _sum(what, x, target, loss, numbers=(0.0, 0.0, 0.0), weights=None, mean=True):
    """Write the means, or sums, of an item's terms."""
    rows, size = len(x), x.size // max(1, len(x))
    shape, real = (rows, size), x.dtype.type
    _values(
        _work(what, 2 * x.nbytes, x.size),
        max(1, min(rows, parts_for(x.size, _GRAIN))),
        Literal(what),
        *(x.reshape(shape), target.reshape(shape), _weights(weights, x)),
        tuple(real(number) for number in numbers),
        1.0 / max(1, size) if mean else 1.0,
        loss,
    )


def _differ(what, x, target, scale, dx, numbers=(0.0, 0.0, 0.0), weights=None):
    """Write the slopes of all terms, times scale."""
    real = x.dtype.type
    _slopes(
        _work(what, 3 * x.nbytes, x.size),
        parts_for(x.size, _GRAIN),
        Literal(what),
        *(x.reshape(-1), target.reshape(-1), _weights(weights, x)),
        tuple(real(number) for number in numbers),
        real(scale),
        dx.reshape(-1),
    )


def _weights(weights: np.ndarray | None, x: np.ndarray) -> np.ndarray:
    return np.ones(1, x.dtype) if weights is None else weights


def _work(what: int, nbytes: int, size: int) -> float:
    return nbytes * _STREAM + (size * _LOG if what in (_BINARY, _FOCAL, _KL) else 0.0)


def _share(scale: float, x: np.ndarray) -> float:
    """The scale of an element, of which an item has several."""
    return scale * len(x) / max(1, x.size)


def mean_squared_error_forward(
    x: np.ndarray,  # (n, ...) read
    target: np.ndarray,  # (n, ...) read
    loss: np.ndarray,  # (n,) written
) -> None:
    """``loss[n] = mean of (x[n, ...] - target[n, ...])^2``."""
    _sum(_SQUARED, x, target, loss)


def mean_squared_error_backward(
    x: np.ndarray,  # (n, ...) read
    target: np.ndarray,  # (n, ...) read
    scale: float,
    dx: np.ndarray,  # (n, ...) written
) -> None:
    """``dx[n, ...] = 2 scale (x - target) / m``, m values per item: the gradient of ``scale sum(loss)``."""
    _differ(_SQUARED, x, target, _share(scale, x), dx)


def mean_absolute_error_forward(
    x: np.ndarray,  # (n, ...) read
    target: np.ndarray,  # (n, ...) read
    loss: np.ndarray,  # (n,) written
) -> None:
    """``loss[n] = mean of |x[n, ...] - target[n, ...]|``."""
    _sum(_ABSOLUTE, x, target, loss)


def mean_absolute_error_backward(
    x: np.ndarray,  # (n, ...) read
    target: np.ndarray,  # (n, ...) read
    scale: float,
    dx: np.ndarray,  # (n, ...) written
) -> None:
    """``dx[n, ...] = scale sign(x - target) / m``, m values per item; 0 where they are equal."""
    _differ(_ABSOLUTE, x, target, _share(scale, x), dx)


def huber_forward(
    x: np.ndarray,  # (n, ...) read
    target: np.ndarray,  # (n, ...) read
    delta: float,
    loss: np.ndarray,  # (n,) written
) -> None:
    """``loss[n] = mean of h(x - t)``, ``h(r) = r^2 / 2 where |r| < delta, else delta (|r| - delta / 2)``."""
    _sum(_HUBER, x, target, loss, (delta, 0.0, 0.0))


def huber_backward(
    x: np.ndarray,  # (n, ...) read
    target: np.ndarray,  # (n, ...) read
    delta: float,
    scale: float,
    dx: np.ndarray,  # (n, ...) written
) -> None:
    """``dx[n, ...] = scale min(max(x - target, -delta), delta) / m``, m values per item."""
    _differ(_HUBER, x, target, _share(scale, x), dx, (delta, 0.0, 0.0))


def binary_cross_entropy_forward(
    x: np.ndarray,  # (n, ..., c) read: logits
    target: np.ndarray,  # (n, ..., c) read: probabilities
    weights: np.ndarray | None,  # (c,) or (1,) read: of what is to be 1; None for 1
    loss: np.ndarray,  # (n,) written
) -> None:
    """``loss[n] = mean of w t log(1 + exp(-x)) + (1 - t) log(1 + exp(x))``."""
    _sum(_BINARY, x, target, loss, weights=weights)


def binary_cross_entropy_backward(
    x: np.ndarray,  # (n, ..., c) read
    target: np.ndarray,  # (n, ..., c) read
    weights: np.ndarray | None,  # (c,) or (1,) read
    scale: float,
    dx: np.ndarray,  # (n, ..., c) written
) -> None:
    """``dx = scale ((1 - t) s(x) - w t s(-x)) / m``, s the sigmoid, m values per item."""
    _differ(_BINARY, x, target, _share(scale, x), dx, weights=weights)


def focal_forward(
    x: np.ndarray,  # (n, ...) read: logits
    target: np.ndarray,  # (n, ...) read: probabilities
    positive: float,  # weight of what is to be 1
    negative: float,  # and of what is to be 0
    gamma: float,
    loss: np.ndarray,  # (n,) written
) -> None:
    """``loss[n] = mean of a q^gamma e``: e the binary cross-entropy, q the probability of being wrong.

    ``q = t s(-x) + (1 - t) s(x)``, ``a = positive t + negative (1 - t)``.
    """
    _sum(_FOCAL, x, target, loss, (positive, negative, gamma))


def focal_backward(
    x: np.ndarray,  # (n, ...) read
    target: np.ndarray,  # (n, ...) read
    positive: float,
    negative: float,
    gamma: float,
    scale: float,
    dx: np.ndarray,  # (n, ...) written
) -> None:
    """``dx = scale a (q^gamma e' + gamma q^(gamma - 1) q' e) / m``, m values per item.

    ``e' = (1 - t) s(x) - t s(-x)``, ``q' = (1 - 2 t) s(x) s(-x)``.
    """
    _differ(_FOCAL, x, target, _share(scale, x), dx, (positive, negative, gamma))


def kl_divergence_forward(
    x: np.ndarray,  # (n, ...) read: log-probabilities
    target: np.ndarray,  # (n, ...) read: probabilities, or their logarithms
    logarithms: bool,
    loss: np.ndarray,  # (n,) written
) -> None:
    """``loss[n] = sum of t (log t - x)``, 0 where t is 0; with logarithms ``sum of exp(t) (t - x)``."""
    _sum(_KL_LOG if logarithms else _KL, x, target, loss, mean=False)


def kl_divergence_backward(
    target: np.ndarray,  # (n, ...) read
    logarithms: bool,
    scale: float,
    dx: np.ndarray,  # (n, ...) written
) -> None:
    """``dx = -scale t``, or ``-scale exp(t)``: the gradient of ``scale sum(loss)`` by x."""
    _differ(_KL_LOG if logarithms else _KL, target, target, scale, dx)

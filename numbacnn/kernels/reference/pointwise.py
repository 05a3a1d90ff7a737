"""Losses that are the mean, or the sum, of what each element and its target cost."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .window import Array, double


def _mean(terms: NDArray) -> NDArray[np.float64]:
    return terms.mean(axis=tuple(range(1, terms.ndim)))


def _size(x: NDArray) -> int:
    return int(np.prod(x.shape[1:]))


def mean_squared_error_forward(
    x: Array,  # (n, ...) read
    target: Array,  # (n, ...) read
    loss: Array,  # (n,) written
) -> None:
    """``loss[n] = mean of (x[n, ...] - target[n, ...])^2``."""
    loss[...] = _mean((double(x) - double(target)) ** 2)


def mean_squared_error_backward(
    x: Array,  # (n, ...) read
    target: Array,  # (n, ...) read
    scale: float,
    dx: Array,  # (n, ...) written
) -> None:
    """``dx[n, ...] = 2 scale (x - target) / m``, m values per item: the gradient of ``scale sum(loss)``."""
    dx[...] = 2.0 * scale * (double(x) - double(target)) / _size(x)


def mean_absolute_error_forward(
    x: Array,  # (n, ...) read
    target: Array,  # (n, ...) read
    loss: Array,  # (n,) written
) -> None:
    """``loss[n] = mean of |x[n, ...] - target[n, ...]|``."""
    loss[...] = _mean(np.abs(double(x) - double(target)))


def mean_absolute_error_backward(
    x: Array,  # (n, ...) read
    target: Array,  # (n, ...) read
    scale: float,
    dx: Array,  # (n, ...) written
) -> None:
    """``dx[n, ...] = scale sign(x - target) / m``, m values per item; 0 where they are equal."""
    dx[...] = scale * np.sign(double(x) - double(target)) / _size(x)


def huber_forward(
    x: Array,  # (n, ...) read
    target: Array,  # (n, ...) read
    delta: float,
    loss: Array,  # (n,) written
) -> None:
    """``loss[n] = mean of h(x - t)``, ``h(r) = r^2 / 2 where |r| < delta, else delta (|r| - delta / 2)``."""
    r = np.abs(double(x) - double(target))
    loss[...] = _mean(np.where(r < delta, r * r / 2.0, delta * (r - delta / 2.0)))


def huber_backward(
    x: Array,  # (n, ...) read
    target: Array,  # (n, ...) read
    delta: float,
    scale: float,
    dx: Array,  # (n, ...) written
) -> None:
    """``dx[n, ...] = scale min(max(x - target, -delta), delta) / m``, m values per item."""
    dx[...] = scale * np.clip(double(x) - double(target), -delta, delta) / _size(x)


def _softplus(x: NDArray) -> NDArray[np.float64]:
    return np.logaddexp(0.0, double(x))


def _sigmoid(x: NDArray) -> NDArray[np.float64]:
    small = np.exp(-np.abs(double(x)))
    return np.where(double(x) >= 0.0, 1.0, small) / (1.0 + small)


def binary_cross_entropy_forward(
    x: Array,  # (n, ..., c) read: logits
    target: Array,  # (n, ..., c) read: probabilities
    weights: Array | None,  # (c,) or (1,) read: of what is to be 1; None for 1
    loss: Array,  # (n,) written
) -> None:
    """``loss[n] = mean of w t log(1 + exp(-x)) + (1 - t) log(1 + exp(x))``."""
    t = double(target)
    w = 1.0 if weights is None else double(weights)
    loss[...] = _mean(w * t * _softplus(-double(x)) + (1.0 - t) * _softplus(x))


def binary_cross_entropy_backward(
    x: Array,  # (n, ..., c) read
    target: Array,  # (n, ..., c) read
    weights: Array | None,  # (c,) or (1,) read
    scale: float,
    dx: Array,  # (n, ..., c) written
) -> None:
    """``dx = scale ((1 - t) s(x) - w t s(-x)) / m``, s the sigmoid, m values per item."""
    t = double(target)
    w = 1.0 if weights is None else double(weights)
    slope = (1.0 - t) * _sigmoid(x) - w * t * _sigmoid(-double(x))
    dx[...] = scale * slope / _size(x)


def focal_forward(
    x: Array,  # (n, ...) read: logits
    target: Array,  # (n, ...) read: probabilities
    positive: float,  # weight of what is to be 1
    negative: float,  # and of what is to be 0
    gamma: float,
    loss: Array,  # (n,) written
) -> None:
    """``loss[n] = mean of a q^gamma e``: e the binary cross-entropy, q the probability of being wrong.

    ``q = t s(-x) + (1 - t) s(x)``, ``a = positive t + negative (1 - t)``.
    """
    t = double(target)
    entropy = t * _softplus(-double(x)) + (1.0 - t) * _softplus(x)
    wrong = t * _sigmoid(-double(x)) + (1.0 - t) * _sigmoid(x)
    loss[...] = _mean((positive * t + negative * (1.0 - t)) * wrong**gamma * entropy)


def focal_backward(
    x: Array,  # (n, ...) read
    target: Array,  # (n, ...) read
    positive: float,
    negative: float,
    gamma: float,
    scale: float,
    dx: Array,  # (n, ...) written
) -> None:
    """``dx = scale a (q^gamma e' + gamma q^(gamma - 1) q' e) / m``, m values per item.

    ``e' = (1 - t) s(x) - t s(-x)``, ``q' = (1 - 2 t) s(x) s(-x)``.
    """
    t, s, rest = double(target), _sigmoid(x), _sigmoid(-double(x))
    entropy = t * _softplus(-double(x)) + (1.0 - t) * _softplus(x)
    wrong = t * rest + (1.0 - t) * s
    ratio = np.where(wrong > 0.0, s * rest / np.where(wrong > 0.0, wrong, 1.0), 0.0)
    slope = (1.0 - t) * s - t * rest + gamma * ratio * (1.0 - 2.0 * t) * entropy
    dx[...] = scale * (positive * t + negative * (1.0 - t)) * wrong**gamma * slope / _size(x)


def kl_divergence_forward(
    x: Array,  # (n, ...) read: log-probabilities
    target: Array,  # (n, ...) read: probabilities, or their logarithms
    logarithms: bool,
    loss: Array,  # (n,) written
) -> None:
    """``loss[n] = sum of t (log t - x)``, 0 where t is 0; with logarithms ``sum of exp(t) (t - x)``."""
    t = double(target)
    p, log_p = (np.exp(t), t) if logarithms else (t, np.log(np.where(t > 0.0, t, 1.0)))
    terms = np.where(p > 0.0, p * (log_p - np.where(p > 0.0, double(x), 0.0)), 0.0)
    loss[...] = terms.sum(axis=tuple(range(1, x.ndim)))


def kl_divergence_backward(
    target: Array,  # (n, ...) read
    logarithms: bool,
    scale: float,
    dx: Array,  # (n, ...) written
) -> None:
    """``dx = -scale t``, or ``-scale exp(t)``: the gradient of ``scale sum(loss)`` by x."""
    dx[...] = -scale * (np.exp(double(target)) if logarithms else double(target))

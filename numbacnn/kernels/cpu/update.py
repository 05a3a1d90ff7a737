"""Optimizer steps and penalties: one pass over the parameters, their gradients and their state, in place.

Arrays of a call are flat, of one size and dtype.  What depends on the step alone is computed in float64.
"""

from __future__ import annotations

import math

import numpy as np

from numbacnn._jit import jit, kernel, parts_for, run, split

__all__ = ["adam_update", "add_penalty", "penalty_value", "rmsprop_update", "sgd_update"]

_GRAIN = 8192  # elements per part: some microseconds
_STREAM = 0.035  # nanoseconds per byte on one thread: memory gives some 30 GB/s


@jit
def _sgd_part(part, parts, w, g, velocity, lr, momentum, nesterov):
    lo, hi = split(part, parts, w.size)
    w, g, velocity = w[lo:hi], g[lo:hi], velocity[lo:hi]
    for i in range(w.size):
        v = momentum * velocity[i] + g[i]
        velocity[i] = v
        w[i] -= lr * (g[i] + momentum * v if nesterov else v)


@jit
def _rmsprop_part(part, parts, w, g, square, lr, rho, rest, eps):
    lo, hi = split(part, parts, w.size)
    w, g, square = w[lo:hi], g[lo:hi], square[lo:hi]
    for i in range(w.size):
        s = rho * square[i] + rest * (g[i] * g[i])
        square[i] = s
        w[i] -= lr * g[i] / (np.sqrt(s) + eps)


@jit
def _adam_part(part, parts, w, g, m, v, factors):
    keep, rate, root, eps, beta1, rest1, beta2, rest2 = factors
    lo, hi = split(part, parts, w.size)
    w, g, m, v = w[lo:hi], g[lo:hi], m[lo:hi], v[lo:hi]
    for i in range(w.size):
        mean = beta1 * m[i] + rest1 * g[i]
        square = beta2 * v[i] + rest2 * (g[i] * g[i])
        m[i], v[i] = mean, square
        w[i] = keep * w[i] - rate * mean / (root * np.sqrt(square) + eps)


@jit
def _penalty_part(part, parts, w, g, l1, l2):
    lo, hi = split(part, parts, w.size)
    w, g = w[lo:hi], g[lo:hi]
    zero = w.dtype.type(0)
    for i in range(w.size):
        x = w[i]
        g[i] += (l1 if x > zero else zero) - (l1 if x < zero else zero) + l2 * x


@jit
def _norms_part(part, parts, w, sums):
    lo, hi = split(part, parts, w.size)
    w = w[lo:hi]
    sizes, squares = 0.0, 0.0
    for i in range(w.size):
        x = np.float64(w[i])
        sizes += abs(x)
        squares += x * x
    sums[part, 0], sums[part, 1] = sizes, squares


@kernel
def _sgd(team, parts, w, g, velocity, lr, momentum, nesterov):
    run(team, _sgd_part, parts, (w, g, velocity, lr, momentum, nesterov))


@kernel
def _rmsprop(team, parts, w, g, square, lr, rho, rest, eps):
    run(team, _rmsprop_part, parts, (w, g, square, lr, rho, rest, eps))


@kernel
def _adam(team, parts, w, g, m, v, factors):
    run(team, _adam_part, parts, (w, g, m, v, factors))


@kernel
def _penalty(team, parts, w, g, l1, l2):
    run(team, _penalty_part, parts, (w, g, l1, l2))


@kernel
def _norms(team, parts, w, sums):
    run(team, _norms_part, parts, (w, sums))


def sgd_update(
    w: np.ndarray,  # updated
    g: np.ndarray,  # read
    velocity: np.ndarray,  # updated, from 0
    lr: float,
    momentum: float,
    nesterov: bool,
) -> None:
    """``v = momentum v + g``, ``w = w - lr v``; with Nesterov, ``w = w - lr (g + momentum v)``.

    Source: Sutskever et al., "On the importance of initialization and momentum", ICML 2013, section 2.
    """
    real = w.dtype.type
    _sgd(
        5 * w.nbytes * _STREAM,
        parts_for(w.size, _GRAIN),
        *(w, g, velocity, real(lr), real(momentum), bool(nesterov)),
    )


def rmsprop_update(
    w: np.ndarray,  # updated
    g: np.ndarray,  # read
    square: np.ndarray,  # updated, from 0
    lr: float,
    rho: float,
    eps: float,
) -> None:
    """``s = rho s + (1 - rho) g^2``, ``w = w - lr g / (sqrt(s) + eps)``.

    Source: Tieleman and Hinton, "Neural networks for machine learning", lecture 6e, 2012.
    """
    factors = (w.dtype.type(value) for value in (lr, rho, 1.0 - rho, eps))
    _rmsprop(5 * w.nbytes * _STREAM, parts_for(w.size, _GRAIN), w, g, square, *factors)


def adam_update(
    w: np.ndarray,  # updated
    g: np.ndarray,  # read
    m: np.ndarray,  # updated, from 0
    v: np.ndarray,  # updated, from 0
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    decay: float,  # decoupled weight decay, 0 for Adam
    step: int,  # from 1
) -> None:
    """``w = (1 - lr decay) w - lr m' / (sqrt(v') + eps)``: the moments, freed of their start at 0.

    ``m = beta1 m + (1 - beta1) g``, ``m' = m / (1 - beta1^step)``; v alike of ``g^2``.

    Source: Kingma and Ba, "Adam", ICLR 2015, algorithm 1; Loshchilov and Hutter, "Decoupled weight decay
    regularization", ICLR 2019, algorithm 2.
    """
    rate, root = lr / (1.0 - beta1**step), 1.0 / math.sqrt(1.0 - beta2**step)
    factors = (1.0 - lr * decay, rate, root, eps, beta1, 1.0 - beta1, beta2, 1.0 - beta2)
    typed = tuple(w.dtype.type(value) for value in factors)
    _adam(7 * w.nbytes * _STREAM, parts_for(w.size, _GRAIN), w, g, m, v, typed)


def add_penalty(
    w: np.ndarray,  # read
    g: np.ndarray,  # added to
    l1: float,
    l2: float,
) -> None:
    """``g = g + l1 sign(w) + l2 w``: the gradient of `penalty_value`."""
    real = w.dtype.type
    _penalty(3 * w.nbytes * _STREAM, parts_for(w.size, _GRAIN), w, g, real(l1), real(l2))


def penalty_value(w: np.ndarray, l1: float, l2: float) -> float:
    """``l1 sum(|w|) + l2 / 2 sum(w^2)``, summed in float64."""
    parts = parts_for(w.size, _GRAIN)
    sums = np.empty((parts, 2))
    _norms(w.nbytes * _STREAM, parts, w, sums)
    sizes, squares = sums.sum(axis=0)
    return float(l1 * sizes + l2 / 2.0 * squares)

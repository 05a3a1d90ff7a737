"""Optimizer steps: flat arrays of one size.

w, its state and a penalised g are updated in place, from state 0.
"""

from __future__ import annotations

import numpy as np

from .window import Array, double


def sgd_update(w: Array, g: Array, velocity: Array, lr: float, momentum: float, nesterov: bool) -> None:
    """``v = momentum v + g``, ``w = w - lr v``; with Nesterov, ``w = w - lr (g + momentum v)``."""
    v = momentum * double(velocity) + g
    w[...] = w - lr * (g + momentum * v if nesterov else v)
    velocity[...] = v


def rmsprop_update(w: Array, g: Array, square: Array, lr: float, rho: float, eps: float) -> None:
    """``s = rho s + (1 - rho) g^2``, ``w = w - lr g / (sqrt(s) + eps)``. Hinton's lecture 6e, 2012."""
    s = rho * double(square) + (1.0 - rho) * double(g) ** 2
    w[...] = w - lr * double(g) / (np.sqrt(s) + eps)
    square[...] = s


def adam_update(
    w: Array,
    g: Array,
    m: Array,
    v: Array,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    decay: float,
    step: int,
) -> None:
    """``w = (1 - lr decay) w - lr m' / (sqrt(v') + eps)``: the moments, freed of their start at 0.

    ``m = beta1 m + (1 - beta1) g``, ``m' = m / (1 - beta1^step)``; v alike of ``g^2``. step counts from 1.
    Kingma and Ba, "Adam", ICLR 2015, algorithm 1; the decay is Loshchilov and Hutter's, ICLR 2019.
    """
    mean = beta1 * double(m) + (1.0 - beta1) * double(g)
    square = beta2 * double(v) + (1.0 - beta2) * double(g) ** 2
    unbiased_mean, unbiased_square = mean / (1.0 - beta1**step), square / (1.0 - beta2**step)
    w[...] = (1.0 - lr * decay) * double(w) - lr * unbiased_mean / (np.sqrt(unbiased_square) + eps)
    m[...], v[...] = mean, square


def add_penalty(w: Array, g: Array, l1: float, l2: float) -> None:
    """``g = g + l1 sign(w) + l2 w``: the gradient of `penalty_value`."""
    g[...] = g + l1 * np.sign(double(w)) + l2 * double(w)


def penalty_value(w: Array, l1: float, l2: float) -> float:
    """``l1 sum(|w|) + l2 / 2 sum(w^2)``."""
    return float(l1 * np.abs(double(w)).sum() + l2 / 2.0 * (double(w) ** 2).sum())

"""Optimizer steps and penalties: one pass over the parameters, their gradients and their state, in place.

Arrays of a call are flat and of one size; the state may be of another float type than the gradients.  What
depends on the step alone is computed in float64 on the host.
"""

from __future__ import annotations

import math

import numpy as np

from .each import apply
from .memory import DeviceArray, empty
from .reduce import row_sums
from .rules import adam_factors, run

__all__ = ["adam_update", "add_penalty", "penalty_value", "rmsprop_update", "sgd_update"]


def sgd_update(
    w: DeviceArray,  # updated
    g: DeviceArray,  # read
    velocity: DeviceArray,  # updated, from 0
    lr: float,
    momentum: float,
    nesterov: bool,
) -> None:
    """``v = momentum v + g``, ``w = w - lr v``; with Nesterov, ``w = w - lr (g + momentum v)``.

    Source: Sutskever et al., "On the importance of initialization and momentum", ICML 2013, section 2.
    """
    run("nesterov" if nesterov else "sgd", w, g, (velocity,), {"rate": lr, "beta1": momentum})


def rmsprop_update(
    w: DeviceArray,  # updated
    g: DeviceArray,  # read
    square: DeviceArray,  # updated, from 0
    lr: float,
    rho: float,
    eps: float,
) -> None:
    """``s = rho s + (1 - rho) g^2``, ``w = w - lr g / (sqrt(s) + eps)``.

    Source: Tieleman and Hinton, "Neural networks for machine learning", lecture 6e, 2012.
    """
    run("rmsprop", w, g, (square,), {"rate": lr, "beta2": rho, "rest2": 1.0 - rho, "eps": eps})


def adam_update(
    w: DeviceArray,  # updated
    g: DeviceArray,  # read
    m: DeviceArray,  # updated, from 0
    v: DeviceArray,  # updated, from 0
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
    factors = adam_factors(lr, beta1, beta2, eps, decay)
    run("adam", w, g, (m, v), {**factors, "rate": rate, "root": root})


def add_penalty(
    w: DeviceArray,  # read
    g: DeviceArray,  # added to
    l1: float,
    l2: float,
) -> None:
    """``g = g + l1 sign(w) + l2 w``: the gradient of `penalty_value`."""
    apply("penalty", w, g, g, l1, l2)


def penalty_value(w: DeviceArray, l1: float, l2: float) -> DeviceArray:
    """``l1 sum(|w|) + l2 / 2 sum(w^2)``: an array () on the GPU, which the host need not wait for.

    It is float64 for float64 weights, else float32, and summed in that type, in a fixed order.
    """
    value = empty((), np.float64 if w.dtype == np.float64 else np.float32)
    row_sums("penalty", w, None, 1, value, 1.0, l1, l2 / 2.0)
    return value

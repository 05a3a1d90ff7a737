"""Optimizer steps and penalties: one pass over the parameters, their gradients and their state, in place.

Arrays of a call are flat and of one size; the state may be of another float type than the gradients.  What
depends on the step alone is computed in float64 on the host, but for `mixed`, whose kernel this is too.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from .each import THREADS, apply
from .intrinsics import (
    block_x,
    i64,
    load,
    load4,
    local_array,
    real,
    sqrt,
    static_range,
    store,
    store4,
    thread,
)
from .launch import ceil_div, device, kernel
from .memory import DeviceArray, empty
from .reduce import row_sums

__all__ = ["adam_update", "add_penalty", "penalty_value", "rmsprop_update", "sgd_update"]

if TYPE_CHECKING:  # constants that kernels are specialised by
    RULE = ""  # of the step
    SCALED = False  # gradients are multiplied by a number on the device, and a flag there skips the step
    COPY = False  # the weights are also written to another array, of fewer bits
    COUNTED = False  # rate and root are on the device; 3: and keep


@device
def moved(w, g, a, b, keep, rate, root, eps, beta1, rest1, beta2, rest2):
    """A weight after the step, and its two states."""
    if RULE == "sgd":
        v = beta1 * a + g
        return w - rate * v, v, b
    if RULE == "nesterov":
        v = beta1 * a + g
        return w - rate * (g + beta1 * v), v, b
    if RULE == "rmsprop":
        s = beta2 * a + rest2 * (g * g)
        return w - rate * g / (sqrt(s) + eps), s, b
    mean = beta1 * a + rest1 * g
    square = beta2 * b + rest2 * (g * g)
    return keep * w - rate * mean / (root * sqrt(square) + eps), mean, square


@kernel(
    "w g a b copy scale flag factors keep:real rate:real root:real eps:real beta1:real rest1:real beta2:real "
    "rest2:real n:i64",
    threads=THREADS,
)
def step(w, g, a, b, copy, scale, flag, factors, keep, rate, root, eps, beta1, rest1, beta2, rest2, n):
    """Four weights a thread; scale holds the loss scale and its inverse, factors the rate and the root."""
    gain = real(1)
    if SCALED:
        if load(flag, 0) != 0:
            return
        gain = real(load(scale, 1))
    if COUNTED:
        rate, root = real(load(factors, 0)), real(load(factors, 1))
    if COUNTED > 2:
        keep = real(load(factors, 2))
    i = (i64(block_x()) * THREADS + thread()) * 4
    if i + 4 <= n:
        new = local_array(12, real)
        ws, gs, firsts = load4(w, i), load4(g, i), load4(a, i)
        seconds = load4(b, i) if RULE == "adam" else ws
        for k in static_range(4):
            gradient = real(gs[k]) * gain if SCALED else real(gs[k])
            new[k], new[4 + k], new[8 + k] = moved(
                ws[k], gradient, real(firsts[k]), real(seconds[k]),
                keep, rate, root, eps, beta1, rest1, beta2, rest2,
            )  # fmt: skip
        store4(w, i, (new[0], new[1], new[2], new[3]))
        store4(a, i, (new[4], new[5], new[6], new[7]))
        if RULE == "adam":
            store4(b, i, (new[8], new[9], new[10], new[11]))
        if COPY:
            store4(copy, i, (new[0], new[1], new[2], new[3]))
    else:
        for k in static_range(4):
            if i + k < n:
                second = real(load(b, i + k)) if RULE == "adam" else real(0)
                gradient = real(load(g, i + k)) * gain if SCALED else real(load(g, i + k))
                weight, first, second = moved(
                    load(w, i + k), gradient, real(load(a, i + k)), second,
                    keep, rate, root, eps, beta1, rest1, beta2, rest2,
                )  # fmt: skip
                store(w, i + k, weight)
                store(a, i + k, first)
                if RULE == "adam":
                    store(b, i + k, second)
                if COPY:
                    store(copy, i + k, weight)


def run(
    rule: str,
    w: DeviceArray,
    g: DeviceArray,
    states: tuple[DeviceArray, ...],
    factors: dict[str, float],
    *,
    copy: DeviceArray | None = None,
    scale: DeviceArray | None = None,
    flag: DeviceArray | None = None,
    counted: DeviceArray | None = None,
) -> None:
    """Step by a rule; factors are `moved`'s numbers, 0 where the rule does not use them."""
    names = ("keep", "rate", "root", "eps", "beta1", "rest1", "beta2", "rest2")
    on_device = False if counted is None else 3 if counted.size > 2 else True
    variant = step.of(RULE=rule, SCALED=scale is not None, COPY=copy is not None, COUNTED=on_device)
    first, second = (*states, None)[:2]
    values = (factors.get(name, 0.0) for name in names)
    grid = ceil_div(w.size, 4 * THREADS)
    variant(grid, w, g, first, second, copy, scale, flag, counted, *values, w.size)


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


def adam_factors(lr: float, beta1: float, beta2: float, eps: float, decay: float) -> dict[str, float]:
    """The numbers of Adam's rule that no step changes."""
    shares = {"beta1": beta1, "rest1": 1.0 - beta1, "beta2": beta2, "rest2": 1.0 - beta2}
    return {"keep": 1.0 - lr * decay, "eps": eps, **shares}


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

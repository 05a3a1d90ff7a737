"""Optimizer steps as one kernel: four weights a thread, the rule a constant.

It is launched by ``update``, and by ``mixed`` for gradients of a scaled loss.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .each import THREADS
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
from .memory import DeviceArray

if TYPE_CHECKING:  # constants that kernels are specialised by
    RULE = ""  # of the step
    SCALED = False  # gradients are multiplied by a number on the device, and a flag there skips the step
    COPY = False  # the weights are also written to another array, of fewer bits
    COUNTED = 0  # of rate, root and keep the first so many are on the device


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
    held = 0 if counted is None else min(counted.size, 3)
    variant = step.of(RULE=rule, SCALED=scale is not None, COPY=copy is not None, COUNTED=held)
    first, second = (*states, None)[:2]
    values = (factors.get(name, 0.0) for name in names)
    grid = ceil_div(w.size, 4 * THREADS)
    variant(grid, w, g, first, second, copy, scale, flag, counted, *values, w.size)


def adam_factors(lr: float, beta1: float, beta2: float, eps: float, decay: float) -> dict[str, float]:
    """The numbers of Adam's rule that no step changes."""
    shares = {"beta1": beta1, "rest1": 1.0 - beta1, "beta2": beta2, "rest2": 1.0 - beta2}
    return {"keep": 1.0 - lr * decay, "eps": eps, **shares}

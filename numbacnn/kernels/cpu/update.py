"""Optimizer steps and penalties: one pass over the parameters, their gradients and their states, in place.

Arrays of a call are flat, of one size and dtype.  What depends on the step alone is computed in float64.
All rules are one kernel, compiled for a rule at a time: `moved` says what a rule does with a weight,
`derived` by which numbers.  A rule's code is the length of a tuple, as are its states: Numba decides tests of
lengths before it types the branches, which halves the time to compile.
"""

from __future__ import annotations

import numpy as np

from ..._jit import jit, kernel, parts_for, run, run_slots, split
from ..._native import Flat
from ...update_rules import (
    AHEAD,
    BETA1,
    BETA2,
    DAMPENING,
    DECAY,
    EPS,
    GAIN,
    L1,
    L2,
    LIMIT,
    LR,
    LR_DECAY,
    RULES,
    SHARE,
    STEP,
    Numbers,
)

__all__ = ["average_step", "optimizer_step", "penalty_value", "square_sum"]

_GRAIN = 8192  # elements per part: some microseconds
_STREAM = 0.035  # nanoseconds per byte on one thread: memory gives some 30 GB/s
_CODES = {rule: Flat(((0,) * code, (0,) * (RULES[rule] + 1))) for code, rule in enumerate(RULES, 1)}
(
    _DESCENT, _SGD, _RMSPROP, _RMSPROP_MOMENTUM, _RMSPROP_CENTERED, _ADAGRAD, _ADADELTA, _ADAM, _AMSGRAD,
    _RADAM, _LION, _LAMB,
) = range(1, len(RULES) + 1)  # fmt: skip
_LAMB_CODE = (0,) * _LAMB


@jit
def derived(rule, row):
    """What `moved` reads of a step: keep, rate, root, eps, beta1, rest1, beta2, rest2, free."""
    lr, step, beta1, beta2, eps = row[LR], row[STEP], row[BETA1], row[BETA2], row[EPS]
    keep, rate, root, free = 1.0 - lr * row[DECAY], lr, 0.0, 1.0
    rest1, rest2 = 1.0 - beta1, 1.0 - beta2
    if len(rule) == _SGD:  # velocity and gradient move the weight: by rate and by root
        rest1 = 1.0 if step == 1.0 else 1.0 - row[DAMPENING]
        if row[AHEAD] != 0.0:
            rate, root = lr * beta1, lr
    if len(rule) == _ADAGRAD:
        rate = lr / (1.0 + (step - 1.0) * row[LR_DECAY])
    if len(rule) == _ADAM or len(rule) == _AMSGRAD:
        rate, root = lr / (1.0 - beta1**step), 1.0 / np.sqrt(1.0 - beta2**step)
    if len(rule) == _RADAM:
        power = beta2**step
        most = 2.0 / (1.0 - beta2) - 1.0
        length = most - 2.0 * step * power / (1.0 - power)
        rate = lr / (1.0 - beta1**step)
        if length > 5.0:
            share = (length - 4.0) * (length - 2.0) * most / ((most - 4.0) * (most - 2.0) * length)
            rate, root = rate * np.sqrt(share * (1.0 - power)), 1.0
        else:
            eps = 1.0  # and no root
    if len(rule) == _LAMB:
        keep, free = row[DECAY], 1.0 / (1.0 - beta1**step)
        root = 1.0 / np.sqrt(1.0 - beta2**step)
    return keep, rate, root, eps, beta1, rest1, beta2, rest2, free


@jit
def moved(rule, w, g, a, b, c, numbers):
    """A weight after the step, and its states."""
    keep, rate, root, eps, beta1, rest1, beta2, rest2, _, zero = numbers
    w = keep * w
    if len(rule) == _DESCENT:
        return w - rate * g, a, b, c
    if len(rule) == _SGD:
        a = beta1 * a + rest1 * g
        return w - (rate * a + root * g), a, b, c
    if len(rule) == _LION:
        mixed = beta1 * a + rest1 * g
        sign = (rate if mixed > zero else zero) - (rate if mixed < zero else zero)
        return w - sign, beta2 * a + rest2 * g, b, c
    if len(rule) == _ADAGRAD:
        a = a + g * g
        return w - rate * g / (np.sqrt(a) + eps), a, b, c
    if len(rule) == _ADADELTA:
        a = beta2 * a + rest2 * (g * g)
        move = np.sqrt(b + eps) / np.sqrt(a + eps) * g
        return w - rate * move, a, beta2 * b + rest2 * (move * move), c
    if len(rule) == _RMSPROP:
        a = beta2 * a + rest2 * (g * g)
        return w - rate * g / (np.sqrt(a) + eps), a, b, c
    if len(rule) == _RMSPROP_MOMENTUM:
        a = beta2 * a + rest2 * (g * g)
        b = beta1 * b + g / (np.sqrt(a) + eps)
        return w - rate * b, a, b, c
    if len(rule) == _RMSPROP_CENTERED:
        a, c = beta2 * a + rest2 * (g * g), beta2 * c + rest2 * g
        variance = a - c * c
        b = beta1 * b + g / (np.sqrt(variance if variance > zero else zero) + eps)
        return w - rate * b, a, b, c
    a, b = beta1 * a + rest1 * g, beta2 * b + rest2 * (g * g)
    c = b if b > c else c  # of AMSGrad
    return w - rate * a / (root * np.sqrt(c if len(rule) == _AMSGRAD else b) + eps), a, b, c


@jit
def gradient(w, g, before):
    """The gradient that a rule takes: scaled, limited, with the penalty's."""
    gain, limit, l1, l2, zero = before
    g = gain * g
    g = limit if g > limit else (-limit if g < -limit else g)
    return g + ((l1 if w > zero else zero) - (l1 if w < zero else zero) + l2 * w)


@jit
def _before(w, row):
    real = w.dtype.type
    return real(row[GAIN]), real(row[LIMIT]), real(row[L1]), real(row[L2]), real(0)


@jit
def _typed(w, rule, row):
    keep, rate, root, eps, beta1, rest1, beta2, rest2, free = derived(rule, row)
    real = w.dtype.type
    return (
        real(keep), real(rate), real(root), real(eps), real(beta1), real(rest1), real(beta2), real(rest2),
        real(free), real(0),
    )  # fmt: skip


@jit
def _approach(w, average, share):
    """Move the average: a loop of its own, so that a pass of its own gives the same bits."""
    rest = w.dtype.type(share)
    for i in range(average.size):
        average[i] += rest * (w[i] - average[i])


@jit
def _step_part(slot, part, parts, rule, states, w, g, a, b, c, average, row):
    lo, hi = split(part, parts, w.size)
    w, g, a, b, c, average = w[lo:hi], g[lo:hi], a[lo:hi], b[lo:hi], c[lo:hi], average[lo:hi]
    before, numbers = _before(w, row), _typed(w, rule, row)
    zero = before[4]
    for i in range(w.size):
        one = a[i] if len(states) > 1 else zero
        two = b[i] if len(states) > 2 else zero
        three = c[i] if len(states) > 3 else zero
        w[i], one, two, three = moved(rule, w[i], gradient(w[i], g[i], before), one, two, three, numbers)
        if len(states) > 1:
            a[i] = one
        if len(states) > 2:
            b[i] = two
        if len(states) > 3:
            c[i] = three
    _approach(w, average, row[SHARE])


@jit
def _direction(w, m, v, numbers):
    """LAMB's move, before its norm is given that of the weights."""
    decay, _, root, eps, _, _, _, _, free, _ = numbers
    return free * m / (root * np.sqrt(v) + eps) + decay * w


@jit
def _moments_part(part, parts, w, g, m, v, row, sums):
    """The first pass of LAMB: the moments, and the sums of squares of weights and moves."""
    lo, hi = split(part, parts, w.size)
    w, g, m, v = w[lo:hi], g[lo:hi], m[lo:hi], v[lo:hi]
    before, numbers = _before(w, row), _typed(w, _LAMB_CODE, row)
    beta1, rest1, beta2, rest2 = numbers[4], numbers[5], numbers[6], numbers[7]
    weights, moves = 0.0, 0.0
    for i in range(w.size):
        x = gradient(w[i], g[i], before)
        first, second = beta1 * m[i] + rest1 * x, beta2 * v[i] + rest2 * (x * x)
        m[i], v[i] = first, second
        u, y = np.float64(_direction(w[i], first, second, numbers)), np.float64(w[i])
        weights += y * y
        moves += u * u
    sums[part, 0], sums[part, 1] = weights, moves


@jit
def _scaled_part(part, parts, w, m, v, average, row, ratio):
    """The second pass of LAMB."""
    lo, hi = split(part, parts, w.size)
    w, m, v, average = w[lo:hi], m[lo:hi], v[lo:hi], average[lo:hi]
    numbers, rate = _typed(w, _LAMB_CODE, row), w.dtype.type(row[LR] * ratio)
    for i in range(w.size):
        w[i] -= rate * _direction(w[i], m[i], v[i], numbers)
    _approach(w, average, row[SHARE])


@jit
def _average_part(part, parts, w, average, share):
    lo, hi = split(part, parts, w.size)
    _approach(w[lo:hi], average[lo:hi], share)


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
def _step(team, parts, rule, states, w, g, a, b, c, average, row):
    run_slots(team, _step_part, parts, (rule, states, w, g, a, b, c, average, row))


@kernel
def _moments(team, parts, w, g, m, v, row, sums):
    run(team, _moments_part, parts, (w, g, m, v, row, sums))


@kernel
def _scaled(team, parts, w, m, v, average, row, ratio):
    run(team, _scaled_part, parts, (w, m, v, average, row, ratio))


@kernel
def _average(team, parts, w, average, share):
    run(team, _average_part, parts, (w, average, share))


@kernel
def _norms(team, parts, w, sums):
    run(team, _norms_part, parts, (w, sums))


def optimizer_step(
    rule: str,  # of update_rules.RULES
    w: np.ndarray,  # updated
    g: np.ndarray,  # read
    a: np.ndarray | None,  # updated, from 0, where the rule has a state
    b: np.ndarray | None,  # a second one
    c: np.ndarray | None,  # and a third
    average: np.ndarray | None,  # moved to the new weights
    numbers: Numbers,
) -> None:
    """One step of a rule, as the reference states it."""
    states, row = RULES[rule], np.array(numbers, np.float64)
    none = w[:0]
    one, two, three = (none if x is None else x for x in (a, b, c))
    follower = none if average is None else average
    parts, work = parts_for(w.size, _GRAIN), (2 * states + 3) * w.nbytes * _STREAM
    if rule == "lamb":
        sums = np.empty((parts, 2))
        _moments(work, parts, w, g, one, two, row, sums)
        weights, moves = np.sqrt(sums.sum(axis=0)).tolist()
        ratio = weights / moves if weights > 0.0 and moves > 0.0 else 1.0
        _scaled(4 * w.nbytes * _STREAM, parts, w, one, two, follower, row, ratio)
        return
    _step(work, parts, _CODES[rule], w, g, one, two, three, follower, row)


def average_step(
    w: np.ndarray,  # read
    average: np.ndarray,  # updated
    share: float,
) -> None:
    """``average = average + share (w - average)``."""
    _average(3 * w.nbytes * _STREAM, parts_for(w.size, _GRAIN), w, average, float(share))


def penalty_value(w: np.ndarray, l1: float, l2: float) -> float:
    """``l1 sum(|w|) + l2 / 2 sum(w^2)``, summed in float64."""
    sizes, squares = _sums(w)
    return float(l1 * sizes + l2 / 2.0 * squares)


def square_sum(g: np.ndarray) -> float:
    """``sum(g^2)``, summed in float64."""
    return float(_sums(g)[1])


def _sums(w: np.ndarray) -> np.ndarray:
    parts = parts_for(w.size, _GRAIN)
    sums = np.empty((parts, 2))
    _norms(w.nbytes * _STREAM, parts, w, sums)
    return sums.sum(axis=0)

"""Optimizer steps as one kernel, four weights a thread, the rule a constant; and the numbers they read.

A step's numbers lie on the GPU: `settle` makes what `moved` reads from a row of `update_rules.Numbers`, for
all parameters of a rule at once. So a graph of steps serves every step, and clipping and a loss scale need
no host.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...update_rules import (
    AHEAD,
    BETA1,
    BETA2,
    COUNT,
    DAMPENING,
    DECAY,
    EPS,
    GAIN,
    L1,
    L2,
    LIMIT,
    LR,
    LR_DECAY,
    SHARE,
    STEP,
)
from .each import THREADS
from .intrinsics import (
    block_x,
    f64,
    i32,
    i64,
    load,
    load4,
    local_array,
    minimum,
    pow_,
    real,
    shared_array,
    sqrt,
    static_range,
    store,
    store4,
    thread,
)
from .launch import ceil_div, device, kernel
from .memory import DeviceArray, empty
from .reduce import group_sum

if TYPE_CHECKING:  # constants that kernels are specialised by
    RULE = ""  # of the step
    STATES = 0  # that the rule keeps
    FLAGGED = False  # a flag on the device skips the step
    SCALED = False  # gradients are those of a loss times a scale on the device
    CLIPPED = False  # the gradients' sum of squares is on the device
    COUNTED = False  # steps are counted on the device
    COPY = False  # the weights are also written to another array, of fewer bits
    AVERAGE = False  # an average of the weights moves to them
    LIMITED = False  # gradients are limited
    PENALTY = False  # they have a penalty's added
    LANES = THREADS  # that sum

SETTLED = 16  # numbers of a parameter that `settle` writes
_GAIN, _LIMIT, _L1, _L2, _SHARE, _KEEP, _RATE, _ROOT, _EPS = range(9)
_BETA1, _REST1, _BETA2, _REST2, _FREE, _PLAIN_RATE = range(9, 15)
_CHUNK = 16384  # elements whose squares a block sums: 64 a thread
_TINY = 1e-6  # added to a norm that is divided by


@kernel(
    "rows steps flag scale squares settled count:i32 most:f64",
    threads=64,
)
def settle(rows, steps, flag, scale, squares, settled, count, most):
    """A thread per parameter, in float64: the corrections of early steps are differences of near numbers."""
    p = block_x() * 64 + thread()
    if FLAGGED and load(flag, 0) != 0:
        return
    if p >= count:
        return
    row, to = p * COUNT, p * SETTLED
    one, zero = f64(1), f64(0)
    gain = load(rows, row + GAIN)
    if SCALED:
        gain = gain * f64(load(scale, 1))
    if CLIPPED:
        share = most / (sqrt(load(squares, 0)) * gain + f64(_TINY))
        gain = gain if share > one else gain * share
    lr, beta1, beta2 = load(rows, row + LR), load(rows, row + BETA1), load(rows, row + BETA2)
    eps, decay = load(rows, row + EPS), load(rows, row + DECAY)
    t = load(rows, row + STEP)
    if COUNTED:
        made = i32(load(steps, p) + 1)
        store(steps, p, made)
        t = f64(made)
    keep, rate, root, free = one - lr * decay, lr, zero, one
    rest1, rest2 = one - beta1, one - beta2
    if RULE == "sgd":  # velocity and gradient move the weight: by rate and by root
        rest1 = one if t == one else one - load(rows, row + DAMPENING)
        if load(rows, row + AHEAD) != zero:
            rate, root = lr * beta1, lr
    if RULE == "adagrad":
        rate = lr / (one + (t - one) * load(rows, row + LR_DECAY))
    if RULE in ("adam", "amsgrad"):
        rate, root = lr / (one - pow_(beta1, t)), one / sqrt(one - pow_(beta2, t))
    if RULE == "radam":
        power = pow_(beta2, t)
        largest = f64(2) / (one - beta2) - one
        length = largest - f64(2) * t * power / (one - power)
        rate = lr / (one - pow_(beta1, t))
        if length > f64(5):
            longer = (length - f64(4)) * (length - f64(2)) * largest
            share = longer / ((largest - f64(4)) * (largest - f64(2)) * length)
            rate, root = rate * sqrt(share * (one - power)), one
        else:
            eps = one  # and no root
    if RULE == "lamb":
        keep, free = decay, one / (one - pow_(beta1, t))
        root = one / sqrt(one - pow_(beta2, t))
    store(settled, to + _GAIN, gain)
    store(settled, to + _LIMIT, load(rows, row + LIMIT))
    store(settled, to + _L1, load(rows, row + L1))
    store(settled, to + _L2, load(rows, row + L2))
    store(settled, to + _SHARE, load(rows, row + SHARE))
    store(settled, to + _KEEP, keep)
    store(settled, to + _RATE, rate)
    store(settled, to + _ROOT, root)
    store(settled, to + _EPS, eps)
    store(settled, to + _BETA1, beta1)
    store(settled, to + _REST1, rest1)
    store(settled, to + _BETA2, beta2)
    store(settled, to + _REST2, rest2)
    store(settled, to + _FREE, free)
    store(settled, to + _PLAIN_RATE, rate)


@device
def gradient(g, w, settled):
    """The gradient that a rule takes: scaled, limited, with the penalty's."""
    g = real(load(settled, _GAIN)) * g
    if LIMITED:
        limit = real(load(settled, _LIMIT))
        g = limit if g > limit else (-limit if g < -limit else g)
    if PENALTY:
        l1, l2 = real(load(settled, _L1)), real(load(settled, _L2))
        g = g + ((l1 if w > real(0) else real(0)) - (l1 if w < real(0) else real(0)) + l2 * w)
    return g


@device
def direction(w, m, v, settled):
    """LAMB's move, before its norm is given that of the weights."""
    size = real(load(settled, _ROOT)) * sqrt(v) + real(load(settled, _EPS))
    return real(load(settled, _FREE)) * m / size + real(load(settled, _KEEP)) * w


@device
def moved(w, g, a, b, c, settled):
    """A weight after the step, and its states."""
    rate, root, eps = real(load(settled, _RATE)), real(load(settled, _ROOT)), real(load(settled, _EPS))
    if RULE == "lamb":  # the second pass
        return w - rate * direction(w, a, b, settled), a, b, c
    w = real(load(settled, _KEEP)) * w
    beta1, rest1 = real(load(settled, _BETA1)), real(load(settled, _REST1))
    beta2, rest2 = real(load(settled, _BETA2)), real(load(settled, _REST2))
    if RULE == "descent":
        return w - rate * g, a, b, c
    if RULE == "sgd":
        a = beta1 * a + rest1 * g
        return w - (rate * a + root * g), a, b, c
    if RULE == "lion":
        mixed = beta1 * a + rest1 * g
        sign = (rate if mixed > real(0) else real(0)) - (rate if mixed < real(0) else real(0))
        return w - sign, beta2 * a + rest2 * g, b, c
    if RULE == "adagrad":
        a = a + g * g
        return w - rate * g / (sqrt(a) + eps), a, b, c
    if RULE == "adadelta":
        a = beta2 * a + rest2 * (g * g)
        move = sqrt(b + eps) / sqrt(a + eps) * g
        return w - rate * move, a, beta2 * b + rest2 * (move * move), c
    if RULE == "rmsprop":
        a = beta2 * a + rest2 * (g * g)
        return w - rate * g / (sqrt(a) + eps), a, b, c
    if RULE == "rmsprop_momentum":
        a = beta2 * a + rest2 * (g * g)
        b = beta1 * b + g / (sqrt(a) + eps)
        return w - rate * b, a, b, c
    if RULE == "rmsprop_centered":
        a, c = beta2 * a + rest2 * (g * g), beta2 * c + rest2 * g
        variance = a - c * c
        b = beta1 * b + g / (sqrt(variance if variance > real(0) else real(0)) + eps)
        return w - rate * b, a, b, c
    a, b = beta1 * a + rest1 * g, beta2 * b + rest2 * (g * g)
    if RULE == "amsgrad":
        c = b if b > c else c
        return w - rate * a / (root * sqrt(c) + eps), a, b, c
    return w - rate * a / (root * sqrt(b) + eps), a, b, c


@kernel("w g a b c average copy flag settled n:i64", threads=THREADS)
def step(w, g, a, b, c, average, copy, flag, settled, n):
    """Four weights a thread."""
    if FLAGGED and load(flag, 0) != 0:
        return
    zero = real(0)
    share = real(load(settled, _SHARE)) if AVERAGE else zero
    i = (i64(block_x()) * THREADS + thread()) * 4
    if i + 4 <= n:
        new = local_array(20, real)
        ws = load4(w, i)
        gs = ws if RULE == "lamb" else load4(g, i)
        firsts = load4(a, i) if STATES > 0 else ws
        seconds = load4(b, i) if STATES > 1 else ws
        thirds = load4(c, i) if STATES > 2 else ws
        means = load4(average, i) if AVERAGE else ws
        for k in static_range(4):
            weight = real(ws[k])
            taken = zero if RULE == "lamb" else gradient(real(gs[k]), weight, settled)
            new[k], new[4 + k], new[8 + k], new[12 + k] = moved(
                weight, taken, real(firsts[k]), real(seconds[k]), real(thirds[k]), settled
            )
            if AVERAGE:
                mean = real(means[k])
                new[16 + k] = mean + share * (new[k] - mean)
        store4(w, i, (new[0], new[1], new[2], new[3]))
        if STATES > 0 and RULE != "lamb":
            store4(a, i, (new[4], new[5], new[6], new[7]))
        if STATES > 1 and RULE != "lamb":
            store4(b, i, (new[8], new[9], new[10], new[11]))
        if STATES > 2:
            store4(c, i, (new[12], new[13], new[14], new[15]))
        if AVERAGE:
            store4(average, i, (new[16], new[17], new[18], new[19]))
        if COPY:
            store4(copy, i, (new[0], new[1], new[2], new[3]))
    else:
        for k in static_range(4):
            if i + k < n:
                weight = real(load(w, i + k))
                taken = zero if RULE == "lamb" else gradient(real(load(g, i + k)), weight, settled)
                first = real(load(a, i + k)) if STATES > 0 else zero
                second = real(load(b, i + k)) if STATES > 1 else zero
                third = real(load(c, i + k)) if STATES > 2 else zero
                weight, first, second, third = moved(weight, taken, first, second, third, settled)
                store(w, i + k, weight)
                if STATES > 0 and RULE != "lamb":
                    store(a, i + k, first)
                if STATES > 1 and RULE != "lamb":
                    store(b, i + k, second)
                if STATES > 2:
                    store(c, i + k, third)
                if AVERAGE:
                    mean = real(load(average, i + k))
                    store(average, i + k, mean + share * (weight - mean))
                if COPY:
                    store(copy, i + k, weight)


@kernel("w g a b flag settled sums n:i64", threads=THREADS)
def _moments(w, g, a, b, flag, settled, sums, n):
    """The first pass of LAMB: the moments, and a block's sums of squares of weights and moves."""
    scratch = shared_array(32, f64)
    weights, moves = f64(0), f64(0)
    beta1, rest1 = real(load(settled, _BETA1)), real(load(settled, _REST1))
    beta2, rest2 = real(load(settled, _BETA2)), real(load(settled, _REST2))
    good = True
    if FLAGGED:
        good = load(flag, 0) == 0
    i = i64(block_x()) * _CHUNK + thread()
    stop = minimum(i64(block_x()) * _CHUNK + _CHUNK, n) if good else i
    while i < stop:
        weight = real(load(w, i))
        x = gradient(real(load(g, i)), weight, settled)
        first = beta1 * real(load(a, i)) + rest1 * x
        second = beta2 * real(load(b, i)) + rest2 * (x * x)
        store(a, i, first)
        store(b, i, second)
        move = f64(direction(weight, first, second, settled))
        weights += f64(weight) * f64(weight)
        moves += move * move
        i += THREADS
    weights = group_sum(weights, scratch)
    moves = group_sum(moves, scratch)
    if thread() == 0:
        store(sums, 2 * i64(block_x()), weights)
        store(sums, 2 * i64(block_x()) + 1, moves)


@kernel("sums settled count:i64", threads=THREADS)
def _trust(sums, settled, count):
    """The rate of LAMB's second pass, from the blocks' sums in order."""
    scratch = shared_array(32, f64)
    weights, moves = f64(0), f64(0)
    i = i64(thread())
    while i < count:
        weights += load(sums, 2 * i)
        moves += load(sums, 2 * i + 1)
        i += THREADS
    weights = group_sum(weights, scratch)
    moves = group_sum(moves, scratch)
    if thread() == 0:
        ratio = sqrt(weights) / sqrt(moves) if (weights > f64(0)) & (moves > f64(0)) else f64(1)
        store(settled, _RATE, f64(load(settled, _PLAIN_RATE)) * ratio)


@kernel("g sums n:i64", threads=THREADS)
def _squares(g, sums, n):
    """A block's sum of squares."""
    scratch = shared_array(32, f64)
    total = f64(0)
    i = i64(block_x()) * _CHUNK + thread()
    stop = minimum(i64(block_x()) * _CHUNK + _CHUNK, n)
    while i < stop:
        x = f64(load(g, i))
        total += x * x
        i += THREADS
    total = group_sum(total, scratch)
    if thread() == 0:
        store(sums, i64(block_x()), total)


@kernel("sums out count:i64", threads=THREADS)
def _add_up(sums, out, count):
    """The sum of the blocks' sums, in order."""
    scratch = shared_array(32, f64)
    total = f64(0)
    i = i64(thread())
    while i < count:
        total += load(sums, i)
        i += THREADS
    total = group_sum(total, scratch)
    if thread() == 0:
        store(out, 0, total)


def chunks(size: int) -> int:
    """Blocks that sum so many elements."""
    return ceil_div(size, _CHUNK)


def square_sums(gradients: Sequence[DeviceArray]) -> DeviceArray:
    """The sum of all squares, in float64 and in a fixed order: an array () on the GPU."""
    counts = [chunks(g.size) for g in gradients]
    sums, out, first = empty((sum(counts),), np.float64), empty((), np.float64), 0
    for g, count in zip(gradients, counts, strict=True):
        _squares.of(LANES=THREADS)(count, g, sums[first : first + count], g.size)
        first += count
    _add_up.of(LANES=THREADS)(1, sums, out, first)
    return out


def run(
    rule: str,
    w: DeviceArray,
    g: DeviceArray,
    states: Sequence[DeviceArray],
    settled: DeviceArray,  # (SETTLED,) what `settle` wrote
    *,
    limited: bool,
    penalty: bool,
    average: DeviceArray | None = None,
    copy: DeviceArray | None = None,
    flag: DeviceArray | None = None,
) -> None:
    """Step by a rule; the numbers are on the GPU."""
    a, b, c = [*states, None, None, None][:3]
    taken = {"FLAGGED": flag is not None, "LIMITED": limited, "PENALTY": penalty}
    if rule == "lamb":
        sums = empty((chunks(w.size), 2), np.float64)
        _moments.of(LANES=THREADS, **taken)(sums.shape[0], w, g, a, b, flag, settled, sums, w.size)
        _trust.of(LANES=THREADS)(1, sums, settled, sums.shape[0])
        taken.update(LIMITED=False, PENALTY=False)
    followed = {"COPY": copy is not None, "AVERAGE": average is not None}
    variant = step.of(RULE=rule, STATES=len(states), **taken, **followed)
    variant(ceil_div(w.size, 4 * THREADS), w, g, a, b, c, average, copy, flag, settled, w.size)


def settled_type(w: DeviceArray) -> type:
    """Element type of the numbers that steps of such weights read."""
    return np.float64 if w.dtype == np.float64 else np.float32

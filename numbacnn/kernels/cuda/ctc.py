"""Connectionist temporal classification: a block per example walks over the steps, a thread per state.

States are the labels with a blank before, between and after them.  Seen from its end, a path is one of the
reversed labels: one kernel walks both ways.  Logarithms of probabilities are kept in float64, whatever the
scores' type.  Slopes are summed by a group of threads per step; a label that occurs again is found by a
chain of its places, so that no sum needs an atomic.  Labels and lengths are not looked at by the host, which
would wait for the GPU: lengths are cut to what there is, and a label outside of the classes has no path.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from .intrinsics import (
    block_x,
    div,
    div64,
    exp,
    f64,
    i64,
    load,
    local_array,
    log,
    log1p,
    maximum,
    minimum,
    real,
    shared_array,
    store,
    sync,
    thread,
)
from .launch import Constants, ceil_div, device, kernel
from .memory import DeviceArray, empty
from .reduce import block_of, group_sum, lanes_for
from .softmax import exponentials

__all__ = ["ctc_backward", "ctc_forward"]

if TYPE_CHECKING:  # constants that kernels are specialised by
    LANES = 32  # threads of a row
    ITEMS = 0  # scores are read again
    COUNTED = False  # there are lengths of labels, else a label below 0 ends them
    TIMED = False  # there are lengths of inputs
    REVERSED = False  # walk from the end
    THREADS = 32  # of a block

_THREADS = 256
_INFINITY = math.inf  # below 0, the logarithm of no path


def _threads(constants: Constants) -> int:
    return constants["THREADS"]


@device
def count_of(labels, counts, n, most):
    """The number of an example's labels."""
    if COUNTED:
        return maximum(i64(0), minimum(i64(load(counts, n)), most))
    count = i64(0)
    while count < most and i64(load(labels, n * most + count)) >= i64(0):
        count += 1
    return count


@device
def time_of(times, n, most):
    """The number of an example's steps."""
    return maximum(i64(0), minimum(i64(load(times, n)), most)) if TIMED else most


@device
def sum_of(a, b):
    """``log(exp(a) + exp(b))``; NaN where there is one."""
    high, low = (a, b) if a > b else (b, a)
    return high if low == f64(-_INFINITY) else high + log1p(exp(low - high))


@device
def chance(x, row, label, classes, level):
    """The log probability of a label; none of what is no class."""
    if label < i64(0) or label >= classes:
        return f64(-_INFINITY)
    return f64(load(x, row * classes + label)) - level


@device
def total_of(prefixes, base, width, time, count):
    """The log likelihood of the labels, whose states at the first step begin at base."""
    if time == i64(0):
        return f64(0) if count == i64(0) else f64(-_INFINITY)
    last = base + (time - 1) * width + 2 * count
    value = load(prefixes, last)
    if count > i64(0):
        value = sum_of(value, load(prefixes, last - 1))
    return value


@kernel("x norm rows:i64 classes:i64", threads=block_of)
def _norms(x, norm, rows, classes):
    """A group per step."""
    scratch, kept = shared_array(32, real), local_array(1, real)
    row = i64(block_x()) * (_THREADS // LANES) + div(thread(), LANES)
    j, end = thread() & (LANES - 1), classes if row < rows else i64(0)
    top, sum_ = exponentials(x, row * classes, j, end, kept, scratch)
    if j == 0 and row < rows:
        store(norm, row, f64(top) + f64(log(sum_)))


@kernel("x labels counts times norm out blank:i64 steps:i64 classes:i64 most:i64", threads=_threads)
def _walk(x, labels, counts, times, norm, out, blank, steps, classes, most):
    """The log probabilities of paths to each state at each step, or from it to the end.

    Reversed, states and steps are counted from the example's own last ones.
    """
    n, width = i64(block_x()), 2 * most + 1
    count, time = count_of(labels, counts, n, most), time_of(times, n, steps)
    t = i64(0)
    while t < time:
        row = n * steps + (time - 1 - t if REVERSED else t)
        level, at, s = load(norm, row), (n * steps + t) * width, i64(thread())
        while s < 2 * count + 1:
            label, other, j = blank, blank, s >> 1
            if s & 1:
                label = i64(load(labels, n * most + (count - 1 - j if REVERSED else j)))
                if j > 0:
                    other = i64(load(labels, n * most + (count - j if REVERSED else j - 1)))
            paths = f64(0) if s < 2 else f64(-_INFINITY)
            if t > i64(0):
                before = at - width + s
                paths = load(out, before)
                if s > 0:
                    paths = sum_of(paths, load(out, before - 1))
                if s > 1 and s & 1 and label != other:
                    paths = sum_of(paths, load(out, before - 2))
            store(out, at + s, paths + chance(x, row, label, classes, level))
            s += THREADS
        sync()
        t += 1


@kernel(
    "loss labels counts times prefixes by_length:i32 zero:i32 items:i64 steps:i64 most:i64", threads=_THREADS
)
def _losses(loss, labels, counts, times, prefixes, by_length, zero, items, steps, most):
    """A thread per example."""
    n, width = i64(block_x()) * _THREADS + thread(), 2 * most + 1
    if n < items:
        count, time = count_of(labels, counts, n, most), time_of(times, n, steps)
        value = -total_of(prefixes, n * steps * width, width, time, count)
        if zero != 0 and value == f64(_INFINITY):
            value = f64(0)
        store(loss, n, real(value / f64(maximum(i64(1), count)) if by_length != 0 else value))


@kernel("labels counts first following classes:i64 most:i64", threads=_threads)
def _chains(labels, counts, first, following, classes, most):
    """Of each class the place of its first label, of each label that of the next equal one; else -1."""
    n, k, j = i64(block_x()), i64(thread()), i64(thread())
    count = count_of(labels, counts, n, most)
    while k < classes:
        store(first, n * classes + k, i64(-1))
        k += THREADS
    sync()
    while j < count:
        label, i, after, earlier = i64(load(labels, n * most + j)), i64(0), i64(-1), False
        while i < count:
            if i64(load(labels, n * most + i)) == label:
                if i < j:
                    earlier = True
                elif i > j and after < 0:
                    after = i
            i += 1
        store(following, n * most + j, after)
        if not earlier and label >= i64(0) and label < classes:
            store(first, n * classes + label, j)
        j += THREADS


@device
def share(prefixes, suffixes, forward, backward, s, last, chance_, total):
    """The share of the likelihood that passes through a state: both logarithms hold the step's own one."""
    path = load(prefixes, forward + s) + load(suffixes, backward + (last - s))
    return f64(0) if path == f64(-_INFINITY) else exp(path - chance_ - total)


@kernel(
    "x labels counts times norm prefixes suffixes first following dx by_length:i32 scale:f64 blank:i64"
    " items:i64 steps:i64 classes:i64 most:i64",
    threads=block_of,
)
def _slopes(
    x, labels, counts, times, norm, prefixes, suffixes, first, following, dx, by_length, scale, blank, items,
    steps, classes, most,
):  # fmt: skip
    """A group per step."""
    scratch = shared_array(32, f64)
    row = i64(block_x()) * (_THREADS // LANES) + div(thread(), LANES)
    mine, there, width = i64(thread() & (LANES - 1)), row < items * steps, 2 * most + 1
    n = div64(row, steps) if there else i64(0)
    t, count, time = row - n * steps, count_of(labels, counts, n, most), time_of(times, n, steps)
    total = total_of(prefixes, n * steps * width, width, time, count)
    live = there and t < time and total != f64(-_INFINITY)
    forward, backward, last = row * width, (n * steps + time - 1 - t) * width, 2 * count
    level, silence = f64(0), f64(0)
    if live:
        level = load(norm, row)
        mute = chance(x, row, blank, classes, level)
        s = 2 * mine
        while s < width and s <= last:
            silence += share(prefixes, suffixes, forward, backward, s, last, mute, total)
            s += 2 * LANES
    silence = group_sum(silence, scratch)
    factor = scale / f64(maximum(i64(1), count)) if by_length != 0 else scale
    k, end = mine, classes if there else i64(0)
    while k < end:
        slope = f64(0)
        if live:
            own = chance(x, row, k, classes, level)
            slope = f64(exp(real(own)))
            if k == blank:
                slope -= silence
            j = i64(load(first, n * classes + k))
            while j >= i64(0):
                slope -= share(prefixes, suffixes, forward, backward, 2 * j + 1, last, own, total)
                j = i64(load(following, n * most + j))
            slope *= factor
        store(dx, row * classes + k, real(slope))
        k += LANES


def _kinds(counts: DeviceArray | None, times: DeviceArray | None) -> dict[str, bool]:
    return {"COUNTED": counts is not None, "TIMED": times is not None}


def _per_state(most: int) -> int:
    """Threads of a block of which each takes a state or a few: whole warps, not more than there is work."""
    return min(_THREADS, max(32, 1 << (2 * most).bit_length()))


def ctc_forward(
    x: DeviceArray,  # (n, t, k) read
    labels: DeviceArray,  # (n, s) int64: not blank; read
    label_lengths: DeviceArray | None,  # (n,) int64, from 0 to s; None: up to the first label below 0
    input_lengths: DeviceArray | None,  # (n,) int64, from 0 to t; None: t
    blank: int,
    by_length: bool,  # losses are divided by the number of their labels, or 1
    zero_infinity: bool,  # losses without any path are 0, else infinite
    loss: DeviceArray,  # (n,) written
    norm: DeviceArray,  # (n, t) float64 written: log(sum over k of exp(x))
    prefixes: DeviceArray,  # (n, t, 2 s + 1) float64 written: log probabilities of paths, within both lengths
) -> None:
    """``loss[n] = -log(sum over paths of prod over t of softmax(x[n, t])[path[t]])``.

    The paths are those of ``input_lengths[n]`` steps which, once equal neighbours are merged and blanks then
    removed, are the labels.
    """
    (n, t, k), most, lanes = x.shape, labels.shape[1], lanes_for(x.shape[2])
    targets, kinds = (labels, label_lengths, input_lengths), _kinds(label_lengths, input_lengths)
    _norms.of(LANES=lanes, ITEMS=0)(ceil_div(n * t, _THREADS // lanes), x, norm, n * t, k)
    walk = _walk.of(REVERSED=False, THREADS=_per_state(most), **kinds)
    walk(n, x, *targets, norm, prefixes, blank, t, k, most)
    variant, options = _losses.of(**kinds), (int(by_length), int(zero_infinity))
    variant(ceil_div(n, _THREADS), loss, *targets, prefixes, *options, n, t, most)


def ctc_backward(
    x: DeviceArray,  # (n, t, k) read
    labels: DeviceArray,  # (n, s) int64 read
    label_lengths: DeviceArray | None,  # (n,) int64 read
    input_lengths: DeviceArray | None,  # (n,) int64 read
    norm: DeviceArray,  # (n, t) float64 read: what the forward pass wrote
    prefixes: DeviceArray,  # (n, t, 2 s + 1) float64 read: what the forward pass wrote
    blank: int,
    by_length: bool,
    scale: float,
    dx: DeviceArray,  # (n, t, k) written
) -> None:
    """The gradient of ``scale sum(loss)``: ``softmax(x[n, t])[k]`` less the probability that step t is k.

    That is the share of the paths' likelihood which passes through a state of label k. The gradient is 0
    beyond an input's length and where there is no path.
    """
    (n, t, k), most, lanes = x.shape, labels.shape[1], lanes_for(x.shape[2])
    targets, kinds = (labels, label_lengths, input_lengths), _kinds(label_lengths, input_lengths)
    threads, suffixes = _per_state(most), empty(prefixes.shape, np.float64)
    first, following = empty((n, k), np.int64), empty((n, most), np.int64)
    walk = _walk.of(REVERSED=True, THREADS=threads, **kinds)
    walk(n, x, *targets, norm, suffixes, blank, t, k, most)
    _chains.of(COUNTED=kinds["COUNTED"], THREADS=threads)(n, labels, label_lengths, first, following, k, most)
    arrays = x, *targets, norm, prefixes, suffixes, first, following, dx
    variant = _slopes.of(LANES=lanes, **kinds)
    variant(ceil_div(n * t, _THREADS // lanes), *arrays, int(by_length), scale, blank, n, t, k, most)

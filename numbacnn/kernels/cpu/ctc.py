"""Connectionist temporal classification: an example is a part, in logarithms of float64.

States are the labels with a blank before, between and after them.  Seen from its end, a path is one of the
reversed labels: the same step walks forward and, for gradients, backward, where two rows of states are
enough.
"""

from __future__ import annotations

import math as scalar_math

import numpy as np

from numbacnn._jit import jit, kernel, run
from numbacnn.memory import buffer_pool

from . import math
from .pointwise import log1p

__all__ = ["ctc_backward", "ctc_forward"]

_EXP = 1.5  # nanoseconds per score on one thread
_STATE = 25.0  # nanoseconds per state and step on one thread: exponentials and a logarithm, one by one
_NONE = -np.inf  # the logarithm of no path


@jit
def _level(scores):
    """The logarithm of the sum of the exponentials."""
    top = scores[0]
    for i in range(1, scores.size):
        top = max(top, scores[i])
    total = 0.0
    for i in range(scores.size):
        total += np.float64(math.exp(scores[i] - top))
    return np.float64(top) + scalar_math.log(total)


@jit
def _sum_of(a, b):
    """``log(exp(a) + exp(b))``; NaN where there is one."""
    high, low = (a, b) if a > b else (b, a)
    if low == _NONE:
        return high
    return high + log1p(math.exp(low - high))


@jit
def _label(labels, count, j, reverse):
    return labels[count - 1 - j] if reverse else labels[j]


@jit
def _first(scores, norm, labels, count, blank, reverse, row):
    """The states of the first step: paths begin with the blank or the first label."""
    row[0] = scores[blank] - norm
    for s in range(1, 2 * count + 1):
        row[s] = scores[_label(labels, count, 0, reverse)] - norm if s == 1 else _NONE


@jit
def _step(before, scores, norm, labels, count, blank, reverse, row):
    """The states of a step from those of the step before."""
    silence = scores[blank] - norm
    row[0] = before[0] + silence
    previous = blank
    for j in range(count):
        label, s = _label(labels, count, j, reverse), 2 * j + 1
        paths = _sum_of(before[s], before[s - 1])
        if j > 0 and label != previous:
            paths = _sum_of(paths, before[s - 2])
        row[s] = paths + (scores[label] - norm)
        row[s + 1] = _sum_of(before[s + 1], before[s]) + silence
        previous = label


@jit
def _total(prefixes, time, count):
    """The log likelihood of the labels."""
    if time == 0:
        return 0.0 if count == 0 else _NONE
    last = prefixes[time - 1]
    return _sum_of(last[2 * count], last[2 * count - 1]) if count > 0 else last[0]


@jit
def _forward_part(n, parts, x, labels, counts, times, blank, by_length, zero_infinity, loss, norm, prefixes):
    count, time, row = counts[n], times[n], labels[n]
    for t in range(time):
        norm[n, t] = _level(x[n, t])
        if t == 0:
            _first(x[n, t], norm[n, t], row, count, blank, False, prefixes[n, t])
        else:
            _step(prefixes[n, t - 1], x[n, t], norm[n, t], row, count, blank, False, prefixes[n, t])
    value = -_total(prefixes[n], time, count)
    if zero_infinity and value == np.inf:
        value = 0.0
    loss[n] = value / max(1, count) if by_length else value


@jit
def _backward_part(n, parts, x, labels, counts, times, norm, prefixes, blank, by_length, scale, work, dx):
    """Work holds for an example two rows of states and one of classes: 2 (2 s + 1) + k elements."""
    count, time, row, real = counts[n], times[n], labels[n], x.dtype.type
    states = 2 * count + 1
    before, now, shares = work[n, :states], work[n, states : 2 * states], work[n, 2 * states :]
    total = _total(prefixes[n], time, count)
    factor = scale / max(1, count) if by_length else scale
    live = time if total != _NONE else 0
    for t in range(live, x.shape[1]):
        dx[n, t, :] = 0
    for back in range(live):
        t = live - 1 - back
        scores, level, forward, slopes = x[n, t], norm[n, t], prefixes[n, t], dx[n, t]
        if back == 0:
            _first(scores, level, row, count, blank, True, now)
        else:
            _step(before, scores, level, row, count, blank, True, now)
        for k in range(scores.size):
            shares[k] = 0.0
        for s in range(states):
            path = forward[s] + now[states - 1 - s]
            if path != _NONE:  # both hold the probability of this step
                label = row[s // 2] if s % 2 == 1 else blank
                shares[label] += math.exp(path - (scores[label] - level) - total)
        for k in range(scores.size):
            slopes[k] = factor * (math.exp(real(scores[k] - level)) - shares[k])
        before, now = now, before


@kernel
def _forward(team, parts, x, labels, counts, times, blank, by_length, zero_infinity, loss, norm, prefixes):
    arrays = x, labels, counts, times, blank, by_length, zero_infinity, loss, norm, prefixes
    run(team, _forward_part, parts, arrays)


@kernel
def _backward(team, parts, x, labels, counts, times, norm, prefixes, blank, by_length, scale, work, dx):
    arrays = x, labels, counts, times, norm, prefixes, blank, by_length, scale, work, dx
    run(team, _backward_part, parts, arrays)


def _lengths(
    x: np.ndarray, labels: np.ndarray, counts: np.ndarray | None, times: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """The lengths where they are not given."""
    if counts is None:
        ends = np.ones((len(labels), labels.shape[1] + 1), np.bool_)
        np.less(labels, 0, out=ends[:, :-1])
        counts = ends.argmax(axis=1).astype(np.int64, copy=False)
    return counts, np.full(len(x), x.shape[1], np.int64) if times is None else times


def _cost(x: np.ndarray, labels: np.ndarray) -> float:
    """Nanoseconds on one thread."""
    n, t, k = x.shape
    return n * t * (k * _EXP + (2 * labels.shape[1] + 1) * _STATE)


def ctc_forward(
    x: np.ndarray,  # (n, t, k) read
    labels: np.ndarray,  # (n, s) int64: not blank; read
    label_lengths: np.ndarray | None,  # (n,) int64, from 0 to s; None: up to the first label below 0
    input_lengths: np.ndarray | None,  # (n,) int64, from 0 to t; None: t
    blank: int,
    by_length: bool,  # losses are divided by the number of their labels, or 1
    zero_infinity: bool,  # losses without any path are 0, else infinite
    loss: np.ndarray,  # (n,) written
    norm: np.ndarray,  # (n, t) float64 written: log(sum over k of exp(x)), within the input's length
    prefixes: np.ndarray,  # (n, t, 2 s + 1) float64 written: log probabilities of paths, within both lengths
) -> None:
    """``loss[n] = -log(sum over paths of prod over t of softmax(x[n, t])[path[t]])``.

    The paths are those of ``input_lengths[n]`` steps which, once equal neighbours are merged and blanks then
    removed, are the labels.
    """
    lengths = _lengths(x, labels, label_lengths, input_lengths)
    kinds = int(blank), bool(by_length), bool(zero_infinity)
    _forward(_cost(x, labels), len(x), x, labels, *lengths, *kinds, loss, norm, prefixes)


def ctc_backward(
    x: np.ndarray,  # (n, t, k) read
    labels: np.ndarray,  # (n, s) int64 read
    label_lengths: np.ndarray | None,  # (n,) int64 read
    input_lengths: np.ndarray | None,  # (n,) int64 read
    norm: np.ndarray,  # (n, t) float64 read: what the forward pass wrote
    prefixes: np.ndarray,  # (n, t, 2 s + 1) float64 read: what the forward pass wrote
    blank: int,
    by_length: bool,
    scale: float,
    dx: np.ndarray,  # (n, t, k) written
) -> None:
    """The gradient of ``scale sum(loss)``: ``softmax(x[n, t])[k]`` less the probability that step t is k.

    That is the share of the paths' likelihood which passes through a state of label k. The gradient is 0
    beyond an input's length and where there is no path.
    """
    lengths = _lengths(x, labels, label_lengths, input_lengths)
    n, _, k = x.shape
    work = buffer_pool.array((n, 2 * prefixes.shape[2] + k), np.dtype(np.float64))
    kinds = int(blank), bool(by_length), float(scale)
    _backward(_cost(x, labels), n, x, labels, *lengths, norm, prefixes, *kinds, work, dx)

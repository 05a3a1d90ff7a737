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
_STATE = 30.0  # nanoseconds per state and step on one thread
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
    """``log(exp(a) + exp(b))`` without a branch, so that loops vectorise; NaN where there is one."""
    high, low = (a if a > b else b), (b if a > b else a)
    less = low if low == _NONE else low - high
    return high + log1p(math.exp(less))


@jit
def _label(labels, count, j, reverse):
    return labels[count - 1 - j] if reverse else labels[j]


@jit
def _gates(labels, count, reverse, gates):
    """What is added to paths that pass over a blank to each state: 0, or where none may -infinity."""
    gates[0] = _NONE
    previous = labels[0] if count > 0 else 0  # nothing is passed before the first label
    for j in range(count):
        label = _label(labels, count, j, reverse)
        gates[2 * j + 1] = 0.0 if j > 0 and label != previous else _NONE
        gates[2 * j + 2] = _NONE
        previous = label


@jit
def _emissions(scores, norm, labels, count, blank, reverse, chances):
    """The log probability of each state's label at a step."""
    silence = scores[blank] - norm
    chances[0] = silence
    for j in range(count):
        chances[2 * j + 1] = scores[_label(labels, count, j, reverse)] - norm
        chances[2 * j + 2] = silence


@jit
def _first(chances, row):
    """The states of the first step: paths begin with the blank or the first label."""
    for s in range(row.size):
        row[s] = chances[s] if s < 2 else _NONE


@jit
def _step(before, gates, chances, row):
    """The states of a step from those of the step before."""
    row[0] = before[0] + chances[0]
    if row.size > 1:
        row[1] = _sum_of(before[1], before[0]) + chances[1]
    # slices: each index less 1 or 2, which might be negative, is looked at, and that takes twice the time
    stay, move, over, gate, chance, out = before[2:], before[1:], before, gates[2:], chances[2:], row[2:]
    for s in range(out.size):
        out[s] = _sum_of(_sum_of(stay[s], move[s]), over[s] + gate[s]) + chance[s]


@jit
def _total(prefixes, time, count):
    """The log likelihood of the labels."""
    if time == 0:
        return 0.0 if count == 0 else _NONE
    last = prefixes[time - 1]
    return _sum_of(last[2 * count], last[2 * count - 1]) if count > 0 else last[0]


@jit
def _forward_part(n, parts, x, labels, counts, times, blank, by_length, zero, work, loss, norm, prefixes):
    """Work holds for an example two rows of states."""
    count, time, row = counts[n], times[n], labels[n]
    states = 2 * count + 1
    gates, chances = work[n, :states], work[n, states : 2 * states]
    _gates(row, count, False, gates)
    for t in range(time):
        level = _level(x[n, t])
        norm[n, t] = level
        _emissions(x[n, t], level, row, count, blank, False, chances)
        if t == 0:
            _first(chances, prefixes[n, t, :states])
        else:
            _step(prefixes[n, t - 1, :states], gates, chances, prefixes[n, t, :states])
    value = -_total(prefixes[n], time, count)
    if zero and value == np.inf:
        value = 0.0
    loss[n] = value / max(1, count) if by_length else value


@jit
def _backward_part(n, parts, x, labels, counts, times, norm, prefixes, blank, by_length, scale, work, dx):
    """Work holds for an example four rows of states and one of classes."""
    count, time, row, real = counts[n], times[n], labels[n], x.dtype.type
    states = 2 * count + 1
    gates, chances = work[n, :states], work[n, states : 2 * states]
    before, now = work[n, 2 * states : 3 * states], work[n, 3 * states : 4 * states]
    shares = work[n, 4 * states : 4 * states + x.shape[2]]
    _gates(row, count, True, gates)
    total = _total(prefixes[n], time, count)
    factor = scale / max(1, count) if by_length else scale
    live = time if total != _NONE else 0
    for t in range(live, x.shape[1]):
        dx[n, t, :] = 0
    for back in range(live):
        t = live - 1 - back
        scores, level, forward, slopes = x[n, t], norm[n, t], prefixes[n, t, :states], dx[n, t]
        _emissions(scores, level, row, count, blank, True, chances)
        if back == 0:
            _first(chances, now)
        else:
            _step(before, gates, chances, now)
        for s in range(states):
            path = forward[states - 1 - s] + now[s]
            chances[s] = path - (chances[s] if path != _NONE else 0.0) - total  # both hold the step's own
        for s in range(states):
            chances[s] = math.exp(chances[s])
        for k in range(scores.size):
            shares[k] = 0.0
        for j in range(count):
            shares[blank] += chances[2 * j]
            shares[row[count - 1 - j]] += chances[2 * j + 1]
        shares[blank] += chances[2 * count]
        for k in range(scores.size):
            slopes[k] = factor * (math.exp(real(scores[k] - level)) - shares[k])
        before, now = now, before


@kernel
def _forward(team, parts, x, labels, counts, times, blank, by_length, zero, work, loss, norm, prefixes):
    arrays = x, labels, counts, times, blank, by_length, zero, work, loss, norm, prefixes
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
    work = buffer_pool.array((len(x), 2 * prefixes.shape[2]), np.dtype(np.float64))
    kinds = int(blank), bool(by_length), bool(zero_infinity)
    _forward(_cost(x, labels), len(x), x, labels, *lengths, *kinds, work, loss, norm, prefixes)


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
    work = buffer_pool.array((n, 4 * prefixes.shape[2] + k), np.dtype(np.float64))
    kinds = int(blank), bool(by_length), float(scale)
    _backward(_cost(x, labels), n, x, labels, *lengths, norm, prefixes, *kinds, work, dx)

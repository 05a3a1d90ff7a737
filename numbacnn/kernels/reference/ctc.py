"""Connectionist temporal classification: the likelihood of labels that are not aligned with the steps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .window import Array, double


def _extended(labels: NDArray, count: int, blank: int) -> NDArray[np.int64]:
    """The first labels with a blank before, between and after them: ``(2 count + 1,)``."""
    states = np.full(2 * count + 1, blank, np.int64)
    states[1::2] = labels[:count]
    return states


def _prefixes(log_p: NDArray, states: NDArray, blank: int) -> NDArray:
    """``a[t, s]``: log probability of all paths of t + 1 steps that end in state s, ``(t, states)``.

    A step stays in its state, goes to the next, or passes over a blank between two different labels.
    """
    a = np.full((len(log_p), states.size), -np.inf)
    for t, now in enumerate(log_p):
        for s, label in enumerate(states):
            if t == 0:
                a[t, s] = now[label] if s < 2 else -np.inf
                continue
            ways = a[t - 1, s]
            if s > 0:
                ways = np.logaddexp(ways, a[t - 1, s - 1])
            if s > 1 and label != blank and label != states[s - 2]:
                ways = np.logaddexp(ways, a[t - 1, s - 2])
            a[t, s] = ways + now[label]
    return a


def _total(prefixes: NDArray, states: NDArray) -> float:
    """The log likelihood: paths end in the last label or in the blank after it; of no steps there is one."""
    if not len(prefixes):
        return 0.0 if states.size == 1 else -np.inf
    return float(np.logaddexp.reduce(prefixes[-1, -2:]))


def ctc_forward(
    x: Array,  # (n, t, k) read
    labels: NDArray,  # (n, s) int64: not blank; read
    label_lengths: NDArray | None,  # (n,) int64, from 0 to s; None: up to the first label below 0
    input_lengths: NDArray | None,  # (n,) int64, from 0 to t; None: t
    blank: int,
    by_length: bool,  # losses are divided by the number of their labels, or 1
    zero_infinity: bool,  # losses without any path are 0, else infinite
    loss: Array,  # (n,) written
    norm: NDArray,  # (n, t) float64 written: log(sum over k of exp(x)), within the input's length
    prefixes: NDArray,  # (n, t, 2 s + 1) float64 written: log probabilities of paths, within both lengths
) -> None:
    """``loss[n] = -log(sum over paths of prod over t of softmax(x[n, t])[path[t]])``.

    The paths are those of ``input_lengths[n]`` steps which, once equal neighbours are merged and blanks then
    removed, are the labels.
    """
    x = double(x)
    for n in range(len(x)):
        count, time = _extents(n, x, labels, label_lengths, input_lengths)
        states = _extended(labels[n], count, blank)
        norm[n, :time] = np.logaddexp.reduce(x[n, :time], axis=-1)
        a = _prefixes(x[n, :time] - norm[n, :time, None], states, blank)
        prefixes[n, :time, : states.size] = a
        value = -_total(a, states) / (max(1, states.size // 2) if by_length else 1)
        loss[n] = 0.0 if zero_infinity and value == np.inf else value


def ctc_backward(
    x: Array,  # (n, t, k) read
    labels: NDArray,  # (n, s) int64 read
    label_lengths: NDArray | None,  # (n,) int64 read
    input_lengths: NDArray | None,  # (n,) int64 read
    norm: NDArray,  # (n, t) float64 read: what the forward pass wrote
    prefixes: NDArray,  # (n, t, 2 s + 1) float64 read: what the forward pass wrote
    blank: int,
    by_length: bool,
    scale: float,
    dx: Array,  # (n, t, k) written
) -> None:
    """The gradient of ``scale sum(loss)``: ``softmax(x[n, t])[k]`` less the probability that step t is k.

    That is the share of the paths' likelihood which passes through a state of label k. The gradient is 0
    beyond an input's length and where there is no path.
    """
    x = double(x)
    dx[...] = 0.0
    for n in range(len(x)):
        count, time = _extents(n, x, labels, label_lengths, input_lengths)
        states = _extended(labels[n], count, blank)
        log_p = x[n, :time] - norm[n, :time, None]
        a = prefixes[n, :time, : states.size]
        total = _total(a, states)
        if total == -np.inf:
            continue
        after = _prefixes(log_p[::-1], states[::-1], blank)[::-1, ::-1]  # paths from state s at t to the end
        for t in range(time):
            slope = np.exp(log_p[t])
            for s, label in enumerate(states):
                if a[t, s] > -np.inf and after[t, s] > -np.inf:  # both hold the probability of step t
                    slope[label] -= np.exp(a[t, s] + after[t, s] - log_p[t, label] - total)
            dx[n, t] = scale * slope / (max(1, states.size // 2) if by_length else 1)


def _extents(
    n: int, x: NDArray, labels: NDArray, label_lengths: NDArray | None, input_lengths: NDArray | None
) -> tuple[int, int]:
    """The labels of an example, and its steps."""
    count = np.append(labels[n] < 0, True).argmax() if label_lengths is None else label_lengths[n]
    return int(count), x.shape[1] if input_lengths is None else int(input_lengths[n])

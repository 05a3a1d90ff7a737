"""Optimizer steps and penalties: flat arrays of one size.

w, its states and its average are updated in place, from states of 0.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...update_rules import Numbers
from .window import Array, double


def optimizer_step(
    rule: str,
    w: Array,
    g: Array,
    a: Array | None,
    b: Array | None,
    c: Array | None,
    average: Array | None,
    numbers: Numbers,
) -> None:
    """One step of a rule of `update_rules.RULES`, told what `update_rules.Numbers` describes.

    a, b and c are its states, None where it has fewer. ``average = average + share (w - average)`` of the
    new weights.
    """
    n = numbers
    gradient = np.clip(n.gain * double(g), -n.limit, n.limit) + n.l1 * np.sign(double(w)) + n.l2 * double(w)
    states = [s for s in (a, b, c) if s is not None]
    move, *new = _MOVES[rule](double(w), gradient, *map(double, states), n)
    w[...] = (1.0 - n.lr * n.decay) * double(w) - move
    for state, value in zip(states, new, strict=True):
        state[...] = value
    if average is not None:
        average[...] = double(average) + n.share * (double(w) - double(average))


def _descent(w: Array, g: Array, n: Numbers) -> tuple[Array, ...]:
    """``w = w - lr g``."""
    return (n.lr * g,)


def _sgd(w: Array, g: Array, v: Array, n: Numbers) -> tuple[Array, ...]:
    """``v = momentum v + (1 - dampening) g``, ``w = w - lr v``; with Nesterov ``w - lr (g + momentum v)``.

    The first step is not dampened. Sutskever et al., "On the importance of initialization and momentum", ICML
    2013, section 2, in the form of PyTorch.
    """
    v = n.beta1 * v + (g if n.step == 1 else (1.0 - n.dampening) * g)
    return n.lr * (g + n.beta1 * v if n.ahead else v), v


def _rmsprop(w: Array, g: Array, s: Array, n: Numbers) -> tuple[Array, ...]:
    """``s = rho s + (1 - rho) g^2``, ``w = w - lr g / (sqrt(s) + eps)``. Hinton's lecture 6e, 2012."""
    s = n.beta2 * s + (1.0 - n.beta2) * g**2
    return n.lr * g / (np.sqrt(s) + n.eps), s


def _rmsprop_momentum(w: Array, g: Array, s: Array, v: Array, n: Numbers) -> tuple[Array, ...]:
    """``v = momentum v + g / (sqrt(s) + eps)``, ``w = w - lr v``."""
    s = n.beta2 * s + (1.0 - n.beta2) * g**2
    v = n.beta1 * v + g / (np.sqrt(s) + n.eps)
    return n.lr * v, s, v


def _rmsprop_centered(w: Array, g: Array, s: Array, v: Array, mean: Array, n: Numbers) -> tuple[Array, ...]:
    """The mean's square is taken off s: the variance. Graves, "Generating sequences", 2013, section 4."""
    s = n.beta2 * s + (1.0 - n.beta2) * g**2
    mean = n.beta2 * mean + (1.0 - n.beta2) * g
    v = n.beta1 * v + g / (np.sqrt(np.maximum(s - mean**2, 0.0)) + n.eps)
    return n.lr * v, s, v, mean


def _adagrad(w: Array, g: Array, s: Array, n: Numbers) -> tuple[Array, ...]:
    """``s = s + g^2``, ``w = w - lr / (1 + (step - 1) lr_decay) g / (sqrt(s) + eps)``.

    Duchi, Hazan and Singer, "Adaptive subgradient methods", JMLR 2011, section 1.3, with PyTorch's decay.
    """
    s = s + g**2
    return n.lr / (1.0 + (n.step - 1.0) * n.lr_decay) * g / (np.sqrt(s) + n.eps), s


def _adadelta(w: Array, g: Array, s: Array, u: Array, n: Numbers) -> tuple[Array, ...]:
    """``d = sqrt(u + eps) / sqrt(s + eps) g``, ``w = w - lr d``; s and u are mean squares of g and d.

    Zeiler, "ADADELTA: an adaptive learning rate method", 2012, algorithm 1.
    """
    s = n.beta2 * s + (1.0 - n.beta2) * g**2
    d = np.sqrt(u + n.eps) / np.sqrt(s + n.eps) * g
    return n.lr * d, s, n.beta2 * u + (1.0 - n.beta2) * d**2


def _moments(g: Array, m: Array, v: Array, n: Numbers) -> tuple[Array, ...]:
    return n.beta1 * m + (1.0 - n.beta1) * g, n.beta2 * v + (1.0 - n.beta2) * g**2


def _adam(w: Array, g: Array, m: Array, v: Array, n: Numbers) -> tuple[Array, ...]:
    """``w = w - lr m' / (sqrt(v') + eps)``: the moments, freed of their start at 0.

    ``m = beta1 m + (1 - beta1) g``, ``m' = m / (1 - beta1^step)``; v alike of ``g^2``.
    Kingma and Ba, "Adam", ICLR 2015, algorithm 1; decoupled decay is Loshchilov and Hutter's, ICLR 2019.
    """
    m, v = _moments(g, m, v, n)
    m_, v_ = m / (1.0 - n.beta1**n.step), v / (1.0 - n.beta2**n.step)
    return n.lr * m_ / (np.sqrt(v_) + n.eps), m, v


def _amsgrad(w: Array, g: Array, m: Array, v: Array, most: Array, n: Numbers) -> tuple[Array, ...]:
    """Adam by the largest v so far. Reddi, Kale and Kumar, "On the convergence of Adam", ICLR 2018."""
    m, v = _moments(g, m, v, n)
    most = np.maximum(most, v)
    m_, v_ = m / (1.0 - n.beta1**n.step), most / (1.0 - n.beta2**n.step)
    return n.lr * m_ / (np.sqrt(v_) + n.eps), m, v, most


def _radam(w: Array, g: Array, m: Array, v: Array, n: Numbers) -> tuple[Array, ...]:
    """Adam with a step that is r times as long, or ``w = w - lr m'`` where v says too little yet.

    ``r^2 = (k - 4)(k - 2) K / ((K - 4)(K - 2) k)``, ``K = 2 / (1 - beta2) - 1``,
    ``k = K - 2 step beta2^step / (1 - beta2^step)``; too little is a k up to 5.
    Liu et al., "On the variance of the adaptive learning rate", ICLR 2020, algorithm 2, with the eps of
    PyTorch, which adds it to sqrt(v).
    """
    m, v = _moments(g, m, v, n)
    m_, power = m / (1.0 - n.beta1**n.step), n.beta2**n.step
    most = 2.0 / (1.0 - n.beta2) - 1.0
    length = most - 2.0 * n.step * power / (1.0 - power)
    if length <= 5.0:
        return n.lr * m_, m, v
    r = np.sqrt((length - 4.0) * (length - 2.0) * most / ((most - 4.0) * (most - 2.0) * length))
    return n.lr * m_ * r * np.sqrt(1.0 - power) / (np.sqrt(v) + n.eps), m, v


def _lion(w: Array, g: Array, m: Array, n: Numbers) -> tuple[Array, ...]:
    """``w = w - lr sign(beta1 m + (1 - beta1) g)``, then ``m = beta2 m + (1 - beta2) g``.

    Chen et al., "Symbolic discovery of optimization algorithms", 2023, algorithm 2.
    """
    sign = np.sign(n.beta1 * m + (1.0 - n.beta1) * g)
    return n.lr * sign, n.beta2 * m + (1.0 - n.beta2) * g


def _lamb(w: Array, g: Array, m: Array, v: Array, n: Numbers) -> tuple[Array, ...]:
    """``w = w - lr |w| / |u| u``, ``u = m' / (sqrt(v') + eps) + decay w``; where a norm is 0, ``w - lr u``.

    You et al., "Large batch optimization for deep learning", ICLR 2020, algorithm 2.
    """
    m, v = _moments(g, m, v, n)
    m_, v_ = m / (1.0 - n.beta1**n.step), v / (1.0 - n.beta2**n.step)
    u = m_ / (np.sqrt(v_) + n.eps) + n.decay * w
    sizes = np.sqrt((w**2).sum()), np.sqrt((u**2).sum())
    ratio = sizes[0] / sizes[1] if sizes[0] > 0 and sizes[1] > 0 else 1.0
    return n.lr * ratio * u - n.lr * n.decay * w, m, v  # less what decay takes off each rule's weights


_MOVES: dict[str, Callable[..., tuple[Array, ...]]] = {
    "descent": _descent,
    "sgd": _sgd,
    "rmsprop": _rmsprop,
    "rmsprop_momentum": _rmsprop_momentum,
    "rmsprop_centered": _rmsprop_centered,
    "adagrad": _adagrad,
    "adadelta": _adadelta,
    "adam": _adam,
    "amsgrad": _amsgrad,
    "radam": _radam,
    "lion": _lion,
    "lamb": _lamb,
}


def average_step(w: Array, average: Array, share: float) -> None:
    """``average = average + share (w - average)``."""
    average[...] = double(average) + share * (double(w) - double(average))


def penalty_value(w: Array, l1: float, l2: float) -> float:
    """``l1 sum(|w|) + l2 / 2 sum(w^2)``."""
    return float(l1 * np.abs(double(w)).sum() + l2 / 2.0 * (double(w) ** 2).sum())


def square_sum(g: Array) -> float:
    """``sum(g^2)``."""
    return float((double(g) ** 2).sum())

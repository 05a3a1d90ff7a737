"""Losses that are the mean, or the sum, of what each element and its target cost: one body for all of them.

Sums go by chunks of a row, then over the chunks, as in ``reduce``: what is cut depends on the sizes alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .each import apply
from .intrinsics import (
    abs_,
    block_x,
    div,
    div64,
    exp,
    i64,
    load,
    log,
    minimum,
    pow_,
    real,
    shared_array,
    store,
    thread,
)
from .launch import ceil_div, device, kernel
from .memory import DeviceArray, empty
from .reduce import block_of, group_sum, lanes_for, row_sums

__all__ = [
    "binary_cross_entropy_backward",
    "binary_cross_entropy_forward",
    "focal_backward",
    "focal_forward",
    "huber_backward",
    "huber_forward",
    "kl_divergence_backward",
    "kl_divergence_forward",
    "mean_absolute_error_backward",
    "mean_absolute_error_forward",
    "mean_squared_error_backward",
    "mean_squared_error_forward",
]

if TYPE_CHECKING:  # constants that kernels are specialised by
    LOSS = ""  # which one
    LANES = 32  # threads of a row: a power of two, to 32 within a warp, above it a whole block
    WEIGHTED = False  # there is a weight for each class, the last axis

_THREADS = 256
_CHUNK = 16384  # elements of a row that a block sums


@device
def log1p(x):
    """``log(1 + x)`` with the places of a small x: the rounding of ``1 + x`` cancels in the quotient."""
    u = real(1) + x
    return x if u == real(1) else log(u) * (x / (u - real(1)))


@device
def softplus(x):
    """``log(1 + exp(x))``, no difference of large numbers."""
    tail = log1p(exp(-abs_(x)))
    return tail + x if x > real(0) else tail


@device
def chance(x):
    """``1 / (1 + exp(-x))``; no exponential overflows, and small ones keep their places."""
    small = exp(-abs_(x))
    return (real(1) if x >= real(0) else small) / (real(1) + small)


@device
def term(x, t, w, a, b, c):
    """What an element costs: w is the weight of its class, a to c numbers of the loss."""
    if LOSS == "absolute":
        return abs_(x - t)
    if LOSS == "huber":
        r = abs_(x - t)
        return real(0.5) * r * r if r < a else a * (r - real(0.5) * a)
    if LOSS == "kl":
        return t * (log(t) - x) if t > real(0) else real(0)
    if LOSS == "kl of logarithms":
        p = exp(t)
        return p * (t - x) if p > real(0) else real(0)
    right, wrong = softplus(-x), softplus(x)
    if LOSS == "binary":
        return w * t * right + (real(1) - t) * wrong
    missed = t * chance(-x) + (real(1) - t) * chance(x)
    entropy = t * right + (real(1) - t) * wrong
    return (a * t + b * (real(1) - t)) * pow_(missed, c) * entropy


@device
def slope(x, t, w, a, b, c):
    """The slope of `term` by x."""
    if LOSS == "absolute":
        r = x - t
        return real(1) if r > real(0) else (real(-1) if r < real(0) else r)  # 0 and NaN stay
    if LOSS == "huber":
        r = x - t
        r = a if r > a else r
        return -a if r < -a else r
    if LOSS == "kl":
        return -t
    if LOSS == "kl of logarithms":
        return -exp(t)
    low, high = chance(-x), chance(x)
    if LOSS == "binary":
        return (real(1) - t) * high - w * t * low
    missed = t * low + (real(1) - t) * high
    ratio = low * high / missed if missed > real(0) else real(0)
    entropy = t * softplus(-x) + (real(1) - t) * softplus(x)
    change = (real(1) - t) * high - t * low + c * ratio * (real(1) - t - t) * entropy
    return (a * t + b * (real(1) - t)) * pow_(missed, c) * change


@device
def weight(weights, i, channels):
    """The weight of an element's class; one for all where there are not several."""
    if WEIGHTED:
        return load(weights, i - div64(i, channels) * channels)
    return real(1)


@kernel(
    "x target weights out a:real b:real c:real scale:real "
    "rows:i64 length:i64 chunk:i64 chunks:i32 channels:i64",
    threads=block_of,
)
def _terms(x, target, weights, out, a, b, c, scale, rows, length, chunk, chunks, channels):
    """A group per chunk of a row; short rows have one chunk, and a block several groups."""
    scratch = shared_array(32, real)
    if LANES > 32:
        row = i64(div(block_x(), chunks))
        part = i64(block_x()) - row * chunks
    else:
        row = i64(block_x()) * (_THREADS // LANES) + div(thread(), LANES)
        part = i64(0)
    lo = part * chunk
    hi = minimum(lo + chunk, length) if row < rows else lo
    j = thread() & (LANES - 1)
    sum_, i = real(0), lo + j
    while i < hi:
        at = row * length + i
        sum_ += term(load(x, at), load(target, at), weight(weights, i, channels), a, b, c)
        i += LANES
    sum_ = group_sum(sum_, scratch)
    if j == 0 and row < rows:
        store(out, row * chunks + part, sum_ * scale)


@kernel("x target weights dx a:real b:real c:real scale:real n:i64 channels:i64", threads=_THREADS)
def _slopes(x, target, weights, dx, a, b, c, scale, n, channels):
    i = i64(block_x()) * _THREADS + thread()
    if i < n:
        w = weight(weights, i, channels)
        store(dx, i, scale * slope(load(x, i), load(target, i), w, a, b, c))


def _sum(
    what: str,
    x: DeviceArray,
    target: DeviceArray,
    loss: DeviceArray,
    numbers: tuple[float, float, float] = (0.0, 0.0, 0.0),
    weights: DeviceArray | None = None,
    mean: bool = True,
) -> None:
    """Write the means, or sums, of an item's terms."""
    rows = x.shape[0]
    length = x.size // max(1, rows)
    lanes, scale = lanes_for(length), 1.0 / max(1, length) if mean else 1.0
    channels = 1 if weights is None else weights.size
    variant = _terms.of(LOSS=what, LANES=lanes, WEIGHTED=weights is not None)
    if lanes <= 32:
        grid, chunk, chunks = ceil_div(rows, _THREADS // lanes), length, 1
    else:
        grid, chunk, chunks = rows * ceil_div(length, _CHUNK), _CHUNK, ceil_div(length, _CHUNK)
    if chunks == 1:
        variant(grid, x, target, weights, loss, *numbers, scale, rows, length, chunk, 1, channels)
        return
    partial = empty((rows, chunks), np.float64 if x.dtype == np.float64 else np.float32)
    variant(grid, x, target, weights, partial, *numbers, 1.0, rows, length, chunk, chunks, channels)
    row_sums("sum", partial, None, rows, loss, scale)


def _differ(
    what: str,
    x: DeviceArray,
    target: DeviceArray,
    scale: float,
    dx: DeviceArray,
    numbers: tuple[float, float, float] = (0.0, 0.0, 0.0),
    weights: DeviceArray | None = None,
) -> None:
    """Write the slopes of all terms, times scale."""
    channels = 1 if weights is None else weights.size
    variant = _slopes.of(LOSS=what, WEIGHTED=weights is not None)
    variant(ceil_div(x.size, _THREADS), x, target, weights, dx, *numbers, scale, x.size, channels)


def _share(scale: float, x: DeviceArray) -> float:
    """The scale of an element, of which an item has several."""
    return scale * x.shape[0] / max(1, x.size)


def mean_squared_error_forward(
    x: DeviceArray,  # (n, ...) read
    target: DeviceArray,  # (n, ...) read
    loss: DeviceArray,  # (n,) written
) -> None:
    """``loss[n] = mean of (x[n, ...] - target[n, ...])^2``."""
    n = x.shape[0]
    row_sums("squares", x, target, n, loss, n / max(1, x.size))


def mean_squared_error_backward(
    x: DeviceArray,  # (n, ...) read
    target: DeviceArray,  # (n, ...) read
    scale: float,
    dx: DeviceArray,  # (n, ...) written
) -> None:
    """``dx[n, ...] = 2 scale (x - target) / m``, m values per item: the gradient of ``scale sum(loss)``."""
    apply("difference", x, target, dx, 2.0 * _share(scale, x))


def mean_absolute_error_forward(
    x: DeviceArray,  # (n, ...) read
    target: DeviceArray,  # (n, ...) read
    loss: DeviceArray,  # (n,) written
) -> None:
    """``loss[n] = mean of |x[n, ...] - target[n, ...]|``."""
    _sum("absolute", x, target, loss)


def mean_absolute_error_backward(
    x: DeviceArray,  # (n, ...) read
    target: DeviceArray,  # (n, ...) read
    scale: float,
    dx: DeviceArray,  # (n, ...) written
) -> None:
    """``dx[n, ...] = scale sign(x - target) / m``, m values per item; 0 where they are equal."""
    _differ("absolute", x, target, _share(scale, x), dx)


def huber_forward(
    x: DeviceArray,  # (n, ...) read
    target: DeviceArray,  # (n, ...) read
    delta: float,
    loss: DeviceArray,  # (n,) written
) -> None:
    """``loss[n] = mean of h(x - t)``, ``h(r) = r^2 / 2 where |r| < delta, else delta (|r| - delta / 2)``."""
    _sum("huber", x, target, loss, (delta, 0.0, 0.0))


def huber_backward(
    x: DeviceArray,  # (n, ...) read
    target: DeviceArray,  # (n, ...) read
    delta: float,
    scale: float,
    dx: DeviceArray,  # (n, ...) written
) -> None:
    """``dx[n, ...] = scale min(max(x - target, -delta), delta) / m``, m values per item."""
    _differ("huber", x, target, _share(scale, x), dx, (delta, 0.0, 0.0))


def binary_cross_entropy_forward(
    x: DeviceArray,  # (n, ..., c) read: logits
    target: DeviceArray,  # (n, ..., c) read: probabilities
    weights: DeviceArray | None,  # (c,) or (1,) read: of what is to be 1; None for 1
    loss: DeviceArray,  # (n,) written
) -> None:
    """``loss[n] = mean of w t log(1 + exp(-x)) + (1 - t) log(1 + exp(x))``."""
    _sum("binary", x, target, loss, weights=weights)


def binary_cross_entropy_backward(
    x: DeviceArray,  # (n, ..., c) read
    target: DeviceArray,  # (n, ..., c) read
    weights: DeviceArray | None,  # (c,) or (1,) read
    scale: float,
    dx: DeviceArray,  # (n, ..., c) written
) -> None:
    """``dx = scale ((1 - t) s(x) - w t s(-x)) / m``, s the sigmoid, m values per item."""
    _differ("binary", x, target, _share(scale, x), dx, weights=weights)


def focal_forward(
    x: DeviceArray,  # (n, ...) read: logits
    target: DeviceArray,  # (n, ...) read: probabilities
    positive: float,  # weight of what is to be 1
    negative: float,  # and of what is to be 0
    gamma: float,
    loss: DeviceArray,  # (n,) written
) -> None:
    """``loss[n] = mean of a q^gamma e``: e the binary cross-entropy, q the probability of being wrong.

    ``q = t s(-x) + (1 - t) s(x)``, ``a = positive t + negative (1 - t)``.
    """
    _sum("focal", x, target, loss, (positive, negative, gamma))


def focal_backward(
    x: DeviceArray,  # (n, ...) read
    target: DeviceArray,  # (n, ...) read
    positive: float,
    negative: float,
    gamma: float,
    scale: float,
    dx: DeviceArray,  # (n, ...) written
) -> None:
    """``dx = scale a (q^gamma e' + gamma q^(gamma - 1) q' e) / m``, m values per item.

    ``e' = (1 - t) s(x) - t s(-x)``, ``q' = (1 - 2 t) s(x) s(-x)``.
    """
    _differ("focal", x, target, _share(scale, x), dx, (positive, negative, gamma))


def kl_divergence_forward(
    x: DeviceArray,  # (n, ...) read: log-probabilities
    target: DeviceArray,  # (n, ...) read: probabilities, or their logarithms
    logarithms: bool,
    loss: DeviceArray,  # (n,) written
) -> None:
    """``loss[n] = sum of t (log t - x)``, 0 where t is 0; with logarithms ``sum of exp(t) (t - x)``."""
    _sum("kl of logarithms" if logarithms else "kl", x, target, loss, mean=False)


def kl_divergence_backward(
    target: DeviceArray,  # (n, ...) read
    logarithms: bool,
    scale: float,
    dx: DeviceArray,  # (n, ...) written
) -> None:
    """``dx = -scale t``, or ``-scale exp(t)``: the gradient of ``scale sum(loss)`` by x."""
    _differ("kl of logarithms" if logarithms else "kl", target, target, scale, dx)

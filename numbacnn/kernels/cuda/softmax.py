"""Softmax over the last axis, and cross-entropy with it: a group of threads per row.

A group is a few lanes of a warp for few classes and a block for many; up to tens of thousands of classes a
row is read once and stays in registers.  No exponential overflows: each row is shifted by its maximum.  Rows
with NaN give NaN.  Of 16-bit scores the losses may be float32 arrays, which keeps their places.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from .intrinsics import (
    block_x,
    div,
    exp,
    i64,
    load,
    local_array,
    log,
    maximum,
    pow_,
    real,
    shared_array,
    static_range,
    store,
    thread,
)
from .launch import ceil_div, device, kernel
from .memory import DeviceArray
from .pointwise import log1p
from .reduce import block_of, group_maximum, group_sum, lanes_for

__all__ = [
    "focal_cross_entropy_backward",
    "focal_cross_entropy_forward",
    "softmax_backward",
    "softmax_cross_entropy_backward",
    "softmax_cross_entropy_forward",
    "softmax_forward",
    "target_weights",
]

if TYPE_CHECKING:  # constants that kernels are specialised by
    LANES = 32  # threads of a row: a power of two, to 32 within a warp, above it a whole block
    ITEMS = 1  # classes of a thread, which it keeps in registers; 0 where they are read again
    CLASSES = False  # targets are classes, else probabilities
    SMOOTH = False  # some of the target is spread over all classes
    WEIGHTED = False  # there are weights of the classes
    FOCAL = False  # what is right already costs less
    DIVIDED = False  # there is a divisor

_THREADS = 256
_INFINITY = math.inf
_BLOCK_ITEMS = 32  # of a thread of 256 in registers, at most


@device
def exponentials(x, base, j, end, kept, scratch):
    """The maximum of a row and the sum of ``exp(x - maximum)``; these are kept where there is room."""
    top, sum_ = real(-_INFINITY), real(0)
    if ITEMS:
        for s in static_range(ITEMS):
            kept[s] = load(x, base + (j + LANES * s)) if j + LANES * s < end else real(-_INFINITY)
            top = maximum(kept[s], top)
        top = group_maximum(top, scratch)
        for s in static_range(ITEMS):
            kept[s] = exp(kept[s] - top)
            sum_ += kept[s]
    else:
        i = i64(j)
        while i + 3 * LANES < end:
            for u in static_range(4):
                top = maximum(load(x, base + (i + LANES * u)), top)
            i += 4 * LANES
        while i < end:
            top = maximum(load(x, base + i), top)
            i += LANES
        top = group_maximum(top, scratch)
        i = i64(j)
        while i + 3 * LANES < end:
            for u in static_range(4):
                sum_ += exp(load(x, base + (i + LANES * u)) - top)
            i += 4 * LANES
        while i < end:
            sum_ += exp(load(x, base + i) - top)
            i += LANES
    return top, group_sum(sum_, scratch)


@device
def write_probabilities(x, y, base, j, end, kept, top, total):
    """``exp(x - top) / total`` of a row."""
    share = real(1) / total
    if ITEMS:
        for s in static_range(ITEMS):
            if j + LANES * s < end:
                store(y, base + (j + LANES * s), kept[s] * share)
    else:
        i = i64(j)
        while i < end:
            store(y, base + i, exp(load(x, base + i) - top) * share)
            i += LANES


@kernel("x y rows:i64 classes:i64", threads=block_of)
def _softmax(x, y, rows, classes):
    scratch, kept = shared_array(32, real), local_array(max(1, ITEMS), real)
    row = i64(block_x()) * max(1, _THREADS // LANES) + div(thread(), LANES)
    j, end = thread() & (LANES - 1), classes if row < rows else i64(0)
    top, total = exponentials(x, row * classes, j, end, kept, scratch)
    write_probabilities(x, y, row * classes, j, end, kept, top, total)


@kernel("y dy dx rows:i64 classes:i64", threads=block_of)
def _softmax_slope(y, dy, dx, rows, classes):
    scratch = shared_array(32, real)
    row = i64(block_x()) * max(1, _THREADS // LANES) + div(thread(), LANES)
    j, end = thread() & (LANES - 1), classes if row < rows else i64(0)
    base, mean = row * classes, real(0)
    if ITEMS:
        p, g = local_array(ITEMS, real), local_array(ITEMS, real)
        for s in static_range(ITEMS):
            p[s] = load(y, base + (j + LANES * s)) if j + LANES * s < end else real(0)
            g[s] = load(dy, base + (j + LANES * s)) if j + LANES * s < end else real(0)
            mean += p[s] * g[s]
        mean = group_sum(mean, scratch)
        for s in static_range(ITEMS):
            if j + LANES * s < end:
                store(dx, base + (j + LANES * s), p[s] * (g[s] - mean))
    else:
        i = i64(j)
        while i + 3 * LANES < end:
            for u in static_range(4):
                mean += load(y, base + (i + LANES * u)) * load(dy, base + (i + LANES * u))
            i += 4 * LANES
        while i < end:
            mean += load(y, base + i) * load(dy, base + i)
            i += LANES
        mean = group_sum(mean, scratch)
        i = i64(j)
        while i < end:
            store(dx, base + i, load(y, base + i) * (load(dy, base + i) - mean))
            i += LANES


@kernel(
    "x target weights loss p ignore:i64 keep:real share:real gamma:real rows:i64 classes:i64",
    threads=block_of,
)
def _cross_entropy(x, target, weights, loss, p, ignore, keep, share, gamma, rows, classes):
    """What is not the softmax reads the row again: it is in a cache by then."""
    scratch, kept = shared_array(32, real), local_array(max(1, ITEMS), real)
    row = i64(block_x()) * max(1, _THREADS // LANES) + div(thread(), LANES)
    j, end = thread() & (LANES - 1), classes if row < rows else i64(0)
    base = row * classes
    top, total = exponentials(x, base, j, end, kept, scratch)
    level = log(total)
    value = real(0)
    if FOCAL:  # the probability of the other classes
        wanted, i = i64(load(target, row)) if row < rows else i64(0), i64(j)
        while i < end:
            value += exp(load(x, base + i) - top) if i != wanted else real(0)
            i += LANES
        value = group_sum(value, scratch) / total
    elif not CLASSES or SMOOTH:
        i = i64(j)
        while i < end:
            if CLASSES:
                cost = share * (top - load(x, base + i))
                if WEIGHTED:
                    cost = (cost + share * level) * load(weights, i)
            else:
                cost = (keep * load(target, base + i) + share) * (level + (top - load(x, base + i)))
                if WEIGHTED:
                    cost = cost * load(weights, i)
            value += cost
            i += LANES
        value = group_sum(value, scratch)
    if j == 0 and row < rows:
        if CLASSES:
            right = i64(load(target, row))
            if right == ignore:
                value = real(0)
            else:
                away = top - load(x, base + right)
                if FOCAL:
                    value = pow_(value, gamma) * (level + away)
                    if WEIGHTED:
                        value = value * load(weights, right)
                elif WEIGHTED:
                    value += keep * load(weights, right) * (level + away)
                else:
                    value += level + keep * away
        store(loss, row, value)
    write_probabilities(x, p, base, j, end, kept, top, total)


@device
def wanted_of(target, weights, base, i, right, keep, share):
    """What is wanted of a probability, times the weight of its class."""
    if CLASSES:
        much = share + (keep if i == right else real(0))
    else:
        much = keep * load(target, base + i) + share
    return much * load(weights, i) if WEIGHTED else much


@device
def focus(q, rest, gamma):
    """The slope of ``(1 - q)^gamma (-log q)`` by ``-log q``; rest is the probability of other classes."""
    ratio = real(1)
    if rest > real(0) and q > real(0):
        ratio = -(log1p(-rest) if q > real(0.5) else log(q)) / rest
    return pow_(rest, gamma) * (real(1) + gamma * q * ratio)


@kernel(
    "p target weights divisor dx ignore:i64 keep:real share:real gamma:real factor:real rows:i64 classes:i64",
    threads=block_of,
)
def _cross_entropy_slope(p, target, weights, divisor, dx, ignore, keep, share, gamma, factor, rows, classes):
    scratch = shared_array(32, real)
    row = i64(block_x()) * max(1, _THREADS // LANES) + div(thread(), LANES)
    first, base, end = i64(thread() & (LANES - 1)), row * classes, classes if row < rows else i64(0)
    right, scale, whole = i64(0), factor, real(1)
    if CLASSES:
        right = i64(load(target, row)) if row < rows else ignore
    if DIVIDED:
        by = real(load(divisor, 0))
        scale = factor / by if by != real(0) else real(0)
    if FOCAL:
        rest, i = real(0), first
        while i < end:
            rest += load(p, base + i) if i != right else real(0)
            i += LANES
        rest = group_sum(rest, scratch)
        if right != ignore:
            scale = scale * focus(load(p, base + right), rest, gamma)
            if WEIGHTED:
                scale = scale * load(weights, right)
    elif WEIGHTED:
        whole, i = real(0), first
        while i < end:
            whole += wanted_of(target, weights, base, i, right, keep, share)
            i += LANES
        whole = group_sum(whole, scratch)
    i = first
    while i < end:
        if FOCAL:
            difference = load(p, base + i) if i != right else -rest
        else:
            difference = whole * load(p, base + i)
            difference -= wanted_of(target, weights, base, i, right, keep, share)
        if CLASSES:
            difference = real(0) if right == ignore else difference
        store(dx, base + i, scale * difference)
        i += LANES


@kernel("share target weights ignore:i64 n:i64", threads=_THREADS)
def _target_weights(share, target, weights, ignore, n):
    i = i64(block_x()) * _THREADS + thread()
    if i < n:
        right, value = i64(load(target, i)), real(0)
        if right != ignore:
            value = real(1)
            if WEIGHTED:
                value = real(load(weights, right))
        store(share, i, value)


def _layout(x: DeviceArray, arrays: int) -> tuple[int, int]:
    """Threads per row, and classes per thread in registers for a number of arrays, or 0."""
    classes = x.shape[-1]
    if classes <= 1024:
        lanes = lanes_for(classes)
        return lanes, 1 << (ceil_div(classes, lanes) - 1).bit_length()
    if classes <= _THREADS * _BLOCK_ITEMS:
        return _THREADS, 1 << (ceil_div(classes, _THREADS) - 1).bit_length()
    words = arrays * (2 if x.dtype == np.float64 else 1)
    if classes <= 1024 * 32 // words and arrays == 1:  # of a block's 1024 threads each has 64 registers
        return 1024, 1 << (ceil_div(classes, 1024) - 1).bit_length()
    return 1024, 0


def _grid(rows: int, lanes: int) -> int:
    return ceil_div(rows, max(1, _THREADS // lanes))


def softmax_forward(
    x: DeviceArray,  # (..., k) read
    y: DeviceArray,  # (..., k) written
) -> None:
    """``y[..., j] = exp(x[..., j]) / sum over l of exp(x[..., l])``."""
    k, (lanes, items) = x.shape[-1], _layout(x, 1)
    rows = x.size // k
    _softmax.of(LANES=lanes, ITEMS=items)(_grid(rows, lanes), x, y, rows, k)


def softmax_backward(
    y: DeviceArray,  # (..., k) read: what the forward pass wrote
    dy: DeviceArray,  # (..., k) read
    dx: DeviceArray,  # (..., k) written
) -> None:
    """``dx[..., j] = y[..., j] (dy[..., j] - sum over l of dy[..., l] y[..., l])``."""
    k, (lanes, items) = y.shape[-1], _layout(y, 2)
    rows = y.size // k
    _softmax_slope.of(LANES=lanes, ITEMS=items)(_grid(rows, lanes), y, dy, dx, rows, k)


def softmax_cross_entropy_forward(
    x: DeviceArray,  # (n, k) read
    target: DeviceArray,  # (n,) int64 classes, or (n, k) probabilities of the element type of x; read
    weights: DeviceArray | None,  # (k,) read, of the classes; None for ones
    ignore: int,  # rows of this class cost nothing
    smoothing: float,
    loss: DeviceArray,  # (n,) written
    p: DeviceArray,  # (n, k) written
) -> None:
    """``p = softmax(x)``, ``loss[n] = -sum over j of w[j] t[n, j] log p[n, j]``; 0 where target is ignore.

    ``t = (1-s) target + s / k``.
    """
    numbers = ignore, 1.0 - smoothing, smoothing / x.shape[1], 0.0
    _entropies(x, target, weights, loss, p, numbers, smooth=smoothing > 0.0)


def softmax_cross_entropy_backward(
    p: DeviceArray,  # (n, k) read: what the forward pass wrote
    target: DeviceArray,  # (n,) or (n, k) read
    weights: DeviceArray | None,  # (k,) read
    ignore: int,
    smoothing: float,
    divisor: DeviceArray | None,  # () read; None for 1
    scale: float,
    dx: DeviceArray,  # (n, k) written
) -> None:
    """``dx = scale / divisor (p sum over j of (w t)[j] - w t)``, for targets that sum to 1.

    The gradient of ``scale / divisor sum(loss)``; 0 where the divisor is 0.
    """
    numbers = ignore, 1.0 - smoothing, smoothing / p.shape[1], 0.0, scale
    _slopes(p, target, weights, divisor, dx, numbers)


def focal_cross_entropy_forward(
    x: DeviceArray,  # (n, k) read
    target: DeviceArray,  # (n,) int64 classes, read
    weights: DeviceArray | None,  # (k,) read
    ignore: int,
    gamma: float,
    loss: DeviceArray,  # (n,) written
    p: DeviceArray,  # (n, k) written
) -> None:
    """``p = softmax(x)``, ``loss[n] = -w[c] (1 - p[n, c])^gamma log p[n, c]`` of the target's class c."""
    _entropies(x, target, weights, loss, p, (ignore, 1.0, 0.0, gamma), focal=True)


def focal_cross_entropy_backward(
    p: DeviceArray,  # (n, k) read: what the forward pass wrote
    target: DeviceArray,  # (n,) read
    weights: DeviceArray | None,  # (k,) read
    ignore: int,
    gamma: float,
    divisor: DeviceArray | None,  # () read; None for 1
    scale: float,
    dx: DeviceArray,  # (n, k) written
) -> None:
    """``dx = scale / divisor w[c] f (p - [j = c])``, the gradient of ``scale / divisor sum(loss)``.

    ``f = (1 - q)^gamma - gamma (1 - q)^(gamma - 1) q log q`` with ``q = p[n, c]``.
    """
    _slopes(p, target, weights, divisor, dx, (ignore, 1.0, 0.0, gamma, scale), focal=True)


def target_weights(
    target: DeviceArray,  # (n,) int64 classes, read
    weights: DeviceArray | None,  # (k,) read
    ignore: int,
    share: DeviceArray,  # (n,) written
) -> None:
    """``share[n] = w[target[n]]``, 0 where target is ignore: what a weighted mean divides by the sum of."""
    variant = _target_weights.of(WEIGHTED=weights is not None)
    variant(ceil_div(share.size, _THREADS), share, target, weights, ignore, share.size)


def _entropies(
    x: DeviceArray,
    target: DeviceArray,
    weights: DeviceArray | None,
    loss: DeviceArray,
    p: DeviceArray,
    numbers: tuple[int, float, float, float],
    smooth: bool = False,
    focal: bool = False,
) -> None:
    (n, k), (lanes, items) = x.shape, _layout(x, 1)
    kinds = {"CLASSES": target.ndim == 1, "SMOOTH": smooth, "WEIGHTED": weights is not None, "FOCAL": focal}
    variant = _cross_entropy.of(LANES=lanes, ITEMS=items, **kinds)
    variant(_grid(n, lanes), x, target, weights, loss, p, *numbers, n, k)


def _slopes(
    p: DeviceArray,
    target: DeviceArray,
    weights: DeviceArray | None,
    divisor: DeviceArray | None,
    dx: DeviceArray,
    numbers: tuple[int, float, float, float, float],
    focal: bool = False,
) -> None:
    (n, k), lanes = p.shape, lanes_for(p.shape[1])
    kinds = {"CLASSES": target.ndim == 1, "WEIGHTED": weights is not None, "FOCAL": focal}
    variant = _cross_entropy_slope.of(LANES=lanes, DIVIDED=divisor is not None, **kinds)
    variant(_grid(n, lanes), p, target, weights, divisor, dx, *numbers, n, k)

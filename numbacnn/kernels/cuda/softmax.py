"""Softmax over the last axis, cross-entropy with it, and the squared error: a group of threads per row.

A group is a few lanes of a warp for few classes and a block for many; up to tens of thousands of classes a
row is read once and stays in registers.  No exponential overflows: each row is shifted by its maximum.  Rows
with NaN give NaN.  Of 16-bit scores the losses may be float32 arrays, which keeps their places.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from .each import apply
from .intrinsics import (
    block_x,
    div,
    exp,
    i64,
    load,
    local_array,
    log,
    maximum,
    real,
    shared_array,
    static_range,
    store,
    thread,
)
from .launch import ceil_div, device, kernel
from .memory import DeviceArray
from .reduce import block_of, group_maximum, group_sum, lanes_for, row_sums

__all__ = [
    "mean_squared_error_backward",
    "mean_squared_error_forward",
    "softmax_backward",
    "softmax_cross_entropy_backward",
    "softmax_cross_entropy_forward",
    "softmax_forward",
]

if TYPE_CHECKING:  # constants that kernels are specialised by
    LANES = 32  # threads of a row: a power of two, to 32 within a warp, above it a whole block
    ITEMS = 1  # classes of a thread, which it keeps in registers; 0 where they are read again
    CLASSES = False  # targets are classes, else probabilities
    SMOOTH = False  # some of the target is spread over all classes

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


@kernel("x target loss p keep:real share:real rows:i64 classes:i64", threads=block_of)
def _cross_entropy(x, target, loss, p, keep, share, rows, classes):
    """What is not the softmax reads the row again: it is in a cache by then."""
    scratch, kept = shared_array(32, real), local_array(max(1, ITEMS), real)
    row = i64(block_x()) * max(1, _THREADS // LANES) + div(thread(), LANES)
    j, end = thread() & (LANES - 1), classes if row < rows else i64(0)
    base = row * classes
    top, total = exponentials(x, base, j, end, kept, scratch)
    level = log(total)
    value = real(0)
    if not CLASSES or SMOOTH:
        i = i64(j)
        while i < end:
            if CLASSES:
                value += share * (top - load(x, base + i))
            else:
                wanted = load(target, base + i)
                value += (keep * wanted + share) * (level + (top - load(x, base + i)))
            i += LANES
        value = group_sum(value, scratch)
    if j == 0 and row < rows:
        if CLASSES:
            value += level - keep * (load(x, base + i64(load(target, row))) - top)
        store(loss, row, value)
    write_probabilities(x, p, base, j, end, kept, top, total)


@kernel("p target dx keep:real share:real factor:real rows:i64 classes:i64", threads=block_of)
def _cross_entropy_slope(p, target, dx, keep, share, factor, rows, classes):
    row = i64(block_x()) * max(1, _THREADS // LANES) + div(thread(), LANES)
    i, base = i64(thread() & (LANES - 1)), row * classes
    if row < rows:
        wanted = i64(load(target, row)) if CLASSES else i64(0)
        while i < classes:
            difference = load(p, base + i) - share
            if CLASSES:
                difference -= keep if i == wanted else real(0)
            else:
                difference -= keep * load(target, base + i)
            store(dx, base + i, factor * difference)
            i += LANES


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
    smoothing: float,
    loss: DeviceArray,  # (n,) written
    p: DeviceArray,  # (n, k) written
) -> None:
    """``p = softmax(x)``, ``loss[n] = -sum over j of t[n, j] log p[n, j]``, ``t = (1-s) target + s / k``."""
    (n, k), (lanes, items) = x.shape, _layout(x, 1)
    variant = _cross_entropy.of(LANES=lanes, ITEMS=items, CLASSES=target.ndim == 1, SMOOTH=smoothing > 0.0)
    variant(_grid(n, lanes), x, target, loss, p, 1.0 - smoothing, smoothing / k, n, k)


def softmax_cross_entropy_backward(
    p: DeviceArray,  # (n, k) read: what the forward pass wrote
    target: DeviceArray,  # (n,) or (n, k) read
    smoothing: float,
    scale: float,
    dx: DeviceArray,  # (n, k) written
) -> None:
    """``dx = scale (p - t)``: the gradient of ``scale sum(loss)`` for targets that sum to 1."""
    (n, k), lanes = p.shape, lanes_for(p.shape[1])
    variant = _cross_entropy_slope.of(LANES=lanes, CLASSES=target.ndim == 1)
    variant(_grid(n, lanes), p, target, dx, 1.0 - smoothing, smoothing / k, scale, n, k)


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
    apply("difference", x, target, dx, 2.0 * scale * x.shape[0] / max(1, x.size))

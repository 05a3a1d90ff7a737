"""The Dice coefficient of soft masks and its gradient.

Sums go by chunks of an item's pixels, a block for each class, then over the chunks: what is cut depends on
the sizes alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from . import reduce
from .each import apply
from .intrinsics import block_x, div, div64, i64, load, minimum, real, shared_array, store, thread
from .launch import ceil_div, device, kernel
from .memory import DeviceArray, empty
from .reduce import block_of, group_sum, lanes_for
from .softmax import softmax_forward

__all__ = ["dice_backward", "dice_forward"]

if TYPE_CHECKING:  # constants that kernels are specialised by
    LANES = 32  # threads of a pixel, or a block's
    CLASSES = False  # targets are classes, else masks
    SQUARED = False  # probabilities are squared in the denominator
    EXCLUSIVE = False  # probabilities are a softmax's, else each a sigmoid's

_THREADS = 256
_CHUNK = 16384  # pixels that a block sums


@device
def target_of(target, pixel, c, classes):
    """What the probability of a class is to be; below 0 where the pixel does not count."""
    if CLASSES:
        right = i64(load(target, pixel))
        inside = right >= i64(0) and right < classes
        return (real(1) if right == c else real(0)) if inside else real(-1)
    return real(load(target, pixel * classes + c))


@kernel("p target out pixels:i64 classes:i64 chunks:i32", threads=block_of)
def _overlaps(p, target, out, pixels, classes, chunks):
    """A block per chunk of an item's pixels and class: the sums of ``p t`` and of what divides it."""
    scratch = shared_array(32, real)
    line = i64(div(block_x(), chunks))
    chunk = i64(block_x()) - line * chunks
    item = div64(line, classes)
    c = line - item * classes
    i, end = chunk * _CHUNK + thread(), minimum((chunk + 1) * _CHUNK, pixels)
    both, whole = real(0), real(0)
    while i < end:
        pixel = item * pixels + i
        t, q = target_of(target, pixel, c, classes), real(load(p, pixel * classes + c))
        if t >= real(0):
            both += q * t
            whole += q * q + t * t if SQUARED else q + t
        i += _THREADS
    both = group_sum(both, scratch)
    whole = group_sum(whole, scratch)
    if thread() == 0:
        first = 2 * item * classes + c
        store(out, first * chunks + chunk, both)
        store(out, (first + classes) * chunks + chunk, whole)


@kernel("sums loss smooth:real items:i64 classes:i64", threads=_THREADS)
def _quotients(sums, loss, smooth, items, classes):
    """A thread per item: from sums to numerators, denominators and the loss."""
    item = i64(block_x()) * _THREADS + thread()
    if item < items:
        shared, c = real(0), i64(0)
        while c < classes:
            at = 2 * item * classes + c
            both, whole = real(2) * load(sums, at) + smooth, load(sums, at + classes) + smooth
            store(sums, at, both)
            store(sums, at + classes, whole)
            shared += both / whole if whole > real(0) else real(1)
            c += 1
        store(loss, item, real(1) - shared / real(classes))


@device
def slope(target, sums, pixel, item, c, classes, q, scale):
    """The slope by a probability."""
    at = 2 * item * classes + c
    both, whole = real(load(sums, at)), real(load(sums, at + classes))
    t = target_of(target, pixel, c, classes)
    change = scale * (both / whole * (q + q if SQUARED else real(1)) - t - t) / whole
    return change if whole > real(0) and t >= real(0) else real(0)


@kernel("p target sums dx scale:real rows:i64 pixels:i64 classes:i64", threads=block_of)
def _dice_slope(p, target, sums, dx, scale, rows, pixels, classes):
    scratch = shared_array(32, real)
    row = i64(block_x()) * (_THREADS // LANES) + div(thread(), LANES)
    first, end = i64(thread() & (LANES - 1)), classes if row < rows else i64(0)
    item, mean = div64(row, pixels), real(0)
    if EXCLUSIVE:
        c = first
        while c < end:
            q = real(load(p, row * classes + c))
            mean += q * slope(target, sums, row, item, c, classes, q, scale)
            c += LANES
        mean = group_sum(mean, scratch)
    c = first
    while c < end:
        q = real(load(p, row * classes + c))
        g = slope(target, sums, row, item, c, classes, q, scale)
        store(dx, row * classes + c, q * (g - mean) if EXCLUSIVE else q * (real(1) - q) * g)
        c += LANES


def dice_forward(
    x: DeviceArray,  # (n, m, k) read: scores of m pixels
    target: DeviceArray,  # (n, m, k) of the type of x, or (n, m) int64 classes; read
    exclusive: bool,  # softmax over the classes, else a sigmoid for each
    squared: bool,
    smooth: float,
    loss: DeviceArray,  # (n,) written
    p: DeviceArray,  # (n, m, k) written
    sums: DeviceArray,  # (n, 2, k) written: numerators and denominators
) -> None:
    """``loss[n] = 1 - mean over k of num / den``, of the probabilities p and the targets t.

    ``num = 2 sum(p t) + smooth`` and ``den = sum(p^2) + sum(t^2) + smooth`` over the item's pixels; p and t
    are not squared unless asked for. A quotient 0 / 0 is 1. Pixels of a class beyond 0 to k - 1 do not count.
    """
    if exclusive:
        softmax_forward(x, p)
    else:
        apply("sigmoid", x, None, p)
    n, m, k = x.shape
    chunks = max(1, ceil_div(m, _CHUNK))
    kind = np.float64 if x.dtype == np.float64 else np.float32
    partial = sums if chunks == 1 else empty((n, 2, k, chunks), kind)
    variant = _overlaps.of(LANES=_THREADS, CLASSES=target.ndim == 2, SQUARED=squared)
    variant(n * k * chunks, p, target, partial, m, k, chunks)
    if chunks > 1:
        reduce.row_sums("sum", partial, None, n * 2 * k, sums)
    _quotients(ceil_div(n, _THREADS), sums, loss, smooth, n, k)


def dice_backward(
    p: DeviceArray,  # (n, m, k) read: what the forward pass wrote
    target: DeviceArray,  # (n, m, k) or (n, m) read
    sums: DeviceArray,  # (n, 2, k) read: what the forward pass wrote
    exclusive: bool,
    squared: bool,
    scale: float,
    dx: DeviceArray,  # (n, m, k) written
) -> None:
    """The gradient of ``scale sum(loss)`` by the scores.

    By the probabilities it is ``g = -scale / k (2 t - num p' / den) / den``, ``p' = 2 p``, or 1 if not
    squared; by the scores ``p (1 - p) g``, or with exclusive classes ``p (g - sum over k of p g)``.
    """
    n, m, k = p.shape
    lanes = lanes_for(k)
    kinds = {"CLASSES": target.ndim == 2, "SQUARED": squared, "EXCLUSIVE": exclusive}
    variant = _dice_slope.of(LANES=lanes, **kinds)
    variant(ceil_div(n * m, _THREADS // lanes), p, target, sums, dx, scale / k, n * m, m, k)

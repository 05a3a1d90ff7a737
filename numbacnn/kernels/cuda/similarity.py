"""Losses of vectors by their distances: a group of threads per vector, which it reads twice for gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .intrinsics import block_x, div, i64, load, real, shared_array, sqrt, store, thread
from .launch import ceil_div, kernel
from .memory import DeviceArray
from .reduce import block_of, group_sum, lanes_for

__all__ = ["cosine_embedding_backward", "cosine_embedding_forward", "triplet_backward", "triplet_forward"]

if TYPE_CHECKING:  # constants that kernels are specialised by
    LANES = 32  # threads of a row: a power of two, to 32 within a warp, above it a whole block
    GRADIENT = False  # write gradients, else the loss
    SQUARED = False  # distances are squared

_THREADS = 256
_COSINE = 1e-12  # added to squared lengths, so that a vector of zeros has an angle
_DISTANCE = 1e-6  # added to each difference of a distance that is a root


@kernel("a b target loss da db margin:real scale:real rows:i64 length:i64", threads=block_of)
def _cosine(a, b, target, loss, da, db, margin, scale, rows, length):
    scratch = shared_array(32, real)
    row = i64(block_x()) * (_THREADS // LANES) + div(thread(), LANES)
    first, base, end = i64(thread() & (LANES - 1)), row * length, length if row < rows else i64(0)
    product, aa, bb, i = real(0), real(0), real(0), first
    while i < end:
        u, v = load(a, base + i), load(b, base + i)
        product += u * v
        aa += u * u
        bb += v * v
        i += LANES
    product = group_sum(product, scratch)
    aa = group_sum(aa, scratch) + real(_COSINE)
    bb = group_sum(bb, scratch) + real(_COSINE)
    lengths = sqrt(aa) * sqrt(bb)
    cosine = product / lengths
    alike = True
    if row < rows:
        alike = i64(load(target, row)) == i64(1)
    if GRADIENT:
        factor = -scale if alike else (real(0) if cosine <= margin else scale)
        i = first
        while i < end:
            u, v = load(a, base + i), load(b, base + i)
            store(da, base + i, factor * (v / lengths - cosine * u / aa))
            store(db, base + i, factor * (u / lengths - cosine * v / bb))
            i += LANES
    elif first == 0 and row < rows:
        far = cosine - margin
        store(loss, row, real(1) - cosine if alike else (real(0) if far <= real(0) else far))


@kernel("a p n loss da dp dn margin:real scale:real rows:i64 length:i64", threads=block_of)
def _triplet(a, p, n, loss, da, dp, dn, margin, scale, rows, length):
    scratch = shared_array(32, real)
    row = i64(block_x()) * (_THREADS // LANES) + div(thread(), LANES)
    first, base, end = i64(thread() & (LANES - 1)), row * length, length if row < rows else i64(0)
    more = real(0 if SQUARED else _DISTANCE)
    near, far, i = real(0), real(0), first
    while i < end:
        u = load(a, base + i) - load(p, base + i) + more
        v = load(a, base + i) - load(n, base + i) + more
        near += u * u
        far += v * v
        i += LANES
    near = group_sum(near, scratch)
    far = group_sum(far, scratch)
    if not SQUARED:
        near, far = sqrt(near), sqrt(far)
    value = near - far + margin
    if GRADIENT:
        active = real(0) if value <= real(0) else scale
        if SQUARED:
            to_near, to_far = active + active, active + active
        else:
            to_near = active / near if near > real(0) else real(0)
            to_far = active / far if far > real(0) else real(0)
        i = first
        while i < end:
            u = to_near * (load(a, base + i) - load(p, base + i) + more)
            v = to_far * (load(a, base + i) - load(n, base + i) + more)
            store(da, base + i, u - v)
            store(dp, base + i, -u)
            store(dn, base + i, v)
            i += LANES
    elif first == 0 and row < rows:
        store(loss, row, real(0) if value <= real(0) else value)


def _grid(x: DeviceArray) -> tuple[int, int]:
    """Blocks, and threads of a row."""
    lanes = lanes_for(x.shape[1])
    return ceil_div(x.shape[0], _THREADS // lanes), lanes


def cosine_embedding_forward(
    a: DeviceArray,  # (n, d) read
    b: DeviceArray,  # (n, d) read
    target: DeviceArray,  # (n,) int64: 1 for like vectors, -1 for unlike ones; read
    margin: float,
    loss: DeviceArray,  # (n,) written
) -> None:
    """``loss[n] = 1 - cos(a[n], b[n])`` where target is 1, else ``max(0, cos(a[n], b[n]) - margin)``."""
    grid, lanes = _grid(a)
    _cosine.of(LANES=lanes, GRADIENT=False)(grid, a, b, target, loss, None, None, margin, 0.0, *a.shape)


def cosine_embedding_backward(
    a: DeviceArray,  # (n, d) read
    b: DeviceArray,  # (n, d) read
    target: DeviceArray,  # (n,) read
    margin: float,
    scale: float,
    da: DeviceArray,  # (n, d) written
    db: DeviceArray,  # (n, d) written
) -> None:
    """The gradients of ``scale sum(loss)``: ``b / (|a| |b|) - cos a / |a|^2`` times scale and a sign."""
    grid, lanes = _grid(a)
    _cosine.of(LANES=lanes, GRADIENT=True)(grid, a, b, target, None, da, db, margin, scale, *a.shape)


def triplet_forward(
    anchor: DeviceArray,  # (n, d) read
    positive: DeviceArray,  # (n, d) read
    negative: DeviceArray,  # (n, d) read
    margin: float,
    squared: bool,
    loss: DeviceArray,  # (n,) written
) -> None:
    """``loss[n] = max(0, d(anchor, positive) - d(anchor, negative) + margin)``.

    d is the Euclidean distance of vectors, with 1e-6 added to each difference, or its square.
    """
    (grid, lanes), arrays = _grid(anchor), (anchor, positive, negative)
    variant = _triplet.of(LANES=lanes, GRADIENT=False, SQUARED=squared)
    variant(grid, *arrays, loss, None, None, None, margin, 0.0, *anchor.shape)


def triplet_backward(
    anchor: DeviceArray,  # (n, d) read
    positive: DeviceArray,  # (n, d) read
    negative: DeviceArray,  # (n, d) read
    margin: float,
    squared: bool,
    scale: float,
    da: DeviceArray,  # (n, d) written
    dp: DeviceArray,  # (n, d) written
    dn: DeviceArray,  # (n, d) written
) -> None:
    """The gradients of ``scale sum(loss)``: 0 where the loss is 0."""
    (grid, lanes), arrays = _grid(anchor), (anchor, positive, negative)
    variant = _triplet.of(LANES=lanes, GRADIENT=True, SQUARED=squared)
    variant(grid, *arrays, None, da, dp, dn, margin, scale, *anchor.shape)

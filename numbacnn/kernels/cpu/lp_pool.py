"""Pooling by the p-norm of a window, and its gradient: sums axis by axis, of powers.

Magnitudes (p = 1) and squares (p = 2) are taken as the sums go.  Other powers are computed once per pixel
beforehand, in float64, whose range holds ``|x|^p`` for any x and p in use.  The gradient is the transposed
sum of ``dy y^(1 - p)``, times ``sign(x) |x|^(p - 1)``.
"""

from __future__ import annotations

import math

import numpy as np

from ..._jit import jit, kernel, parts_for, run, run_slots, split
from ..._threads import POOL
from ...memory import buffer_pool
from ...pool_dims import PoolGeometry
from .pool_plan import passes
from .reduction import lanes_of, locate, norm_unit, reduce_sum, sum_unit

__all__ = ["lp_pool_backward", "lp_pool_forward"]

_GRAIN = 16384  # elements per part of an elementwise pass
_POWER = 20.0  # nanoseconds of a general power
_DOUBLE = np.dtype(np.float64)


@jit
def _norm_part(slot, part, parts, x, y, work, units, squares, tables):
    first, end = split(part, parts, units)
    for unit in range(first, end):
        norm_unit(unit, slot, x, y, work, squares, tables)
        if squares:
            _, lo, hi = _piece(unit, tables)
            piece = y[lo:hi]
            for i in range(piece.size):
                piece[i] = math.sqrt(piece[i])


@jit
def _piece(unit, tables):
    """Return the image, and the bounds of the target's elements that a unit writes."""
    sizes, depths, rows, chunks, _, _, _ = tables
    image, depth, row, chunk = locate(unit, depths, rows, chunks)
    at = image * sizes[2] + depths[depth, 2] + rows[row, 2] + chunks[chunk, 4]
    return image, at, at + chunks[chunk, 5]


@jit
def _slope_part(slot, part, parts, x, share, dx, work, units, squares, tables):
    first, end = split(part, parts, units)
    for unit in range(first, end):
        sum_unit(unit, slot, share, dx, work, tables)
        _, lo, hi = _piece(unit, tables)
        values, slopes = x[lo:hi], dx[lo:hi]
        one = x.dtype.type(1)
        for i in range(values.size):
            value = values[i]
            sign = one if value > 0 else (-one if value < 0 else value)  # 0 and NaN stay
            slopes[i] *= value if squares else sign


@jit
def _share_part(part, parts, y, dy, share):
    lo, hi = split(part, parts, y.size)
    y, dy, share = y[lo:hi], dy[lo:hi], share[lo:hi]
    zero, one = y.dtype.type(0), y.dtype.type(1)
    for i in range(y.size):
        norm = y[i]
        quotient = dy[i] / (one if norm == zero else norm)
        share[i] = zero if norm == zero else quotient


@jit
def _raise(values, p, whole):
    """Raise magnitudes to a power, by products where it is a whole number."""
    if whole < 0:
        for i in range(values.size):
            values[i] = values[i] ** p
        return
    for i in range(values.size):
        base, power, bits = values[i], 1.0, whole
        while bits > 0:
            if bits & 1:
                power *= base
            base *= base
            bits >>= 1
        values[i] = power


@jit
def _powers_part(part, parts, x, powers, p, whole):
    lo, hi = split(part, parts, x.size)
    x, powers = x[lo:hi], powers[lo:hi]
    for i in range(x.size):
        powers[i] = abs(x[i])
    _raise(powers, p, whole)


@jit
def _root_part(part, parts, sums, y, p):
    lo, hi = split(part, parts, y.size)
    sums, y = sums[lo:hi], y[lo:hi]
    for i in range(y.size):
        y[i] = sums[i] ** (1.0 / p)


@jit
def _power_share_part(part, parts, y, dy, share, p):
    lo, hi = split(part, parts, y.size)
    y, dy, share = y[lo:hi], dy[lo:hi], share[lo:hi]
    for i in range(y.size):
        norm = np.float64(y[i])
        share[i] = 0.0 if norm == 0.0 else dy[i] * norm ** (1.0 - p)


@jit
def _power_slope_part(part, parts, x, slopes, dx, p):
    lo, hi = split(part, parts, x.size)
    x, slopes, dx = x[lo:hi], slopes[lo:hi], dx[lo:hi]
    for i in range(x.size):
        value = np.float64(x[i])
        slope = abs(value) ** (p - 1.0) * slopes[i]
        dx[i] = slope if value > 0.0 else (-slope if value < 0.0 else value)  # 0 and NaN stay


@kernel
def _norm(team, parts, x, y, work, units, squares, tables):
    run_slots(team, _norm_part, parts, (x, y, work, units, squares, tables))


@kernel
def _slope(team, parts, x, share, dx, work, units, squares, tables):
    run_slots(team, _slope_part, parts, (x, share, dx, work, units, squares, tables))


@kernel
def _share(team, parts, y, dy, share):
    run(team, _share_part, parts, (y, dy, share))


@kernel
def _powers(team, parts, x, powers, p, whole):
    run(team, _powers_part, parts, (x, powers, p, whole))


@kernel
def _root(team, parts, sums, y, p):
    run(team, _root_part, parts, (sums, y, p))


@kernel
def _power_share(team, parts, y, dy, share, p):
    run(team, _power_share_part, parts, (y, dy, share, p))


@kernel
def _power_slope(team, parts, x, slopes, dx, p):
    run(team, _power_slope_part, parts, (x, slopes, dx, p))


def lp_pool_forward(
    dims: PoolGeometry,
    x: np.ndarray,  # (n, *in, c) read
    y: np.ndarray,  # (n, *out, c) written
    p: float,
) -> None:
    """``y[n, o, c] = (sum of |x|^p over the window of o)^(1 / p)``."""
    ones = (1.0,) * dims.rank
    if p in (1.0, 2.0):
        plan = passes(dims, lanes_of(x), ones, False, x.dtype)
        team = POOL.team((x.nbytes + y.nbytes) * 0.06)
        work = buffer_pool.array((team[1] * plan.segment,), x.dtype)
        arrays = x.reshape(-1), y.reshape(-1), work
        _norm.on(team, plan.parts, *arrays, plan.units, p == 2.0, plan.tables)
        return
    powers, sums = buffer_pool.array(x.shape, _DOUBLE), buffer_pool.array(y.shape, _DOUBLE)
    whole = int(p) if p == int(p) and p <= 64 else -1
    flat = x.reshape(-1), powers.reshape(-1)
    _powers(x.size * _POWER, parts_for(x.size, _GRAIN), *flat, float(p), whole)
    reduce_sum(passes(dims, lanes_of(sums), ones, False, _DOUBLE), powers, sums)
    _root(y.size * _POWER, parts_for(y.size, _GRAIN), sums.reshape(-1), y.reshape(-1), float(p))


def lp_pool_backward(
    dims: PoolGeometry,
    x: np.ndarray,  # (n, *in, c) read
    y: np.ndarray,  # (n, *out, c) read: what the forward pass wrote
    dy: np.ndarray,  # (n, *out, c) read
    dx: np.ndarray,  # (n, *in, c) written
    p: float,
) -> None:
    """``dx[n, q, c] = sum of dy y^(1 - p) sign(x) |x|^(p - 1) over the windows that hold q``; 0 if y is."""
    ones = (1.0,) * dims.rank
    flat = y.reshape(-1), dy.reshape(-1)
    if p in (1.0, 2.0):
        share = dy
        if p == 2.0:
            share = buffer_pool.array(y.shape, y.dtype)
            _share(y.nbytes * 0.1, parts_for(y.size, _GRAIN), *flat, share.reshape(-1))
        plan = passes(dims, lanes_of(dx), ones, True, dx.dtype)
        team = POOL.team((x.nbytes + y.nbytes) * 0.06)
        work = buffer_pool.array((team[1] * plan.segment,), x.dtype)
        arrays = x.reshape(-1), share.reshape(-1), dx.reshape(-1), work
        _slope.on(team, plan.parts, *arrays, plan.units, p == 2.0, plan.tables)
        return
    share, slopes = buffer_pool.array(y.shape, _DOUBLE), buffer_pool.array(x.shape, _DOUBLE)
    _power_share(y.size * _POWER, parts_for(y.size, _GRAIN), *flat, share.reshape(-1), float(p))
    reduce_sum(passes(dims, lanes_of(share), ones, True, _DOUBLE), share, slopes)
    ends = x.reshape(-1), slopes.reshape(-1), dx.reshape(-1)
    _power_slope(x.size * _POWER, parts_for(x.size, _GRAIN), *ends, float(p))

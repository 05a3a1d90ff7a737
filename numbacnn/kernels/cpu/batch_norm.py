"""Batch normalisation in as few passes over memory as it takes: one for the statistics, one for the output.

Its gradients take two: one that sums, one that writes.  What the activation was applied to is computed anew
from x, so the output need not be kept.

An array is taken as lines of some pixels' channels, side by side, so that few channels fill vectors too; a
line's lanes are summed for themselves (`moments`), then joined.  Parts that are summed are cut by sizes
alone: the same bits for any number of threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from numbacnn._jit import jit, kernel, run_slots, split
from numbacnn._native import Literal
from numbacnn._threads import POOL
from numbacnn.epilogue import Activation
from numbacnn.memory import buffer_pool

from . import math
from .moments import BLOCK, STATE, TILE, join, moments_part

__all__ = ["batch_norm_backward", "batch_norm_forward", "batch_norm_statistics"]

CLIP, LEAKY_RELU, SILU = map(Literal, range(3))

_WIDTH = 512  # elements of a line at least, where the channels allow
_PART = 65536  # elements per part at least: some microseconds
_PARTS = 64  # that are summed, at most
_STREAM = 0.05  # nanoseconds per byte on one thread
_F64 = np.dtype(np.float64)
_NONE = {np.dtype(t): np.zeros(0, t) for t in (np.float32, np.float64)}


@kernel
def _statistics(team, parts, x, width, partial, work, momentum, running, mean, variance):
    c = mean.size
    lines = x.size // width
    run_slots(team, moments_part, parts, (x, width, lines, partial, work))
    means, squares = partial[:width], partial[width : 2 * width]
    done = split(0, parts, lines)[1]
    for part in range(1, parts):
        lo, hi = split(part, parts, lines)
        at = 2 * part * width
        join(means, squares, done, hi - lo, partial[at : at + width], partial[at + width : at + 2 * width])
        done = hi
    for lane in range(c, width, c):
        done = lines * (lane // c)
        join(means[:c], squares[:c], done, lines, means[lane : lane + c], squares[lane : lane + c])
    done = lines * (width // c)
    for at in range(lines * width, x.size, c):  # pixels that fill no line
        if done == 0:
            means[:c] = 0
            squares[:c] = 0
        for j in range(c):
            delta = x[at + j] - means[j]
            means[j] += delta / (done + 1)
            squares[j] += delta * delta * (done / (done + 1))
        done += 1
    for j in range(c):
        mean[j] = means[j]
        variance[j] = squares[j] / done
    running_mean, running_variance = running
    if running_mean.size and done > 1:
        for j in range(c):
            running_mean[j] = momentum * running_mean[j] + (1 - momentum) * means[j]
            unbiased = squares[j] / (done - 1)
            running_variance[j] = momentum * running_variance[j] + (1 - momentum) * unbiased


@jit
def _factors(statistics, epsilon, width, factors):
    """Write of each lane what is subtracted, what is multiplied by and what is added then."""
    mean, variance, gamma, beta = statistics
    c = mean.size
    centres, scales, shifts = factors[:c], factors[width : width + c], factors[2 * width : 2 * width + c]
    for j in range(c):
        centres[j] = mean[j]
        scales[j] = 1 / np.sqrt(np.float64(variance[j]) + epsilon)
    if gamma.size:
        for j in range(c):
            scales[j] *= gamma[j]
    shifts[:] = 0
    if beta.size:
        for j in range(c):
            shifts[j] = beta[j]
    _spread(factors, c, width, 3)


@jit
def _spread(factors, c, width, rows):
    """Copy the channels' factors to the other lanes."""
    for row in range(rows):
        for at in range(row * width + c, (row + 1) * width):
            factors[at] = factors[at - c]


@jit
def _fetch(factors, width, first, count, rows, state):
    """Copy the factors of a tile's lanes to the state, where LLVM sees that they do not overlap."""
    for row in range(rows):
        for j in range(count):
            state[row * TILE + j] = factors[row * width + first + j]


@jit
def _activated(kind, z, limits):
    low, high, zero, _ = limits
    if kind == CLIP:
        value = low if z < low else z  # comparisons with NaN are false: it passes
        return high if value > high else value
    if kind == LEAKY_RELU:
        return z * low if z <= zero else z
    return z * math.sigmoid(z)


@jit
def _slope(kind, z, dy, limits):
    """The gradient dy of the activation of z, taken on to z."""
    low, high, zero, one = limits
    if kind == CLIP:
        return zero if (z <= low) | (z >= high) else dy
    if kind == LEAKY_RELU:
        return dy if z > zero else dy * low
    small = math.exp(-abs(z))  # see the gradient of SiLU in elementwise.py
    t = one / (one + small)
    return dy * (t * ((one if z >= zero else small) + z * (small * t)))


@jit
def _normalise_part(slot, part, parts, kind, x, residual, width, factors, limits, work, y):
    lo, hi = split(parts - 1 - part, parts, -(-x.size // width))  # what was read last is in the cache yet
    state = work[slot * STATE * TILE : (slot + 1) * STATE * TILE]
    for first in range(0, width, TILE):
        _fetch(factors, width, first, min(TILE, width - first), 3, state)
        for line in range(lo, hi):
            at = line * width + first
            count = min(TILE, width - first, x.size - at)
            if count <= 0:
                break
            a, out = x[at : at + count], y[at : at + count]
            if residual.size:
                more = residual[at : at + count]
                for j in range(count):
                    z = (a[j] - state[j]) * state[TILE + j] + state[2 * TILE + j] + more[j]
                    out[j] = _activated(kind, z, limits)
            else:
                for j in range(count):
                    z = (a[j] - state[j]) * state[TILE + j] + state[2 * TILE + j]
                    out[j] = _activated(kind, z, limits)


@kernel
def _forward(team, kind, parts, x, residual, statistics, epsilon, width, limits, factors, work, y):
    _factors(statistics, epsilon, width, factors)
    run_slots(
        team, _normalise_part, parts, (kind, x, residual, width, factors, limits, work, y)
    )  # fmt: skip


@jit
def _sum_lines(kind, x, dy, at, step, count, limits, state):
    """As `_sum_line`, of two lines at once."""
    a, b = x[at : at + count], x[at + step : at + step + count]
    da, db = dy[at : at + count], dy[at + step : at + step + count]
    for j in range(count):
        mean, scale, shift = state[j], state[TILE + j], state[2 * TILE + j]
        p, q = a[j] - mean, b[j] - mean
        g, h = _slope(kind, p * scale + shift, da[j], limits), _slope(kind, q * scale + shift, db[j], limits)
        state[3 * TILE + j] += g + h
        state[4 * TILE + j] += g * p + h * q


@jit
def _sum_line(kind, x, dy, residual, at, count, limits, state):
    """Add the gradient by what the activation was applied to, and its product with x - mean."""
    a, b = x[at : at + count], dy[at : at + count]
    if residual.size:
        more = residual[at : at + count]
        for j in range(count):
            centred = a[j] - state[j]
            z = centred * state[TILE + j] + state[2 * TILE + j] + more[j]
            g = _slope(kind, z, b[j], limits)
            state[3 * TILE + j] += g
            state[4 * TILE + j] += g * centred
    else:
        for j in range(count):
            centred = a[j] - state[j]
            g = _slope(kind, centred * state[TILE + j] + state[2 * TILE + j], b[j], limits)
            state[3 * TILE + j] += g
            state[4 * TILE + j] += g * centred


@jit
def _gradient_sums_part(slot, part, parts, kind, x, dy, residual, width, factors, limits, work, partial):
    lo, hi = split(part, parts, -(-x.size // width))
    state = work[slot * STATE * TILE : (slot + 1) * STATE * TILE]
    for first in range(0, width, TILE):
        most = min(TILE, width - first)
        at = 2 * part * width + first
        sums, products = partial[at : at + most], partial[at + width : at + width + most]
        sums[:] = 0
        products[:] = 0
        _fetch(factors, width, first, most, 3, state)
        for top in range(lo, hi, BLOCK):
            state[3 * TILE :] = 0
            end = min(top + BLOCK, hi)
            half = 0 if residual.size or end * width > x.size else (end - top) // 2
            for line in range(top, top + half):
                _sum_lines(kind, x, dy, line * width + first, half * width, most, limits, state)
            for line in range(top + 2 * half, end):
                at = line * width + first
                _sum_line(kind, x, dy, residual, at, max(0, min(most, x.size - at)), limits, state)
            for j in range(most):
                sums[j] += np.float64(state[3 * TILE + j])
                products[j] += np.float64(state[4 * TILE + j])


@jit
def _gradient_part(
    slot, part, parts, kind, x, dy, residual, width, factors, limits, work, dx, dresidual
):  # fmt: skip
    """``dx = scale g + p (x - mean) + q``."""
    lo, hi = split(parts - 1 - part, parts, -(-x.size // width))
    state = work[slot * STATE * TILE : (slot + 1) * STATE * TILE]
    for first in range(0, width, TILE):
        _fetch(factors, width, first, min(TILE, width - first), 5, state)
        for line in range(lo, hi):
            at = line * width + first
            count = min(TILE, width - first, x.size - at)
            if count <= 0:
                break
            a, b, out = x[at : at + count], dy[at : at + count], dx[at : at + count]
            if residual.size:
                more, out = residual[at : at + count], dresidual[at : at + count]
                for j in range(count):
                    z = (a[j] - state[j]) * state[TILE + j] + state[2 * TILE + j] + more[j]
                    out[j] = _slope(kind, z, b[j], limits)
                if dx.size:
                    g, out = out, dx[at : at + count]
                    for j in range(count):
                        tail = (a[j] - state[j]) * state[3 * TILE + j] + state[4 * TILE + j]
                        out[j] = g[j] * state[TILE + j] + tail
            else:
                for j in range(count):
                    centred = a[j] - state[j]
                    g = _slope(kind, centred * state[TILE + j] + state[2 * TILE + j], b[j], limits)
                    out[j] = g * state[TILE + j] + (centred * state[3 * TILE + j] + state[4 * TILE + j])


@jit
def _finish_sums(parts, pixels, statistics, epsilon, width, partial, factors, dgamma, dbeta):
    """Add the parts' and the lanes' sums in order; write the parameters' gradients and the last factors."""
    variance = statistics[1]
    c = variance.size
    for part in range(1, parts):
        at = 2 * part * width
        for j in range(2 * width):
            partial[j] += partial[at + j]
    sums, products = partial[:width], partial[width : 2 * width]
    for lane in range(c, width):
        sums[lane % c] += sums[lane]
        products[lane % c] += products[lane]
    for j in range(c):
        inverse = 1 / np.sqrt(np.float64(variance[j]) + epsilon)
        products[j] *= inverse
        slope, level = -products[j] * inverse / pixels, -sums[j] / pixels
        factors[3 * width + j] = slope * factors[width + j]
        factors[4 * width + j] = level * factors[width + j]
    if dgamma.size:
        for j in range(c):
            dgamma[j] = products[j]
    if dbeta.size:
        for j in range(c):
            dbeta[j] = sums[j]


@kernel
def _backward(
    team, kind, parts, x, dy, residual, statistics, epsilon, constant, width, limits,
    factors, work, partial, dx, dresidual, dgamma, dbeta,
):  # fmt: skip
    _factors(statistics, epsilon, width, factors)
    if not constant or dgamma.size or dbeta.size:
        run_slots(
            team, _gradient_sums_part, parts,
            (kind, x, dy, residual, width, factors, limits, work, partial),
        )  # fmt: skip
        pixels = x.size // statistics[0].size
        _finish_sums(
            parts, pixels, statistics, epsilon, width, partial, factors, dgamma, dbeta
        )  # fmt: skip
    if constant:
        factors[3 * width : 5 * width] = 0
    else:
        _spread(factors[3 * width :], statistics[0].size, width, 2)
    if dx.size or dresidual.size:
        run_slots(
            team, _gradient_part, parts,
            (kind, x, dy, residual, width, factors, limits, work, dx, dresidual),
        )  # fmt: skip


def _cut(x: np.ndarray, c: int) -> tuple[int, int]:
    """Return the width of a line and the number of parts that are summed."""
    width = c * max(1, _WIDTH // c)
    return width, max(1, min(_PARTS, x.size // max(_PART, width)))


def _kind(activation: Activation | None, dtype: np.dtype) -> tuple[Literal, tuple[Any, ...]]:
    """The kind, and what it takes: the slope or the bounds, 0 and 1."""
    kind, low, high = activation or ("clip", -np.inf, np.inf)
    code = {"leaky_relu": LEAKY_RELU, "silu": SILU}.get(kind, CLIP)
    return code, tuple(map(dtype.type, (low, high, 0, 1)))


def _flat(array: np.ndarray | None, dtype: np.dtype) -> np.ndarray:
    return _NONE[dtype] if array is None else array.reshape(-1)


def batch_norm_statistics(
    x: np.ndarray,  # (..., c) read
    momentum: float,
    running_mean: np.ndarray | None,  # (c,) updated, or None
    running_variance: np.ndarray | None,  # (c,) updated, or None
    mean: np.ndarray,  # (c,) written
    variance: np.ndarray,  # (c,) written
) -> None:
    """``mean = E[x]``, ``variance = E[(x - mean)^2]``; running: momentum old + (1 - momentum) new."""
    if not x.size:
        mean.fill(0)
        variance.fill(0)
        return
    width, parts = _cut(x, mean.size)
    team = POOL.team(x.nbytes * _STREAM)
    partial = buffer_pool.scratch(2 * parts * width, _F64)
    work = buffer_pool.array((team[1] * STATE * TILE,), x.dtype)
    running = _flat(running_mean, x.dtype), _flat(running_variance, x.dtype)
    _statistics.on(
        team, parts, x.reshape(-1), width, partial, work, float(momentum), running, mean, variance
    )  # fmt: skip


def batch_norm_forward(
    x: np.ndarray,  # (..., c) read
    mean: np.ndarray,  # (c,) read
    variance: np.ndarray,  # (c,) read
    gamma: np.ndarray | None,  # (c,) read, or None for 1
    beta: np.ndarray | None,  # (c,) read, or None for 0
    epsilon: float,
    residual: np.ndarray | None,  # (..., c) read, or None for 0
    activation: Activation | None,
    y: np.ndarray,  # (..., c) written
) -> None:
    """``y = activation(gamma (x - mean) / sqrt(variance + epsilon) + beta + residual)``."""
    if not x.size:
        return
    dtype = x.dtype
    width, parts = _cut(x, mean.size)
    team = POOL.team(2 * x.nbytes * _STREAM)
    factors = buffer_pool.array((3 * width,), dtype)
    work = buffer_pool.array((team[1] * STATE * TILE,), dtype)
    kind, limits = _kind(activation, dtype)
    statistics = mean, variance, _flat(gamma, dtype), _flat(beta, dtype)
    _forward.on(
        team, kind, parts, x.reshape(-1), _flat(residual, dtype), statistics, float(epsilon), width, limits,
        factors, work, y.reshape(-1),
    )  # fmt: skip


def batch_norm_backward(
    x: np.ndarray,  # (..., c) read
    mean: np.ndarray,  # (c,) read
    variance: np.ndarray,  # (c,) read
    gamma: np.ndarray | None,  # (c,) read, or None for 1
    beta: np.ndarray | None,  # (c,) read, or None for 0
    epsilon: float,
    residual: np.ndarray | None,  # (..., c) read, or None for 0
    activation: Activation | None,
    constant: bool,
    dy: np.ndarray,  # (..., c) read
    dx: np.ndarray | None,  # (..., c) written, or None
    dresidual: np.ndarray | None,  # (..., c) written, or None; where there is a residual and dx, not None
    dgamma: np.ndarray | None,  # (c,) written, or None
    dbeta: np.ndarray | None,  # (c,) written, or None
) -> None:
    """``dresidual = g = dy activation'``, ``dbeta = sum(g)``, ``dgamma = sum(g n)``, n the normalised x.

    ``dx = gamma (g - dbeta / m - n dgamma / m) / sqrt(variance + epsilon)``, without the means of constants.
    """
    if not x.size:
        for sums in (dgamma, dbeta):
            if sums is not None:
                sums.fill(0)
        return
    dtype = x.dtype
    width, parts = _cut(x, mean.size)
    team = POOL.team(5 * x.nbytes * _STREAM)
    factors = buffer_pool.array((5 * width,), dtype)
    work = buffer_pool.array((team[1] * STATE * TILE,), dtype)
    partial = buffer_pool.scratch(2 * parts * width, _F64)
    kind, limits = _kind(activation, dtype)
    statistics = mean, variance, _flat(gamma, dtype), _flat(beta, dtype)
    outs = (_flat(out, dtype) for out in (dx, dresidual, dgamma, dbeta))
    _backward.on(
        team, kind, parts, x.reshape(-1), dy.reshape(-1), _flat(residual, dtype), statistics, float(epsilon),
        int(constant), width, limits, factors, work, partial, *outs,
    )  # fmt: skip

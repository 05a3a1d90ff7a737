"""Convolution on the CPU: forward, and the gradients by data, by weights and by bias.

Arrays are C-contiguous and channels last, of one dtype, float32 or float64, as ``ConvDims`` states them;
nothing is checked here, and what is written is written whole.
"""

from __future__ import annotations

import functools

import numpy as np

from ..._threads import POOL
from ...config import config
from ...dims import ConvDims
from ...memory import buffer_pool
from .choice import Choice, choose
from .correlate import correlate
from .kept import constant, kept_kernels
from .outer import outer
from .outer_plan import outer_plan
from .plan import correlation_plan
from .simd import VECTOR_BYTES
from .winograd import winograd
from .winograd_outer import winograd_outer
from .winograd_outer_plan import winograd_outer_plan
from .winograd_plan import winograd_plan

NS_PER_MAC = 0.012  # on one thread, for the choice between serial and parallel

_NO_BIAS = {np.dtype(t): np.zeros(0, t) for t in (np.float32, np.float64)}


@functools.lru_cache(maxsize=64)
def _zeros(count: int, dtype: np.dtype) -> np.ndarray:
    return np.zeros(count, dtype)


def _choose(dims: ConvDims, pass_: str, dtype: np.dtype, kept: bool = False) -> Choice:
    """Winograd's method loses digits: those who choose float64 want them."""
    return choose(dims, pass_, VECTOR_BYTES // dtype.itemsize, config.winograd and dtype.itemsize == 4, kept)


def _winograd(
    dims: ConvDims, backward: bool, m: int, x: np.ndarray, w: np.ndarray, b: np.ndarray | None, y: np.ndarray,
    kept: bool,
) -> None:  # fmt: skip
    team = POOL.team(dims.macs * NS_PER_MAC / 2)
    plan = winograd_plan(dims, backward, m, VECTOR_BYTES // x.itemsize, team[1], kept)
    work = buffer_pool.array((plan.workspace,), x.dtype)
    bias = _zeros(y.shape[-1], x.dtype) if b is None else b
    packed, tables = kept_kernels.get(w, plan) if kept else None, plan.tables_packed
    if packed is None:
        packed, tables = buffer_pool.array((plan.packed,), x.dtype), plan.tables
    winograd.on(team, x.reshape(-1), w.reshape(-1), bias, y.reshape(-1), packed, work, tables)
    if kept and tables is plan.tables:
        kept_kernels.put(w, plan, packed)


def _correlate(
    dims: ConvDims, backward: bool, x: np.ndarray, w: np.ndarray, b: np.ndarray | None, y: np.ndarray
) -> None:
    if dims.n == 0:
        return  # nothing to write
    kept = not w.flags.writeable and constant(w)
    choice = _choose(dims, "data" if backward else "forward", x.dtype, kept)
    if choice.algorithm == "winograd":
        _winograd(dims, backward, choice.m, x, w, b, y, kept)
        return
    team = POOL.team(dims.macs * NS_PER_MAC)
    plan = correlation_plan(dims, backward, VECTOR_BYTES // x.itemsize, team[1])
    work = buffer_pool.array((plan.workspace,), x.dtype)
    bias = _NO_BIAS[x.dtype] if b is None else b if plan.block == 1 else np.tile(b, plan.block)
    correlate.on(team, x.reshape(-1), w.reshape(-1), bias, y.reshape(-1), work, plan.tables)


def conv_forward(
    dims: ConvDims,
    x: np.ndarray,  # (n, *in, c_in) read
    w: np.ndarray,  # (*k, c_in / groups, c_out) read
    b: np.ndarray | None,  # (c_out,) read, or None
    y: np.ndarray,  # (n, *out, c_out) written
) -> None:
    """``y[o, c] = b[c] + sum over taps t and inputs i of x[o*stride - pad + t*dilation, i] * w[t, i, c]``."""
    _correlate(dims, False, x, w, b, y)


def conv_backward_data(
    dims: ConvDims,
    dy: np.ndarray,  # (n, *out, c_out) read
    w: np.ndarray,  # (*k, c_in / groups, c_out) read
    dx: np.ndarray,  # (n, *in, c_in) written
) -> None:
    """``dx[p, i] = sum over c, o and t with o*stride - pad + t*dilation = p of dy[o, c] * w[t, i, c]``."""
    _correlate(dims, True, dy, w, None, dx)


def conv_backward_weights(
    dims: ConvDims,
    x: np.ndarray,  # (n, *in, c_in) read
    dy: np.ndarray,  # (n, *out, c_out) read
    dw: np.ndarray,  # (*k, c_in / groups, c_out) written
) -> None:
    """``dw[t, i, c] = sum over outputs o of x[o * stride - pad + t * dilation, i] * dy[o, c]``."""
    if dims.n == 0:
        dw.fill(0)
        return
    choice = _choose(dims, "weights", x.dtype)
    flat = (x.reshape(-1), dy.reshape(-1))
    if choice.algorithm == "winograd":
        team = POOL.team(dims.macs * NS_PER_MAC / 2)
        w_plan = winograd_outer_plan(dims, choice.m, VECTOR_BYTES // x.itemsize, team[1])
        work = buffer_pool.array((w_plan.workspace,), x.dtype)
        zeros = _zeros(dims.c_out, x.dtype)
        winograd_outer.on(team, *flat, zeros, dw.reshape(-1), work, w_plan.tables)
        return
    team = POOL.team(dims.macs * NS_PER_MAC)
    plan = outer_plan(dims, VECTOR_BYTES // x.itemsize, x.itemsize, team[1])
    work = buffer_pool.array((plan.workspace,), x.dtype)
    outer.on(team, *flat, dw.reshape(-1), work, plan.copies, plan.splits, plan.tables)

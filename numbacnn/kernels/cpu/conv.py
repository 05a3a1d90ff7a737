"""Convolution on the CPU: forward, and the gradients by data, by weights and by bias.

Arrays are C-contiguous and channels last, of one dtype, float32 or float64, as ``ConvDims`` states them;
nothing is checked here, and what is written is written whole.
"""

from __future__ import annotations

import numpy as np

from ..._threads import POOL
from ...dims import ConvDims
from ...memory import buffer_pool
from .correlate import correlate
from .outer import outer
from .outer_plan import outer_plan
from .plan import correlation_plan
from .simd import VECTOR_BYTES
from .small_product import (
    small_product_backward_data,
    small_product_backward_weights,
    small_product_forward,
    small_product_rows,
)

NS_PER_MAC = 0.012  # on one thread, for the choice between serial and parallel

_NO_BIAS = {np.dtype(t): np.zeros(0, t) for t in (np.float32, np.float64)}


def _correlate(
    dims: ConvDims, backward: bool, x: np.ndarray, w: np.ndarray, b: np.ndarray | None, y: np.ndarray
) -> None:
    if dims.n == 0:
        return  # nothing to write
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
    if rows := small_product_rows(dims):
        small_product_forward(x.reshape(rows, -1), w.reshape(-1, dims.c_out), b, y.reshape(rows, -1))
    else:
        _correlate(dims, False, x, w, b, y)


def conv_backward_data(
    dims: ConvDims,
    dy: np.ndarray,  # (n, *out, c_out) read
    w: np.ndarray,  # (*k, c_in / groups, c_out) read
    dx: np.ndarray,  # (n, *in, c_in) written
) -> None:
    """``dx[p, i] = sum over c, o and t with o*stride - pad + t*dilation = p of dy[o, c] * w[t, i, c]``."""
    if rows := small_product_rows(dims):
        small_product_backward_data(dy.reshape(rows, -1), w.reshape(-1, dims.c_out), dx.reshape(rows, -1))
    else:
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
    if rows := small_product_rows(dims):
        small_product_backward_weights(x.reshape(rows, -1), dy.reshape(rows, -1), dw.reshape(-1, dims.c_out))
        return
    team = POOL.team(dims.macs * NS_PER_MAC)
    plan = outer_plan(dims, VECTOR_BYTES // x.itemsize, x.itemsize, team[1])
    work = buffer_pool.array((plan.workspace,), x.dtype)
    flat = (x.reshape(-1), dy.reshape(-1), dw.reshape(-1))
    outer.on(team, *flat, work, plan.copies, plan.splits, plan.tables)

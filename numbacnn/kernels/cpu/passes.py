"""The passes of a convolution by each algorithm: plan, workspace, call.

Forward pass and data gradient are one operation, a correlation with the kernel as it is or turned.  Arrays
are as in ``conv.py``; the batch is not empty.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..._native import Flat
from ..._threads import POOL
from ...dims import ConvDims
from ...memory import buffer_pool
from .correlate import correlate
from .finish import Finish
from .kept import kept_kernels
from .outer import outer
from .outer_plan import outer_plan
from .plan import Plan, correlation_plan
from .simd import VECTOR_BYTES
from .winograd import winograd
from .winograd_outer import winograd_outer
from .winograd_outer_plan import winograd_outer_plan
from .winograd_plan import WinogradPlan, winograd_plan

NS_PER_MAC = 0.012  # on one thread, for the choice between serial and parallel

_NO_BIAS = {np.dtype(t): np.zeros(0, t) for t in (np.float32, np.float64)}


def lanes_of(array: np.ndarray) -> int:
    """Return how many of an array's elements fill a vector register."""
    return VECTOR_BYTES // array.itemsize


def _run(
    plan: Plan | WinogradPlan, w: np.ndarray, kept: bool, call: Callable[[np.ndarray, Flat], None]
) -> None:
    """Call with room for the packed kernel and all tables, or with what was kept and the other tables."""
    found = kept_kernels.get(w, plan) if kept else None
    if found is not None:
        call(found, plan.tables_packed)
    elif kept:
        packed = buffer_pool.array((plan.packed,), w.dtype)
        call(packed, plan.tables)
        kept_kernels.put(w, plan, packed)
    else:
        call(buffer_pool.array((plan.packed,), w.dtype) if plan.packed else _NO_BIAS[w.dtype], plan.tables)


def direct_correlation(
    dims: ConvDims, backward: bool, kept: bool, x: np.ndarray, w: np.ndarray, b: np.ndarray | None,
    finish: Finish, y: np.ndarray,
) -> None:  # fmt: skip
    """Write the forward pass, or the data gradient, by the direct method.

    kept: the kernel does not change, so its packed form is kept for later calls.
    """
    team = POOL.team(dims.macs * NS_PER_MAC)
    plan = correlation_plan(dims, backward, lanes_of(x), team[1], kept)
    work = buffer_pool.scratch(plan.workspace, x.dtype)
    bias = _NO_BIAS[x.dtype] if b is None else b if plan.block == 1 else np.tile(b, plan.block)
    after = finish.blocked(plan.block).argument()
    flat = (x.reshape(-1), w.reshape(-1), bias, y.reshape(-1))
    _run(plan, w, kept, lambda packed, tables: correlate.on(team, *flat, packed, work, after, tables))


def direct_weights(dims: ConvDims, x: np.ndarray, dy: np.ndarray, dw: np.ndarray) -> None:
    """Write the weight gradient by the direct method."""
    team = POOL.team(dims.macs * NS_PER_MAC)
    plan = outer_plan(dims, lanes_of(x), x.itemsize, team[1])
    work = buffer_pool.scratch(plan.workspace, x.dtype)
    flat = (x.reshape(-1), dy.reshape(-1), dw.reshape(-1))
    outer.on(team, *flat, work, plan.copies, plan.splits, plan.tables)


def winograd_correlation(
    dims: ConvDims, backward: bool, m: int, kept: bool, x: np.ndarray, w: np.ndarray, b: np.ndarray | None,
    finish: Finish, y: np.ndarray,
) -> None:  # fmt: skip
    """Write the forward pass, or the data gradient, by Winograd's method; kept as above.

    m: outputs of a tile along each axis with taps.
    """
    team = POOL.team(dims.macs * NS_PER_MAC / 2)
    plan = winograd_plan(dims, backward, m, lanes_of(x), team[1], kept)
    work = buffer_pool.scratch(plan.workspace, x.dtype)
    bias = _NO_BIAS[x.dtype] if b is None else b
    flat = (x.reshape(-1), w.reshape(-1), bias, y.reshape(-1))
    after = finish.argument()
    _run(plan, w, kept, lambda packed, tables: winograd.on(team, *flat, packed, work, after, tables))


def winograd_weights(dims: ConvDims, m: int, x: np.ndarray, dy: np.ndarray, dw: np.ndarray) -> None:
    """Write the weight gradient by Winograd's method, transposed; m as above."""
    team = POOL.team(dims.macs * NS_PER_MAC / 2)
    plan = winograd_outer_plan(dims, m, lanes_of(x), team[1])
    work = buffer_pool.scratch(plan.workspace, x.dtype)
    flat = (x.reshape(-1), dy.reshape(-1), dw.reshape(-1))
    winograd_outer.on(team, *flat, work, plan.tables)

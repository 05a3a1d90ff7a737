"""A convolution's passes on the GPU, dense layers' among them: from arrays to launches."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...dims import ConvDims
from ...epilogue import Activation
from . import memory
from .depthwise import depthwise_job, depthwise_weights_job, is_depthwise
from .job import correlation_job, weights_job
from .memory import DeviceArray
from .ordered_sum import sum_slices
from .tile import aligned, flags, item_of


def _math(x: DeviceArray, tf32: bool) -> str:
    """How products of x's elements are computed."""
    name = np.dtype(x.dtype).name
    return {"float16": "f16", "bfloat16": "bf16", "float64": "exact"}.get(name, "tf32" if tf32 else "exact")


def _device(x: DeviceArray) -> Any:
    """The device that tables are kept for."""
    return getattr(x, "device", None)


def _workspace(slices: int, y: DeviceArray) -> DeviceArray:
    """Slices of y, in the type of its sums."""
    kind = np.float64 if np.dtype(y.dtype) == np.float64 else np.float32
    return memory.empty((slices, *y.shape), kind)


def correlate(
    dims: ConvDims,
    turned: bool,
    tf32: bool,
    x: DeviceArray,
    w: DeviceArray,
    b: DeviceArray | None,
    scale: DeviceArray | None,
    residual: DeviceArray | None,
    activation: Activation | None,
    y: DeviceArray,
) -> None:
    """Write the forward pass or, turned, the data gradient; a dense layer is one of one tap."""
    if y.size == 0:
        return
    finish, fits = flags(scale, b, residual, activation), aligned(x, w, y, residual)
    limits = (0.0, 0.0) if activation is None else (activation.low, activation.high)
    if is_depthwise(dims):
        job = depthwise_job(dims, turned, fits, finish, _device(x))
        job.variant(job.grid, x, w, scale, b, residual, y, job.table, *limits)
        return
    job = correlation_job(dims, turned, _math(x, tf32), item_of(x), fits, finish, _device(x))
    if job.slices == 1:
        job.variant(job.grid, x, w, scale, b, residual, y, job.table, *job.numbers, *limits)
    else:
        parts = _workspace(job.slices, y)
        job.variant(job.grid, x, w, None, None, None, parts, job.table, *job.numbers, 0.0, 0.0)
        sum_slices(parts, y, scale, b, residual, finish, limits)


def correlate_weights(dims: ConvDims, tf32: bool, x: DeviceArray, dy: DeviceArray, dw: DeviceArray) -> None:
    """Write the weight gradient."""
    if dims.n == 0:
        dw.fill_zero()
        return
    if is_depthwise(dims):
        job, grid = depthwise_weights_job(dims, _device(x))
        parts = _workspace(job.slices, dw)
        job.variant(grid, x, dy, parts, job.table, *job.numbers)
        sum_slices(parts, dw, flags=flags(None, None, None, None))
        return
    job = weights_job(dims, _math(x, tf32), item_of(x), aligned(x, dy, dw), _device(x))
    parts = dw if job.slices == 1 else _workspace(job.slices, dw)
    job.variant(job.grid, x, dy, parts, job.table, *job.numbers)
    if job.slices > 1:
        sum_slices(parts, dw, flags=flags(None, None, None, None))

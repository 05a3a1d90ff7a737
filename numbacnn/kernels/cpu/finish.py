"""What follows a convolution while its results are in the cache: scale and shift, a residual, an activation.

``y = activation(scale y + shift + residual)``, of which any part may be missing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..._jit import jit, kernel, parts_for, run, split
from ...epilogue import Activation
from . import math

LINEAR, LEAKY_RELU, CLIP, SILU = range(4)

_GRAIN = 4096  # elements of a part
_NS_PER_BYTE = 0.1  # on one thread

_NONE = {np.dtype(t): np.zeros(0, t) for t in (np.float32, np.float64)}


@jit
def finish_run(y, at, count, channel, scale, shift, residual, activation):
    """Finish ``count`` neighbouring elements of y, those of channels ``channel ..``.

    scale and shift have all channels or none, the residual lies as y does or has no elements.
    """
    kind, low, high = activation
    out = y[at : at + count]
    if scale.size:
        factors, terms = scale[channel : channel + count], shift[channel : channel + count]
        for i in range(count):
            out[i] = out[i] * factors[i] + terms[i]
    if residual.size:
        more = residual[at : at + count]
        for i in range(count):
            out[i] += more[i]
    if kind == LEAKY_RELU:
        for i in range(count):
            value = out[i]
            out[i] = value * low if value <= 0 else value
    elif kind == CLIP:
        for i in range(count):
            value = out[i]
            value = low if value < low else value  # comparisons with NaN are false: it passes
            out[i] = high if value > high else value
    elif kind == SILU:
        for i in range(count):
            out[i] = out[i] * math.sigmoid(out[i])


def finish_arguments(
    dtype: np.dtype, scale: np.ndarray | None, shift: np.ndarray | None, residual: np.ndarray | None,
    activation: Activation | None,
) -> tuple[Any, ...]:  # fmt: skip
    """Return the last four arguments of `finish_run`; arrays of no elements stand for what is missing."""
    none = _NONE[dtype]
    kind, low, high = LINEAR, 0.0, 0.0
    if activation is not None:
        kind = {"leaky_relu": LEAKY_RELU, "silu": SILU}.get(activation.kind, CLIP)
        low, high = activation.low, activation.high
    if scale is None:
        scale = shift = none
    elif shift is None:
        shift = np.zeros_like(scale)
    flat = none if residual is None else residual.reshape(-1)
    return scale, shift, flat, (kind, dtype.type(low), dtype.type(high))


@jit
def _rows_part(part, parts, y, channels, scale, shift, residual, activation):
    lo, hi = split(part, parts, y.size // channels)
    for row in range(lo, hi):
        finish_run(y, row * channels, channels, 0, scale, shift, residual, activation)


@kernel
def _finish(team, parts, y, channels, scale, shift, residual, activation):
    run(team, _rows_part, parts, (y, channels, scale, shift, residual, activation))


def finish(y: np.ndarray, arguments: tuple[Any, ...]) -> None:
    """Finish all of y in a pass of its own, after kernels that cannot."""
    parts = parts_for(y.size, _GRAIN)
    _finish(y.nbytes * _NS_PER_BYTE, parts, y.reshape(-1), y.shape[-1], *arguments)

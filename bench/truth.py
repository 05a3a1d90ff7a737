"""Convolution and its gradients in float64 by NumPy's matrix product, tap by tap: both sides' check.

Shares nothing with the package but the geometry; about as fast as BLAS, so it reaches whole networks' shapes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from numbacnn.dims import ConvDims

Array = np.ndarray


def _padded(dims: ConvDims, x: Array) -> Array:
    pads = ((0, 0), *zip(dims.pad_lo_, dims.pad_hi_, strict=True), (0, 0))
    return np.pad(x.astype(np.float64, copy=False), pads)


def _taps(dims: ConvDims) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...]]]:
    """Each tap's index, and the pixels of the padded input that it meets, one per output pixel."""
    for tap in itertools.product(*map(range, dims.k_)):
        window = tuple(
            slice(t * d, t * d + (out - 1) * s + 1, s)
            for t, d, s, out in zip(tap, dims.dilation_, dims.stride_, dims.out_, strict=True)
        )
        yield tap, (slice(None), *window)


def _by_group(a: Array, groups: int) -> Array:
    """``(..., C)`` as ``(groups, pixels, C / groups)``."""
    return a.reshape(-1, groups, a.shape[-1] // groups).transpose(1, 0, 2)


def _kernel_by_group(w: Array, groups: int) -> Array:
    """A tap's ``(C_in / groups, C_out)`` as ``(groups, C_in / groups, C_out / groups)``."""
    return w.astype(np.float64, copy=False).reshape(w.shape[0], groups, -1).transpose(1, 0, 2)


def conv_forward(dims: ConvDims, x: Array, w: Array) -> Array:
    padded, g = _padded(dims, x), dims.groups
    y = 0.0
    for tap, window in _taps(dims):
        y = y + _by_group(padded[window], g) @ _kernel_by_group(w[tap], g)
    return y.transpose(1, 0, 2).reshape(dims.output_shape)


def conv_backward_data(dims: ConvDims, dy: Array, w: Array) -> Array:
    dx, g = np.zeros_like(_padded(dims, np.zeros(dims.input_shape))), dims.groups
    dy = _by_group(dy.astype(np.float64, copy=False), g)
    for tap, window in _taps(dims):
        part = dy @ _kernel_by_group(w[tap], g).transpose(0, 2, 1)
        dx[window] += part.transpose(1, 0, 2).reshape(dims.n, *dims.out_, dims.c_in)
    inside = tuple(slice(lo, lo + i) for lo, i in zip(dims.pad_lo_, dims.in_, strict=True))
    return dx[(slice(None), *inside)]


def conv_backward_weights(dims: ConvDims, x: Array, dy: Array) -> Array:
    padded, g = _padded(dims, x), dims.groups
    dy = _by_group(dy.astype(np.float64, copy=False), g)
    dw = np.empty(dims.kernel_shape)
    for tap, window in _taps(dims):
        part = _by_group(padded[window], g).transpose(0, 2, 1) @ dy
        dw[tap] = part.transpose(1, 0, 2).reshape(dims.kernel_shape[-2:])
    return dw


def relative_error(result: Array, truth: Array) -> float:
    """Largest difference over the largest magnitude of the truth; infinite where the result is not finite."""
    scale = float(np.abs(truth).max()) or 1.0
    error = float(np.abs(np.asarray(result, dtype=np.float64) - truth).max()) / scale
    return error if np.isfinite(error) else float("inf")

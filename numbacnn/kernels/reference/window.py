"""What the oracles share: float64, padding, and what each tap of a window meets."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from numbacnn.dims import ConvDims, PoolDims

Array = NDArray[np.floating]


def double(x: NDArray) -> NDArray[np.float64]:
    """The array in float64."""
    return np.asarray(x, dtype=np.float64)


def taps(dims: ConvDims | PoolDims) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...]]]:
    """Each tap of the window, in row-major order, with the pixels of the padded input that it meets."""
    for tap in np.ndindex(*dims.k_):
        starts = [t * d for t, d in zip(tap, dims.dilation_, strict=True)]
        ends = [a + (o - 1) * s + 1 for a, o, s in zip(starts, dims.out_, dims.stride_, strict=True)]
        pixels = (slice(a, b, s) for a, b, s in zip(starts, ends, dims.stride_, strict=True))
        yield tap, (slice(None), *pixels)


def pad(dims: ConvDims | PoolDims, x: NDArray, fill: float = 0.0) -> NDArray[np.float64]:
    """The input as float64 with its padding around it."""
    ends = ((lo, max(hi, 0)) for lo, hi in zip(dims.pad_lo_, dims.pad_hi_, strict=True))
    return np.pad(double(x), [(0, 0), *ends, (0, 0)], constant_values=fill)


def crop(dims: ConvDims | PoolDims, padded: NDArray) -> NDArray:
    """The input without its padding."""
    inside = (slice(lo, lo + size) for lo, size in zip(dims.pad_lo_, dims.in_, strict=True))
    return padded[(slice(None), *inside)]


def padded_zeros(dims: ConvDims | PoolDims) -> NDArray[np.float64]:
    """Zeros of the padded input's shape."""
    return pad(dims, np.zeros(dims.input_shape))


def windows(dims: PoolDims, x: NDArray, fill: float) -> NDArray[np.float64]:
    """What each tap meets: (taps, n, *out, c), with `fill` in the padding."""
    padded = pad(dims, x, fill)
    return np.stack([padded[pixels] for _, pixels in taps(dims)])


def is_pixel(dims: PoolDims) -> NDArray[np.bool_]:
    """Whether each tap meets a pixel, and not padding: (taps, n, *out, c)."""
    return windows(dims, np.ones(dims.input_shape), 0.0) == 1.0

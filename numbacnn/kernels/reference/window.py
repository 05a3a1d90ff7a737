"""What the oracles share: float64, padding, and what each tap of a window meets."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numbacnn.dims import ConvDims, PoolDims
from numbacnn.pool_dims import PoolGeometry, WindowDims

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


def places(dims: PoolGeometry) -> list[NDArray[np.intp]]:
    """Per axis the pixel that each tap of each output's window meets, (out, taps); -1 where there is none."""
    tables = []
    if isinstance(dims, WindowDims):
        for starts, counts in zip(dims.starts_, dims.counts_, strict=True):
            tap = np.arange(max(counts))
            tables.append(np.where(tap < np.c_[np.array(counts)], np.c_[np.array(starts)] + tap, -1))
        return tables
    for axis in range(dims.rank):
        first = np.arange(dims.out_[axis]) * dims.stride_[axis] - dims.pad_lo_[axis]
        pixel = np.c_[first] + np.arange(dims.k_[axis]) * dims.dilation_[axis]
        tables.append(np.where((pixel >= 0) & (pixel < dims.in_[axis]), pixel, -1))
    return tables


def _at(dims: PoolGeometry) -> Any:
    """The pixels that taps meet as an index: (n, out * taps per axis, c)."""
    return (slice(None), *np.ix_(*(table.ravel() for table in places(dims))))


def windows(dims: PoolGeometry, x: NDArray, fill: float) -> NDArray[np.float64]:
    """What each tap meets: (taps, n, *out, c), with `fill` where that is no pixel."""
    source = np.pad(double(x), [(0, 0), *[(0, 1)] * dims.rank, (0, 0)], constant_values=fill)  # at place -1
    return _taps_first(dims, source[_at(dims)])


def _taps_first(dims: PoolGeometry, met: NDArray) -> NDArray:
    """(n, out * taps per axis, c) as (taps of the box in row-major order, n, *out, c)."""
    sizes = [size for table in places(dims) for size in table.shape]
    split = met.reshape(met.shape[0], *sizes, met.shape[-1])
    moved = np.moveaxis(split, range(2, 2 * dims.rank + 1, 2), range(dims.rank))
    return moved.reshape(math.prod(moved.shape[: dims.rank]), *moved.shape[dims.rank :])


def gather_back(dims: PoolGeometry, parts: NDArray) -> NDArray[np.float64]:
    """The adjoint of `windows`: at each pixel the sum of the parts, (taps, n, *out, c), that meet it."""
    tables = places(dims)
    split = parts.reshape(*(table.shape[1] for table in tables), *parts.shape[1:])
    moved = np.moveaxis(split, range(dims.rank), range(2, 2 * dims.rank + 1, 2))
    total = np.zeros((parts.shape[1], *(size + 1 for size in dims.in_), parts.shape[-1]))
    np.add.at(
        total, _at(dims), moved.reshape(parts.shape[1], *(table.size for table in tables), parts.shape[-1])
    )
    return total[(slice(None), *(slice(size) for size in dims.in_))]


def is_pixel(dims: PoolGeometry) -> NDArray[np.bool_]:
    """Whether each tap meets a pixel, and not padding: (taps, n, *out, c)."""
    return windows(dims, np.ones(dims.input_shape), 0.0) == 1.0


def pixel_indices(dims: PoolGeometry) -> NDArray[np.int64]:
    """The flat index, within the spatial axes, of the pixel that each tap meets: (taps, n, *out, c)."""
    numbers = np.arange(float(np.prod(dims.in_))).reshape(1, *dims.in_, 1)
    return windows(dims, np.broadcast_to(numbers, dims.input_shape), -1.0).astype(np.int64)


def box(factors: Sequence[NDArray]) -> NDArray:
    """The products of one factor per axis, (*factors), in row-major order."""
    return reduce(np.multiply.outer, factors)

"""Max and average pooling, forward and gradients: any window over one or two axes, channels last.

Windows are reduced straight from the input.  Padding is left out of the windows beforehand, in a plan of
small tables per dims: what each output row and each group of output columns reads.  The gradients add
window after window; a part owns bands of rows of the gradient and alone writes there, whatever windows
reach into them, so the sums and their order are the same for any number of threads.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from numbacnn._jit import jit, kernel, parts_for, run, split
from numbacnn.dims import PoolDims

from .simd import VECTOR_BYTES
from .window import GROUP, average_windows, clear, max_windows, route_windows, share_windows

__all__ = ["avg_pool_backward", "avg_pool_forward", "max_pool_backward", "max_pool_forward"]

Axis = tuple[int, int, int, int, int, int]  # size, taps, stride, dilation, low padding, output size
Table = list[tuple[int, ...]]

_GRAIN = 16384  # elements of the input per part: some microseconds
_HALO = 8  # a band has this many times the windows that reach into it from the band above
_PLANS = 1024  # kept: more than the pooling layers of a process times their batch sizes


class _Plan(NamedTuple):
    """Where the windows lie: sizes, and tables with a row per output row, group of columns, band or visit.

    Places are counted in elements from an image's first.
    """

    sizes: tuple[int, ...]  # see _plan
    rows: np.ndarray  # place in y, place in x, rows of taps
    groups: np.ndarray  # place in y, columns, place in x, columns of taps
    bands: np.ndarray  # first and end place in dx, first and end visit
    visits: np.ndarray  # place in y, place in dx, rows of taps, how many to skip, end place in dx, all rows

    @property
    def forward_parts(self) -> int:
        return self._parts(self.rows)

    @property
    def backward_parts(self) -> int:
        return self._parts(self.bands)

    def _parts(self, units: np.ndarray) -> int:
        images, _, size, *_ = self.sizes
        return min(parts_for(images * size, _GRAIN), max(1, images * len(units)))


def _taps(start: int, k: int, dilation: int, low: int, high: int) -> tuple[int, int]:
    """The range of the taps, counted from pixel `start`, that meet the pixels `low` to `high - 1`."""
    first, last = -((start - low) // dilation), (high - 1 - start) // dilation + 1
    return max(0, first), min(k, last)


def _groups(axis: Axis, c: int) -> Table:
    """Neighbouring columns form a group where no tap meets padding; the others stand alone."""
    size, k, stride, dilation, pad, out = axis
    groups: Table = []
    column = 0
    while column < out:
        start, end = column * stride - pad, column + 1
        first, last = _taps(start, k, dilation, 0, size)
        if last - first == k:
            end += (size - 1 - start - (k - 1) * dilation) // stride
        end = min(end, column + GROUP, out)
        groups.append((column * c, end - column, (start + first * dilation) * c, last - first))
        column = end
    return groups


def _bands(axis: Axis, line: int, y_line: int) -> tuple[Table, Table]:
    """Cut dx into bands of lines, by sizes alone, and list the windows that reach into each."""
    size, k, stride, dilation, pad, out = axis
    halo = (k - 1) * dilation // stride  # windows that reach into a band from above
    count = min(parts_for(size * line, _GRAIN), max(1, out // max(1, _HALO * halo)))
    bands: Table = []
    visits: Table = []
    for band in range(count):
        begin, end = out * band // count, out * (band + 1) // count
        low = max(0, begin * stride - pad) if band > 0 else 0
        high = max(0, end * stride - pad) if band < count - 1 else size
        visited = len(visits)
        for row in range(max(0, begin - halo), end):
            start = row * stride - pad
            first, last = _taps(start, k, dilation, 0, high)
            skip = _taps(start, k, dilation, low, high)[0] - first
            above, below = _taps(start, k, dilation, 0, size)
            if last - first > skip:
                place, reach = start + first * dilation, start + (last - 1) * dilation + 1
                visits.append((row * y_line, place * line, last - first, skip, reach * line, below - above))
        bands.append((low * line, high * line, visited, len(visits)))
    return bands, visits


@lru_cache(_PLANS)
def _plan(dims: PoolDims) -> _Plan:
    axes: list[Axis] = [(1, 1, 1, 1, 0, 1)] * (2 - dims.rank)
    axes += zip(dims.in_, dims.k_, dims.stride_, dims.dilation_, dims.pad_lo_, dims.out_, strict=True)
    (h, kh, sh, dh, ph, oh), (w, kw, sw, dw, _, ow) = axes
    c, line, y_line = dims.c, w * dims.c, ow * dims.c
    rows = []
    for row in range(oh):
        first, last = _taps(row * sh - ph, kh, dh, 0, h)
        rows.append((row * y_line, (row * sh - ph + first * dh) * line, last - first))
    apart = sh > (kh - 1) * dh and sw > (kw - 1) * dw  # no two windows share a pixel
    # images, channels, elements of an image of x and of y, from a row of taps to the next, from a tap to
    # the next, from an output's window to its neighbour's, taps, apart
    sizes = dims.n, c, h * line, oh * y_line, dh * line, dw * c, sw * c, kh * kw, int(apart)
    tables = rows, _groups(axes[1], c), *_bands(axes[0], line, y_line)
    return _Plan(sizes, *(np.array(table, np.int64) for table in tables))


@jit
def _max_part(part, parts, x, y, rows, groups, sizes):
    images, c, x_size, y_size, row_step, step, hop, taps, apart = sizes
    first, end = split(part, parts, images * rows.shape[0])
    for i in range(first, end):
        image = i // rows.shape[0]
        row = i - image * rows.shape[0]
        y_row, x_row, count = image * y_size + rows[row, 0], image * x_size + rows[row, 1], rows[row, 2]
        for j in range(groups.shape[0]):
            target, active, at, cols = y_row + groups[j, 0], groups[j, 1], x_row + groups[j, 2], groups[j, 3]
            window = (count, row_step, cols, step)
            for k in range(0, c, VECTOR_BYTES // x.itemsize):
                max_windows(x, at + k, hop, window, y, target + k, c, active, c - k)


@jit
def _average_part(part, parts, x, y, count_include_pad, rows, groups, sizes):
    images, c, x_size, y_size, row_step, step, hop, taps, apart = sizes
    first, end = split(part, parts, images * rows.shape[0])
    for i in range(first, end):
        image = i // rows.shape[0]
        row = i - image * rows.shape[0]
        y_row, x_row, count = image * y_size + rows[row, 0], image * x_size + rows[row, 1], rows[row, 2]
        for j in range(groups.shape[0]):
            target, active, at, cols = y_row + groups[j, 0], groups[j, 1], x_row + groups[j, 2], groups[j, 3]
            window = (count, row_step, cols, step)
            scale = 1.0 / (taps if count_include_pad else count * cols)
            for k in range(0, c, VECTOR_BYTES // x.itemsize):
                average_windows(x, at + k, hop, window, scale, y, target + k, c, active, c - k)


@jit
def _route_part(part, parts, x, y, dy, dx, bands, visits, groups, sizes):
    images, c, x_size, y_size, row_step, step, hop, taps, apart = sizes
    first, end = split(part, parts, images * bands.shape[0])
    for i in range(first, end):
        image = i // bands.shape[0]
        band, y_image, x_image = i - image * bands.shape[0], image * y_size, image * x_size
        clean = x_image + bands[band, 0]
        for v in range(bands[band, 2], bands[band, 3]):
            y_row, x_row, count, skip = (
                y_image + visits[v, 0],
                x_image + visits[v, 1],
                visits[v, 2],
                visits[v, 3],
            )
            # just before it is added to, so that it is in the cache
            clean = clear(dx, clean, x_image + visits[v, 4])
            for j in range(groups.shape[0]):
                target, active, at, cols = (
                    y_row + groups[j, 0],
                    groups[j, 1],
                    x_row + groups[j, 2],
                    groups[j, 3],
                )
                window = (count, row_step, cols, step)
                for k in range(0, c, VECTOR_BYTES // x.itemsize):
                    route_windows(
                        x, y, dy, dx, at + k, hop, window, skip, apart, target + k, c, active, c - k
                    )
        clear(dx, clean, x_image + bands[band, 1])


@jit
def _share_part(part, parts, dy, dx, count_include_pad, bands, visits, groups, sizes):
    images, c, x_size, y_size, row_step, step, hop, taps, apart = sizes
    first, end = split(part, parts, images * bands.shape[0])
    for i in range(first, end):
        image = i // bands.shape[0]
        band, y_image, x_image = i - image * bands.shape[0], image * y_size, image * x_size
        clean = x_image + bands[band, 0]
        for v in range(bands[band, 2], bands[band, 3]):
            y_row, x_row, count, skip = (
                y_image + visits[v, 0],
                x_image + visits[v, 1],
                visits[v, 2],
                visits[v, 3],
            )
            clean = clear(dx, clean, x_image + visits[v, 4])
            for j in range(groups.shape[0]):
                target, active, at, cols = (
                    y_row + groups[j, 0],
                    groups[j, 1],
                    x_row + groups[j, 2],
                    groups[j, 3],
                )
                window = (count - skip, row_step, cols, step)
                scale = 1.0 / (taps if count_include_pad else visits[v, 5] * cols)
                at += skip * row_step
                for k in range(0, c, VECTOR_BYTES // dx.itemsize):
                    share_windows(dy, dx, at + k, hop, window, scale, apart, target + k, c, active, c - k)
        clear(dx, clean, x_image + bands[band, 1])


@kernel
def _max(team, parts, x, y, rows, groups, sizes):
    run(team, _max_part, parts, (x, y, rows, groups, sizes))


@kernel
def _average(team, parts, x, y, count_include_pad, rows, groups, sizes):
    run(team, _average_part, parts, (x, y, count_include_pad, rows, groups, sizes))


@kernel
def _route(team, parts, x, y, dy, dx, bands, visits, groups, sizes):
    run(team, _route_part, parts, (x, y, dy, dx, bands, visits, groups, sizes))


@kernel
def _share(team, parts, dy, dx, count_include_pad, bands, visits, groups, sizes):
    run(team, _share_part, parts, (dy, dx, count_include_pad, bands, visits, groups, sizes))


def max_pool_forward(
    dims: PoolDims,
    x: np.ndarray,  # (n, *in, c) read
    y: np.ndarray,  # (n, *out, c) written
) -> None:
    """``y[n, o, c] = max over the window of o``; padding never wins, NaN wins as in ``np.max``."""
    plan = _plan(dims)
    _max(
        x.nbytes * 0.06, plan.forward_parts, x.reshape(-1), y.reshape(-1), plan.rows, plan.groups, plan.sizes
    )


def max_pool_backward(
    dims: PoolDims,
    x: np.ndarray,  # (n, *in, c) read
    y: np.ndarray,  # (n, *out, c) read: what the forward pass wrote
    dy: np.ndarray,  # (n, *out, c) read
    dx: np.ndarray,  # (n, *in, c) written
) -> None:
    """``dx[n, p, c] = sum of dy[n, o, c] over the windows o whose first maximal pixel is p``.

    First in row-major order. Where the maximum is NaN, the first NaN counts as the maximal pixel.
    """
    plan = _plan(dims)
    arrays = x.reshape(-1), y.reshape(-1), dy.reshape(-1), dx.reshape(-1)
    _route(x.nbytes * 0.1, plan.backward_parts, *arrays, plan.bands, plan.visits, plan.groups, plan.sizes)


def avg_pool_forward(
    dims: PoolDims,
    x: np.ndarray,  # (n, *in, c) read
    y: np.ndarray,  # (n, *out, c) written
    count_include_pad: bool,
) -> None:
    """``y[n, o, c] = sum of the window of o / count``: count of its taps, or of those that meet a pixel."""
    plan = _plan(dims)
    arrays, tables = (x.reshape(-1), y.reshape(-1)), (plan.rows, plan.groups, plan.sizes)
    _average(x.nbytes * 0.06, plan.forward_parts, *arrays, bool(count_include_pad), *tables)


def avg_pool_backward(
    dims: PoolDims,
    dy: np.ndarray,  # (n, *out, c) read
    dx: np.ndarray,  # (n, *in, c) written
    count_include_pad: bool,
) -> None:
    """``dx[n, p, c] = sum of dy[n, o, c] / count over the windows o that hold p``."""
    plan = _plan(dims)
    arrays, tables = (dy.reshape(-1), dx.reshape(-1)), (plan.bands, plan.visits, plan.groups, plan.sizes)
    _share(dx.nbytes * 0.06, plan.backward_parts, *arrays, bool(count_include_pad), *tables)

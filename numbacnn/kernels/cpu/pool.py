"""Max and average pooling, forward and gradients: any window over one to three axes, channels last.

Maxima and averages, and the gradient of averages, are reductions axis by axis (`reduction`).  The gradient of
a maximum is added window after window: a part owns bands of the gradient and alone writes there, whatever
windows reach into them, so the sums and their order are the same for any number of threads.
"""

from __future__ import annotations

import numpy as np

from numbacnn._jit import jit, kernel, run, split
from numbacnn.pool_dims import PoolGeometry

from .box import find_taps, route_taps
from .pool_plan import Rule, fronts, passes, routes
from .reduction import lanes_of, reduce_max, reduce_sum
from .simd import zero_run
from .window import group_at

__all__ = [
    "avg_pool_backward",
    "avg_pool_forward",
    "max_pool_backward",
    "max_pool_forward",
    "max_pool_indices",
]


@jit
def _clear(dx, image, plane, line, depth0, depth1, row0, row1):
    """Zero rows of some depths of the gradient, and return the later of the rows."""
    if row1 <= row0:
        return row0
    for d in range(depth0, depth1):
        zero_run(dx, image + d * plane + row0 * line, (row1 - row0) * line)
    return row1


@jit
def _route_row(x, y, dy, dx, x_row, y_row, depths, rows, own, groups, sizes):
    """Add the gradients of a row of windows, of so many depths and rows of taps."""
    depth_step, row_step, step, apart = sizes[5:]
    for g in range(groups.shape[0]):
        target, at, columns, _, length, hop1, hop2, hop3, pitch, active, drop, advance = group_at(groups, g)
        target, at = target + y_row, at + x_row
        window = (depths, depth_step, rows, row_step, columns, step)
        for k in range(0, length, advance):
            shape = (hop1, hop2, hop3, pitch, active, length - k, drop)
            route_taps(x, y, dy, dx, at + k, window, own, apart, target + k, shape)


@jit
def _route_part(part, parts, x, y, dy, dx, tables):
    sizes, depths, depth_visits, rows, row_visits, groups = tables
    images, size, y_size, plane, line = sizes[:5]
    first, end = split(part, parts, images * depths.shape[0] * rows.shape[0])
    for i in range(first, end):
        above = i // rows.shape[0]
        band, image = i - above * rows.shape[0], above // depths.shape[0]
        slab = above - image * depths.shape[0]
        clear_depth, low, high = depths[slab, 0], rows[band, 0], rows[band, 1]
        for u in range(depths[slab, 2], depths[slab, 3]):
            reach = max(clear_depth, depth_visits[u, 5])
            clean = low
            for v in range(rows[band, 2], rows[band, 3]):
                # just before it is added to, so that it is in the cache
                clean = _clear(dx, image * size, plane, line, clear_depth, reach, clean, row_visits[v, 5])
                x_row = image * size + depth_visits[u, 1] + row_visits[v, 1]
                y_row = image * y_size + depth_visits[u, 0] + row_visits[v, 0]
                own = depth_visits[u, 3], depth_visits[u, 4], row_visits[v, 3], row_visits[v, 4]
                _route_row(
                    x, y, dy, dx, x_row, y_row, depth_visits[u, 2], row_visits[v, 2], own, groups, sizes
                )
            _clear(dx, image * size, plane, line, clear_depth, reach, clean, high)
            clear_depth = reach
        _clear(dx, image * size, plane, line, clear_depth, depths[slab, 1], low, high)


@jit
def _find_part(part, parts, x, y, indices, tables):
    sizes, depths, rows, groups = tables
    images, size, y_size, depth_step, row_step, step = sizes[:6]
    depth_pixels, row_pixels, pixels, plane, line, c = sizes[6:]
    first, end = split(part, parts, images * depths.shape[0] * rows.shape[0])
    for i in range(first, end):
        above = i // rows.shape[0]
        row, image = i - above * rows.shape[0], above // depths.shape[0]
        depth = above - image * depths.shape[0]
        y_row = image * y_size + depths[depth, 0] + rows[row, 0]
        x_row = image * size + depths[depth, 1] + rows[row, 1]
        number = depths[depth, 2] * plane + rows[row, 2] * line
        for g in range(groups.shape[0]):
            target, at, columns, _, length, hop1, hop2, hop3, pitch, active, drop, advance = group_at(
                groups, g
            )
            numbers = (number + at // c, depth_pixels, row_pixels, pixels, c)
            target, at = target + y_row, at + x_row
            window = (depths[depth, 3], depth_step, rows[row, 3], row_step, columns, step)
            for k in range(0, length, advance):
                shape = (hop1, hop2, hop3, pitch, active, length - k, drop)
                find_taps(x, y, at + k, window, numbers, indices, target + k, shape)


@kernel
def _route(team, parts, x, y, dy, dx, tables):
    run(team, _route_part, parts, (x, y, dy, dx, tables))


@kernel
def _find(team, parts, x, y, indices, tables):
    run(team, _find_part, parts, (x, y, indices, tables))


def max_pool_forward(
    dims: PoolGeometry,
    x: np.ndarray,  # (n, *in, c) read
    y: np.ndarray,  # (n, *out, c) written
) -> None:
    """``y[n, o, c] = max over the window of o``; padding never wins, NaN wins as in ``np.max``."""
    reduce_max(passes(dims, lanes_of(x), (1.0,) * dims.rank, False, x.dtype), x, y)


def max_pool_indices(
    dims: PoolGeometry,
    x: np.ndarray,  # (n, *in, c) read
    y: np.ndarray,  # (n, *out, c) read: what the forward pass wrote
    indices: np.ndarray,  # int64 (n, *out, c) written
) -> None:
    """``indices[n, o, c]`` = flat index, within the spatial axes, of the first maximal pixel of the window.

    First in row-major order. Where the maximum is NaN, the first NaN counts as the maximal pixel.
    """
    plan = fronts(dims, lanes_of(x))
    arrays = x.reshape(-1), y.reshape(-1), indices.reshape(-1)
    _find(x.nbytes * 0.2, plan.parts, *arrays, plan.tables)


def max_pool_backward(
    dims: PoolGeometry,
    x: np.ndarray,  # (n, *in, c) read
    y: np.ndarray,  # (n, *out, c) read: what the forward pass wrote
    dy: np.ndarray,  # (n, *out, c) read
    dx: np.ndarray,  # (n, *in, c) written
) -> None:
    """``dx[n, p, c] = sum of dy[n, o, c] over the windows o whose first maximal pixel is p``.

    First in row-major order. Where the maximum is NaN, the first NaN counts as the maximal pixel.
    """
    plan = routes(dims, lanes_of(x))
    arrays = x.reshape(-1), y.reshape(-1), dy.reshape(-1), dx.reshape(-1)
    _route(x.nbytes * 0.1, plan.parts, *arrays, plan.tables)


def _rules(dims: PoolGeometry, count_include_pad: bool, divisor: float) -> tuple[Rule, ...]:
    """Of an average, per axis: its divisor is the product of those of the axes."""
    if divisor:
        return (*[1.0] * (dims.rank - 1), 1.0 / divisor)
    return ("padded" if count_include_pad else "pixels",) * dims.rank


def avg_pool_forward(
    dims: PoolGeometry,
    x: np.ndarray,  # (n, *in, c) read
    y: np.ndarray,  # (n, *out, c) written
    count_include_pad: bool,
    divisor: float,
) -> None:
    """``y[n, o, c] = sum of the window of o / count``.

    The count is `divisor`, or where that is 0 the taps that meet a pixel, or a pixel or the padding.
    """
    rules = _rules(dims, count_include_pad, divisor)
    reduce_sum(passes(dims, lanes_of(x), rules, False, x.dtype), x, y)


def avg_pool_backward(
    dims: PoolGeometry,
    dy: np.ndarray,  # (n, *out, c) read
    dx: np.ndarray,  # (n, *in, c) written
    count_include_pad: bool,
    divisor: float,
) -> None:
    """``dx[n, p, c] = sum of dy[n, o, c] / count over the windows o that hold p``."""
    rules = _rules(dims, count_include_pad, divisor)
    reduce_sum(passes(dims, lanes_of(dx), rules, True, dx.dtype), dy, dx)

"""Copies between strided parts of arrays: a thread per element of the part, or per four that lie together.

Writes are in the order of the part's last axis; where the sources of neighbours lie apart, as when the
channels are permuted, each is a transaction of its own.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from .gather import aligned
from .intrinsics import block_x, div, i32, i64, load, load4, store, store4, thread
from .launch import ceil_div, kernel

if TYPE_CHECKING:  # constants that kernels are specialised by
    RANK = 1  # axes of the part
    V = 1  # elements of a thread

_THREADS = 256
_UNITS = 1 << 30  # threads of a launch, at most
_AXES = 5

Axis = tuple[int, int, int]  # extent of the part, stride in x, stride in y


@kernel(
    "x y count:i32 x_start:i64 y_start:i64 e1:i32 e2:i32 e3:i32 e4:i32"
    " x0:i64 x1:i64 x2:i64 x3:i64 x4:i64 y0:i64 y1:i64 y2:i64 y3:i64 y4:i64",
    threads=_THREADS,
)
def copy_part(x, y, count, x_start, y_start, e1, e2, e3, e4, x0, x1, x2, x3, x4, y0, y1, y2, y3, y4):
    """Axis k of the part has the extent ek and the strides xk and yk; of five, the last RANK are there."""
    rest = i32(block_x() * _THREADS + thread())
    if rest < count:
        source, target = x_start, y_start
        if RANK > 1:
            left = div(rest, e4)
            i = i64(i32(rest - left * e4))
            source, target, rest = source + i * x4, target + i * y4, i32(left)
        if RANK > 2:
            left = div(rest, e3)
            i = i64(i32(rest - left * e3))
            source, target, rest = source + i * x3, target + i * y3, i32(left)
        if RANK > 3:
            left = div(rest, e2)
            i = i64(i32(rest - left * e2))
            source, target, rest = source + i * x2, target + i * y2, i32(left)
        if RANK > 4:
            left = div(rest, e1)
            i = i64(i32(rest - left * e1))
            source, target, rest = source + i * x1, target + i * y1, i32(left)
        if RANK == 1:
            source, target = source + i64(rest) * x4, target + i64(rest) * y4
        if RANK == 2:
            source, target = source + i64(rest) * x3, target + i64(rest) * y3
        if RANK == 3:
            source, target = source + i64(rest) * x2, target + i64(rest) * y2
        if RANK == 4:
            source, target = source + i64(rest) * x1, target + i64(rest) * y1
        if RANK == 5:
            source, target = source + i64(rest) * x0, target + i64(rest) * y0
        if V == 4:
            store4(y, target, load4(x, source))
        else:
            store(y, target, load(x, source))


def strided_copy(
    x: Any,  # read
    x_start: int,
    x_strides: tuple[int, ...],  # in elements, one per axis of the part, at most five
    extents: tuple[int, ...],  # of the part
    y_start: int,
    y_strides: tuple[int, ...],
    y: Any,  # of the type of x, written in the part only
) -> None:
    """``y[y_start + sum(i y_strides)] = x[x_start + sum(i x_strides)]``, flat, for all i in the extents."""
    if 0 in extents:
        return
    axes = _joined(list(zip(extents, x_strides, y_strides, strict=True)))
    v = 4 if _in_fours(axes, x_start, y_start) and aligned(x, y) else 1
    extent, *last = axes[-1]
    axes[-1] = (extent // v, v * last[0], v * last[1])
    first = max(1, _UNITS // math.prod(e for e, _, _ in axes[1:]))  # of the first axis, per launch
    for begin in range(0, axes[0][0], first):
        _launch(x, y, x_start + begin * axes[0][1], y_start + begin * axes[0][2], axes, begin, first, v)


def _launch(
    x: Any,
    y: Any,
    x_start: int,
    y_start: int,
    axes: list[Axis],
    begin: int,
    most: int,
    v: int,
) -> None:
    """Copy `most` of the first axis from `begin` on."""
    extent = min(most, axes[0][0] - begin)
    count = extent * math.prod(e for e, _, _ in axes[1:])
    whole = [(1, 0, 0)] * (_AXES - len(axes)) + axes
    sizes = [e for e, _, _ in whole[1:]]
    strides = [s for _, s, _ in whole] + [s for _, _, s in whole]
    copy_part.of(RANK=len(axes), V=v)(
        ceil_div(count, _THREADS), x, y, count, x_start, y_start, *sizes, *strides
    )


def _joined(axes: list[Axis]) -> list[Axis]:
    """The axes without those of one element, and neighbours that are one run in both arrays as one."""
    joined: list[Axis] = []
    for extent, sx, sy in (axis for axis in axes if axis[0] > 1):
        if joined and joined[-1][1] == extent * sx and joined[-1][2] == extent * sy:
            joined[-1] = (joined[-1][0] * extent, sx, sy)
        else:
            joined.append((extent, sx, sy))
    return joined or [(1, 0, 0)]


def _in_fours(axes: list[Axis], x_start: int, y_start: int) -> bool:
    """Whether four neighbours of the last axis lie together in both arrays, at multiples of four."""
    (extent, sx, sy), outer = axes[-1], axes[:-1]
    places = [x_start, y_start, extent, *(s for _, a, b in outer for s in (a, b))]
    return sx == sy == 1 and not any(place % 4 for place in places)

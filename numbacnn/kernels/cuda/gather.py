"""Outputs gathered from their inputs, channels last: windows of pooling, padding, resizing, and gradients.

An output reads all combinations of its inputs along the axes (`axes.Plan`) and combines them: that is its
sum, its maximum, or the place of that.  Each output is one thread's, or where windows are large and outputs
few one block's, or that of several blocks whose results are combined in order.  Nothing is added from two
sides, and sums have an order that sizes alone give.

The kernels' constants, among them what is taken and what is given, are described in `taps`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _driver, memory
from .axes import Plan, device_of, whole
from .intrinsics import (
    block_x,
    div,
    f64,
    i32,
    i64,
    local_array,
    real,
    shared_array,
    static_range,
    sync,
    thread,
)
from .launch import ceil_div, kernel
from .taps import begin, divisor_of, give, line_at, merge, read_tops, tap, window

if TYPE_CHECKING:
    RANK = V = IMAGES = THREADS = LANES = LEVELS = 0
    TAKE = GIVE = ACC = OUT = ""
    WEIGHTED = False

_THREADS = 256  # of a block
_BUSY = 1 << 18  # threads that keep any GPU busy; with fewer, large windows are cut and images not joined
_LARGE = 16  # inputs of a window from which a block takes it
_SHARE = 8  # inputs of a window per thread, at least
_BLOCKS = 1024  # that keep any GPU busy, where windows are cut further
_UNITS = 1 << 30  # threads of a launch, at most


@kernel(
    "x beside y table weights images:i32 first:i32 count:i32 groups:i32 o0:i32 o1:i32 o2:i32 i1:i32 i2:i32"
    " c:i32 image:i64 goal:i64 fill:real p:f64 whole:i32",
    threads=lambda c: c["THREADS"],
)
def gather_each(
    x, beside, y, table, weights, images, first, count, groups, o0, o1, o2, i1, i2, c, image, goal, fill,
    p, whole,
):  # fmt: skip
    """A thread per output pixel and vector of channels, for some rows of outputs from `first` on.

    image, goal: elements of an image of x and of y. groups: sets of IMAGES images.
    """
    vectors = div(c, V)
    length = i32(o2 * vectors)
    unit = i32(block_x() * THREADS + thread())
    row = div(unit, length)
    if row >= count:
        return
    rest = i32(unit - row * length)
    w = div(rest, vectors)
    channel = i32((rest - w * vectors) * V)
    row = i32(row + first)
    group, d, h = row, i32(0), i32(0)
    if RANK > 1:
        group = div(row, o1)
        h = i32(row - group * o1)
    if RANK == 3:
        d = group
        group = div(group, o0)
        d = i32(d - group * o0)
    out = (i64(d) * o1 + h) * o2 + w
    d0, d1, h0, h1, w0, w1 = window(table, d, h, w, o0, o1)
    if ACC == "f64":
        acc = local_array(V * IMAGES, f64)
    elif ACC == "i64":
        acc = local_array(V * IMAGES, i64)
    else:
        acc = local_array(V * IMAGES, real)
    tops = acc
    begin(acc)
    if TAKE == "place":
        tops = local_array(V * IMAGES, real)
        for b in static_range(IMAGES):
            which = min(i32(group + b * groups), i32(images - 1))
            read_tops(beside, which * goal + out * c + channel, tops, b * V)
    td = d0
    while td < d1:
        th = h0
        while th < h1:
            line, line_weight = line_at(table, weights, td, th, i1)
            start = i64(line) * i2
            tw = w0
            while tw < w1:
                weight = line_weight
                if WEIGHTED:
                    weight = weight * weights[tw]
                place = out
                if TAKE == "place":
                    place = start + table[tw]
                step = i32(table[tw] * c)
                for b in static_range(IMAGES):
                    which = min(i32(group + b * groups), i32(images - 1))
                    at = which * image + start * c + channel + step
                    tap(x, beside, at, acc, tops, b * V, weight, place, p, whole)
                tw = i32(tw + 1)
            th = i32(th + 1)
        td = i32(td + 1)
    if GIVE == "filled" and (d0 == d1 or h0 == h1 or w0 == w1):
        for k in static_range(V * IMAGES):
            acc[k] = fill
    divisor = divisor_of(weights, d, h, w, o0, o1)
    for b in static_range(IMAGES):
        which = i32(group + b * groups)
        if which < images:
            give(beside, y, which * goal + out * c + channel, acc, b * V, divisor, p)


@kernel(
    "x beside y table weights chunks:i32 splits:i32 share:i32 o0:i32 o1:i32 o2:i32 i1:i32 i2:i32 c:i32"
    " image:i64 p:f64 whole:i32",
    threads=lambda c: c["THREADS"],
)
def gather_block(x, beside, y, table, weights, chunks, splits, share, o0, o1, o2, i1, i2, c, image, p, whole):
    """A block per output pixel, split of its window and chunk of channels: LANES vectors of them.

    y: (outputs, splits, c). share: inputs of a split.
    """
    outer = div(block_x(), chunks)
    channel = i32(((block_x() - outer * chunks) * LANES + (thread() & (LANES - 1))) * V)
    number = div(outer, splits)
    split = i32(outer - number * splits)
    above = div(number, o2)
    w, h, d = i32(number - above * o2), i32(0), i32(0)
    if RANK > 1:
        h = above
        above = div(above, o1)
        h = i32(h - above * o1)
    if RANK == 3:
        d = above
        above = div(above, o0)
        d = i32(d - above * o0)
    d0, d1, h0, h1, w0, w1 = window(table, d, h, w, o0, o1)
    if ACC == "f64":
        acc = local_array(V, f64)
        parts = shared_array(V * THREADS, f64)
    elif ACC == "i64":
        acc = local_array(V, i64)
        parts = shared_array(V * THREADS, i64)
    else:
        acc = local_array(V, real)
        parts = shared_array(V * THREADS, real)
    tops = acc
    begin(acc)
    depths, rows, columns = i32(d1 - d0), i32(h1 - h0), i32(w1 - w0)
    taps = i32(depths * rows * columns)
    number_ = div(thread(), LANES)
    if channel < c and taps > 0:
        if TAKE == "place":
            tops = local_array(V, real)
            read_tops(beside, i64(number) * c + channel, tops, 0)
        # tap t of row r of depth s; all proceed by as many taps as there are threads of a channel
        t = i32(split * share + number_)
        end = min(i32(split * share + share), taps)
        r = div(t, columns)
        tw = i32(t - r * columns)
        td = div(r, rows)
        th = i32(r - td * rows)
        step_r = div(i32(THREADS // LANES), columns)
        step_w = i32(THREADS // LANES - step_r * columns)
        step_d = div(step_r, rows)
        step_r = i32(step_r - step_d * rows)
        while t < end:
            line, weight = line_at(table, weights, d0 + td, h0 + th, i1)
            if WEIGHTED:
                weight = weight * weights[w0 + tw]
            pixel = i64(line) * i2 + table[w0 + tw]
            place = pixel
            if TAKE == "routed":
                place = (i64(d) * o1 + h) * o2 + w
            tap(x, beside, above * image + pixel * c + channel, acc, tops, 0, weight, place, p, whole)
            t, tw, th, td = i32(t + THREADS // LANES), i32(tw + step_w), i32(th + step_r), i32(td + step_d)
            if tw >= columns:
                tw, th = i32(tw - columns), i32(th + 1)
            if th >= rows:
                th, td = i32(th - rows), i32(td + 1)
    for k in static_range(V):
        parts[k * THREADS + thread()] = acc[k]
    for level in static_range(LEVELS):
        sync()
        if number_ < (THREADS // LANES) >> (level + 1):
            for k in static_range(V):
                own = k * THREADS + thread()
                merge(acc, k, parts[own + LANES * ((THREADS // LANES) >> (level + 1))])
                parts[own] = acc[k]
    if number_ == 0 and channel < c:
        divisor = divisor_of(weights, d, h, w, o0, o1)
        give(beside, y, (i64(number) * splits + split) * c + channel, acc, 0, divisor, p)


def aligned(*arrays: Any) -> bool:
    """Whether four elements of each can be read at once."""
    if _driver.simulated():
        return True
    return all(a.pointer % min(16, 4 * a.dtype.itemsize) == 0 for a in arrays if a is not None)


def lanes(c: int, *arrays: Any) -> int:
    """Channels of a thread: 16 bytes of the narrowest floats."""
    if c % 4 or not aligned(*arrays):
        return 1
    return 8 if c % 8 == 0 and min(a.dtype.itemsize for a in arrays if a is not None) == 2 else 4


def gather(
    plan: Plan,
    x: Any,  # (n, *in, c) read
    beside: Any,  # of x's or y's shape, read; or None
    y: Any,  # (n, *out, c) written
    take: str,
    give_: str = "value",
    fill: float = 0.0,
    p: float = 0.0,
) -> None:
    """Gather y from x by the plan's tables; see the module for what is taken and given."""
    _gather(plan, x, beside, y, take, give_, fill, p, True)


def _gather(
    plan: Plan, x: Any, beside: Any, y: Any, take: str, give_: str, fill: float, p: float, cut: bool
) -> None:
    """Gather; windows may be cut if `cut`."""
    n, c = y.shape[0], y.shape[-1]
    if y.size == 0:
        return
    acc = "f64" if take == "power" else "i64" if take in ("place", "least") else "real"
    out = {"float64": "f64", "int64": "i64", "int32": "i32"}.get(y.dtype.name, "f32")
    constants = {"RANK": len(plan.outs), "TAKE": take, "ACC": acc, "WEIGHTED": plan.weighted, "OUT": out}
    v = lanes(c, x, beside, y)
    units = n * math.prod(plan.outs) * (c // v)
    power_ = float(p), int(p) if p == int(p) and p <= 64 else -1
    if plan.taps >= _LARGE and units < _BUSY and take != "copy":
        _by_blocks(plan, x, beside, y, {**constants, "V": v}, give_, power_, cut)
        return
    images = 1 if units < _BUSY else 1 << (min(n, 4, 8 // v).bit_length() - 1)
    groups = ceil_div(n, images)
    ones = (1,) * (3 - len(plan.outs))
    (o0, o1, o2), (_, i1, i2) = ones + plan.outs, ones + plan.ins
    variant = gather_each.of(**constants, V=v, IMAGES=images, GIVE=give_, THREADS=_THREADS)
    rows, length = groups * o0 * o1, o2 * (c // v)
    most = max(1, _UNITS // length)
    for first in range(0, rows, most):
        count = min(most, rows - first)
        sizes = n, first, count, groups, o0, o1, o2, i1, i2, c
        ends = x.size // n, y.size // n, fill, *power_
        variant(ceil_div(count * length, _THREADS), x, beside, y, plan.table, plan.weights, *sizes, *ends)


def _by_blocks(
    plan: Plan, x: Any, beside: Any, y: Any, constants: dict[str, Any], give_: str, power_: tuple, cut: bool
) -> None:
    """A block per window, or several where windows are few."""
    n, c, v = y.shape[0], y.shape[-1], constants["V"]
    width = min(32, 1 << (c // v - 1).bit_length())
    chunks = ceil_div(c // v, width)
    windows = n * math.prod(plan.outs)
    room = max(1, _BLOCKS // (windows * chunks)) if cut else 1
    splits = max(1, min(room, int(plan.most // (_SHARE * (_THREADS // width)))))
    share = ceil_div(plan.most, splits)
    ones = (1,) * (3 - len(plan.outs))
    (o0, o1, o2), (_, i1, i2) = ones + plan.outs, ones + plan.ins
    later = splits > 1 and give_ != "divided"  # parts of a sum can be divided, but have no root
    target = y
    if splits > 1:
        double = x.dtype == np.float64 or constants["ACC"] == "f64"
        kind = np.int64 if constants["ACC"] == "i64" else np.float64 if double else np.float32
        target = memory.empty((windows, splits, c), kind)
        constants["OUT"] = {np.int64: "i64", np.float64: "f64", np.float32: "f32"}[kind]
    constants = {**constants, "GIVE": "value" if later else give_, "IMAGES": 1}
    levels = (_THREADS // width).bit_length() - 1
    variant = gather_block.of(**constants, LANES=width, LEVELS=levels, THREADS=_THREADS)
    sizes = chunks, splits, share, o0, o1, o2, i1, i2, c
    arrays = x, beside, target, plan.table, plan.weights
    variant(windows * splits * chunks, *arrays, *sizes, x.size // n, *power_)
    if splits > 1:
        take = {"max": "max", "place": "least"}.get(constants["TAKE"], "value")
        rest = whole(splits, target.dtype == np.float64, device_of(x))
        ends = y.reshape(windows, 1, c)
        give_, beside = (give_, beside) if later else ("value", None)
        _gather(rest, target, beside, ends, take, give_, 0.0, power_[0], False)

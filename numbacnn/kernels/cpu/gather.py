"""Outputs gathered from few inputs each, channels last: what padding and resizing and their gradients do.

A row of the output is a weighted sum of rows of the input, then each of its pixels one of pixels of that.
The sum of rows lies in the thread's own scratch, in L1 or L2; where a row takes one row unweighted, its
pixels are read where they lie.  The tables come from `gather_plan`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir

from ..._deferred import cgutils, intrinsic, types
from ..._jit import jit, kernel, run_slots, split
from ..._threads import POOL
from ...memory import buffer_pool
from .gather_plan import GatherPlan
from .simd import (
    INTP,
    copy_run,
    data_pointer,
    fma,
    index,
    lane_mask,
    load,
    masked_load,
    masked_store,
    offset,
    splat,
    store,
    vector_type,
)

__all__ = ["gather"]

_WIDE = 4  # vectors summed at a time: each weight is read once for them
_NS_PER_BYTE = 0.05  # on one thread, for the choice between serial and parallel
_INT64 = np.dtype(np.int64)


class _Sum:
    """The weighted sum of runs while its code is emitted."""

    def __init__(self, b: ir.IRBuilder, x: Any, places: Any, weights: Any, count: Any) -> None:
        self.b, self.x, self.places, self.weights, self.count = b, x, places, weights, count

    def emit(self, vector: ir.VectorType, many: int, k: Any, y: Any, mask: Any = None) -> None:
        """``y[k ..] = sum of weights[t] x[places[t] + k ..]``, `many` vectors; a mask goes with one."""
        b = self.b

        def tap(t: Any) -> tuple[Any, list]:
            weight = splat(b, vector, offset(b, self.weights, t))
            start = offset(b, self.x, b.add(b.load(offset(b, self.places, t)), k))
            runs = [offset(b, start, i * vector.count) for i in range(many)]
            if mask is None:
                return weight, [load(b, vector, run) for run in runs]
            return weight, [masked_load(b, vector, run, mask) for run in runs]

        weight, values = tap(index(0))
        totals = [cgutils.alloca_once_value(b, b.fmul(weight, v)) for v in values]
        with cgutils.for_range(b, self.count, start=index(1)) as loop:
            weight, values = tap(loop.index)
            for total, value in zip(totals, values, strict=True):
                b.store(fma(b, weight, value, b.load(total)), total)
        for i, total in enumerate(totals):
            target = offset(b, offset(b, y, k), i * vector.count)
            if mask is None:
                store(b, b.load(total), target)
            else:
                masked_store(b, b.load(total), target, mask)


@intrinsic
def mix_run(typingctx, x, at, places, weights, first, count, y, target, length):
    """``y[target + i] = sum of weights[t] x[at + places[t] + i]`` for i < length, over ``count`` taps t.

    The taps start at ``first``, and there is one at least.  All but places are of one dtype.
    """
    signature = types.void(x, at, places, weights, first, count, y, target, length)

    def codegen(context, b, sig, args):
        at, first, count, target, length = (args[i] for i in (1, 4, 5, 7, 8))
        px, pp, pw, py = (data_pointer(context, b, sig.args[i], args[i]) for i in (0, 2, 3, 6))
        total = _Sum(b, offset(b, px, at), offset(b, pp, first), offset(b, pw, first), count)
        y, vector = offset(b, py, target), vector_type(sig.args[0].dtype)
        wide = _WIDE * vector.count
        whole = b.and_(length, index(-wide))
        with cgutils.for_range_slice(b, index(0), whole, index(wide), INTP) as (k, _):
            total.emit(vector, _WIDE, k, y)
        with cgutils.for_range_slice(b, whole, length, index(vector.count), INTP) as (k, _):
            total.emit(vector, 1, k, y, lane_mask(b, vector, 0, b.sub(length, k)))
        return context.get_dummy_value()

    return signature, codegen


@jit
def _fill(y, target, length, value):
    run = y[target : target + length]
    for j in range(run.size):
        run[j] = value


@jit
def _row(x, at, y, target, value, segments, places, weights):
    """Write a row of the output from a row of inputs."""
    for s in range(segments.shape[0]):
        start, length, first, count = target + segments[s, 0], segments[s, 1], segments[s, 2], segments[s, 3]
        if count == 0:
            _fill(y, start, length, value)
        elif count == 1 and length >= 128 and weights[first] == 1:
            copy_run(x, at + places[first], y, start, length)
        else:
            mix_run(x, at, places, weights, first, count, y, start, length)


@jit
def _gather_part(slot, part, parts, x, y, value, images, tables, lines, row_places, row_weights):
    sizes, bounds, segments, places, weights = tables
    x_size, x_line, y_line, depth, height, most = sizes
    first, end = split(part, parts, images * depth * height)
    last = -1  # whence the row before came, where it took one row
    plane = first // height
    image = plane // depth
    d, h = plane - image * depth, first - plane * height
    for i in range(first, end):
        if h == height:
            d, h = d + 1, 0
            if d == depth:
                image, d = image + 1, 0
        d0, d1, h0, h1 = bounds[d], bounds[d + 1], bounds[depth + 1 + h], bounds[depth + 2 + h]
        h += 1
        at, target, count = image * x_size, i * y_line, (d1 - d0) * (h1 - h0)
        if count == 0:
            _fill(y, target, y_line, value)
        elif count == 1 and weights[d0] * weights[h0] == 1:
            at += places[d0] + places[h0]
            if at == last:
                copy_run(y, target - y_line, y, target, y_line)
            else:
                _row(x, at, y, target, value, segments, places, weights)
                last = at
        else:
            tap = slot * most
            for j in range(d0, d1):
                for k in range(h0, h1):
                    row_places[tap] = places[j] + places[k]
                    row_weights[tap] = weights[j] * weights[k]
                    tap += 1
            mix_run(x, at, row_places, row_weights, slot * most, count, lines, slot * x_line, x_line)
            _row(lines, slot * x_line, y, target, value, segments, places, weights)
            last = -1


@kernel
def _gather(team, parts, x, y, value, images, tables, lines, row_places, row_weights):
    run_slots(team, _gather_part, parts, (x, y, value, images, tables, lines, row_places, row_weights))


def gather(
    plan: GatherPlan,
    x: np.ndarray,  # (n, *in, c) read
    y: np.ndarray,  # (n, *out, c) written
    value: float,
) -> None:
    """Gather y from x by the plan's tables, with `value` where an output takes no input."""
    team = POOL.team((x.nbytes + y.nbytes) * _NS_PER_BYTE)
    slots, images = team[1], x.shape[0]
    lines = buffer_pool.array((slots * plan.scratch,), x.dtype)
    most = plan.sizes[5]
    row_places, row_weights = (buffer_pool.array((slots * most,), t) for t in (_INT64, x.dtype))
    tables = plan.sizes, plan.bounds, plan.segments, plan.places, plan.weights
    flat = x.reshape(-1), y.reshape(-1), x.dtype.type(value)
    _gather.on(team, plan.parts(images), *flat, images, tables, lines, row_places, row_weights)

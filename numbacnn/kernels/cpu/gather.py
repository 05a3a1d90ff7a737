"""Outputs gathered from few inputs each, channels last: what padding and resizing and their gradients do.

A row of the output is a weighted sum of rows of the input, then each of its pixels one of pixels of that.
The sum of rows lies in the thread's own scratch, in L1 or L2; where a row takes one row unweighted, its
pixels are read where they lie.  The tables come from `gather_plan`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
    keep_rolled,
    load,
    offset,
    splat,
    store,
    vector_type,
)

__all__ = ["gather"]

_WIDE = 4  # vectors summed at a time: each weight is read once for them
_NS_PER_BYTE = 0.05  # on one thread, for the choice between serial and parallel
_INT64 = np.dtype(np.int64)


Vectors = list[Any]
Sums = Callable[[Any, ir.VectorType, int], Vectors]  # from an element on: so many vectors of this type


class _Mix:
    """The weighted sum of runs while its code is emitted: over one or two taps, or any number of them."""

    def __init__(self, b: ir.IRBuilder, x: Any, places: Any, weights: Any) -> None:
        self.b, self.x, self.places, self.weights = b, x, places, weights

    def tap(self, t: Any) -> tuple[Any, Any]:
        """Where the tap's run starts, and where its weight lies."""
        place = self.b.load(offset(self.b, self.places, t))
        return offset(self.b, self.x, place), offset(self.b, self.weights, t)

    def add(self, tap: tuple[Any, Any], totals: Vectors | None, k: Any, vector: Any, many: int) -> Vectors:
        """The sums with one tap more; without any, the tap's share."""
        b, (run, weight) = self.b, tap
        start, factor = offset(b, run, k), splat(b, vector, weight)
        values = [load(b, vector, offset(b, start, i * vector.count)) for i in range(many)]
        if totals is None:
            return [b.fmul(factor, v) for v in values]
        return [fma(b, factor, v, total) for v, total in zip(values, totals, strict=True)]

    def few(self, count: int) -> Sums:
        """What sums so many taps."""
        taps = [self.tap(index(t)) for t in range(count)]

        def sums(k: Any, vector: ir.VectorType, many: int) -> Vectors:
            totals = self.add(taps[0], None, k, vector, many)
            for tap in taps[1:]:
                totals = self.add(tap, totals, k, vector, many)
            return totals

        return sums

    def several(self, count: Any) -> Sums:
        """What sums ``count`` taps, two or more."""

        def sums(k: Any, vector: ir.VectorType, many: int) -> Vectors:
            b = self.b
            firsts = self.add(self.tap(index(0)), None, k, vector, many)
            start, loop, done = b.block, *(b.function.append_basic_block(n) for n in ("taps", "summed"))
            b.branch(loop)
            b.position_at_end(loop)
            t, *totals = (b.phi(kind) for kind in (INTP, *[vector] * many))
            after = self.add(self.tap(t), totals, k, vector, many)
            following = b.add(t, index(1))
            for phi, before, value in zip(
                [t, *totals], [index(1), *firsts], [following, *after], strict=True
            ):
                phi.add_incoming(before, start)
                phi.add_incoming(value, loop)
            keep_rolled(b.module, b.cbranch(b.icmp_signed("<", following, count), loop, done))
            b.position_at_end(done)
            return after

        return sums

    def whole_vectors(self, sums: Sums, vector: ir.VectorType, y: Any, length: Any) -> None:
        """Write the whole vectors of a run: some side by side, then single ones."""
        b, begin, many = self.b, index(0), _WIDE
        for step in (vector.count * _WIDE, vector.count):
            end = b.and_(length, index(-step))
            with cgutils.for_range_slice(b, begin, end, index(step), INTP) as (k, _):
                for i, total in enumerate(sums(k, vector, many)):
                    store(b, total, offset(b, offset(b, y, k), i * vector.count))
            begin, many = end, 1


@intrinsic
def mix_runs(typingctx, x, at, places, place0, weights, weight0, count, y, target, length, times):
    """Write runs side by side, each a weighted sum of ``count`` runs of x: its taps, one at least.

    ``y[target + r length + i] = sum over t < count of weights[weight0 + r count + t] x[at + p + i]`` with
    ``p = places[place0 + r count + t]``, for i < length and r < times.  All but places are of one dtype.
    """
    signature = types.void(x, at, places, place0, weights, weight0, count, y, target, length, times)

    def codegen(context, b, sig, args):
        at, place0, weight0, count, target, length, times = (args[i] for i in (1, 3, 5, 6, 8, 9, 10))
        px, pp, pw, py = (data_pointer(context, b, sig.args[i], args[i]) for i in (0, 2, 4, 7))
        px, py = offset(b, px, at), offset(b, py, target)
        pp, pw = offset(b, pp, place0), offset(b, pw, weight0)
        vector = vector_type(sig.args[0].dtype)

        def runs(kind: Callable[[_Mix], Sums]) -> Iterator[tuple[_Mix, Sums, Any]]:
            """Emit a loop over the runs, around what the caller emits with what it is given."""
            with cgutils.for_range(b, times) as loop:
                first = b.mul(loop.index, count)
                mix = _Mix(b, px, offset(b, pp, first), offset(b, pw, first))
                yield mix, kind(mix), offset(b, py, b.mul(loop.index, length))

        def emit(kind: Callable[[_Mix], Sums]) -> None:
            lanes = vector.count
            with b.if_then(b.icmp_signed(">=", length, index(lanes))):
                for mix, sums, y in runs(kind):
                    mix.whole_vectors(sums, vector, y, length)
            # then halves of halves, without masks: a masked store takes twelve cycles and more on AMD
            # before Zen 4; each in a loop of its own, so that pixels of few channels are done in a few cycles
            while lanes > 1:
                lanes //= 2
                with b.if_then(b.icmp_signed("!=", b.and_(length, index(lanes)), index(0))):
                    k = b.and_(length, index(-2 * lanes))
                    for _, sums, y in runs(kind):
                        store(b, sums(k, ir.VectorType(vector.element, lanes), 1)[0], offset(b, y, k))

        with b.if_else(b.icmp_signed("<", count, index(3))) as (few, many):
            with few, b.if_else(b.icmp_signed("==", count, index(1))) as (one, two):
                with one:
                    emit(lambda mix: mix.few(1))
                with two:
                    emit(lambda mix: mix.few(2))
            with many:
                emit(lambda mix: mix.several(count))
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
        start, length, times = target + segments[s, 0], segments[s, 1], segments[s, 2]
        first, count = segments[s, 3], segments[s, 4]
        if count == 0:
            _fill(y, start, length, value)
        elif count == 1 and times == 1 and weights[first] == 1:
            copy_run(x, at + places[first], y, start, length)
        else:
            mix_runs(x, at, places, first, weights, first, count, y, start, length, times)


@jit
def _gather_part(slot, part, parts, x, y, value, images, tables, scratch, row_places):
    sizes, bounds, segments, places, weights = tables
    x_size, x_line, y_line, depth, height, most = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]
    row_taps, line = slot * most, slot * (most + x_line)  # in the thread's scratch: weights, then a row
    row_weights = line + x_line
    first, end = split(part, parts, images * depth * height)
    plane = first // height
    image = plane // depth
    d, h = plane - image * depth, first - plane * height
    last = -1  # whence the row before came, where it took one row
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
            continue
        source = x
        if count == 1 and weights[d0] * weights[h0] == 1:
            at += places[d0] + places[h0]
            if at == last:
                copy_run(y, target - y_line, y, target, y_line)
                continue
            last = at
        else:
            tap = 0
            for j in range(d0, d1):
                for k in range(h0, h1):
                    row_places[row_taps + tap] = places[j] + places[k]
                    scratch[row_weights + tap] = weights[j] * weights[k]
                    tap += 1
            mix_runs(x, at, row_places, row_taps, scratch, row_weights, count, scratch, line, x_line, 1)
            source, at, last = scratch, line, -1
        _row(source, at, y, target, value, segments, places, weights)


@kernel
def _gather(team, parts, x, y, value, images, tables, scratch, row_places):
    run_slots(team, _gather_part, parts, (x, y, value, images, tables, scratch, row_places))


def gather(
    plan: GatherPlan,
    x: np.ndarray,  # (n, *in, c) read
    y: np.ndarray,  # (n, *out, c) written
    value: float,
) -> None:
    """Gather y from x by the plan's tables, with `value` where an output takes no input."""
    team = POOL.team((x.nbytes + y.nbytes) * _NS_PER_BYTE)
    images = x.shape[0]
    scratch = buffer_pool.array((team[1] * plan.scratch,), x.dtype)
    row_places = buffer_pool.array((team[1] * plan.most,), _INT64)
    flat = x.reshape(-1), y.reshape(-1), x.dtype.type(value)
    _gather.on(team, plan.parts(images), *flat, images, plan.tables, scratch, row_places)

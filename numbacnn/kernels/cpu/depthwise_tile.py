"""The two loops of depthwise convolution in registers; a pixel's channels are the lanes of vectors.

``window_sums`` sums windows of a few neighbouring outputs: one vector of weights serves them all.
``tap_sums`` sums the products of inputs and output gradients for a few taps: one vector of gradients serves
them all.  Neither meets padding: ranges of taps and of outputs that do not are worked out beforehand.
Nothing outside the channels asked for is read or written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir

from ..._deferred import cgutils, intrinsic, types
from .simd import (
    INTP,
    REGISTERS,
    clip,
    data_pointer,
    fma,
    index,
    keep_rolled,
    lane_mask,
    lanes_of,
    load,
    masked_load,
    masked_store,
    offset,
    spread,
    store,
    vector_type,
)

# Tiles of window_sums: so many outputs, leftovers in smaller ones, by so many vectors.  The largest has 8
# sums and 2 weights in registers and reads inputs from memory: 10 loads for 8 multiply-adds.
PIXELS, VECTORS = (4, 2, 1), 2
SHARED = (
    3  # taps in a row of the usual kernel; with stride and dilation 1 a tile loads 6 columns once, not 12
)
# Of tap_sums: so many taps by VECTORS, which with AVX2 is a line of the cache: where pixels lie a power of
# two apart they push each other out of L1, and 9 taps by one vector, each line fetched twice, took twice the
# time.
TAPS = (9, 3, 1) if REGISTERS >= 32 else (6, 3, 1)

Values = list[Any]


def _repeat(b: ir.IRBuilder, count: Any, values: Values, body: Callable[[Any, Values], Values]) -> Values:
    """Emit ``for i in range(count): values = body(i, values)`` and return the last values; count may be 0."""
    before = b.block
    head, inside, after = (b.function.append_basic_block(name) for name in ("head", "inside", "after"))
    b.branch(head)
    b.position_at_end(head)
    i, carried = b.phi(INTP), [b.phi(value.type) for value in values]
    b.cbranch(b.icmp_signed("<", i, count), inside, after)
    b.position_at_end(inside)
    new = body(i, carried)
    for phi, first, value in zip([i, *carried], [index(0), *values], [b.add(i, index(1)), *new], strict=True):
        phi.add_incoming(first, before)
        phi.add_incoming(value, b.block)
    keep_rolled(b.module, b.branch(head))
    b.position_at_end(after)
    return carried


def _nest(
    b: ir.IRBuilder,
    counts: Sequence[Any],
    pointers: Values,
    steps: Sequence[Sequence[Any]],
    values: Values,
    body: Callable[[Values, Values], Values],
) -> Values:
    """Emit loops in loops; in loop j ``pointers[i]`` goes on by ``steps[i][j]`` elements a round."""
    if not counts:
        return body(pointers, values)

    def inner(i: Any, carried: Values) -> Values:
        moved = [offset(b, p, b.mul(i, s[0])) for p, s in zip(pointers, steps, strict=True)]
        return _nest(b, counts[1:], moved, [s[1:] for s in steps], carried, body)

    return _repeat(b, counts[0], values, inner)


class _Lanes:
    """How vectors of channels are read and written: whole, or the first ``valid`` of one vector."""

    def __init__(self, b: ir.IRBuilder, dtype: Any, vectors: int, valid: Any = None) -> None:
        self.b, self.vector, self.vectors = b, vector_type(dtype), vectors
        self.mask = None if valid is None else lane_mask(b, self.vector, 0, valid)

    def load(self, pointer: Any) -> Values:
        if self.mask is not None:
            return [masked_load(self.b, self.vector, pointer, self.mask)]
        starts = [offset(self.b, pointer, v * self.vector.count) for v in range(self.vectors)]
        return [load(self.b, self.vector, start) for start in starts]

    def store(self, values: Values, pointer: Any) -> None:
        if self.mask is not None:
            masked_store(self.b, values[0], pointer, self.mask)
            return
        for v, value in enumerate(values):
            store(self.b, value, offset(self.b, pointer, v * self.vector.count))

    def fma(self, xs: Values, ys: Values, sums: Values) -> Values:
        return [fma(self.b, x, y, total) for x, y, total in zip(xs, ys, sums, strict=True)]


def _grouped(
    b: ir.IRBuilder, first: Any, end: Any, sizes: tuple[int, ...], emit: Callable[[int, Any], None]
) -> None:
    """Emit ``emit(size, i)`` over groups from first to end: of the first size what fits, then the next."""
    for size in sizes:
        count = b.sdiv(b.sub(end, first), index(size))

        def group(i: Any, _: Values, size: int = size, first: Any = first) -> Values:
            emit(size, b.add(first, b.mul(i, index(size))))
            return []

        _repeat(b, count, [], group)
        first = b.add(first, b.mul(count, index(size)))


def _over_channels(b: ir.IRBuilder, dtype: Any, channels: Any, emit: Callable[[_Lanes, Any], None]) -> None:
    """Emit ``emit(lanes, k)`` over the channels k: VECTORS at a time, then one, then a part of one."""
    width = lanes_of(dtype)
    sizes = tuple(width * number for number in range(VECTORS, 0, -1))
    _grouped(b, index(0), channels, sizes, lambda size, k: emit(_Lanes(b, dtype, size // width), k))
    left = b.srem(channels, index(width))
    with b.if_then(b.icmp_signed(">", left, index(0))):
        emit(_Lanes(b, dtype, 1, left), b.sub(channels, left))


class _Windows:
    """The sums of a tile of neighbouring windows while their code is emitted."""

    def __init__(
        self, b: ir.IRBuilder, lanes: _Lanes, pixels: int, hop: Any, counts: Values, steps: list[Values]
    ) -> None:
        self.b, self.lanes, self.pixels = b, lanes, pixels
        self.hop, self.counts, self.steps = hop, counts, steps

    def sums_of(self, pixel: int) -> slice:
        """Where the sums of a pixel are."""
        return slice(pixel * self.lanes.vectors, (pixel + 1) * self.lanes.vectors)

    def add_tap(self, pointers: Values, sums: Values) -> Values:
        weights, new = self.lanes.load(pointers[1]), list(sums)
        for p in range(self.pixels):
            inputs = self.lanes.load(offset(self.b, pointers[0], self.b.mul(self.hop, index(p))))
            at = self.sums_of(p)
            new[at] = self.lanes.fma(inputs, weights, sums[at])
        return new

    def add_row(self, pointers: Values, sums: Values) -> Values:
        """Add a row of SHARED taps, where the next output starts at the next tap: each input is read once."""
        b, new = self.b, list(sums)
        weights = [
            self.lanes.load(offset(b, pointers[1], b.mul(self.steps[1][2], index(t)))) for t in range(SHARED)
        ]
        for column in range(self.pixels + SHARED - 1):
            inputs = self.lanes.load(offset(b, pointers[0], b.mul(self.hop, index(column))))
            for t in range(SHARED):
                if 0 <= column - t < self.pixels:
                    at = self.sums_of(column - t)
                    new[at] = self.lanes.fma(inputs, weights[t], new[at])
        return new

    def add(self, pointers: Values, sums: Values) -> Values:
        """Add all taps."""
        b, counts, steps = self.b, self.counts, self.steps
        if self.pixels < PIXELS[0]:
            return _nest(b, counts, pointers, steps, sums, self.add_tap)
        results, ends = [], []
        shared = b.and_(
            b.icmp_signed("==", counts[2], index(SHARED)), b.icmp_signed("==", self.hop, steps[0][2])
        )
        with b.if_else(shared) as (yes, no):
            with yes:
                results.append(_nest(b, counts[:2], pointers, steps, sums, self.add_row))
                ends.append(b.block)
            with no:
                results.append(_nest(b, counts, pointers, steps, sums, self.add_tap))
                ends.append(b.block)
        phis = [b.phi(value.type) for value in sums]
        for values, end in zip(results, ends, strict=True):
            for phi, value in zip(phis, values, strict=True):
                phi.add_incoming(value, end)
        return phis


@intrinsic
def window_sums(
    typingctx, outputs, channels, x, x0, hop, w, w0, counts, x_steps, w_steps, bias, b0, y, y0, pitch,
    clipped, low, high
):  # fmt: skip
    """``y[p, c] = bias[c] + sum over taps t of x[p, t, c] * w[t, c]`` for neighbouring outputs p.

    p is below ``outputs`` and c below ``channels``.  The taps are ``counts`` in planes, rows and
    columns, none of them where one is 0; from one to the next it is ``x_steps`` in x and ``w_steps`` in w
    along each axis.  Output p starts at ``x0 + p hop`` in x and lies at ``y0 + p pitch`` in y.
    Where ``clipped`` says so, what lies below low or above high is set to it.
    """
    intp = types.intp
    signature = types.void(
        intp, intp, x, intp, intp, w, intp, counts, x_steps, w_steps, bias, intp, y, intp, intp, clipped,
        low, high
    )  # fmt: skip

    def codegen(context, b, sig, args):
        outputs, channels, _, x0, hop, _, w0, counts, x_steps, w_steps, _, b0, _, y0, pitch, *clipping = args
        x, w, bias, y = (
            offset(b, data_pointer(context, b, sig.args[i], args[i]), start)
            for i, start in ((2, x0), (5, w0), (10, b0), (12, y0))
        )
        dtype, counts = sig.args[2].dtype, cgutils.unpack_tuple(b, counts)
        steps = [cgutils.unpack_tuple(b, x_steps), cgutils.unpack_tuple(b, w_steps)]
        clipped, *bounds = clipping
        low, high = (spread(b, vector_type(dtype), bound) for bound in bounds)

        def tile(pixels: int, first: Any, lanes: _Lanes, k: Any) -> None:
            windows = _Windows(b, lanes, pixels, hop, counts, steps)
            source = offset(b, x, b.add(k, b.mul(first, hop)))
            sums = windows.add([source, offset(b, w, k)], lanes.load(offset(b, bias, k)) * pixels)
            places = [offset(b, y, b.add(k, b.mul(b.add(first, index(p)), pitch))) for p in range(pixels)]
            with b.if_else(clipped) as (yes, no):
                with yes:
                    for p, place in enumerate(places):
                        lanes.store([clip(b, v, low, high) for v in sums[windows.sums_of(p)]], place)
                with no:
                    for p, place in enumerate(places):
                        lanes.store(sums[windows.sums_of(p)], place)

        def group(pixels: int, first: Any) -> None:
            _over_channels(b, dtype, channels, lambda lanes, k: tile(pixels, first, lanes, k))

        _grouped(b, index(0), outputs, PIXELS, group)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def tap_sums(
    typingctx, first, end, channels, x, x0, dy, dy0, counts, x_steps, y_steps, table, sums, sums0
):  # fmt: skip
    """``sums[t, c] += sum over outputs o of x[o, t, c] * dy[o, c]`` for taps t and the channels c.

    The outputs are ``counts`` in planes, rows and columns; from one to the next it is ``x_steps`` in x and
    ``y_steps`` in dy along each axis.  Rows first to end - 1 of the table are the taps: where each lies in
    x, from x0, and in ``sums``, from sums0.
    """
    intp = types.intp
    signature = types.void(intp, intp, intp, x, intp, dy, intp, counts, x_steps, y_steps, table, sums, intp)

    def codegen(context, b, sig, args):
        first, end, channels, _, x0, _, dy0, counts, x_steps, y_steps, _, _, sums0 = args
        x, dy, table, sums = (data_pointer(context, b, sig.args[i], args[i]) for i in (3, 5, 10, 11))
        x, dy, sums = offset(b, x, x0), offset(b, dy, dy0), offset(b, sums, sums0)
        dtype, counts = sig.args[3].dtype, cgutils.unpack_tuple(b, counts)
        steps = [cgutils.unpack_tuple(b, x_steps), cgutils.unpack_tuple(b, y_steps)]

        def tile(rows: Any, number: int, lanes: _Lanes, k: Any) -> None:
            places = [b.load(offset(b, rows, 2 * t)) for t in range(number)]
            homes = [offset(b, offset(b, sums, b.load(offset(b, rows, 2 * t + 1))), k) for t in range(number)]

            def output(pointers: Values, totals: Values) -> Values:
                gradient = lanes.load(pointers[1])
                inputs = [value for at in places for value in lanes.load(offset(b, pointers[0], at))]
                return lanes.fma(inputs, gradient * number, totals)

            start = [v for home in homes for v in lanes.load(home)]
            totals = _nest(b, counts, [offset(b, x, k), offset(b, dy, k)], steps, start, output)
            for t, home in enumerate(homes):
                lanes.store(totals[t * lanes.vectors : (t + 1) * lanes.vectors], home)

        def group(number: int, row: Any) -> None:
            rows = offset(b, table, b.mul(row, index(2)))
            _over_channels(b, dtype, channels, lambda lanes, k: tile(rows, number, lanes, k))

        _grouped(b, first, end, TAPS, group)
        return context.get_dummy_value()

    return signature, codegen

"""The pooling window: a few vectors of outputs at once, tap by tap.

LLVM's own loops over channels spend more on entry checks and leftovers than on work where channels are few.
Here a group of GROUP vectors is carried through the taps, hiding each other's latency, and masks tell which
lanes exist.  Nothing outside the masks is read or written.

A group's ``shape = (hop1, hop2, hop3, pitch, active, channels, drop)``: of the vectors ``p < active`` the
first takes its taps where the call says, the others ``hop_p`` elements past it, and each lies ``p pitch``
past the first; it has the first ``channels - p drop`` lanes, at most all.  With ``drop = 0`` the vectors are
neighbouring outputs, or outputs a few apart, of up to a vector of channels.  With hops, pitch and drop in
multiples of the lanes they are one run of neighbouring numbers: channels of a pixel, or pixels where source
and target advance alike.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir

from ..._deferred import cgutils, intrinsic, types
from .simd import (
    INTP,
    LANE,
    VECTOR_BYTES,
    data_pointer,
    index,
    keep_rolled,
    lanes_of,
    load,
    masked_load,
    masked_store,
    offset,
    store,
    store_first,
    vector_type,
    zeros,
)

GROUP = 4  # vectors at a time: enough independent chains to cover the latency of a maximum

Values = list[Any]


def repeat(
    b: ir.IRBuilder, first: Any, end: Any, carried: Values, body: Callable[[Any, Values], Values]
) -> Values:
    """Emit ``for i in range(first, end): carried = body(i, carried)``, at least once; return the last."""
    start, loop, done = b.block, b.append_basic_block("taps"), b.append_basic_block("reduced")
    b.branch(loop)
    b.position_at_end(loop)
    i, phis = b.phi(INTP), [b.phi(value.type) for value in carried]
    after = body(i, phis)
    following = b.add(i, index(1))
    for phi, before, value in zip([i, *phis], [first, *carried], [following, *after], strict=True):
        phi.add_incoming(before, start)
        phi.add_incoming(value, b.block)
    keep_rolled(b.module, b.cbranch(b.icmp_signed("<", following, end), loop, done))
    b.position_at_end(done)
    return after


def _if(b: ir.IRBuilder, condition: Any, carried: Values, body: Callable[[Values], Values]) -> Values:
    """Emit ``if condition: carried = body(carried)`` and return the last values."""
    start = b.block
    with b.if_then(condition, likely=True):
        after, last = body(carried), b.block
    results = [b.phi(value.type) for value in carried]
    for result, before, value in zip(results, carried, after, strict=True):
        result.add_incoming(before, start)
        result.add_incoming(value, last)
    return results


def spread(b: ir.IRBuilder, number: Any, lanes: int) -> Any:
    """Return a number in every lane."""
    vector = ir.VectorType(number.type, lanes)
    undefined = ir.Constant(vector, ir.Undefined)
    lane0 = ir.Constant(ir.VectorType(LANE, lanes), [0] * lanes)
    return b.shuffle_vector(b.insert_element(undefined, number, ir.Constant(LANE, 0)), undefined, lane0)


def _larger(b: ir.IRBuilder, x: Any, y: Any) -> Any:
    """The larger by lane, NaN where either is."""
    top = b.select(b.fcmp_ordered(">", y, x), y, x)  # x where either is NaN: one instruction on x86
    # A constant, not y: LLVM would merge the two choices into a longer chain from x to the result
    nan = ir.Constant(x.type, [float("nan")] * x.type.count)
    return b.select(b.fcmp_unordered("uno", y, y), nan, top)


def _magnitude(b: ir.IRBuilder, x: Any) -> Any:
    bits = 32 if x.type.element == ir.FloatType() else 64
    whole = ir.VectorType(ir.IntType(bits), x.type.count)
    mask = ir.Constant(whole, [(1 << (bits - 1)) - 1] * x.type.count)
    return b.bitcast(b.and_(b.bitcast(x, whole), mask), x.type)


class Group:
    """The vectors of one call while its code is emitted: their places, and which lanes exist."""

    def __init__(self, b: ir.IRBuilder, dtype: Any, shape: Values, masked: bool) -> None:
        self.b, self.vector = b, vector_type(dtype)
        *self.hops, self.pitch, active, channels, drop = shape
        self.masks: Values = [None] * GROUP
        self.counts: Values = [None] * GROUP
        if masked:
            lanes = lanes_of(dtype)
            # in 32 bits: as many numbers of 64 bits would fill two registers
            numbers = ir.Constant(ir.VectorType(LANE, lanes), list(range(lanes)))
            for p in range(GROUP):
                exist = b.sub(channels, b.mul(drop, index(p)))
                exist = b.select(b.icmp_signed("<", index(p), active), exist, index(0))
                exist = b.select(b.icmp_signed(">", exist, index(0)), exist, index(0))
                self.counts[p] = exist
                self.masks[p] = b.icmp_signed("<", numbers, spread(b, b.trunc(exist, LANE), lanes))

    def sources(self, pointer: Any) -> Values:
        """Where each vector reads."""
        return [pointer, *(offset(self.b, pointer, hop) for hop in self.hops)]

    def targets(self, pointer: Any) -> Values:
        """Where each vector lies."""
        return [offset(self.b, pointer, self.b.mul(self.pitch, index(p))) for p in range(GROUP)]

    def load(self, pointers: Values) -> Values:
        """Read the lanes that exist."""
        b, vector = self.b, self.vector
        pairs = zip(pointers, self.masks, strict=True)
        return [load(b, vector, q) if m is None else masked_load(b, vector, q, m) for q, m in pairs]

    def store(self, values: Values, pointers: Values) -> None:
        """Write the lanes that exist."""
        for value, pointer, mask, count in zip(values, pointers, self.masks, self.counts, strict=True):
            if mask is None:
                store(self.b, value, pointer)
            elif VECTOR_BYTES == 64:
                masked_store(self.b, value, pointer, mask)
            else:
                store_first(self.b, [value], [pointer], count)

    def add(self, values: Values, wins: Values, pointers: Values, apart: Any) -> None:
        """Add to the zeros or sums in memory, in the lanes that won. The pointers are distinct pixels.

        Where windows lie apart, the sum is known without reading: reading would wait for the stores before
        it, which a masked vector overlaps where channels are few.
        """
        b, none = self.b, zeros(self.vector)
        with b.if_else(apart) as (yes, no):
            with yes:
                self.store([b.select(won, v, none) for won, v in zip(wins, values, strict=True)], pointers)
            with no:
                won = [b.select(w, v, none) for w, v in zip(wins, values, strict=True)]
                pairs = zip(self.load(pointers), won, strict=True)
                self.store([b.fadd(total, v) for total, v in pairs], pointers)


def is_full(b: ir.IRBuilder, dtype: Any, shape: Values) -> Any:
    """Whether every lane of every vector exists."""
    *_, active, channels, drop = shape
    least = b.add(index(lanes_of(dtype)), b.mul(drop, index(GROUP - 1)))
    return b.and_(b.icmp_signed("==", active, index(GROUP)), b.icmp_signed(">=", channels, least))


def emit_group(b: ir.IRBuilder, dtype: Any, shape: Values, emit: Callable[[Group], None]) -> None:
    """Emit the code with masks and, where they cost more than plain vectors, that of full groups too."""
    if VECTOR_BYTES == 64:
        emit(Group(b, dtype, shape, masked=True))
        return
    with b.if_else(is_full(b, dtype, shape)) as (yes, no):
        with yes:
            emit(Group(b, dtype, shape, masked=False))
        with no:
            emit(Group(b, dtype, shape, masked=True))


def _carried(group: Group, carry: Any, pointers: Values, identity: Any) -> Values:
    """What the reduction starts from: the values in memory, or the identity."""
    return _if(group.b, carry, [identity] * GROUP, lambda _: group.load(pointers))


@intrinsic
def group_at(typingctx, groups, g):
    """Return row g of a table of groups, of 12 columns; g is not negative."""
    columns = 12

    def codegen(context, b, sig, args):
        row = offset(b, data_pointer(context, b, sig.args[0], args[0]), b.mul(args[1], index(columns)))
        fields = [b.load(offset(b, row, i)) for i in range(columns)]
        return context.make_tuple(b, sig.return_type, fields)

    return types.UniTuple(types.intp, columns)(groups, types.intp), codegen


@intrinsic
def either(typingctx, condition, x, y):
    """``x if condition else y``, of two arrays of one type: calls that differ in it alone are one call."""
    return x(types.boolean, x, x), lambda context, b, sig, args: b.select(*args)


def _over_lists(
    b: ir.IRBuilder, ranges: Any, carried: Values, tap: Callable[[Any, Any, Values], Values]
) -> Values:
    """Emit ``carried = tap(i, j, carried)`` for i and j in ``ranges = (first i, end i, first j, end j)``."""
    first, end, inner_first, inner_end = cgutils.unpack_tuple(b, ranges)

    def outer(i: Any, values: Values) -> Values:
        return repeat(b, inner_first, inner_end, values, lambda j, v: tap(i, j, v))

    some = b.and_(b.icmp_signed("<", first, end), b.icmp_signed("<", inner_first, inner_end))
    return _if(b, some, carried, lambda values: repeat(b, first, end, values, outer))


@intrinsic
def max_taps(typingctx, x, at, places, ranges, carry, y, target, shape):
    """``y = max of x[at + places[i] + places[j]]``, and of y if carry; NaN wins.

    ranges: (first i, end i, first j, end j).
    """
    signature = types.void(x, at, places, ranges, types.boolean, y, target, shape)

    def codegen(context, b, sig, args):
        _, at, _, ranges, carry, _, target, packed = args
        source, taps, goal = (data_pointer(context, b, sig.args[i], args[i]) for i in (0, 2, 5))
        shape = cgutils.unpack_tuple(b, packed)

        def emit(group: Group) -> None:
            lowest = ir.Constant(group.vector, [float("-inf")] * group.vector.count)
            goals = group.targets(offset(b, goal, target))

            def tap(i: Any, j: Any, tops: Values) -> Values:
                element = b.add(b.add(at, b.load(offset(b, taps, i))), b.load(offset(b, taps, j)))
                values = group.load(group.sources(offset(b, source, element)))
                return [_larger(b, top, value) for top, value in zip(tops, values, strict=True)]

            tops = _over_lists(b, ranges, _carried(group, carry, goals, lowest), tap)
            group.store(tops, goals)

        emit_group(b, sig.args[0].dtype, shape, emit)
        return context.get_dummy_value()

    return signature, codegen


def _sum_taps(context: Any, b: ir.IRBuilder, sig: Any, args: Any, change: Callable | None) -> Any:
    """Emit the sum of `sum_taps`, of changed numbers."""
    _, at, _, _, ranges, factor, carry, _, target, packed = args
    source, taps, weights, goal = (data_pointer(context, b, sig.args[i], args[i]) for i in (0, 2, 3, 7))
    shape = cgutils.unpack_tuple(b, packed)

    def emit(group: Group) -> None:
        goals = group.targets(offset(b, goal, target))

        def tap(i: Any, j: Any, sums: Values) -> Values:
            element = b.add(b.add(at, b.load(offset(b, taps, i))), b.load(offset(b, taps, j)))
            outer = b.fmul(factor, b.load(offset(b, weights, i)))
            weight = spread(b, b.fmul(outer, b.load(offset(b, weights, j))), group.vector.count)
            values = group.load(group.sources(offset(b, source, element)))
            if change is not None:
                values = [change(b, value) for value in values]
            pairs = zip(sums, values, strict=True)
            # contract: one fused instruction where there is one
            products = [(total, b.fmul(value, weight, flags=("contract",))) for total, value in pairs]
            return [b.fadd(total, product, flags=("contract",)) for total, product in products]

        sums = _over_lists(b, ranges, _carried(group, carry, goals, zeros(group.vector)), tap)
        group.store(sums, goals)

    emit_group(b, sig.args[0].dtype, shape, emit)
    return context.get_dummy_value()


@intrinsic
def sum_taps(typingctx, x, at, places, weights, ranges, factor, carry, y, target, shape):
    """``y = factor * sum of weights[i] weights[j] x[at + places[i] + places[j]]``, plus y if carry.

    ranges: (first i, end i, first j, end j).
    """
    signature = types.void(x, at, places, weights, ranges, x.dtype, types.boolean, y, target, shape)
    return signature, lambda context, b, sig, args: _sum_taps(context, b, sig, args, None)


@intrinsic
def sum_magnitudes(typingctx, x, at, places, weights, ranges, factor, carry, y, target, shape):
    """As `sum_taps`, of magnitudes."""
    signature = types.void(x, at, places, weights, ranges, x.dtype, types.boolean, y, target, shape)
    return signature, lambda context, b, sig, args: _sum_taps(context, b, sig, args, _magnitude)


@intrinsic
def sum_squares(typingctx, x, at, places, weights, ranges, factor, carry, y, target, shape):
    """As `sum_taps`, of squares."""
    signature = types.void(x, at, places, weights, ranges, x.dtype, types.boolean, y, target, shape)
    square = lambda b, x: b.fmul(x, x)  # noqa: E731
    return signature, lambda context, b, sig, args: _sum_taps(context, b, sig, args, square)

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
    vector_type,
    zeros,
)

GROUP = 4  # vectors at a time: enough independent chains to cover the latency of a maximum

Values = list[Any]


def _repeat(
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


def _spread(b: ir.IRBuilder, number: Any, lanes: int) -> Any:
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


class _Group:
    """The vectors of one call while its code is emitted: their places, and which lanes exist."""

    def __init__(self, b: ir.IRBuilder, dtype: Any, shape: Values, masked: bool) -> None:
        self.b, self.vector = b, vector_type(dtype)
        *self.hops, self.pitch, active, channels, drop = shape
        self.masks: Values = [None] * GROUP
        if masked:
            lanes = lanes_of(dtype)
            # in 32 bits: as many numbers of 64 bits would fill two registers
            numbers = ir.Constant(ir.VectorType(LANE, lanes), list(range(lanes)))
            for p in range(GROUP):
                limit = b.trunc(b.sub(channels, b.mul(drop, index(p))), LANE)
                mask = b.icmp_signed("<", numbers, _spread(b, limit, lanes))
                none = ir.Constant(mask.type, [0] * lanes)
                self.masks[p] = b.select(b.icmp_signed("<", index(p), active), mask, none)

    def sources(self, pointer: Any) -> Values:
        return [pointer, *(offset(self.b, pointer, hop) for hop in self.hops)]

    def targets(self, pointer: Any) -> Values:
        return [offset(self.b, pointer, self.b.mul(self.pitch, index(p))) for p in range(GROUP)]

    def load(self, pointers: Values) -> Values:
        b, vector = self.b, self.vector
        pairs = zip(pointers, self.masks, strict=True)
        return [load(b, vector, q) if m is None else masked_load(b, vector, q, m) for q, m in pairs]

    def store(self, values: Values, pointers: Values) -> None:
        for value, pointer, mask in zip(values, pointers, self.masks, strict=True):
            if mask is None:
                store(self.b, value, pointer)
            else:
                masked_store(self.b, value, pointer, mask)

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


def _is_full(b: ir.IRBuilder, dtype: Any, shape: Values) -> Any:
    """Whether every lane of every vector exists."""
    *_, active, channels, drop = shape
    least = b.add(index(lanes_of(dtype)), b.mul(drop, index(GROUP - 1)))
    return b.and_(b.icmp_signed("==", active, index(GROUP)), b.icmp_signed(">=", channels, least))


def _emit(b: ir.IRBuilder, dtype: Any, shape: Values, emit: Callable[[_Group], None]) -> None:
    """Emit the code with masks and, where they cost more than plain vectors, that of full groups too."""
    if VECTOR_BYTES == 64:
        emit(_Group(b, dtype, shape, masked=True))
        return
    with b.if_else(_is_full(b, dtype, shape)) as (yes, no):
        with yes:
            emit(_Group(b, dtype, shape, masked=False))
        with no:
            emit(_Group(b, dtype, shape, masked=True))


def _carried(group: _Group, carry: Any, pointers: Values, identity: Any) -> Values:
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
        return _repeat(b, inner_first, inner_end, values, lambda j, v: tap(i, j, v))

    some = b.and_(b.icmp_signed("<", first, end), b.icmp_signed("<", inner_first, inner_end))
    return _if(b, some, carried, lambda values: _repeat(b, first, end, values, outer))


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

        def emit(group: _Group) -> None:
            lowest = ir.Constant(group.vector, [float("-inf")] * group.vector.count)
            goals = group.targets(offset(b, goal, target))

            def tap(i: Any, j: Any, tops: Values) -> Values:
                element = b.add(b.add(at, b.load(offset(b, taps, i))), b.load(offset(b, taps, j)))
                values = group.load(group.sources(offset(b, source, element)))
                return [_larger(b, top, value) for top, value in zip(tops, values, strict=True)]

            tops = _over_lists(b, ranges, _carried(group, carry, goals, lowest), tap)
            group.store(tops, goals)

        _emit(b, sig.args[0].dtype, shape, emit)
        return context.get_dummy_value()

    return signature, codegen


def _sum_taps(context: Any, b: ir.IRBuilder, sig: Any, args: Any, change: Callable | None) -> Any:
    """Emit the sum of `sum_taps`, of changed numbers."""
    _, at, _, _, ranges, factor, carry, _, target, packed = args
    source, taps, weights, goal = (data_pointer(context, b, sig.args[i], args[i]) for i in (0, 2, 3, 7))
    shape = cgutils.unpack_tuple(b, packed)

    def emit(group: _Group) -> None:
        goals = group.targets(offset(b, goal, target))

        def tap(i: Any, j: Any, sums: Values) -> Values:
            element = b.add(b.add(at, b.load(offset(b, taps, i))), b.load(offset(b, taps, j)))
            outer = b.fmul(factor, b.load(offset(b, weights, i)))
            weight = _spread(b, b.fmul(outer, b.load(offset(b, weights, j))), group.vector.count)
            values = group.load(group.sources(offset(b, source, element)))
            if change is not None:
                values = [change(b, value) for value in values]
            pairs = zip(sums, values, strict=True)
            # contract: one fused instruction where there is one
            products = [(total, b.fmul(value, weight, flags=("contract",))) for total, value in pairs]
            return [b.fadd(total, product, flags=("contract",)) for total, product in products]

        sums = _over_lists(b, ranges, _carried(group, carry, goals, zeros(group.vector)), tap)
        group.store(sums, goals)

    _emit(b, sig.args[0].dtype, shape, emit)
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


Tap = Callable[[Any, Any, Any, Any, Values], Values]


def _over_box(b: ir.IRBuilder, window: Values, at: Any, carried: Values, tap: Tap) -> Values:
    """Emit ``carried = tap(depth, row, column, element, carried)`` for every tap in row-major order."""
    depths, depth_step, rows, row_step, columns, step = window

    def over_rows(d: Any, values: Values) -> Values:
        plane = b.add(at, b.mul(d, depth_step))

        def over_columns(r: Any, values: Values) -> Values:
            line = b.add(plane, b.mul(r, row_step))
            one = lambda k, v: tap(d, r, k, b.add(line, b.mul(k, step)), v)  # noqa: E731
            return _repeat(b, index(0), columns, values, one)

        return _repeat(b, index(0), rows, values, over_columns)

    return _repeat(b, index(0), depths, carried, over_rows)


def _wins(b: ir.IRBuilder, values: Values, tops: Values, careful: bool) -> Values:
    """In which lanes a value is the maximum; where the maximum may be NaN, so is every NaN."""
    wins = [b.fcmp_ordered("==", value, top) for value, top in zip(values, tops, strict=True)]
    if careful:
        wins = [b.or_(won, b.fcmp_unordered("uno", v, v)) for won, v in zip(wins, values, strict=True)]
    return wins


def _emit_by_top(
    b: ir.IRBuilder, dtype: Any, shape: Values, tops: Any, emit: Callable[[_Group, Values, bool], None]
) -> None:
    """Emit the code for full groups without NaN among the maxima, and that for all others."""
    fast, slow, done = (b.append_basic_block(name) for name in ("plain", "careful", "routed"))
    masked = VECTOR_BYTES == 64  # there masks cost no more than plain vectors
    if not masked:
        test = b.append_basic_block("full")
        b.cbranch(_is_full(b, dtype, shape), test, slow)
        b.position_at_end(test)
    group = _Group(b, dtype, shape, masked)
    values = group.load(group.targets(tops))
    lost = [b.fcmp_unordered("uno", v, v) for v in values]
    any_lost = b.or_(b.or_(lost[0], lost[1]), b.or_(lost[2], lost[3]))
    bits = ir.IntType(group.vector.count)
    b.cbranch(b.icmp_signed("!=", b.bitcast(any_lost, bits), ir.Constant(bits, 0)), slow, fast)
    b.position_at_end(fast)
    emit(group, values, False)
    b.branch(done)
    b.position_at_end(slow)
    group = _Group(b, dtype, shape, True)
    emit(group, group.load(group.targets(tops)), True)
    b.branch(done)
    b.position_at_end(done)


@intrinsic
def route_taps(typingctx, x, y, dy, dx, at, window, own, apart, target, shape):
    """``dx += dy`` at the first tap where x is the maximum y, if that tap is the caller's own.

    window: (depths, depth_step, rows, row_step, columns, step). own: (first depth, end depth, first row, end
    row). apart: the windows share no pixel, and dx is zero there.
    """
    signature = types.void(x, y, dy, dx, at, window, own, apart, target, shape)

    def codegen(context, b, sig, args):
        at, window, own, apart, target, packed = args[4:]
        apart = context.cast(b, apart, sig.args[7], types.boolean)
        px, py, pdy, pdx = (data_pointer(context, b, sig.args[i], args[i]) for i in range(4))
        window, shape = cgutils.unpack_tuple(b, window), cgutils.unpack_tuple(b, packed)
        depth0, depth1, row0, row1 = cgutils.unpack_tuple(b, own)

        def emit(group: _Group, tops: Values, careful: bool) -> None:
            none = zeros(group.vector)

            def tap(d: Any, r: Any, _: Any, element: Any, left: Values) -> Values:
                values = group.load(group.sources(offset(b, px, element)))
                wins = _wins(b, values, tops, careful)
                reached = b.and_(b.icmp_signed(">=", d, depth0), b.icmp_signed(">=", r, row0))
                ended = b.and_(b.icmp_signed("<", d, depth1), b.icmp_signed("<", r, row1))
                with b.if_then(b.and_(reached, ended), likely=True):
                    group.add(left, wins, group.sources(offset(b, pdx, element)), apart)
                return [b.select(won, none, v) for won, v in zip(wins, left, strict=True)]

            gradients = group.load(group.targets(offset(b, pdy, target)))
            _over_box(b, window, at, gradients, tap)

        _emit_by_top(b, sig.args[0].dtype, shape, offset(b, py, target), emit)
        return context.get_dummy_value()

    return signature, codegen


def _store_whole(b: ir.IRBuilder, value: Any, pointer: Any, mask: Any) -> None:
    """Write the lanes of the mask of a vector of 64-bit integers; without a mask all."""
    address = b.bitcast(pointer, value.type.as_pointer())
    if mask is None:
        b.store(value, address).align = 8
        return
    kind = ir.FunctionType(ir.VoidType(), [value.type, address.type, LANE, mask.type])
    name = f"llvm.masked.store.v{value.type.count}i64.p0"
    function = cgutils.get_or_insert_function(b.module, kind, name)
    b.call(function, [value, address, ir.Constant(LANE, 8), mask])


@intrinsic
def find_taps(typingctx, x, y, at, window, numbers, indices, target, shape):
    """``indices = number + depth depth_number + row row_number + column column_number`` of the first maximum.

    numbers: (number, depth_number, row_number, column_number, elements per number); where drop is 0 the
    vectors are as many numbers apart as their hops tell, else they share one.
    """
    signature = types.void(x, y, at, window, numbers, indices, target, shape)

    def codegen(context, b, sig, args):
        _, _, at, window, numbers, _, target, packed = args
        px, py, goal = (data_pointer(context, b, sig.args[i], args[i]) for i in (0, 1, 5))
        window, shape = cgutils.unpack_tuple(b, window), cgutils.unpack_tuple(b, packed)
        number, *steps, size = cgutils.unpack_tuple(b, numbers)
        dtype = sig.args[0].dtype
        # numbers from the window's first on, as wide as the elements, so that one mask serves both
        lane = ir.IntType(dtype.bitwidth)

        def emit(group: _Group) -> None:
            lanes = group.vector.count
            tops = group.load(group.targets(offset(b, py, target)))

            def tap(d: Any, r: Any, k: Any, element: Any, carried: Values) -> Values:
                left, found = carried[:GROUP], carried[GROUP:]
                values = group.load(group.sources(offset(b, px, element)))
                wins = [b.and_(won, at) for won, at in zip(_wins(b, values, tops, True), left, strict=True)]
                here = index(0)
                for place, step in zip((d, r, k), steps, strict=True):
                    here = b.add(here, b.mul(place, step))
                here = _spread(b, b.trunc(here, lane) if lane.width < 64 else here, lanes)
                found = [b.select(won, here, f) for won, f in zip(wins, found, strict=True)]
                return [*(b.and_(at, b.not_(won)) for won, at in zip(wins, left, strict=True)), *found]

            every = [ir.Constant(ir.VectorType(ir.IntType(1), lanes), [1] * lanes)] * GROUP
            nowhere = [ir.Constant(ir.VectorType(lane, lanes), [0] * lanes)] * GROUP
            found = _over_box(b, window, at, [*every, *nowhere], tap)[GROUP:]
            one_pixel = b.icmp_signed("!=", shape[-1], index(0))
            apart = [index(0), *(b.select(one_pixel, index(0), b.sdiv(hop, size)) for hop in group.hops)]
            whole = ir.VectorType(INTP, lanes)
            targets = group.targets(offset(b, goal, target))
            for value, further, pointer, mask in zip(found, apart, targets, group.masks, strict=True):
                wide = b.sext(value, whole) if lane.width < 64 else value
                first = _spread(b, b.add(number, further), lanes)
                _store_whole(b, b.add(wide, first), pointer, mask)

        _emit(b, dtype, shape, emit)
        return context.get_dummy_value()

    return signature, codegen

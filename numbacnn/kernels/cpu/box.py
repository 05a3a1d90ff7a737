"""Windows as boxes, for what looks for a maximum in them: its gradient, and where it is.

Groups and their shapes are those of `window`.  A box is ``window = (depths, depth_step, rows, row_step,
columns, step)``: so many taps along each axis, and the elements from one to the next.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir

from ..._deferred import cgutils, intrinsic, types
from .simd import INTP, LANE, VECTOR_BYTES, data_pointer, index, offset, zeros
from .window import GROUP, Group, Values, emit_group, is_full, repeat, spread

Tap = Callable[[Any, Any, Any, Any, Values], Values]


def _over_box(b: ir.IRBuilder, window: Values, at: Any, carried: Values, tap: Tap) -> Values:
    """Emit ``carried = tap(depth, row, column, element, carried)`` for every tap in row-major order."""
    depths, depth_step, rows, row_step, columns, step = window

    def over_rows(d: Any, values: Values) -> Values:
        plane = b.add(at, b.mul(d, depth_step))

        def over_columns(r: Any, values: Values) -> Values:
            line = b.add(plane, b.mul(r, row_step))
            one = lambda k, v: tap(d, r, k, b.add(line, b.mul(k, step)), v)  # noqa: E731
            return repeat(b, index(0), columns, values, one)

        return repeat(b, index(0), rows, values, over_columns)

    return repeat(b, index(0), depths, carried, over_rows)


def _wins(b: ir.IRBuilder, values: Values, tops: Values, careful: bool) -> Values:
    """In which lanes a value is the maximum; where the maximum may be NaN, so is every NaN."""
    wins = [b.fcmp_ordered("==", value, top) for value, top in zip(values, tops, strict=True)]
    if careful:
        wins = [b.or_(won, b.fcmp_unordered("uno", v, v)) for won, v in zip(wins, values, strict=True)]
    return wins


def _emit_by_top(
    b: ir.IRBuilder, dtype: Any, shape: Values, tops: Any, emit: Callable[[Group, Values, bool], None]
) -> None:
    """Emit the code for full groups without NaN among the maxima, and that for all others."""
    fast, slow, done = (b.append_basic_block(name) for name in ("plain", "careful", "routed"))
    masked = VECTOR_BYTES == 64  # there masks cost no more than plain vectors
    if not masked:
        test = b.append_basic_block("full")
        b.cbranch(is_full(b, dtype, shape), test, slow)
        b.position_at_end(test)
    group = Group(b, dtype, shape, masked)
    values = group.load(group.targets(tops))
    lost = [b.fcmp_unordered("uno", v, v) for v in values]
    any_lost = b.or_(b.or_(lost[0], lost[1]), b.or_(lost[2], lost[3]))
    bits = ir.IntType(group.vector.count)
    b.cbranch(b.icmp_signed("!=", b.bitcast(any_lost, bits), ir.Constant(bits, 0)), slow, fast)
    b.position_at_end(fast)
    emit(group, values, False)
    b.branch(done)
    b.position_at_end(slow)
    group = Group(b, dtype, shape, True)
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

        def emit(group: Group, tops: Values, careful: bool) -> None:
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

        def emit(group: Group) -> None:
            lanes = group.vector.count
            tops = group.load(group.targets(offset(b, py, target)))

            def tap(d: Any, r: Any, k: Any, element: Any, carried: Values) -> Values:
                left, found = carried[:GROUP], carried[GROUP:]
                values = group.load(group.sources(offset(b, px, element)))
                wins = [b.and_(won, at) for won, at in zip(_wins(b, values, tops, True), left, strict=True)]
                here = index(0)
                for place, step in zip((d, r, k), steps, strict=True):
                    here = b.add(here, b.mul(place, step))
                here = spread(b, b.trunc(here, lane) if lane.width < 64 else here, lanes)
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
                first = spread(b, b.add(number, further), lanes)
                _store_whole(b, b.add(wide, first), pointer, mask)

        emit_group(b, dtype, shape, emit)
        return context.get_dummy_value()

    return signature, codegen

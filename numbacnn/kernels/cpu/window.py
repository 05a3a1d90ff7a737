"""The pooling window: a few neighbouring outputs at once, tap by tap, over a vector of channels.

LLVM's own loops over channels spend more on entry checks and leftovers than on work where channels are few.
Here the channels of a pixel are the lanes of a vector, and a mask tells which exist: 6 channels cost one
vector operation and 64 cost four.  Neighbouring outputs share the loops over the taps and hide each
other's latency.  Nothing outside the masks is read or written.

All four functions take ``window = (rows, row_step, cols, step)``, both counts at least 1, and start at
element ``at`` of the input and ``target`` of the output: output p < active <= GROUP has its taps at
``at + p hop + row row_step + col step`` and itself lies at ``target + p c``; the first ``channels``
elements from there count, at most a vector.
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
    lanes_of,
    load,
    masked_load,
    masked_store,
    offset,
    store,
    vector_type,
    zeros,
)

GROUP = 4  # outputs at a time: enough independent chains to cover the latency of a maximum

Values = list[Any]
Tap = Callable[[Any, Any, Values], Values]


def keep_rolled(module: Any, branch: Any) -> None:
    """Tell LLVM not to unroll the loop that ends here: windows are small, and compiling it takes longer."""
    disable = module.add_metadata([ir.MetaDataString(module, "llvm.loop.unroll.disable")])
    loop = module.add_metadata([disable, ir.MetaDataString(module, branch.parent.name)])
    loop.operands = (loop, disable)  # a loop's node begins with itself
    branch.set_metadata("llvm.loop", loop)


def _repeat(b: ir.IRBuilder, count: Any, carried: Values, body: Callable[[Any, Values], Values]) -> Values:
    """Emit ``for i in range(count): carried = body(i, carried)``, count >= 1, and return the last values."""
    start, loop = b.block, b.function.append_basic_block("taps")
    b.branch(loop)
    b.position_at_end(loop)
    i, phis = b.phi(INTP), [b.phi(value.type) for value in carried]
    after = body(i, phis)
    following = b.add(i, index(1))
    for phi, first, value in zip([i, *phis], [index(0), *carried], [following, *after], strict=True):
        phi.add_incoming(first, start)
        phi.add_incoming(value, b.block)
    done = b.function.append_basic_block("reduced")
    keep_rolled(b.module, b.cbranch(b.icmp_signed("<", following, count), loop, done))
    b.position_at_end(done)
    return after


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


class _Group:
    """The outputs of one call while its code is emitted: their places, and which lanes exist."""

    def __init__(self, b: ir.IRBuilder, dtype: Any, active: Any, channels: Any, masked: bool) -> None:
        self.b, self.vector = b, vector_type(dtype)
        self.masks: Values = [None] * GROUP
        if masked:
            lanes = lanes_of(dtype)
            # in 32 bits: as many numbers of 64 bits would fill two registers
            numbers = ir.Constant(ir.VectorType(LANE, lanes), list(range(lanes)))
            mask = b.icmp_signed("<", numbers, _spread(b, b.trunc(channels, LANE), lanes))
            none = ir.Constant(mask.type, [0] * lanes)
            self.masks = [b.select(b.icmp_signed("<", index(p), active), mask, none) for p in range(GROUP)]

    def places(self, pointer: Any, hop: Any) -> Values:
        return [offset(self.b, pointer, self.b.mul(hop, index(p))) for p in range(GROUP)]

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
                triples = zip(wins, self.load(pointers), values, strict=True)
                self.store([b.select(won, b.fadd(total, v), total) for won, total, v in triples], pointers)


def _over_taps(b: ir.IRBuilder, window: Any, at: Any, carried: Values, tap: Tap) -> Values:
    """Emit ``carried = tap(row, element, carried)`` for every tap in row-major order."""
    rows, row_step, cols, step = cgutils.unpack_tuple(b, window)

    def row(i: Any, values: Values) -> Values:
        line = b.add(at, b.mul(i, row_step))
        return _repeat(b, cols, values, lambda j, v: tap(i, b.add(line, b.mul(j, step)), v))

    return _repeat(b, rows, carried, row)


def _emit(b: ir.IRBuilder, dtype: Any, active: Any, channels: Any, emit: Callable[[_Group], None]) -> None:
    """Emit the code with masks and, where they cost more than plain vectors, that of full groups too."""
    if VECTOR_BYTES == 64:
        emit(_Group(b, dtype, active, channels, masked=True))
        return
    full = b.and_(
        b.icmp_signed("==", active, index(GROUP)), b.icmp_signed(">=", channels, index(lanes_of(dtype)))
    )
    with b.if_else(full) as (yes, no):
        with yes:
            emit(_Group(b, dtype, active, channels, masked=False))
        with no:
            emit(_Group(b, dtype, active, channels, masked=True))


@intrinsic
def max_windows(typingctx, x, at, hop, window, y, target, c, active, channels):
    """``y = max of x over the taps``; NaN wins."""
    signature = types.void(x, at, hop, window, y, target, c, active, channels)

    def codegen(context, b, sig, args):
        _, at, hop, window, _, target, c, active, channels = args
        source, goal = (data_pointer(context, b, sig.args[i], args[i]) for i in (0, 4))

        def emit(group: _Group) -> None:
            lowest = ir.Constant(group.vector, [float("-inf")] * group.vector.count)

            def tap(_, element, tops):
                values = group.load(group.places(offset(b, source, element), hop))
                return [_larger(b, top, value) for top, value in zip(tops, values, strict=True)]

            tops = _over_taps(b, window, at, [lowest] * GROUP, tap)
            group.store(tops, group.places(offset(b, goal, target), c))

        _emit(b, sig.args[0].dtype, active, channels, emit)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def route_windows(typingctx, x, y, dy, dx, at, hop, window, skip, apart, target, c, active, channels):
    """``dx += dy`` at the first tap where x is the maximum y; but in the first ``skip`` rows of taps.

    apart: the windows share no pixel, and dx is zero there.
    """
    signature = types.void(x, y, dy, dx, at, hop, window, skip, apart, target, c, active, channels)

    def codegen(context, b, sig, args):
        at, hop, window, skip, apart, target, c, active, channels = args[4:]
        apart = context.cast(b, apart, sig.args[8], types.boolean)
        px, py, pdy, pdx = (data_pointer(context, b, sig.args[i], args[i]) for i in range(4))

        def emit(group: _Group) -> None:
            tops = group.load(group.places(offset(b, py, target), c))

            def tap(row, element, left):
                values = group.load(group.places(offset(b, px, element), hop))
                pairs = zip(values, tops, strict=True)
                wins = [b.or_(b.fcmp_ordered("==", v, t), b.fcmp_unordered("uno", v, v)) for v, t in pairs]
                with b.if_then(b.icmp_signed(">=", row, skip), likely=True):
                    group.add(left, wins, group.places(offset(b, pdx, element), hop), apart)
                none = zeros(group.vector)
                return [b.select(won, none, v) for won, v in zip(wins, left, strict=True)]

            _over_taps(b, window, at, group.load(group.places(offset(b, pdy, target), c)), tap)

        _emit(b, sig.args[0].dtype, active, channels, emit)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def average_windows(typingctx, x, at, hop, window, scale, y, target, c, active, channels):
    """``y = scale sum of x over the taps``."""
    signature = types.void(x, at, hop, window, x.dtype, y, target, c, active, channels)

    def codegen(context, b, sig, args):
        _, at, hop, window, scale, _, target, c, active, channels = args
        source, goal = (data_pointer(context, b, sig.args[i], args[i]) for i in (0, 5))

        def emit(group: _Group) -> None:
            def tap(_, element, sums):
                values = group.load(group.places(offset(b, source, element), hop))
                return [b.fadd(total, value) for total, value in zip(sums, values, strict=True)]

            sums = _over_taps(b, window, at, [zeros(group.vector)] * GROUP, tap)
            factor = _spread(b, scale, group.vector.count)
            group.store([b.fmul(total, factor) for total in sums], group.places(offset(b, goal, target), c))

        _emit(b, sig.args[0].dtype, active, channels, emit)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def share_windows(typingctx, dy, dx, at, hop, window, scale, apart, target, c, active, channels):
    """``dx += scale dy`` at every tap; apart: the windows share no pixel, and dx is zero there."""
    signature = types.void(dy, dx, at, hop, window, dy.dtype, apart, target, c, active, channels)

    def codegen(context, b, sig, args):
        at, hop, window, scale, apart, target, c, active, channels = args[2:]
        apart = context.cast(b, apart, sig.args[6], types.boolean)
        source, goal = (data_pointer(context, b, sig.args[i], args[i]) for i in (0, 1))

        def emit(group: _Group) -> None:
            factor = _spread(b, scale, group.vector.count)
            gradients = group.load(group.places(offset(b, source, target), c))
            shares = [b.fmul(gradient, factor) for gradient in gradients]
            truth = ir.VectorType(ir.IntType(1), group.vector.count)
            everywhere = [ir.Constant(truth, [1] * group.vector.count)] * GROUP

            def tap(_, element, carried):
                group.add(shares, everywhere, group.places(offset(b, goal, element), hop), apart)
                return carried

            _over_taps(b, window, at, [], tap)

        _emit(b, sig.args[0].dtype, active, channels, emit)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def clear(typingctx, x, first, end):
    """Zero ``x[first:end]``, where end is past first, and return the larger of the two."""

    def codegen(context, b, sig, args):
        first, end = args[1:]
        element = sig.args[0].dtype.bitwidth // 8
        later = b.icmp_signed(">", end, first)
        size = b.select(later, b.mul(b.sub(end, first), index(element)), index(0))
        pointer = offset(b, data_pointer(context, b, sig.args[0], args[0]), first)
        cgutils.memset(b, pointer, size, 0)
        return b.select(later, end, first)

    return types.intp(x, types.intp, types.intp), codegen

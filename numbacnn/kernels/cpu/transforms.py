"""The one-dimensional transforms of Winograd's minimal filtering F(m, 3), over vectors of channels.

``y = A' [(G g) * (B' d)]`` gives m outputs of a filter of 3 taps from m + 2 inputs with m + 2 products
(Winograd 1980; Lavin and Gray, arXiv:1509.09308, section 4).  F(4, 3) interpolates at 0, 1, -1, 2, -2 and
infinity, F(2, 3) at 0, 1, -1 and infinity.  Gradients use the transposed matrices.

A *line* is a few places in memory at equal steps, with a run of channels at each; a transform takes a line to
a line.  Two of them, along columns and then along rows, transform a square.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir

from ..._deferred import cgutils, intrinsic, types
from .simd import (
    data_pointer,
    fma,
    index,
    lane_mask,
    load,
    masked_load,
    masked_store,
    offset,
    store,
    vector_type,
)
from .tile import VECTORS

Values = list[Any]


class _Arithmetic:
    """Sums of multiples of vectors, rounded once where a multiply-add does both."""

    def __init__(self, b: ir.IRBuilder, vector: ir.VectorType) -> None:
        self.b, self.vector = b, vector

    def constant(self, value: float) -> ir.Constant:
        return ir.Constant(self.vector, [value] * self.vector.count)

    def add(self, x: Any, y: Any) -> Any:
        return self.b.fadd(x, y)

    def sub(self, x: Any, y: Any) -> Any:
        return self.b.fsub(x, y)

    def times(self, factor: float, x: Any) -> Any:
        return self.b.fmul(self.constant(factor), x)

    def plus(self, x: Any, factor: float, y: Any) -> Any:
        """``x + factor y``."""
        return fma(self.b, self.constant(factor), y, x)


def _inputs4(a: _Arithmetic, d: Values) -> Values:  # B' d
    p, q = a.plus(d[4], -4.0, d[2]), a.plus(d[3], -4.0, d[1])
    r, s = a.sub(d[4], d[2]), a.sub(d[3], d[1])
    first = a.plus(a.plus(d[4], -5.0, d[2]), 4.0, d[0])
    last = a.plus(a.plus(d[5], -5.0, d[3]), 4.0, d[1])
    return [first, a.add(p, q), a.sub(p, q), a.plus(r, 2.0, s), a.plus(r, -2.0, s), last]


def _outputs4(a: _Arithmetic, m: Values) -> Values:  # A' m
    s, d, u, v = a.add(m[1], m[2]), a.sub(m[1], m[2]), a.add(m[3], m[4]), a.sub(m[3], m[4])
    last = a.add(a.plus(d, 8.0, v), m[5])
    return [a.add(a.add(m[0], s), u), a.plus(d, 2.0, v), a.plus(s, 4.0, u), last]


def _outputs4_turned(a: _Arithmetic, y: Values) -> Values:  # A y
    even, odd = a.add(y[0], y[2]), a.add(y[1], y[3])
    even2, odd2 = a.plus(y[0], 4.0, y[2]), a.plus(y[1], 4.0, y[3])
    ends = a.plus(even2, 2.0, odd2), a.plus(even2, -2.0, odd2)
    return [y[0], a.add(even, odd), a.sub(even, odd), *ends, y[3]]


def _kernel4(a: _Arithmetic, g: Values) -> Values:  # G g
    s = a.times(-1 / 6, a.add(g[0], g[2]))
    u = a.plus(a.times(1 / 24, g[0]), 1 / 6, g[2])
    ends = a.plus(u, 1 / 12, g[1]), a.plus(u, -1 / 12, g[1])
    return [a.times(1 / 4, g[0]), a.plus(s, -1 / 6, g[1]), a.plus(s, 1 / 6, g[1]), *ends, g[2]]


def _kernel4_turned(a: _Arithmetic, u: Values) -> Values:  # G' u
    s, d, p, q = a.add(u[1], u[2]), a.sub(u[1], u[2]), a.add(u[3], u[4]), a.sub(u[3], u[4])
    first = a.plus(a.plus(a.times(1 / 4, u[0]), -1 / 6, s), 1 / 24, p)
    last = a.plus(a.plus(u[5], -1 / 6, s), 1 / 6, p)
    return [first, a.plus(a.times(-1 / 6, d), 1 / 12, q), last]


def _inputs2(a: _Arithmetic, d: Values) -> Values:
    return [a.sub(d[0], d[2]), a.add(d[1], d[2]), a.sub(d[2], d[1]), a.sub(d[1], d[3])]


def _outputs2(a: _Arithmetic, m: Values) -> Values:
    return [a.add(a.add(m[0], m[1]), m[2]), a.sub(a.sub(m[1], m[2]), m[3])]


def _outputs2_turned(a: _Arithmetic, y: Values) -> Values:
    return [y[0], a.add(y[0], y[1]), a.sub(y[0], y[1]), a.times(-1.0, y[1])]


def _kernel2(a: _Arithmetic, g: Values) -> Values:
    s = a.times(0.5, a.add(g[0], g[2]))
    return [g[0], a.plus(s, 0.5, g[1]), a.plus(s, -0.5, g[1]), g[2]]


def _kernel2_turned(a: _Arithmetic, u: Values) -> Values:
    s, d = a.add(u[1], u[2]), a.sub(u[1], u[2])
    return [a.plus(u[0], 0.5, s), a.times(0.5, d), a.plus(u[3], 0.5, s)]


# What a call of a transform names, and for each: values in, values out, the sums.
INPUTS4, OUTPUTS4, OUTPUTS4_TURNED, KERNEL4, KERNEL4_TURNED = range(5)
INPUTS2, OUTPUTS2, OUTPUTS2_TURNED, KERNEL2, KERNEL2_TURNED = range(5, 10)
_TRANSFORMS: tuple[tuple[int, int, Callable[[_Arithmetic, Values], Values]], ...] = (
    (6, 6, _inputs4), (6, 4, _outputs4), (4, 6, _outputs4_turned), (3, 6, _kernel4), (6, 3, _kernel4_turned),
    (4, 4, _inputs2), (4, 2, _outputs2), (2, 4, _outputs2_turned), (3, 4, _kernel2), (4, 3, _kernel2_turned),
)  # fmt: skip


def _over_channels(b: ir.IRBuilder, vector: ir.VectorType, channels: Any, emit: Callable) -> None:
    """Emit ``emit(panel, v, mask)`` for each vector of each panel; the mask is None but in the last one."""
    width = index(VECTORS * vector.count)
    whole = b.sdiv(channels, width)

    def panel(p: Any, left: Any) -> None:
        for v in range(VECTORS):
            emit(p, v, None if left is None else lane_mask(b, vector, v * vector.count, left))

    with cgutils.for_range(b, whole) as loop:
        panel(loop.index, None)
    left = b.sub(channels, b.mul(whole, width))
    with b.if_then(b.icmp_signed(">", left, index(0)), likely=False):
        panel(whole, left)


@intrinsic(prefer_literal=True)
def read_line(typingctx, kind, x, x0, step, low, high, blank, blank0, y, y0, y_step, channels):
    """Transform a line of an array to one of the workspace, zeros behind its channels, whole panels.

    kind: literal.  Place i is ``x[x0 + i step :]``; where i is not within ``low .. high - 1`` it lies outside
    and reads ``blank[blank0:]``, which must be zeros, instead.  Result i goes to ``y[y0 + i y_step :]``.
    """
    intp = types.intp
    signature = types.void(kind, x, intp, intp, intp, intp, blank, intp, y, intp, intp, intp)

    def codegen(context, b, sig, args):
        (_, _, x0, step, low, high, _, blank0, _, y0, y_step, channels) = args
        vector = vector_type(sig.args[1].dtype)
        px, pblank, py = (data_pointer(context, b, sig.args[i], args[i]) for i in (1, 6, 8))
        ins, outs, sums = _TRANSFORMS[kind.literal_value]
        px, pblank, py = offset(b, px, x0), offset(b, pblank, blank0), offset(b, py, y0)
        sources = []
        for i in range(ins):
            inside = b.and_(b.icmp_signed("<=", low, index(i)), b.icmp_signed("<", index(i), high))
            sources.append(b.select(inside, offset(b, px, b.mul(step, index(i))), pblank))
        targets = [offset(b, py, b.mul(y_step, index(i))) for i in range(outs)]

        def emit(panel, v, mask):
            at = b.add(b.mul(panel, index(VECTORS * vector.count)), index(v * vector.count))
            places = [offset(b, s, at) for s in sources]
            read = [load(b, vector, p) if mask is None else masked_load(b, vector, p, mask) for p in places]
            for value, target in zip(sums(_Arithmetic(b, vector), read), targets, strict=True):
                store(b, value, offset(b, target, at))

        _over_channels(b, vector, channels, emit)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic(prefer_literal=True)
def pass_line(typingctx, kind, x, x0, step, y, y0, y_step, y_panel, panels):
    """Transform a line of the workspace to another; panels of results lie ``y_panel`` apart."""
    intp = types.intp
    signature = types.void(kind, x, intp, intp, y, intp, intp, intp, intp)

    def codegen(context, b, sig, args):
        (_, _, x0, step, _, y0, y_step, y_panel, panels) = args
        vector = vector_type(sig.args[1].dtype)
        px, py = (data_pointer(context, b, sig.args[i], args[i]) for i in (1, 4))
        ins, outs, sums = _TRANSFORMS[kind.literal_value]
        px, py = offset(b, px, x0), offset(b, py, y0)
        sources = [offset(b, px, b.mul(step, index(i))) for i in range(ins)]
        targets = [offset(b, py, b.mul(y_step, index(i))) for i in range(outs)]

        with cgutils.for_range(b, panels) as loop:
            for v in range(VECTORS):
                at = b.add(b.mul(loop.index, index(VECTORS * vector.count)), index(v * vector.count))
                to = b.add(b.mul(loop.index, y_panel), index(v * vector.count))
                read = [load(b, vector, offset(b, s, at)) for s in sources]
                for value, target in zip(sums(_Arithmetic(b, vector), read), targets, strict=True):
                    store(b, value, offset(b, target, to))
        return context.get_dummy_value()

    return signature, codegen


@intrinsic(prefer_literal=True)
def write_line(typingctx, kind, x, x0, step, y, y0, y_step, end, spare, spare0, channels):
    """Transform a line of the workspace and write the channels that exist to an array.

    Results from number ``end`` on have no place there: they go to ``spare[spare0:]``.
    """
    intp = types.intp
    signature = types.void(kind, x, intp, intp, y, intp, intp, intp, spare, intp, intp)

    def codegen(context, b, sig, args):
        (_, _, x0, step, _, y0, y_step, end, _, spare0, channels) = args
        vector = vector_type(sig.args[1].dtype)
        px, py, pspare = (data_pointer(context, b, sig.args[i], args[i]) for i in (1, 4, 8))
        ins, outs, sums = _TRANSFORMS[kind.literal_value]
        px, py, pspare = offset(b, px, x0), offset(b, py, y0), offset(b, pspare, spare0)
        sources = [offset(b, px, b.mul(step, index(i))) for i in range(ins)]
        targets = []
        for i in range(outs):
            exists = b.icmp_signed("<", index(i), end)
            targets.append(b.select(exists, offset(b, py, b.mul(y_step, index(i))), pspare))

        def emit(panel, v, mask):
            at = b.add(b.mul(panel, index(VECTORS * vector.count)), index(v * vector.count))
            read = [load(b, vector, offset(b, s, at)) for s in sources]
            for value, target in zip(sums(_Arithmetic(b, vector), read), targets, strict=True):
                if mask is None:
                    store(b, value, offset(b, target, at))
                else:
                    masked_store(b, value, offset(b, target, at), mask)

        _over_channels(b, vector, channels, emit)
        return context.get_dummy_value()

    return signature, codegen

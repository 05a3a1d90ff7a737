"""The one-dimensional transforms of Winograd's minimal filtering F(m, r), over vectors of channels.

``y = A' [(G g) * (B' d)]`` gives m outputs of a filter of r taps from m + r - 1 inputs with as many products
(Winograd 1980; Lavin and Gray, arXiv:1509.09308, section 4): polynomials are multiplied at infinity and at as
many of the points 0, 1, -1, 2, -2 as it takes.  F(4, 3) and F(2, 5) share their six points, and so B'.
Gradients use the transposed matrices.

A *line* is a few places in memory at equal steps, with a run of channels at each; a transform takes a line to
a line.  Two of them, along columns and then along rows, transform a square; F(1, 1) leaves an axis as it is.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

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

if TYPE_CHECKING:
    from fractions import Fraction

POINTS = (0, 1, -1, 2, -2)
# What a transform takes: inputs, products, products' gradients, the kernel, its products' gradients.
INPUTS, OUTPUTS, OUTPUTS_TURNED, KERNEL, KERNEL_TURNED = range(5)

Values = list[Any]
Matrix = list[list[Any]]  # of fractions


class Filter(NamedTuple):
    """F(m, r) of an even number of points, or of one; kernels are compiled for its code, two digits."""

    outputs: int
    taps: int

    @property
    def points(self) -> int:
        """Products, and inputs."""
        return self.outputs + self.taps - 1

    @property
    def code(self) -> int:
        """43 for F(4, 3)."""
        return 10 * self.outputs + self.taps

    @classmethod
    def of(cls, code: int) -> Filter:
        """Return the filter of a code."""
        return cls(*divmod(code, 10))


def _times_root(polynomial: list[int], root: int) -> list[int]:
    """Multiply a polynomial, its lowest coefficient first, by ``x - root``."""
    return [low - root * high for low, high in zip([0, *polynomial], [*polynomial, 0], strict=True)]


@functools.cache
def matrices(f: Filter) -> tuple[Matrix, ...]:
    """Return B', A and G of F(m, r): a row for each point, the one at infinity last."""
    from fractions import Fraction  # when a kernel is compiled; others need not load it

    finite = POINTS[: f.points - 1]
    inputs: Matrix = []
    outputs: Matrix = []
    kernel: Matrix = []
    for p in finite:
        others = [q for q in finite if q != p]
        scale = math.prod(p - q for q in others)
        inputs.append([*functools.reduce(_times_root, others, [1]), 0])
        outputs.append([p**i for i in range(f.outputs)])
        kernel.append([Fraction(p**i, scale) for i in range(f.taps)])
    inputs.append(functools.reduce(_times_root, finite, [1]))
    outputs.append([int(i == f.outputs - 1) for i in range(f.outputs)])
    kernel.append([int(i == f.taps - 1) for i in range(f.taps)])
    return tuple([[Fraction(value) for value in row] for row in rows] for rows in (inputs, outputs, kernel))


class Arithmetic:
    """Sums of multiples of vectors, rounded once where a multiply-add does both."""

    def __init__(self, b: ir.IRBuilder, vector: ir.VectorType) -> None:
        self.b, self.vector = b, vector

    def _constant(self, value: Fraction | int) -> ir.Constant:
        return ir.Constant(self.vector, [float(value)] * self.vector.count)

    def times(self, factor: Fraction | int, x: Any) -> Any:
        """``factor x``."""
        return x if factor == 1 else self.b.fmul(self._constant(factor), x)

    def plus(self, x: Any, factor: Fraction | int, y: Any) -> Any:
        """``x + factor y``."""
        if abs(factor) == 1:
            return self.b.fadd(x, y) if factor == 1 else self.b.fsub(x, y)
        return fma(self.b, self._constant(factor), y, x)


def _sum(a: Arithmetic, row: Sequence[Fraction], values: Values) -> Any:
    terms = [(factor, value) for factor, value in zip(row, values, strict=True) if factor]
    terms.sort(key=lambda term: term[0] != 1)  # what needs no product comes first
    (factor, value), *others = terms
    total = a.times(factor, value)
    for factor, value in others:
        total = a.plus(total, factor, value)
    return total


def _at_points(a: Arithmetic, rows: Matrix, values: Values) -> Values:
    """Return a matrix's product: the rows of points p and -p share the sums of their even and odd terms."""
    results = [_sum(a, rows[0], values)]
    for row in rows[1:-1:2]:
        even, scale = _sum(a, row[::2], values[::2]), [factor for factor in row[1::2] if factor][-1]
        odd = _sum(a, [factor / scale for factor in row[1::2]], values[1::2])
        results += [a.plus(even, scale, odd), a.plus(even, -scale, odd)]
    return [*results, _sum(a, rows[-1], values)]


def _from_points(a: Arithmetic, rows: Matrix, values: Values) -> Values:
    """Return the transposed matrix's product: values of points p and -p are added and subtracted first."""
    first, *middle, last = values
    pairs = list(zip(middle[::2], middle[1::2], strict=True))
    sums = [[a.plus(x, sign, y) for x, y in pairs] for sign in (1, -1)]
    columns = zip(rows[0], *rows[1:-1:2], rows[-1], strict=True)
    return [_sum(a, column, [first, *sums[i % 2], last]) for i, column in enumerate(columns)]


def transform(a: Arithmetic, kind: int, f: Filter, values: Values) -> Values:
    """Return the transform of some values by F(m, r)."""
    if f == (1, 1):
        return values
    inputs, outputs, kernel = matrices(f)
    if kind == INPUTS:
        return _at_points(a, inputs, values)
    rows = outputs if kind in (OUTPUTS, OUTPUTS_TURNED) else kernel
    return (_at_points if kind in (OUTPUTS_TURNED, KERNEL) else _from_points)(a, rows, values)


def _sides(kind: int, f: Filter) -> tuple[int, int]:
    """Return how many values a transform takes, and how many it gives."""
    p, m, r = f.points, f.outputs, f.taps
    return ((p, p), (p, m), (m, p), (r, p), (p, r))[kind]


def _named(kind: Any, code: Any) -> tuple[int, int, Callable[..., Values]]:
    """Return what the literals of a call name: how many values go in and come out, and the sums."""
    kind, f = kind.literal_value, Filter.of(code.literal_value)
    ins, outs = _sides(kind, f)
    return ins, outs, lambda b, vector, values: transform(Arithmetic(b, vector), kind, f, values)


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
def read_line(typingctx, kind, code, x, x0, step, low, high, blank, blank0, y, y0, y_step, channels):
    """Transform a line of an array to one of the workspace, zeros behind its channels, whole panels.

    kind, code: literals, which transform of which filter.  Place i is ``x[x0 + i step :]``; where i is not
    within ``low .. high - 1`` it lies outside and reads ``blank[blank0:]``, which must be zeros, instead.
    Result i goes to ``y[y0 + i y_step :]``.
    """
    intp = types.intp
    signature = types.void(kind, code, x, intp, intp, intp, intp, blank, intp, y, intp, intp, intp)

    def codegen(context, b, sig, args):
        (_, _, _, x0, step, low, high, _, blank0, _, y0, y_step, channels) = args
        vector = vector_type(sig.args[2].dtype)
        px, pblank, py = (data_pointer(context, b, sig.args[i], args[i]) for i in (2, 7, 9))
        ins, outs, sums = _named(sig.args[0], sig.args[1])
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
            for value, target in zip(sums(b, vector, read), targets, strict=True):
                store(b, value, offset(b, target, at))

        _over_channels(b, vector, channels, emit)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic(prefer_literal=True)
def pass_line(typingctx, kind, code, x, x0, step, y, y0, y_step, y_panel, panels):
    """Transform a line of the workspace to another; panels of results lie ``y_panel`` apart.

    kind, code: literals.
    """
    intp = types.intp
    signature = types.void(kind, code, x, intp, intp, y, intp, intp, intp, intp)

    def codegen(context, b, sig, args):
        (_, _, _, x0, step, _, y0, y_step, y_panel, panels) = args
        vector = vector_type(sig.args[2].dtype)
        px, py = (data_pointer(context, b, sig.args[i], args[i]) for i in (2, 5))
        ins, outs, sums = _named(sig.args[0], sig.args[1])
        px, py = offset(b, px, x0), offset(b, py, y0)
        sources = [offset(b, px, b.mul(step, index(i))) for i in range(ins)]
        targets = [offset(b, py, b.mul(y_step, index(i))) for i in range(outs)]

        with cgutils.for_range(b, panels) as loop:
            for v in range(VECTORS):
                at = b.add(b.mul(loop.index, index(VECTORS * vector.count)), index(v * vector.count))
                to = b.add(b.mul(loop.index, y_panel), index(v * vector.count))
                read = [load(b, vector, offset(b, s, at)) for s in sources]
                for value, target in zip(sums(b, vector, read), targets, strict=True):
                    store(b, value, offset(b, target, to))
        return context.get_dummy_value()

    return signature, codegen


@intrinsic(prefer_literal=True)
def write_line(typingctx, kind, code, x, x0, step, y, y0, y_step, end, spare, spare0, channels):
    """Transform a line of the workspace and write the channels that exist to an array.

    kind, code: literals.  Results from number ``end`` on have no place there: they go to ``spare[spare0:]``.
    """
    intp = types.intp
    signature = types.void(kind, code, x, intp, intp, y, intp, intp, intp, spare, intp, intp)

    def codegen(context, b, sig, args):
        (_, _, _, x0, step, _, y0, y_step, end, _, spare0, channels) = args
        vector = vector_type(sig.args[2].dtype)
        px, py, pspare = (data_pointer(context, b, sig.args[i], args[i]) for i in (2, 5, 9))
        ins, outs, sums = _named(sig.args[0], sig.args[1])
        px, py, pspare = offset(b, px, x0), offset(b, py, y0), offset(b, pspare, spare0)
        sources = [offset(b, px, b.mul(step, index(i))) for i in range(ins)]
        targets = []
        for i in range(outs):
            exists = b.icmp_signed("<", index(i), end)
            targets.append(b.select(exists, offset(b, py, b.mul(y_step, index(i))), pspare))

        def emit(panel, v, mask):
            at = b.add(b.mul(panel, index(VECTORS * vector.count)), index(v * vector.count))
            read = [load(b, vector, offset(b, s, at)) for s in sources]
            for value, target in zip(sums(b, vector, read), targets, strict=True):
                if mask is None:
                    store(b, value, offset(b, target, at))
                else:
                    masked_store(b, value, offset(b, target, at), mask)

        _over_channels(b, vector, channels, emit)
        return context.get_dummy_value()

    return signature, codegen

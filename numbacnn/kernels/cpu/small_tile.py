"""Inner loops of products with few samples: each reads or writes the rows of a matrix where they lie.

``sum_rows`` adds up rows with a sample's inputs as factors (forward), ``dot_rows`` multiplies rows with a
sample's gradients (data gradient), ``outer_rows`` writes rows (weight gradient).  Cells of samples by vectors
stay in registers.  Unlike the tile's, the matrix is not packed: what is left of its columns is read and
written through a mask, and nothing outside is touched.
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
    fma,
    index,
    lane_mask,
    lane_sums,
    load,
    masked_load,
    masked_store,
    number,
    offset,
    set_number,
    splat,
    store,
    vector_type,
    zeros,
)
from .tile import ADD, BIAS

SAMPLES = 4  # at a time, where there are more than one
WIDE = 8  # vectors of one sample's sums: some cache lines of each row
NARROW = 2  # vectors of several samples' sums, or of several rows' sums of one sample
CHAINS = 4  # rows that are summed side by side where the vectors alone would not cover a sum's latency
DOT_ROWS = {1: max(8, VECTOR_BYTES // 4), SAMPLES: 2}  # rows at a time, by samples at a time
OUTER_ROWS = 4

Values = list[Any]


def _loop(
    b: ir.IRBuilder, first: Any, stop: Any, step: int, carried: Values, body: Callable[[Any, Values], Values]
) -> Values:
    """Emit ``for i in range(first, stop, step): carried = body(i, carried)``; return the last values."""
    before = b.block
    loop, done = (b.function.append_basic_block(n) for n in ("rows", "rows_end"))
    b.cbranch(b.icmp_signed("<", first, stop), loop, done)
    b.position_at_end(loop)
    i, phis = b.phi(INTP), [b.phi(value.type) for value in carried]
    after = body(i, phis)
    following = b.add(i, index(step))
    for phi, start, value in zip([i, *phis], [first, *carried], [following, *after], strict=True):
        phi.add_incoming(start, before)
        phi.add_incoming(value, b.block)
    last = b.block
    b.cbranch(b.icmp_signed("<", following, stop), loop, done)
    b.position_at_end(done)
    results = [b.phi(value.type) for value in carried]
    for phi, start, value in zip(results, carried, after, strict=True):
        phi.add_incoming(start, before)
        phi.add_incoming(value, last)
    return results


def _rounded(b: ir.IRBuilder, first: Any, stop: Any, step: int) -> Any:
    """Return the end of the whole steps from ``first`` on; step is a power of two."""
    return b.sub(stop, b.and_(b.sub(stop, first), index(step - 1)))


def _clamped(b: ir.IRBuilder, first: Any, end: Any, count: int) -> Values:
    """Return first, first + 1, ...; beyond the end the last number again (what it writes is the same)."""
    numbers, last = [b.add(first, index(i)) for i in range(count)], b.sub(end, index(1))
    return [b.select(b.icmp_signed("<", n, last), n, last) for n in numbers]


class _Columns:
    """Neighbouring vectors of columns, whole or of which a mask tells the lanes that exist."""

    def __init__(self, b: ir.IRBuilder, vector: ir.VectorType, vectors: int, valid: Any | None) -> None:
        self.b, self.vector = b, vector
        self.firsts = [j * vector.count for j in range(vectors)]
        self.masks = [None if valid is None else lane_mask(b, vector, j, valid) for j in self.firsts]

    def load(self, pointer: Any) -> Values:
        b, pairs = self.b, zip(self.firsts, self.masks, strict=True)
        places = [(offset(b, pointer, j), mask) for j, mask in pairs]
        return [
            load(b, self.vector, p) if m is None else masked_load(b, self.vector, p, m) for p, m in places
        ]

    def store(self, values: Values, pointer: Any) -> None:
        for value, j, mask in zip(values, self.firsts, self.masks, strict=True):
            if mask is None:
                store(self.b, value, offset(self.b, pointer, j))
            else:
                masked_store(self.b, value, offset(self.b, pointer, j), mask)


def _whole_or_masked(
    b: ir.IRBuilder, vector: ir.VectorType, vectors: int, valid: Any, emit: Callable[[_Columns], None]
) -> None:
    """Emit the code for whole vectors and that with masks; ``valid`` columns choose."""
    with b.if_else(b.icmp_signed(">=", valid, index(vectors * vector.count))) as (whole, part):
        with whole:
            emit(_Columns(b, vector, vectors, None))
        with part:
            emit(_Columns(b, vector, vectors, valid))


def _start(b: ir.IRBuilder, columns: _Columns, mode: Any, bias: Any, targets: Values) -> list[Values]:
    """Return the first sums of each sample: zeros, the bias, or what the target holds."""
    before, after = b.block, b.function.append_basic_block("sums")
    switch = b.switch(mode, after)
    origins = [([[zeros(columns.vector)] * len(columns.firsts) for _ in targets], before)]
    for case in (ADD, BIAS):
        block = b.function.append_basic_block("start")
        switch.add_case(index(case), block)
        b.position_at_end(block)
        held = [columns.load(t) for t in targets] if case == ADD else [columns.load(bias)] * len(targets)
        origins.append((held, b.block))
        b.branch(after)
    b.position_at_end(after)
    sums = [[b.phi(columns.vector) for _ in columns.firsts] for _ in targets]
    for held, block in origins:
        for phis, values in zip(sums, held, strict=True):
            for phi, value in zip(phis, values, strict=True):
                phi.add_incoming(value, block)
    return sums


@intrinsic(prefer_literal=True)
def sum_rows(typingctx, samples, vectors, chains, x, inputs, s0, s1, at, j, high):
    """``y[base + s * outputs + c] (+)= sum over i in row .. stop of x[s, i] * w[i, c]`` for c from j on.

    samples, vectors, chains: literals.  For ``samples`` samples s from s0 on, those from s1 on being the last
    one again, and ``vectors`` vectors of columns, or those below ``high``; ``chains`` rows are summed side by
    side.  x (n, inputs) is read.  at: ``(w, outputs, row, stop, bias, y, base, mode)`` with
    w (inputs, outputs) read and y written; mode: ZERO, BIAS (from ``bias[c]``) or ADD.
    """
    intp = types.intp
    signature = types.void(samples, vectors, chains, x, intp, intp, intp, at, intp, intp)

    def codegen(context, b, sig, args):
        (_, _, _, _, inputs, s0, s1, at, j, high) = args
        count, width, chains = (t.literal_value for t in sig.args[:3])
        vector = vector_type(sig.args[3].dtype)
        fields, kinds = cgutils.unpack_tuple(b, at), sig.args[7].types
        w, bias, y = (data_pointer(context, b, kinds[i], fields[i]) for i in (0, 4, 5))
        x, valid = data_pointer(context, b, sig.args[3], args[3]), b.sub(high, j)
        _, outputs, row, stop, _, _, base, mode = fields
        numbers = _clamped(b, s0, s1, count) if count > 1 else [s0]
        sources = [offset(b, x, b.mul(s, inputs)) for s in numbers]
        targets = [offset(b, offset(b, y, b.add(base, j)), b.mul(s, outputs)) for s in numbers]
        w, bias = offset(b, w, j), offset(b, bias, j)

        def emit(columns: _Columns) -> None:
            cells = count * width  # sums of one chain

            def step(rows: int) -> Callable[[Any, Values], Values]:
                def add(i: Any, sums: Values) -> Values:
                    new = list(sums)
                    for u in range(rows):
                        line = b.add(i, index(u))
                        weights = columns.load(offset(b, w, b.mul(line, outputs)))
                        factors = [splat(b, vector, offset(b, source, line)) for source in sources]
                        pairs = [(f, v) for f in factors for v in weights]
                        for cell, (factor, weight) in enumerate(pairs, u % chains * cells):
                            new[cell] = fma(b, factor, weight, new[cell])
                    return new

                return add

            first = _start(b, columns, mode, bias, targets)
            sums = [value for values in first for value in values]
            sums += [zeros(vector)] * (cells * (chains - 1))
            middle = _rounded(b, row, stop, CHAINS)
            sums = _loop(b, row, middle, CHAINS, sums, step(CHAINS))
            sums = _loop(b, middle, stop, 1, sums, step(1))
            while len(sums) > cells:
                half = len(sums) // 2
                sums = [b.fadd(p, q) for p, q in zip(sums[:half], sums[half:], strict=True)]
            for s, target in enumerate(targets):
                columns.store(sums[s * width : (s + 1) * width], target)

        _whole_or_masked(b, vector, width, valid, emit)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic(prefer_literal=True)
def dot_rows(typingctx, samples, dy, s0, s1, w, outputs, row, end, low, high, dx, inputs, mode):
    """``dx[s, i] (+)= sum over j in low .. high of dy[s, j] * w[i, j]`` for some rows i from row on.

    samples: a literal.  There are DOT_ROWS[samples] rows.  Samples from s1 on are the last one again, and so
    are rows from end on.
    dy (n, outputs) and w (inputs, outputs) are read.  mode: ZERO or ADD.
    """
    intp = types.intp
    signature = types.void(samples, dy, intp, intp, w, intp, intp, intp, intp, intp, dx, intp, intp)

    def codegen(context, b, sig, args):
        (_, _, s0, s1, _, outputs, row, end, low, high, _, inputs, mode) = args
        count, vector = sig.args[0].literal_value, vector_type(sig.args[1].dtype)
        dy, w, dx = (data_pointer(context, b, sig.args[i], args[i]) for i in (1, 4, 10))
        samples = _clamped(b, s0, s1, count) if count > 1 else [s0]
        sources = [offset(b, dy, b.mul(s, outputs)) for s in samples]
        middle = _rounded(b, low, high, vector.count)
        going_on = b.icmp_signed("==", mode, index(ADD))

        def emit(rows: Values, run: bool) -> None:
            weights = [offset(b, w, b.mul(i, outputs)) for i in rows]

            def step(columns: _Columns) -> Callable[[Any, Values], Values]:
                def add(j: Any, sums: Values) -> Values:
                    gradients = [columns.load(offset(b, p, j))[0] for p in sources]
                    values = [columns.load(offset(b, p, j))[0] for p in weights]
                    pairs = [(g, v) for g in gradients for v in values]
                    return [fma(b, g, v, total) for (g, v), total in zip(pairs, sums, strict=True)]

                return add

            sums = [zeros(vector)] * (count * len(rows))
            sums = _loop(b, low, middle, vector.count, sums, step(_Columns(b, vector, 1, None)))
            rest = _Columns(b, vector, 1, b.sub(high, middle))
            sums = _loop(b, middle, high, vector.count, sums, step(rest))
            totals, lanes = lane_sums(b, sums), vector.count
            if run:
                for k, total in enumerate(totals):
                    target = offset(b, dx, b.add(b.mul(s0, inputs), b.add(row, index(k * lanes))))
                    held = b.select(going_on, load(b, vector, target), zeros(vector))
                    store(b, b.fadd(held, total), target)
                return
            cells = [offset(b, dx, b.add(b.mul(s, inputs), i)) for s in samples for i in rows]
            none = ir.Constant(vector.element, 0.0)
            # all are read before any is written: samples and rows that come again are the same cells
            held = [b.select(going_on, number(b, cell), none) for cell in cells]
            for k, (cell, before) in enumerate(zip(cells, held, strict=True)):
                total = b.extract_element(totals[k // lanes], ir.Constant(LANE, k % lanes))
                set_number(b, b.fadd(before, total), cell)

        count_rows = DOT_ROWS[count]
        with b.if_else(b.icmp_signed("<=", b.add(row, index(count_rows)), end)) as (whole, part):
            with whole:
                emit([b.add(row, index(i)) for i in range(count_rows)], count == 1)
            with part:
                emit(_clamped(b, row, end, count_rows), False)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def outer_rows(typingctx, x, n, dy, dw, inputs, outputs, row, end, j):
    """``dw[i, j + c] = sum over samples s < n of x[s, i] * dy[s, j + c]`` for OUTER_ROWS rows i from row on.

    For NARROW vectors of columns c, or as many columns as there are from j on; rows from end on are the last
    one again.  Masked stores are slow on some CPUs.  Where the columns are few and rows follow, whole vectors
    are written: what they write past a row is written over by the next ones.
    """
    intp = types.intp
    signature = types.void(x, intp, dy, dw, intp, intp, intp, intp, intp)

    def codegen(context, b, sig, args):
        (_, n, _, _, inputs, outputs, row, end, j) = args
        vector = vector_type(sig.args[0].dtype)
        x, dy, dw = (data_pointer(context, b, sig.args[i], args[i]) for i in (0, 2, 3))
        dy, dw = offset(b, dy, j), offset(b, dw, j)
        valid, width = b.sub(outputs, j), index(NARROW * vector.count)
        whole = _Columns(b, vector, NARROW, None)

        def emit(rows: Values, read: _Columns, write: _Columns) -> None:
            def add(s: Any, sums: Values) -> Values:
                gradients = read.load(offset(b, dy, b.mul(s, outputs)))
                source = offset(b, x, b.mul(s, inputs))
                factors = [splat(b, vector, offset(b, source, i)) for i in rows]
                pairs = [(f, g) for f in factors for g in gradients]
                return [fma(b, f, g, total) for (f, g), total in zip(pairs, sums, strict=True)]

            sums = _loop(b, index(0), n, 1, [zeros(vector)] * (NARROW * OUTER_ROWS), add)
            for r, i in enumerate(rows):
                write.store(sums[r * NARROW : (r + 1) * NARROW], offset(b, dw, b.mul(i, outputs)))

        following = [b.add(row, index(i)) for i in range(OUTER_ROWS)]
        inside = b.icmp_signed("<=", b.add(row, index(OUTER_ROWS)), end)
        spilling = b.icmp_signed("<=", b.add(b.mul(following[-1], outputs), width), b.mul(end, outputs))
        few = b.and_(b.icmp_signed("==", j, index(0)), spilling)
        with b.if_else(b.and_(inside, b.icmp_signed(">=", valid, width))) as (all_exist, otherwise):
            with all_exist:
                emit(following, whole, whole)
            with otherwise:
                masked = _Columns(b, vector, NARROW, valid)
                with b.if_else(few) as (over, beside):
                    with over:
                        emit(following, masked, whole)
                    with beside:
                        emit(_clamped(b, row, end, OUTER_ROWS), masked, masked)
        return context.get_dummy_value()

    return signature, codegen

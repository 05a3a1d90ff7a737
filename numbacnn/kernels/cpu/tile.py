"""The register tile: ``ROWS x (vectors x lanes)`` sums held in registers, the one building block.

``conv_tile`` sums, for some pixels, over taps and contiguous inputs: the convolution and, with turned
weights, its data gradient.  ``outer_tile`` sums outer products over pixels: the weight gradient.  Both
are BLIS-like micro-kernels (Van Zee and van de Geijn, ACM TOMS 41(3), 2015) over batches of taps
(LIBXSMM's batch-reduce, Georganas et al., arXiv:1906.06440).

The shape comes from the host's registers.  With 32 of them 12 rows of 2 vectors take 24 sums, 2
weights and the inputs' splats; with 16 registers it is 6 rows of 2.  Each k costs ROWS splats and NV
loads for ROWS * NV multiply-adds, which stays under the two loads a cycle that CPUs give, and enough
sums are independent to cover the latency of the multiply-add.  What is left over goes to TAIL rows or
one vector.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir

from ..._deferred import intrinsic, types
from .simd import (
    INTP,
    REGISTERS,
    VECTOR_BYTES,
    data_pointer,
    fetch_to_write,
    fma,
    index,
    lane_mask,
    load,
    masked_load,
    masked_store,
    offset,
    splat,
    store,
    store_first,
    vector_type,
    zeros,
)

ROWS, VECTORS = (12, 2) if REGISTERS >= 32 else (6, 2)
LONE_ROWS = 2 * ROWS  # of one vector: as many sums
TAIL = 4 if REGISTERS >= 32 else 2
MIDDLE = 2 * TAIL  # the fewest rows whose sums cover the latency of the multiply-add
UNROLL = 4

# Where the sums start: at zero, at the bias, or at what the output holds (the sum goes on).  Sums over pixels
# may be millions of terms long: there ADD adds what a call has summed, so that no chain of roundings is.
ZERO, BIAS, ADD = 0, 1, 2

Cells = dict[tuple[int, int], Any]


class _Tile:
    """The sums of one tile while its code is emitted."""

    def __init__(self, b: ir.IRBuilder, vector: ir.VectorType, rows: int, vectors: int) -> None:
        self.b, self.vector, self.rows, self.vectors = b, vector, rows, vectors
        self.cells = [(i, j) for i in range(rows) for j in range(vectors)]
        self.width = vectors * vector.count

    def zeros(self) -> Cells:
        return dict.fromkeys(self.cells, zeros(self.vector))

    def phis(self) -> Cells:
        return {cell: self.b.phi(self.vector) for cell in self.cells}

    def incoming(self, phis: Cells, values: Cells, block: Any) -> None:
        for cell in self.cells:
            phis[cell].add_incoming(values[cell], block)

    def step(self, sums: Cells, weights: Any, inputs: list) -> Cells:
        """Return the sums after one k: every row's input times the vectors of weights."""
        b, new = self.b, dict(sums)
        w = [load(b, self.vector, offset(b, weights, j * self.vector.count)) for j in range(self.vectors)]
        for i in range(self.rows):
            x = splat(b, self.vector, inputs[i])
            for j in range(self.vectors):
                new[i, j] = fma(b, x, w[j], new[i, j])
        return new

    def masks(self, valid: Any) -> list:
        return [lane_mask(self.b, self.vector, j * self.vector.count, valid) for j in range(self.vectors)]

    def read(self, pointers: list, valid: Any) -> Cells:
        """Read the tile, of which ``valid`` columns exist, from one pointer per row."""
        b, full = self.b, {}
        whole, part, after = (b.function.append_basic_block(n) for n in ("whole", "part", "read"))
        b.cbranch(b.icmp_signed(">=", valid, index(self.width)), whole, part)
        b.position_at_end(whole)
        for i, j in self.cells:
            full[i, j] = load(b, self.vector, offset(b, pointers[i], j * self.vector.count))
        b.branch(after)
        b.position_at_end(part)
        masks, masked = self.masks(valid), {}
        for i, j in self.cells:
            address = offset(b, pointers[i], j * self.vector.count)
            masked[i, j] = masked_load(b, self.vector, address, masks[j])
        b.branch(after)
        b.position_at_end(after)
        values = self.phis()
        self.incoming(values, full, whole)
        self.incoming(values, masked, part)
        return values

    def write(self, values: Cells, pointers: list, valid: Any) -> None:
        """Write the ``valid`` columns of the tile."""
        b = self.b
        with b.if_else(b.icmp_signed(">=", valid, index(self.width))) as (whole, part):
            with whole:
                for i, j in self.cells:
                    store(b, values[i, j], offset(b, pointers[i], j * self.vector.count))
            with part:
                self.write_first(values, pointers, valid)

    def write_first(self, values: Cells, pointers: list, valid: Any) -> None:
        """Write the ``valid`` columns of the tile, of which some vector is not whole."""
        b, lanes = self.b, self.vector.count
        masks = self.masks(valid) if VECTOR_BYTES == 64 else []
        for j in range(self.vectors):
            column = [values[i, j] for i in range(self.rows)]
            places = [offset(b, pointer, j * lanes) for pointer in pointers]
            if masks:
                for value, place in zip(column, places, strict=True):
                    masked_store(b, value, place, masks[j])
            else:
                left = b.sub(valid, index(j * lanes))
                store_first(b, column, places, b.select(b.icmp_signed(">", left, index(0)), left, index(0)))

    def add(self, values: Cells, pointers: list, valid: Any) -> None:
        """Add to the ``valid`` columns of the tile, whose rows are all different."""
        b = self.b
        with b.if_else(b.icmp_signed(">=", valid, index(self.width))) as (whole, part):
            with whole:
                for i, j in self.cells:
                    address = offset(b, pointers[i], j * self.vector.count)
                    store(b, b.fadd(values[i, j], load(b, self.vector, address)), address)
            with part:
                masks, total = self.masks(valid), {}
                for i, j in self.cells:
                    address = offset(b, pointers[i], j * self.vector.count)
                    total[i, j] = b.fadd(values[i, j], masked_load(b, self.vector, address, masks[j]))
                self.write_first(total, pointers, valid)

    def start(self, mode: Any, bias: Any, pointers: list, valid: Any) -> Cells:
        """Return the first sums: zeros, the bias in every row, or the output's."""
        b = self.b
        before, after = b.block, b.function.append_basic_block("sums")
        switch = b.switch(mode, after)
        origins = [(self.zeros(), before)]
        for case in (ADD, BIAS):
            block = b.function.append_basic_block("start")
            switch.add_case(index(case), block)
            b.position_at_end(block)
            if case == ADD:
                held = self.read(pointers, valid)
            else:
                row = _Tile(b, self.vector, 1, self.vectors).read([bias], valid)
                held = {(i, j): row[0, j] for i, j in self.cells}
            origins.append((held, b.block))
            b.branch(after)
        b.position_at_end(after)
        sums = self.phis()
        for values, block in origins:
            self.incoming(sums, values, block)
        return sums


def _clamped_rows(b: ir.IRBuilder, first: Any, end: Any, rows: int, clamp: bool) -> list:
    """Return the row numbers first, first + 1, ...; beyond the end the last one again (same value, twice)."""
    numbers = [b.add(first, index(i)) for i in range(rows)]
    if not clamp:
        return numbers
    last = b.sub(end, index(1))
    return [b.select(b.icmp_signed("<", n, last), n, last) for n in numbers]


def _sum_loops(
    b: ir.IRBuilder, tile: _Tile, sums: Cells, weights: Any, first: Any, end: Any, inputs: Callable
) -> tuple[Cells, Any]:
    """Emit the loops over the steps of the sum, unrolled and then the rest.

    ``inputs(i, u)`` gives the addresses of the rows' inputs at step ``i + u``; the vectors of weights follow
    one another.  Return the sums and the end of the weights.
    """
    loops = [(1, end)]
    if tile.rows >= ROWS:  # tails are too few to be worth more code
        loops.insert(0, (UNROLL, b.sub(end, b.and_(b.sub(end, first), index(UNROLL - 1)))))
    at, at_weights = first, weights
    for unroll, stop in loops:
        loop, after = (b.function.append_basic_block(n) for n in (f"sum{unroll}", f"sum{unroll}_end"))
        before = b.block
        b.cbranch(b.icmp_signed("<", at, stop), loop, after)
        b.position_at_end(loop)
        i, w, carried = b.phi(INTP), b.phi(weights.type), tile.phis()
        i.add_incoming(at, before)
        w.add_incoming(at_weights, before)
        tile.incoming(carried, sums, before)
        new = carried
        for u in range(unroll):
            new = tile.step(new, offset(b, w, u * tile.width), inputs(i, u))
        i_next, w_next = b.add(i, index(unroll)), offset(b, w, unroll * tile.width)
        i.add_incoming(i_next, loop)
        w.add_incoming(w_next, loop)
        tile.incoming(carried, new, loop)
        b.cbranch(b.icmp_signed("<", i_next, stop), loop, after)
        b.position_at_end(after)
        at_phi, weights_phi, sums_phi = b.phi(INTP), b.phi(weights.type), tile.phis()
        for block, values in ((before, (at, at_weights, sums)), (loop, (i_next, w_next, new))):
            at_phi.add_incoming(values[0], block)
            weights_phi.add_incoming(values[1], block)
            tile.incoming(sums_phi, values[2], block)
        at, at_weights, sums = at_phi, weights_phi, sums_phi
    return sums, at_weights


@intrinsic(prefer_literal=True)
def conv_tile(
    typingctx, rows, vectors, x, x0, pixels, first, end, taps, tap0, tap1, k, w, w0, y, y0, places, bias, b0,
    mode, valid
):  # fmt: skip
    """``y[p, c] (+)= sum over taps t and k of x[p + t + k] * w[t, k, c]`` for ``rows`` pixels p.

    rows, vectors: literals.  The pixels are numbers ``first ..`` of two tables: ``pixels`` has the
    offset of each one's window in ``x`` (from x0), ``places`` its offset in ``y`` (from y0).  Where
    rows is less than ROWS, rows from ``end`` on repeat the last pixel.  ``taps[tap0:tap1]`` are offsets
    too; k inputs follow each.  w from w0 on: packed ``[taps][k][vectors * lanes]``, read whole.
    Of the columns ``valid`` are written.  mode: ZERO, BIAS (from ``bias[b0:]``) or ADD.
    """
    clamp = rows.literal_value < ROWS
    intp = types.intp
    signature = types.void(
        rows, vectors, x, intp, pixels, intp, intp, taps, intp, intp, intp, w, intp, y, intp, places, bias,
        intp, intp, intp
    )  # fmt: skip

    def codegen(context, b, sig, args):
        (_, _, _, x0, _, first, end, _, tap0, tap1, k, _, w0, _, y0, _, _, b0, mode, valid) = args
        tile = _Tile(b, vector_type(sig.args[2].dtype), rows.literal_value, vectors.literal_value)
        x, pixels, taps, w, y, places, bias = (
            data_pointer(context, b, sig.args[i], args[i]) for i in (2, 4, 7, 11, 13, 15, 16)
        )
        x, w, y, bias = offset(b, x, x0), offset(b, w, w0), offset(b, y, y0), offset(b, bias, b0)
        numbers = _clamped_rows(b, first, end, tile.rows, clamp)
        sources = [offset(b, x, b.load(offset(b, pixels, n))) for n in numbers]
        outputs = [offset(b, y, b.load(offset(b, places, n))) for n in numbers]
        for output in outputs:
            fetch_to_write(b, output)
        sums = tile.start(mode, bias, outputs, valid)

        before = b.block
        loop, end_block = (b.function.append_basic_block(n) for n in ("tap", "tap_end"))
        b.cbranch(b.icmp_signed("<", tap0, tap1), loop, end_block)
        b.position_at_end(loop)
        t, wq, carried = b.phi(INTP), b.phi(w.type), tile.phis()
        t.add_incoming(tap0, before)
        wq.add_incoming(w, before)
        tile.incoming(carried, sums, before)
        shift = b.load(offset(b, taps, t))
        windows = [offset(b, s, shift) for s in sources]
        new, w_next = _sum_loops(
            b, tile, carried, wq, index(0), k, lambda i, u: [offset(b, offset(b, v, i), u) for v in windows]
        )
        t_next = b.add(t, index(1))
        t.add_incoming(t_next, b.block)
        wq.add_incoming(w_next, b.block)
        tile.incoming(carried, new, b.block)
        last = b.block
        b.cbranch(b.icmp_signed("<", t_next, tap1), loop, end_block)
        b.position_at_end(end_block)
        final = tile.phis()
        tile.incoming(final, sums, before)
        tile.incoming(final, new, last)
        tile.write(final, outputs, valid)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic(prefer_literal=True)
def outer_tile(
    typingctx, rows, vectors, joined, x, x0, pixels, pixel0, pixel1, shifts, first, end, dy, dy0, dw, dw0,
    pitch, mode, valid
):  # fmt: skip
    """``dw[r, c] (+)= sum over pixels p of x[p + shifts[r]] * dy[p, c]`` for ``rows`` rows r from first on.

    rows, vectors, joined: literals; joined says that the rows' shifts are consecutive.
    ``pixels[pixel0:pixel1]`` are the offsets in ``x`` (from x0) of the pixels; dy from dy0 on is packed
    ``[pixels][vectors * lanes]``.  Where rows is less than ROWS, those from ``end`` on repeat the last.  Rows
    of dw (from dw0 on) lie ``pitch`` apart; of the columns ``valid`` are written.  mode: ZERO or ADD.
    """
    clamp = rows.literal_value < ROWS
    intp = types.intp
    signature = types.void(
        rows, vectors, joined, x, intp, pixels, intp, intp, shifts, intp, intp, dy, intp, dw, intp, intp,
        intp, intp
    )  # fmt: skip

    def codegen(context, b, sig, args):
        (_, _, _, _, x0, _, pixel0, pixel1, _, first, end, _, dy0, _, dw0, pitch, mode, valid) = args
        tile = _Tile(b, vector_type(sig.args[3].dtype), rows.literal_value, vectors.literal_value)
        x, pixels, shifts, dy, dw = (
            data_pointer(context, b, sig.args[i], args[i]) for i in (3, 5, 8, 11, 13)
        )
        x, dy, dw = offset(b, x, x0), offset(b, dy, dy0), offset(b, dw, dw0)
        numbers = _clamped_rows(b, first, end, tile.rows, clamp)
        outputs = [offset(b, dw, b.mul(n, pitch)) for n in numbers]
        if joined.literal_value:
            start = b.load(offset(b, shifts, first))
            steps = [b.add(start, index(i)) for i in range(tile.rows)]
        else:
            steps = [b.load(offset(b, shifts, n)) for n in numbers]

        def inputs(p: Any, u: int) -> list:
            source = offset(b, x, b.load(offset(b, offset(b, pixels, p), u)))
            return [offset(b, source, step) for step in steps]

        sums, _ = _sum_loops(b, tile, tile.zeros(), dy, pixel0, pixel1, inputs)
        with b.if_else(b.icmp_signed("==", mode, index(ADD))) as (more, first_time):
            with more:
                if clamp:  # the last row comes twice: all is read before anything is written
                    held = tile.read(outputs, valid)
                    total = {cell: b.fadd(sums[cell], held[cell]) for cell in tile.cells}
                    tile.write(total, outputs, valid)
                else:
                    tile.add(sums, outputs, valid)
            with first_time:
                tile.write(sums, outputs, valid)
        return context.get_dummy_value()

    return signature, codegen

"""The weight gradient by the register tile: outer products of inputs and output gradients, over pixels.

Per block of pixels and panel of output channels the gradient is packed into the thread's scratch: it is
read once per tile of inputs, and channels-last rows a power of two apart would collide in L1.
"""

from __future__ import annotations

from ..._jit import inlined, jit, kernel, run, run_slots, split
from . import outer_plan, plan
from .correlate import locate, pack_row, pad_box, panel_width
from .simd import VECTOR_BYTES, copy_run, copy_vector
from .tile import ADD, ROWS, TAIL, VECTORS, ZERO, outer_tile


@jit
def _pad_chore(slot, part, parts, x, work, phases, chores):
    """Pad a box of the source."""
    pad_box(phases[0], chores[part], x, work)


@jit
def _pack_gradient(dy, dy0, places, count, valid, out, at, pitch):
    """Pack ``count`` pixels' ``valid`` channels as panels ``pitch`` apart, of rows as wide as the panel.

    All at once, so that memory is read in runs.
    """
    lanes = VECTOR_BYTES // dy.itemsize
    full = VECTORS * lanes
    whole = valid // full
    width = panel_width(valid - whole * full, lanes)
    for p in range(count):
        start = dy0 + places[p]
        for j in range(whole):
            for v in range(0, full, lanes):
                copy_vector(dy, start + j * full + v, out, at + j * pitch + p * full + v)
        if whole * full < valid:
            pack_row(
                dy, start + whole * full, valid - whole * full, width, out, at + whole * pitch + p * width
            )


@jit
def _gather(x, x0, pixels, gathered, count, inputs, out, at):
    """Copy the inputs of ``count`` pixels to where they are gathered."""
    for p in range(count):
        copy_run(x, x0 + pixels[p], out, at + gathered[p], inputs)


@inlined
def tiles(vectors, u0, u1, x, x0, pixels, count, shifts, dy, dy0, dw, dw0, pitch, mode, valid):
    """Tiles u0 .. u1 of the gradient's rows, a panel of so many vectors wide."""
    rows = shifts.size
    full = rows // ROWS
    for u in range(u0, u1):
        row = u * ROWS if u < full else full * ROWS + (u - full) * TAIL
        if u >= full:
            outer_tile(
                TAIL, vectors, False, x, x0, pixels, 0, count, shifts, row, rows, dy, dy0, dw, dw0, pitch,
                mode, valid,
            )  # fmt: skip
        elif shifts[row + ROWS - 1] - shifts[row] == ROWS - 1:
            outer_tile(
                ROWS, vectors, True, x, x0, pixels, 0, count, shifts, row, rows, dy, dy0, dw, dw0, pitch,
                mode, valid,
            )  # fmt: skip
        else:
            outer_tile(
                ROWS, vectors, False, x, x0, pixels, 0, count, shifts, row, rows, dy, dy0, dw, dw0, pitch,
                mode, valid,
            )  # fmt: skip


@jit
def _part(slot, part, parts, x, dy, dw, work, copies, phases, pixels, places, gathered, shifts, bands, table):
    """Compute one part: some rows and panels of the gradient, over the pixels of one split."""
    row, phase = table[part], phases[0]
    lanes = VECTOR_BYTES // x.itemsize
    full = VECTORS * lanes
    outputs = phase[plan.OUTPUTS]
    blocked = phase[plan.PIXELS] > 1
    pitch = outputs if blocked else dw.size // shifts.size
    number = row[outer_plan.SPLIT] if blocked else row[outer_plan.SPLIT] - 1
    out = dw if number < 0 else work
    out0 = 0 if number < 0 else copies + number * shifts.size * pitch
    scratch = phase[plan.SLOTS0] + slot * phase[plan.SLOT]
    panel_at = scratch + phase[plan.PANEL]
    for group in range(row[outer_plan.GROUP_FIRST], row[outer_plan.GROUP_END]):
        mode = ZERO
        for b in range(row[outer_plan.BLOCK_FIRST], row[outer_plan.BLOCK_END]):
            count = bands[b, plan.COUNT]
            x0 = locate(phase, group, bands[b], x, work, scratch)
            source, windows = x if phase[plan.SOURCE] == plan.STRAIGHT else work, pixels
            if gathered.size:
                _gather(x, x0, pixels, gathered, count, phase[plan.INPUTS], work, scratch)
                source, windows, x0 = work, gathered, scratch
            dy0 = bands[b, plan.PLACE0] + group * outputs
            for panel in range(row[outer_plan.PANEL_FIRST], row[outer_plan.PANEL_END]):
                c0 = panel * full
                valid = outputs - c0
                width = panel_width(valid, lanes)
                near = (panel - row[outer_plan.PANEL_FIRST]) % outer_plan.PACKED_PANELS
                apart = phase[plan.PANEL_PITCH]
                if near == 0:
                    last = min(panel + outer_plan.PACKED_PANELS, row[outer_plan.PANEL_END])
                    packed = min(outputs, last * full) - c0
                    _pack_gradient(dy, dy0 + c0, places, count, packed, work, panel_at, apart)
                at = panel_at + near * apart
                u0, u1 = row[outer_plan.UNIT_FIRST], row[outer_plan.UNIT_END]
                column0 = out0 + group * outputs + c0
                if width > lanes:
                    tiles(
                        VECTORS, u0, u1, source, x0, windows, count, shifts, work, at, out, column0,
                        pitch, mode, valid,
                    )  # fmt: skip
                else:
                    tiles(
                        1, u0, u1, source, x0, windows, count, shifts, work, at, out, column0, pitch,
                        mode, valid,
                    )  # fmt: skip
            mode = ADD


@jit
def _add_copies(part, parts, dw, work, copies, splits):
    """Add the other splits' gradients to the first one's, in order."""
    lo, hi = split(part, parts, dw.size)
    total = dw[lo:hi]
    for s in range(splits - 1):
        more = work[copies + s * dw.size + lo : copies + s * dw.size + hi]
        for i in range(total.size):
            total[i] += more[i]


@jit
def _add_pixels(dw, work, copies, splits, phase, weights):
    """Add the gradients that the pixels of a block found for the same weight, and the splits', in order."""
    pixels, inputs = phase[plan.PIXELS], phase[plan.INPUTS]
    outputs = phase[plan.OUTPUTS] // pixels
    dw[:] = 0
    at = copies
    for _ in range(splits):
        for number in range(0, weights.size, pixels):
            for i in range(inputs):
                for j in range(pixels):
                    start = weights[number + j]
                    if start >= 0:
                        for c in range(outputs):
                            dw[start + i * outputs + c] += work[at + j * outputs + c]
                at += pixels * outputs


@kernel
def outer(
    team, x, dy, dw, work, copies, splits, phases, pixels, places, gathered, shifts, weights, bands, parts,
    chores
):  # fmt: skip
    """``dw[t, k, c] = sum over pixels of x[p + t + k] * dy[p, c]`` by a plan; all arrays but tables are flat.

    Reads x and dy whole, writes every element of dw; work is scratch.
    """
    run_slots(team, _pad_chore, chores.shape[0], (x, work, phases, chores))
    tables = (phases, pixels, places, gathered, shifts, bands, parts)
    run_slots(team, _part, parts.shape[0], (x, dy, dw, work, copies, *tables))
    if phases[0, plan.PIXELS] > 1:
        _add_pixels(dw, work, copies, splits, phases[0], weights)
    elif splits > 1:
        run(team, _add_copies, max(1, dw.size // 16384), (dw, work, copies, splits))

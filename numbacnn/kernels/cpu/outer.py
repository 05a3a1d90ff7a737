"""The weight gradient by the register tile: outer products of inputs and output gradients, over pixels.

Per block of pixels and panel of output channels the gradient is packed into the thread's scratch: it is
read once per tile of inputs, and channels-last rows a power of two apart would collide in L1.
"""

from __future__ import annotations

from ..._jit import jit, kernel, run, run_slots, split
from . import outer_plan, plan
from .correlate import fill_band, panel_width
from .simd import VECTOR_BYTES, copy_vector
from .tile import ADD, ROWS, TAIL, VECTORS, ZERO, outer_tile


@jit
def _pad_chore(slot, part, parts, x, work, phases, chores):
    """Pad one image of the source."""
    _, image, group, _ = chores[part]
    phase = phases[0]
    at = phase[plan.FILL_PADDED0] + group * phase[plan.GROUP] + image * phase[plan.IMAGE]
    fill_band(phase, group, image, 1, phase[plan.FILL_TOP], phase[plan.FILL_HEIGHT], x, work, at)


@jit
def _pack_gradient(dy, dy0, places, count, valid, width, out, at):
    """Pack ``count`` pixels' ``valid`` channels as rows of ``width``, zeros behind them."""
    lanes = VECTOR_BYTES // dy.itemsize
    for p in range(count):
        start = dy0 + places[p]
        if valid >= width:
            for v in range(0, width, lanes):
                copy_vector(dy, start + v, out, at + v)
        else:
            source, target = dy[start : start + valid], out[at : at + width]
            for c in range(valid):
                target[c] = source[c]
            for c in range(valid, width):
                target[c] = 0
        at += width


@jit
def _units_wide(u0, u1, inputs, pitch, x, x0, pixels, count, taps, dy, dy0, dw, dw0, mode, valid):
    """Tiles u0 .. u1 of the gradient's rows, a panel of several vectors wide."""
    full = inputs // ROWS
    per_tap = full + (inputs - full * ROWS + TAIL - 1) // TAIL
    for u in range(u0, u1):
        t, i = u // per_tap, u % per_tap
        at = dw0 + t * inputs * pitch
        if i < full:
            outer_tile(
                ROWS, VECTORS, x, x0 + taps[t], pixels, 0, count, i * ROWS, inputs, dy, dy0, dw, at, pitch,
                mode, valid,
            )  # fmt: skip
        else:
            outer_tile(
                TAIL, VECTORS, x, x0 + taps[t], pixels, 0, count, full * ROWS + (i - full) * TAIL, inputs, dy,
                dy0, dw, at, pitch, mode, valid,
            )  # fmt: skip


@jit
def _units_narrow(u0, u1, inputs, pitch, x, x0, pixels, count, taps, dy, dy0, dw, dw0, mode, valid):
    """Tiles u0 .. u1 of the gradient's rows, a panel of one vector wide."""
    full = inputs // ROWS
    per_tap = full + (inputs - full * ROWS + TAIL - 1) // TAIL
    for u in range(u0, u1):
        t, i = u // per_tap, u % per_tap
        at = dw0 + t * inputs * pitch
        if i < full:
            outer_tile(
                ROWS, 1, x, x0 + taps[t], pixels, 0, count, i * ROWS, inputs, dy, dy0, dw, at, pitch, mode,
                valid,
            )  # fmt: skip
        else:
            outer_tile(
                TAIL, 1, x, x0 + taps[t], pixels, 0, count, full * ROWS + (i - full) * TAIL, inputs, dy, dy0,
                dw, at, pitch, mode, valid,
            )  # fmt: skip


@jit
def _part(slot, part, parts, x, dy, dw, work, copies, phases, pixels, places, taps, bands, table):
    """Compute one part: some rows and panels of the gradient, over the pixels of one split."""
    row, phase = table[part], phases[0]
    lanes = VECTOR_BYTES // x.itemsize
    full = VECTORS * lanes
    outputs = phase[plan.OUTPUTS]
    inputs = phase[plan.INPUTS] * phase[plan.TAPS_MERGED]
    pitch = dw.size // (taps.size * inputs)
    out = dw if row[outer_plan.SPLIT] == 0 else work
    out0 = 0 if row[outer_plan.SPLIT] == 0 else copies + (row[outer_plan.SPLIT] - 1) * dw.size
    scratch = phase[plan.SLOTS0] + slot * phase[plan.SLOT]
    panel_at = scratch + phase[plan.PANEL]
    source = x if phase[plan.SOURCE] == plan.STRAIGHT else work
    for group in range(row[outer_plan.GROUP_FIRST], row[outer_plan.GROUP_END]):
        mode = ZERO
        for b in range(row[outer_plan.BLOCK_FIRST], row[outer_plan.BLOCK_END]):
            image, images, row0, rows = bands[b]
            count = images * rows * phase[plan.COLUMNS]
            x0 = phase[plan.SOURCE0]
            if phase[plan.SOURCE] == plan.BAND:
                x0 += scratch
                top = phase[plan.FILL_TOP] + row0 * phase[plan.FILL_STRIDE]
                height = (rows - 1) * phase[plan.FILL_STRIDE] + phase[plan.FILL_SPAN]
                fill_band(phase, group, image, images, top, height, x, work, scratch)
            else:
                x0 += group * phase[plan.GROUP] + image * phase[plan.IMAGE] + row0 * phase[plan.ROW]
            dy0 = image * phase[plan.OUT_IMAGE] + row0 * phase[plan.OUT_ROW] + group * outputs
            for panel in range(row[outer_plan.PANEL_FIRST], row[outer_plan.PANEL_END]):
                c0 = panel * full
                valid = outputs - c0
                width = panel_width(valid, lanes)
                _pack_gradient(dy, dy0 + c0, places, count, valid, width, work, panel_at)
                units = (row[outer_plan.UNIT_FIRST], row[outer_plan.UNIT_END], inputs, pitch)
                windows = (source, x0, pixels, count, taps)
                args = (work, panel_at, out, out0 + group * outputs + c0, mode, valid)
                if width > lanes:
                    _units_wide(*units, *windows, *args)
                else:
                    _units_narrow(*units, *windows, *args)
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


@kernel
def outer(team, x, dy, dw, work, copies, splits, phases, pixels, places, taps, bands, parts, chores):
    """``dw[t, k, c] = sum over pixels of x[p + t + k] * dy[p, c]`` by a plan; all arrays but tables are flat.

    Reads x and dy whole, writes every element of dw; work is scratch.
    """
    run_slots(team, _pad_chore, chores.shape[0], (x, work, phases, chores))
    tables = (phases, pixels, places, taps, bands, parts)
    run_slots(team, _part, parts.shape[0], (x, dy, dw, work, copies, *tables))
    if splits > 1:
        run(team, _add_copies, max(1, dw.size // 16384), (dw, work, copies, splits))

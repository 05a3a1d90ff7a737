"""Correlation by the register tile: the loops of the forward pass and the data gradient.

Five loops around the tile, as in BLIS: parts (pixels and channels, over threads), groups, blocks of the
sum, panels of output channels, rows of pixels.  Per block of the sum the part's inputs stay in L2 and the
packed panel of weights passes through L1.  Padding is copied as zeros around the band a part reads, in the
thread's own scratch, so that the tile has no bounds to check.
"""

from __future__ import annotations

from ..._jit import inlined, jit, kernel, run_slots
from . import plan
from .finish import finish_pixels
from .simd import VECTOR_BYTES, copy_run, copy_vector, transpose_block, zero_run
from .tile import ADD, BIAS, LONE_ROWS, MIDDLE, ROWS, TAIL, VECTORS, ZERO, conv_tile


@jit
def fill_box(phase, group, box, x, out, at):
    """Copy a box of the source, a group's channels, into ``out[at:]``, zeros where there is no source.

    box: first and number of images, slices, rows and columns; of slices and rows each FILL_SLICES'th and
    FILL_ROWS'th, and in ``out`` they lie as the phase says.
    """
    inputs, channels, columns = phase[plan.INPUTS], phase[plan.IN_CHANNELS], phase[plan.IN_COLUMNS]
    rows, left, width = box[5], box[6], box[7]
    lo = min(max(-left, 0), width)
    hi = max(min(columns - left, width), lo)
    # nothing between rows or around them: one run
    joined = lo == 0 and hi == width == columns and inputs == channels and phase[plan.FILL_ROWS] == 1
    joined = joined and box[4] >= 0 and box[4] + rows <= phase[plan.IN_ROWS]
    for i in range(box[1]):
        for s in range(box[3]):
            place = at + i * phase[plan.FILL_IMAGE] + s * phase[plan.FILL_SLICE]
            slice_ = box[2] + s * phase[plan.FILL_SLICES]
            exists = slice_ >= 0 and slice_ < phase[plan.IN_SLICES]
            row0 = ((box[0] + i) * phase[plan.IN_SLICES] + slice_) * phase[plan.IN_ROWS]
            if exists and joined:
                copy_run(x, (row0 + box[4]) * columns * channels, out, place, rows * columns * channels)
                continue
            for r in range(rows):
                row = box[4] + r * phase[plan.FILL_ROWS]
                if not exists or row < 0 or row >= phase[plan.IN_ROWS]:
                    zero_run(out, place, width * inputs)
                else:
                    zero_run(out, place, lo * inputs)
                    start = ((row0 + row) * columns + left + lo) * channels + group * inputs
                    if inputs == channels:
                        copy_run(x, start, out, place + lo * inputs, (hi - lo) * inputs)
                    else:
                        for p in range(hi - lo):
                            copy_run(x, start + p * channels, out, place + (lo + p) * inputs, inputs)
                    zero_run(out, place + hi * inputs, (width - hi) * inputs)
                place += phase[plan.FILL_ROW]


@jit
def pad_box(phase, chore, x, work):
    """Copy a box of the source, with the zeros in it, to its place in the padded source."""
    fill_box(phase, chore[plan.CHORE_GROUP], chore[plan.CHORE_BOX0 :], x, work, chore[plan.CHORE_TO])


@jit
def locate(phase, group, piece, x, work, scratch):
    """Return where a piece's windows start, in x or work; what is read from scratch is copied there first."""
    if phase[plan.SOURCE] == plan.BAND:
        fill_box(phase, group, piece[plan.BOX0 :], x, work, scratch)
        return scratch
    return piece[plan.SOURCE0] + group * phase[plan.GROUP]


@inlined
def pack_row(source, start, valid, width, out, at):
    """Copy ``valid`` neighbouring numbers, zeros behind them up to ``width``, whole vectors."""
    lanes = VECTOR_BYTES // source.itemsize
    if valid >= width:
        for v in range(0, width, lanes):
            copy_vector(source, start + v, out, at + v)
    else:
        given, target = source[start : start + valid], out[at : at + width]
        for c in range(valid):
            target[c] = given[c]
        for c in range(valid, width):
            target[c] = 0


@jit
def _pack_rows(w, start, pitch, count, valid, width, out, at):
    """Copy ``count`` rows of ``valid`` neighbouring weights, ``pitch`` apart, zeros up to ``width``."""
    for i in range(count):
        pack_row(w, start + i * pitch, valid, width, out, at + i * width)


@jit
def pack_columns(w, start, pitch, count, valid, width, out, at):
    """Copy ``valid`` columns of ``count`` neighbouring weights, ``pitch`` apart, as rows: a transposition."""
    lanes = VECTOR_BYTES // w.itemsize
    for c0 in range(0, width, lanes):
        whole = count // lanes * lanes if c0 + lanes <= valid else 0
        for i in range(0, whole, lanes):
            transpose_block(w, start + c0 * pitch + i, pitch, out, at + i * width + c0, width)
        for c in range(c0, c0 + lanes):
            if c < valid:
                source = w[start + c * pitch : start + c * pitch + count]
                for i in range(whole, count):
                    out[at + i * width + c] = source[i]
            else:
                for i in range(whole, count):
                    out[at + i * width + c] = 0


@jit
def _pack_pixels(phase, weights, number, first, count, panel, width, w, out, at):
    """Pack ``count`` inputs' weights for the channels of each pixel of a block, zeros where none meet."""
    pixels, column0 = phase[plan.PIXELS], panel * VECTORS * (VECTOR_BYTES // w.itemsize)
    outputs = phase[plan.OUTPUTS] // pixels
    zero_run(out, at, count * width)
    for j in range(pixels):
        start = weights[number + j]
        if start >= 0:
            for c in range(outputs):
                column = j * outputs + c - column0
                if column >= 0 and column < width:
                    for i in range(count):
                        offset = (first + i) * phase[plan.W_INPUT] + c * phase[plan.W_OUTPUT]
                        out[at + i * width + column] = w[start + offset]


@jit
def _pack_block(phase, weights, block, group, panel, width, valid, w, out, at):
    """Pack one panel of one block of the sum: ``[taps][k][width]``."""
    lanes = VECTOR_BYTES // w.itemsize
    inputs, merged = phase[plan.INPUTS], phase[plan.TAPS_MERGED]
    w_input, w_output = phase[plan.W_INPUT], phase[plan.W_OUTPUT]
    base = group * phase[plan.W_GROUP] + panel * VECTORS * lanes * w_output
    for t in range(block[0], block[1]):
        k, end = block[2], block[2] + block[3]
        while k < end:
            tap, first = k // inputs, k % inputs
            count = min(inputs - first, end - k)
            number = phase[plan.WEIGHT0] + ((t - phase[plan.TAP0]) * merged + tap) * phase[plan.PIXELS]
            start = weights[number] + base + first * w_input
            if phase[plan.PIXELS] > 1:
                _pack_pixels(phase, weights, number, first, count, panel, width, w, out, at)
            elif w_output == 1:
                _pack_rows(w, start, w_input, count, valid, width, out, at)
            else:
                pack_columns(w, start, w_output, count, valid, width, out, at)
            at += count * width
            k += count


@jit
def _pack_panels(phase, weights, block, group, panel0, panel1, pitch, w, out, at):
    """Pack some neighbouring panels of one block of the sum, ``pitch`` apart."""
    lanes = VECTOR_BYTES // w.itemsize
    full, outputs = VECTORS * lanes, phase[plan.OUTPUTS]
    inputs, merged = phase[plan.INPUTS], phase[plan.TAPS_MERGED]
    if phase[plan.PIXELS] > 1 or phase[plan.W_OUTPUT] != 1 or outputs < panel1 * full:
        for panel in range(panel0, panel1):
            valid = outputs - panel * full
            width = panel_width(valid, lanes)
            to = at + (panel - panel0) * pitch
            _pack_block(phase, weights, block, group, panel, width, valid, w, out, to)
        return
    # Whole panels, side by side: read the kernel's rows in runs, as memory serves them best.
    base = group * phase[plan.W_GROUP] + panel0 * full
    for t in range(block[0], block[1]):
        k, end = block[2], block[2] + block[3]
        while k < end:
            tap, first = k // inputs, k % inputs
            count = min(inputs - first, end - k)
            number = phase[plan.WEIGHT0] + (t - phase[plan.TAP0]) * merged + tap
            start = weights[number] + base + first * phase[plan.W_INPUT]
            for _ in range(count):
                for panel in range(panel1 - panel0):
                    for v in range(0, full, lanes):
                        copy_vector(w, start + panel * full + v, out, at + panel * pitch + v)
                at += full
                start += phase[plan.W_INPUT]
            k += count


@jit
def panel_width(valid, lanes):
    """Return the width of a panel with ``valid`` output channels left: one vector where that is enough."""
    return lanes if valid <= lanes else VECTORS * lanes


@jit
def _chore(slot, part, parts, x, w, packed, work, phases, weights, blocks, chores):
    """Pack some panels of the kernel, or pad a box of the source."""
    chore = chores[part]
    lanes = VECTOR_BYTES // w.itemsize
    if chore[plan.CHORE] == plan.PACK_CHORE:
        group, panel0 = chore[plan.CHORE_GROUP], chore[plan.CHORE_PANEL]
        phase = phases[chore[plan.CHORE_PHASE]]
        full = VECTORS * lanes
        panels, whole = (phase[plan.OUTPUTS] + full - 1) // full, phase[plan.OUTPUTS] // full
        panel1 = min(panel0 + plan.PACKED_PANELS, panels)
        pitch = phase[plan.PACKED_K] * full
        at = phase[plan.PACKED0] + (group * panels + panel0) * pitch
        for b in range(phase[plan.BLOCK0], phase[plan.BLOCK1]):
            block, last = blocks[b], min(panel1, whole)
            _pack_panels(phase, weights, block, group, panel0, last, pitch, w, packed, at + block[4] * full)
            if last < panel1:  # one that may be narrower
                valid = phase[plan.OUTPUTS] - last * full
                width = panel_width(valid, lanes)
                to = at + (last - panel0) * pitch + block[4] * width
                _pack_block(phase, weights, block, group, last, width, valid, w, packed, to)
    else:
        pad_box(phases[0], chore, x, work)


@inlined
def sweep(vectors, x, x0, pixels, first, end, taps, block, w, w0, y, y0, places, bias, b0, mode, valid):
    """One panel, so many vectors wide, over some pixels of a part."""
    m = first
    while end - m >= ROWS:
        conv_tile(
            ROWS, vectors, x, x0, pixels, m, end, taps, block[0], block[1], block[3], w, w0, y, y0, places,
            bias, b0, mode, valid,
        )  # fmt: skip
        m += ROWS
    while end - m > TAIL:
        conv_tile(
            MIDDLE, vectors, x, x0, pixels, m, end, taps, block[0], block[1], block[3], w, w0, y, y0, places,
            bias, b0, mode, valid,
        )  # fmt: skip
        m += MIDDLE
    while m < end:
        conv_tile(
            TAIL, vectors, x, x0, pixels, m, end, taps, block[0], block[1], block[3], w, w0, y, y0, places,
            bias, b0, mode, valid,
        )  # fmt: skip
        m += TAIL


@inlined
def sweep_lone(x, x0, pixels, first, end, taps, block, w, w0, y, y0, places, bias, b0, mode, valid):
    """One panel of one vector over some pixels of a part: twice the rows take as many registers."""
    m = first
    while end - m >= LONE_ROWS:
        conv_tile(
            LONE_ROWS, 1, x, x0, pixels, m, end, taps, block[0], block[1], block[3], w, w0, y, y0, places,
            bias, b0, mode, valid,
        )  # fmt: skip
        m += LONE_ROWS
    sweep(1, x, x0, pixels, m, end, taps, block, w, w0, y, y0, places, bias, b0, mode, valid)


@jit
def _finish_strip(y, y0, places, m0, m1, count, channel, finish):
    """Finish ``count`` neighbouring channels of pixels m0 .. m1 - 1; those side by side are one run."""
    m = m0
    while m < m1:
        run = 1
        while m + run < m1 and places[m + run] - places[m + run - 1] == count:
            run += 1
        finish_pixels(y, y0 + places[m], run, count, count, channel, *finish[1:])
        m += run


@jit
def _part(
    slot, part, parts, x, w, bias, y, packed, work, finish, phases, pixels, places, taps, weights, blocks,
    table
):  # fmt: skip
    """Compute one part: a band of pixels, for some groups and panels."""
    row = table[part]
    phase = phases[row[plan.PHASE]]
    lanes = VECTOR_BYTES // w.itemsize
    full, outputs = VECTORS * lanes, phase[plan.OUTPUTS]
    panels = (outputs + full - 1) // full
    first = phase[plan.TABLE0]
    end = first + row[plan.COUNT]
    scratch = phase[plan.SLOTS0] + slot * phase[plan.SLOT]
    panel0, panel1 = row[plan.PANEL0], row[plan.PANEL1]
    inside = phase[plan.PANEL] >= 0
    kernel = work if inside else packed
    for group in range(row[plan.GROUP0], row[plan.GROUP1]):
        x0 = locate(phase, group, row, x, work, scratch)
        source = x if phase[plan.SOURCE] == plan.STRAIGHT else work
        y0 = row[plan.PLACE0] + group * outputs
        for b in range(phase[plan.BLOCK0], phase[plan.BLOCK1]):
            block = blocks[b]
            mode = ADD
            if b == phase[plan.BLOCK0]:
                mode = BIAS if bias.size else ZERO
            for m0 in range(first, end, phase[plan.STRIP]):
                m1 = min(m0 + phase[plan.STRIP], end)
                for panel in range(panel0, panel1):
                    c0 = panel * full
                    valid = outputs - c0
                    width = panel_width(valid, lanes)
                    if inside:
                        near = (panel - panel0) % plan.PACKED_PANELS
                        pitch = phase[plan.PANEL_PITCH]
                        at = scratch + phase[plan.PANEL]
                        if near == 0:
                            last = min(panel + plan.PACKED_PANELS, panel1)
                            _pack_panels(phase, weights, block, group, panel, last, pitch, w, work, at)
                        at += near * pitch
                    else:
                        at = phase[plan.PACKED0] + (group * panels + panel) * phase[plan.PACKED_K] * full
                        at += block[4] * width
                    b0, source0, column0 = group * outputs + c0, x0 + block[2], y0 + c0
                    if width > lanes:
                        sweep(
                            VECTORS, source, source0, pixels, m0, m1, taps, block, kernel, at, y, column0,
                            places, bias, b0, mode, valid,
                        )  # fmt: skip
                    else:
                        sweep_lone(
                            source, source0, pixels, m0, m1, taps, block, kernel, at, y, column0, places,
                            bias, b0, mode, valid,
                        )  # fmt: skip
                if finish[0] and b == phase[plan.BLOCK1] - 1:
                    c0 = panel0 * full
                    count = min(panel1 * full, outputs) - c0
                    _finish_strip(y, y0 + c0, places, m0, m1, count, group * outputs + c0, finish)


@kernel
def correlate(
    team, x, w, bias, y, packed, work, finish, phases, pixels, places, taps, weights, blocks, parts, chores
):  # fmt: skip
    """``y[p, c] = bias[c] + sum of x * w`` over the windows of a plan; all arrays but tables are flat.

    Reads x and w whole, bias if it has elements, writes every element of y.  packed takes the packed kernel,
    or holds it where no chore packs it; work is scratch.  finish: whether to, and what `finish_pixels` takes.
    """
    run_slots(team, _chore, chores.shape[0], (x, w, packed, work, phases, weights, blocks, chores))
    tables = (phases, pixels, places, taps, weights, blocks, parts)
    run_slots(team, _part, parts.shape[0], (x, w, bias, y, packed, work, finish, *tables))

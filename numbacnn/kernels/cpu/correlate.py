"""Correlation by the register tile: the loops of the forward pass and the data gradient.

Five loops around the tile, as in BLIS: parts (pixels and channels, over threads), groups, blocks of the
sum, panels of output channels, rows of pixels.  Per block of the sum the part's inputs stay in L2 and the
packed panel of weights passes through L1.  Padding is copied as zeros around the band a part reads, in the
thread's own scratch, so that the tile has no bounds to check.
"""

from __future__ import annotations

from ..._jit import inlined, jit, kernel, run_slots
from . import plan
from .simd import VECTOR_BYTES, copy_run, copy_vector, transpose_block, zero_run
from .tile import ADD, BIAS, ROWS, TAIL, VECTORS, ZERO, conv_tile


@jit
def fill_band(phase, group, image0, images, top, rows, x, out, at):
    """Copy ``rows`` rows of some images from row ``top`` on into ``out[at:]``, zeros where there are none.

    Columns start at FILL_LEFT, FILL_WIDTH of them; of the channels those of one group.
    """
    inputs, width, channels = phase[plan.INPUTS], phase[plan.FILL_WIDTH], phase[plan.IN_CHANNELS]
    height, columns = phase[plan.IN_ROWS], phase[plan.IN_COLUMNS]
    left = phase[plan.FILL_LEFT]
    if left == 0 and width == columns and inputs == channels and top >= 0 and top + rows <= height:
        for i in range(image0, image0 + images):  # nothing between rows or around them: one run
            copy_run(x, (i * height + top) * columns * channels, out, at, rows * columns * channels)
            at += rows * columns * channels
        return
    lo = min(max(-left, 0), width)
    hi = max(min(columns - left, width), lo)
    for i in range(image0, image0 + images):
        for r in range(top, top + rows):
            if r < 0 or r >= height:
                zero_run(out, at, width * inputs)
                at += width * inputs
                continue
            zero_run(out, at, lo * inputs)
            start = ((i * height + r) * columns + left + lo) * channels + group * inputs
            if inputs == channels:
                copy_run(x, start, out, at + lo * inputs, (hi - lo) * inputs)
            else:
                for p in range(hi - lo):
                    copy_run(x, start + p * channels, out, at + (lo + p) * inputs, inputs)
            zero_run(out, at + hi * inputs, (width - hi) * inputs)
            at += width * inputs


@jit
def pad_image(phase, group, image, x, work):
    """Copy one image's group of channels, with zeros around it, to its place in the padded source."""
    at = phase[plan.FILL_PADDED0] + group * phase[plan.GROUP] + image * phase[plan.IMAGE]
    fill_band(phase, group, image, 1, phase[plan.FILL_TOP], phase[plan.FILL_HEIGHT], x, work, at)


@jit
def locate(phase, group, image, images, row0, rows, x, work, scratch):
    """Return where a band's windows start, in x or work; a band read from scratch is copied there first."""
    x0 = phase[plan.SOURCE0]
    if phase[plan.SOURCE] == plan.BAND:
        top = phase[plan.FILL_TOP] + row0 * phase[plan.FILL_STRIDE]
        height = (rows - 1) * phase[plan.FILL_STRIDE] + phase[plan.FILL_SPAN]
        fill_band(phase, group, image, images, top, height, x, work, scratch)
        return x0 + scratch
    return x0 + group * phase[plan.GROUP] + image * phase[plan.IMAGE] + row0 * phase[plan.ROW]


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
def panel_width(valid, lanes):
    """Return the width of a panel with ``valid`` output channels left: one vector where that is enough."""
    return lanes if valid <= lanes else VECTORS * lanes


@jit
def _chore(slot, part, parts, x, w, work, phases, weights, blocks, chores):
    """Pack a panel of the kernel, or pad one image of the source."""
    kind, number, group, panel = chores[part]
    lanes = VECTOR_BYTES // w.itemsize
    if kind == plan.PACK_CHORE:
        phase = phases[number]
        full = VECTORS * lanes
        panels = (phase[plan.OUTPUTS] + full - 1) // full
        valid = phase[plan.OUTPUTS] - panel * full
        width = panel_width(valid, lanes)
        at = phase[plan.PACKED0] + (group * panels + panel) * phase[plan.PACKED_K] * full
        for b in range(phase[plan.BLOCK0], phase[plan.BLOCK1]):
            before = at + blocks[b, 4] * width
            _pack_block(phase, weights, blocks[b], group, panel, width, valid, w, work, before)
    else:
        pad_image(phases[0], group, number, x, work)


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
    while m < end:
        conv_tile(
            TAIL, vectors, x, x0, pixels, m, end, taps, block[0], block[1], block[3], w, w0, y, y0, places,
            bias, b0, mode, valid,
        )  # fmt: skip
        m += TAIL


@jit
def _part(slot, part, parts, x, w, bias, y, work, phases, pixels, places, taps, weights, blocks, table):
    """Compute one part: a band of pixels, for some groups and panels."""
    row = table[part]
    phase = phases[row[plan.PHASE]]
    image, images, row0, rows = row[plan.IMAGE0], row[plan.IMAGES], row[plan.ROW0], row[plan.ROWS_]
    lanes = VECTOR_BYTES // w.itemsize
    full = VECTORS * lanes
    outputs = phase[plan.OUTPUTS]
    panels = (outputs + full - 1) // full
    first = phase[plan.TABLE0]
    end = first + images * rows * phase[plan.COLUMNS]
    scratch = phase[plan.SLOTS0] + slot * phase[plan.SLOT]
    strips = (end - first + phase[plan.STRIP] - 1) // phase[plan.STRIP]
    panel0, panel1 = row[plan.PANEL0], row[plan.PANEL1]
    for group in range(row[plan.GROUP0], row[plan.GROUP1]):
        x0 = locate(phase, group, image, images, row0, rows, x, work, scratch)
        source = x if phase[plan.SOURCE] == plan.STRAIGHT else work
        y0 = phase[plan.OUT0] + image * phase[plan.OUT_IMAGE] + row0 * phase[plan.OUT_ROW] + group * outputs
        for b in range(phase[plan.BLOCK0], phase[plan.BLOCK1]):
            block = blocks[b]
            mode = ADD
            if b == phase[plan.BLOCK0]:
                mode = BIAS if bias.size else ZERO
            for item in range(strips * (panel1 - panel0)):
                strip, panel = item // (panel1 - panel0), panel0 + item % (panel1 - panel0)
                m0 = first + strip * phase[plan.STRIP]
                m1 = min(m0 + phase[plan.STRIP], end)
                c0 = panel * full
                valid = outputs - c0
                width = panel_width(valid, lanes)
                if phase[plan.PANEL] >= 0:
                    at = scratch + phase[plan.PANEL]
                    _pack_block(phase, weights, block, group, panel, width, valid, w, work, at)
                else:
                    at = (
                        phase[plan.PACKED0]
                        + (group * panels + panel) * phase[plan.PACKED_K] * full
                        + block[4] * width
                    )
                b0 = group * outputs + c0
                source0, column0 = x0 + block[2], y0 + c0
                if width > lanes:
                    sweep(
                        VECTORS, source, source0, pixels, m0, m1, taps, block, work, at, y, column0, places,
                        bias, b0, mode, valid,
                    )  # fmt: skip
                else:
                    sweep(
                        1, source, source0, pixels, m0, m1, taps, block, work, at, y, column0, places, bias,
                        b0, mode, valid,
                    )  # fmt: skip


@kernel
def correlate(team, x, w, bias, y, work, phases, pixels, places, taps, weights, blocks, parts, chores):
    """``y[p, c] = bias[c] + sum of x * w`` over the windows of a plan; all arrays but tables are flat.

    Reads x and w whole, bias if it has elements, writes every element of y; work is scratch.
    """
    run_slots(team, _chore, chores.shape[0], (x, w, work, phases, weights, blocks, chores))
    tables = (phases, pixels, places, taps, weights, blocks, parts)
    run_slots(team, _part, parts.shape[0], (x, w, bias, y, work, *tables))

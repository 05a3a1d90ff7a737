"""The weight gradient of small kernels of stride 1 by Winograd's method, transposed.

``dg = G' [sum over tiles of (B' d B) * (A dy A')] G``: the forward pass's transforms turned around (Lavin and
Gray, arXiv:1509.09308, section 4; each step is linear, so its transpose gives the gradient).  For each of the
points the sum over tiles is an outer product by the register tile.
"""

from __future__ import annotations

from ..._jit import jit, kernel, run_slots
from . import winograd_outer_plan as outer_plan
from . import winograd_plan as plan
from .simd import VECTOR_BYTES, zero_run
from .tile import ADD, MIDDLE, ROWS, VECTORS, ZERO, outer_tile
from .transforms import KERNEL_TURNED, OUTPUTS_TURNED, pass_line, write_line
from .winograd import read_columns, strip, transform_inputs


@jit
def _transform_gradient(
    fh, fw, s, h, columns, column0, tiles, dy, y0, work, at, y_tile, step, y_panel, scratch
):  # fmt: skip
    """Write ``A dy A'`` of a strip of tiles: point e of tile t to ``work[at + t y_tile + e step :]``."""
    m, channels = s[plan.M_W], s[plan.OUTPUTS]
    width = VECTORS * (VECTOR_BYTES // work.itemsize)
    square, blank = scratch + s[plan.SQUARE0], scratch + s[plan.SPARE0]
    row, column = s[plan.DILATION_H] * s[plan.Y_ROW], s[plan.DILATION_W] * s[plan.Y_COLUMN]
    y0 += h[plan.OUT0] * s[plan.Y_ROW] + columns[column0, plan.OUT0] * s[plan.Y_COLUMN]
    pixels, last = tiles * m, (tiles - 1) * m + columns[column0 + tiles - 1, plan.VALID]
    zero_run(work, blank, plan.RUN)
    for c in range(0, channels, plan.CHANNELS):
        count = min(plan.CHANNELS, channels - c)
        pitch, high = s[plan.Y_PITCH], h[plan.VALID]
        joined = pitch == count == column
        rows = (pixels * pitch // width + 2) * width
        read_columns(
            OUTPUTS_TURNED, fh, dy, y0 + c, row, column, 0, high, 0, last, count, joined, pitch, rows, work,
            square, blank,
        )  # fmt: skip
        panels = (count + width - 1) // width
        for i in range(s[plan.POINTS_H]):
            zero_run(work, square + i * rows + last * pitch, (pixels - last) * pitch)
        for i in range(s[plan.POINTS_H]):
            for t in range(tiles):
                source, to = square + i * rows + t * m * pitch, at + t * y_tile + c // width * y_panel
                to += i * s[plan.POINTS_W] * step
                pass_line(OUTPUTS_TURNED, fw, work, source, pitch, work, to, step, y_panel, panels)


@jit
def _restore_kernel(fh, fw, s, input_, channels, work, at, dw, dw0, scratch):
    """Write ``G' S G`` of one input, some neighbouring outputs, to the taps of the gradient."""
    width = VECTORS * (VECTOR_BYTES // work.itemsize)
    square, spare = scratch + s[plan.SQUARE0], scratch + s[plan.SPARE0]
    points, pitch, step = s[plan.POINTS_W], s[plan.POINTS_W] * plan.CHANNELS, s[outer_plan.S_STEP]
    taps, tap = s[plan.TAPS_W], s[plan.W_TAP]
    depth, input_ = input_ // s[plan.TAP_INPUTS], input_ % s[plan.TAP_INPUTS]
    if input_ >= s[plan.INPUTS]:
        return  # between two taps of depth
    dw0 += depth * s[plan.W_SLICE] + input_ * s[plan.W_INPUT]
    for c in range(0, channels, plan.CHANNELS):
        count = min(plan.CHANNELS, channels - c)
        panels = (count + width - 1) // width
        for j in range(points):
            first, to = at + c + j * step, square + j * plan.CHANNELS
            pass_line(KERNEL_TURNED, fh, work, first, points * step, work, to, pitch, width, panels)
        for i in range(s[plan.TAPS_H]):
            first, to = square + i * pitch, dw0 + i * taps * tap + c
            write_line(KERNEL_TURNED, fw, work, first, plan.CHANNELS, dw, to, tap, taps, work, spare, count)


@jit
def _transform_part(slot, part, parts, fh, fw, x, dy, work, s, rows, columns, table, tile0):
    """Transform some tiles of a chunk, which begins at tile0: ``[point][panel][tile][width]``."""
    group, first, end = table[part]
    width = VECTORS * (VECTOR_BYTES // work.itemsize)
    y_panel, scratch = s[plan.TILES] * width, s[plan.SLOTS0] + slot * s[plan.SLOT]
    v0, g0 = s[plan.V0] + group * s[plan.V_GROUP], s[outer_plan.G0] + group * s[outer_plan.G_GROUP]
    t, pitch = tile0 + first, max(s[plan.X_PITCH], s[plan.Y_PITCH])
    last = min(tile0 + end, s[outer_plan.ALL_TILES])
    while t < last:
        image, row, column, count = strip(s, columns, t, last, pitch)
        at = (t - tile0) * width
        transform_inputs(
            fh, fw, s, rows[row], columns, column, count, image, group, x, work, v0 + at, width,
            s[plan.V_STEP], y_panel, scratch,
        )  # fmt: skip
        y0 = image * s[plan.Y_IMAGE] + group * s[plan.OUTPUTS]
        _transform_gradient(
            fh, fw, s, rows[row], columns, column, count, dy, y0, work, g0 + at, width, s[outer_plan.G_STEP],
            y_panel, scratch,
        )  # fmt: skip
        t += count


@jit
def _outer(work, v0, pixels, count, shifts, g0, s0, pitch, mode):
    """``S[i, c] (+)= sum over tiles t of V[t, i] G[t, c]`` for a panel of inputs and one of outputs."""
    width = VECTORS * (VECTOR_BYTES // work.itemsize)
    row = 0
    while width - row >= ROWS:
        outer_tile(
            ROWS, VECTORS, True, work, v0, pixels, 0, count, shifts, row, width, work, g0, work, s0, pitch,
            mode, width,
        )  # fmt: skip
        row += ROWS
    while row < width:
        outer_tile(
            MIDDLE, VECTORS, False, work, v0, pixels, 0, count, shifts, row, width, work, g0, work, s0, pitch,
            mode, width,
        )  # fmt: skip
        row += MIDDLE


@jit
def _products_part(slot, part, parts, fh, fw, dw, work, s, pixels, shifts, table, tile0):
    """Add the outer products of a chunk's tiles at some points for some panels of inputs and outputs."""
    group, e0, e1, in0, in1, out0, out1 = table[part]
    width = VECTORS * (VECTOR_BYTES // work.itemsize)
    kept = s[outer_plan.CHUNKS] > 1
    scratch = s[plan.SLOTS0] + slot * s[plan.SLOT]
    v0, g0 = s[plan.V0] + group * s[plan.V_GROUP], s[outer_plan.G0] + group * s[outer_plan.G_GROUP]
    if kept:
        s0, first_in, first_out = s[outer_plan.S0] + group * s[outer_plan.S_GROUP], 0, 0
    else:
        s0, first_in, first_out = scratch + s[outer_plan.BLOCK0], in0, out0
    count, mode = min(s[plan.TILES], s[outer_plan.ALL_TILES] - tile0), ZERO if tile0 == 0 else ADD
    y_panel, pitch = s[plan.TILES] * width, s[outer_plan.S_PITCH]
    for e in range(e0, e1):
        for i in range(in0, in1):
            for o in range(out0, out1):
                at = s0 + e * s[outer_plan.S_STEP] + (i - first_in) * width * pitch + (o - first_out) * width
                _outer(
                    work, v0 + e * s[plan.V_STEP] + i * y_panel, pixels, count, shifts,
                    g0 + e * s[outer_plan.G_STEP] + o * y_panel, at, pitch, mode,
                )  # fmt: skip
    if not kept:
        channels = min(out1 * width, s[plan.OUTPUTS]) - out0 * width
        dw0 = group * s[plan.W_GROUP] + out0 * width
        for i in range(in0 * width, min(in1 * width, s[plan.SUMMED])):
            at = s0 + (i - in0 * width) * pitch
            _restore_kernel(fh, fw, s, i, channels, work, at, dw, dw0, scratch)


@jit
def _results_part(slot, part, parts, fh, fw, dw, work, s, table):
    """Transform the sums of some inputs back."""
    group, first, end = table[part]
    s0, scratch = s[outer_plan.S0] + group * s[outer_plan.S_GROUP], s[plan.SLOTS0] + slot * s[plan.SLOT]
    for i in range(first, end):
        at, dw0 = s0 + i * s[outer_plan.S_PITCH], group * s[plan.W_GROUP]
        _restore_kernel(fh, fw, s, i, s[plan.OUTPUTS], work, at, dw, dw0, scratch)


@kernel
def winograd_outer(
    team, x, dy, dw, work, fh, fw, s, rows, columns, pixels, shifts, transforms, products, results
):  # fmt: skip
    """``dw[t, k, c] = sum over pixels of x[p + t, k] * dy[p, c]`` by a plan; all arrays but tables are flat.

    Reads x and dy whole, writes every element of dw; work is scratch.  fh, fw: literals.
    """
    for chunk in range(s[outer_plan.CHUNKS]):
        tile0 = chunk * s[plan.TILES]
        run_slots(
            team, _transform_part, transforms.shape[0],
            (fh, fw, x, dy, work, s, rows, columns, transforms, tile0),
        )  # fmt: skip
        run_slots(
            team, _products_part, products.shape[0], (fh, fw, dw, work, s, pixels, shifts, products, tile0)
        )
    run_slots(team, _results_part, results.shape[0], (fh, fw, dw, work, s, results))

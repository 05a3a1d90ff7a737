"""Winograd's convolution for 3 by 3 kernels of stride 1: forward pass and data gradient.

``Y = A' [sum over channels of (G g G') * (B' d B)] A`` for tiles of m by m outputs (Lavin and Gray,
arXiv:1509.09308): F(4 x 4, 3 x 3) takes 36 products where the direct method takes 144.  For each of the
(m + 2)^2 points the products of all tiles and channels are one matrix product, by the register tile.
"""

from __future__ import annotations

from ..._jit import inlined, jit, kernel, run_slots
from . import winograd_plan as plan
from .finish import finish_run
from .simd import VECTOR_BYTES, transpose_block, zero_run
from .tile import ADD, MIDDLE, ROWS, TAIL, VECTORS, ZERO, conv_tile
from .transforms import (
    INPUTS2,
    INPUTS4,
    KERNEL2,
    KERNEL4,
    OUTPUTS2,
    OUTPUTS4,
    pass_line,
    read_line,
    write_line,
)


@jit
def place(s, rows, columns, tile):
    """Return a tile's image and its rows of the tables."""
    in_image = s[plan.TILES_H] * s[plan.TILES_W]
    image, rest = tile // in_image, tile % in_image
    return image, rows[rest // s[plan.TILES_W]], columns[rest % s[plan.TILES_W]]


@jit
def transform_inputs(s, h, w, x, x0, work, at, step, y_panel, scratch):
    """Write ``B' d B`` of a tile: point e to ``work[at + e step :]``, panels of channels y_panel apart."""
    m, channels = s[plan.M], s[plan.INPUTS]
    width = VECTORS * (VECTOR_BYTES // work.itemsize)
    square, blank = scratch + s[plan.SQUARE0], scratch + s[plan.SPARE0]
    row, column = s[plan.DILATION_H] * s[plan.X_ROW], s[plan.DILATION_W] * s[plan.X_COLUMN]
    pitch = (m + 2) * plan.CHANNELS
    x0 += h[plan.SOURCE0] * s[plan.X_ROW] + w[plan.SOURCE0] * s[plan.X_COLUMN]
    zero_run(work, blank, plan.CHANNELS)
    for c in range(0, channels, plan.CHANNELS):
        count = min(plan.CHANNELS, channels - c)
        for j in range(m + 2):
            low, high = h[plan.LOW], h[plan.HIGH]
            if j < w[plan.LOW] or j >= w[plan.HIGH]:
                low = high
            first, to = x0 + c + j * column, square + j * plan.CHANNELS
            if m == 4:
                read_line(INPUTS4, x, first, row, low, high, work, blank, work, to, pitch, count)
            else:
                read_line(INPUTS2, x, first, row, low, high, work, blank, work, to, pitch, count)
        panels = (count + width - 1) // width
        for i in range(m + 2):
            first, to = square + i * pitch, at + c // width * y_panel + i * (m + 2) * step
            if m == 4:
                pass_line(INPUTS4, work, first, plan.CHANNELS, work, to, step, y_panel, panels)
            else:
                pass_line(INPUTS2, work, first, plan.CHANNELS, work, to, step, y_panel, panels)


@jit
def _restore_outputs(s, h, w, work, at, step, bias, b0, y, y0, finish, scratch):
    """Write ``A' M A + bias`` of a tile, finished; point e's sums are at ``work[at + e step :]``."""
    m, channels = s[plan.M], s[plan.OUTPUTS]
    width = VECTORS * (VECTOR_BYTES // work.itemsize)
    square, spare = scratch + s[plan.SQUARE0], scratch + s[plan.SPARE0]
    row, column = s[plan.DILATION_H] * s[plan.Y_ROW], s[plan.DILATION_W] * s[plan.Y_COLUMN]
    pitch = (m + 2) * plan.CHANNELS
    y0 += h[plan.OUT0] * s[plan.Y_ROW] + w[plan.OUT0] * s[plan.Y_COLUMN]
    for c in range(0, channels, plan.CHANNELS):
        count = min(plan.CHANNELS, channels - c)
        panels = (count + width - 1) // width
        for j in range(m + 2):
            first, to = at + c + j * step, square + j * plan.CHANNELS
            if m == 4:
                pass_line(OUTPUTS4, work, first, (m + 2) * step, work, to, pitch, width, panels)
            else:
                pass_line(OUTPUTS2, work, first, (m + 2) * step, work, to, pitch, width, panels)
        for i in range(h[plan.VALID]):
            first, to, end = square + i * pitch, y0 + i * row + c, w[plan.VALID]
            if m == 4:
                write_line(
                    OUTPUTS4, work, first, plan.CHANNELS, bias, b0 + c, y, to, column, end, work, spare, count
                )
            else:
                write_line(
                    OUTPUTS2, work, first, plan.CHANNELS, bias, b0 + c, y, to, column, end, work, spare, count
                )
    if finish[0]:
        for i in range(h[plan.VALID]):
            for j in range(w[plan.VALID]):
                finish_run(y, y0 + i * row + j * column, channels, b0, *finish[1:])


@inlined
def _kernel_lines(s, w, first, row, column, count, work, square, pitch, out, at, step):
    """Write ``G g G'`` of ``count`` neighbouring numbers at each tap, point e to ``out[at + e step :]``."""
    m, width = s[plan.M], VECTORS * (VECTOR_BYTES // work.itemsize)
    panels = pitch // width
    for j in range(3):
        start, to = first + j * column, square + j * pitch
        if m == 4:
            read_line(KERNEL4, w, start, row, 0, 3, w, 0, work, to, 3 * pitch, count)
        else:
            read_line(KERNEL2, w, start, row, 0, 3, w, 0, work, to, 3 * pitch, count)
    for i in range(m + 2):
        start, to = square + 3 * i * pitch, at + i * (m + 2) * step
        if m == 4:
            pass_line(KERNEL4, work, start, pitch, out, to, step, width, panels)
        else:
            pass_line(KERNEL2, work, start, pitch, out, to, step, width, panels)


@jit
def _transform_kernel(s, group, panel, k0, k1, w, out, at, work, scratch):
    """Write a panel of the transformed kernel for inputs k0 .. k1 - 1: ``[point][k][width]``."""
    lanes = VECTOR_BYTES // work.itemsize
    width = VECTORS * lanes
    square = scratch + s[plan.SQUARE0]
    tap, step = s[plan.W_TAP], s[plan.U_STEP]
    first = group * s[plan.W_GROUP] + k0 * s[plan.W_INPUT] + panel * width * s[plan.W_OUTPUT]
    valid = min(width, s[plan.OUTPUTS] - panel * width)
    if not s[plan.TURNED]:
        for k in range(k1 - k0):
            start = first + k * s[plan.W_INPUT]
            _kernel_lines(s, w, start, 3 * tap, tap, valid, work, square, width, out, at + k * width, step)
        return
    # The data gradient turns the kernel, and its outputs lie across: lines along the inputs, transposed.
    first += 8 * tap
    points, count = (s[plan.M] + 2) ** 2, k1 - k0
    pitch = (count + width - 1) // width * width
    stage = scratch + s[plan.STAGE0]
    for v in range(0, width, lanes):
        for c in range(lanes):
            to = stage + c * pitch
            if v + c < valid:
                start = first + (v + c) * s[plan.W_OUTPUT]
                _kernel_lines(
                    s, w, start, -3 * tap, -tap, count, work, square, pitch, work, to, lanes * pitch
                )
            else:
                for e in range(points):
                    zero_run(work, to + e * lanes * pitch, pitch)
        for e in range(points):
            for k in range(0, count, lanes):
                transpose_block(
                    work, stage + e * lanes * pitch + k, pitch, out, at + e * step + k * width + v, width
                )


@jit
def multiply(pixels, places, count, k, work, v0, u, u0, m0, taps, mode):
    """``M[t, c] (+)= sum over k of V[t, k] U[k, c]`` for a panel of outputs, all tiles t of a block."""
    valid = VECTORS * (VECTOR_BYTES // work.itemsize)
    t = 0
    while count - t >= ROWS:
        conv_tile(
            ROWS, VECTORS, work, v0, pixels, t, count, taps, 0, 1, k, u, u0, work, m0, places, work, 0,
            mode, valid,
        )  # fmt: skip
        t += ROWS
    while count - t > TAIL:
        conv_tile(
            MIDDLE, VECTORS, work, v0, pixels, t, count, taps, 0, 1, k, u, u0, work, m0, places, work, 0,
            mode, valid,
        )  # fmt: skip
        t += MIDDLE
    while t < count:
        conv_tile(
            TAIL, VECTORS, work, v0, pixels, t, count, taps, 0, 1, k, u, u0, work, m0, places, work, 0,
            mode, valid,
        )  # fmt: skip
        t += TAIL


@jit
def _chore(slot, part, parts, w, packed, work, s, chores):
    """Transform a part of the kernel beforehand."""
    group, panel, k0, k1 = chores[part]
    width = VECTORS * (VECTOR_BYTES // work.itemsize)
    at = group * s[plan.KERNEL_GROUP] + (panel * s[plan.K_PITCH] + k0) * width
    _transform_kernel(s, group, panel, k0, k1, w, packed, at, work, s[plan.SLOTS0] + slot * s[plan.SLOT])


@jit
def _block(slot, part, parts, x, bias, y, packed, work, finish, s, rows, columns, pixels, places, table):
    """Compute a block of tiles: transform, multiply, transform back."""
    group, first, end = table[part]
    width = VECTORS * (VECTOR_BYTES // work.itemsize)
    scratch = s[plan.SLOTS0] + slot * s[plan.SLOT]
    count = end - first
    v0, m0 = scratch + s[plan.V0], scratch + s[plan.M0]
    v_step, m_step = s[plan.V_STEP], s[plan.M_STEP]
    for t in range(count):
        image, h, w = place(s, rows, columns, first + t)
        x0 = image * s[plan.X_IMAGE] + group * s[plan.INPUTS]
        transform_inputs(s, h, w, x, x0, work, v0 + t * s[plan.IN_PITCH], v_step, width, scratch)
    u0 = group * s[plan.KERNEL_GROUP]
    for e in range((s[plan.M] + 2) ** 2):
        for panel in range(s[plan.PANELS]):
            multiply(
                pixels, places, count, s[plan.INPUTS], work, v0 + e * v_step, packed,
                u0 + e * s[plan.U_STEP] + panel * s[plan.K_PITCH] * width, m0 + e * m_step + panel * width,
                pixels[:1], ZERO,
            )  # fmt: skip
    for t in range(count):
        image, h, w = place(s, rows, columns, first + t)
        y0, b0 = image * s[plan.Y_IMAGE] + group * s[plan.OUTPUTS], group * s[plan.OUTPUTS]
        _restore_outputs(s, h, w, work, m0 + t * s[plan.OUT_PITCH], m_step, bias, b0, y, y0, finish, scratch)


@jit
def _inputs_part(slot, part, parts, x, work, s, rows, columns, table):
    """Transform the inputs of some of all tiles."""
    group, first, end = table[part]
    width = VECTORS * (VECTOR_BYTES // work.itemsize)
    v_step, scratch = s[plan.V_STEP], s[plan.SLOTS0] + slot * s[plan.SLOT]
    for t in range(first, end):
        image, h, w = place(s, rows, columns, t)
        x0 = image * s[plan.X_IMAGE] + group * s[plan.INPUTS]
        at = s[plan.V0] + group * s[plan.V_GROUP] + t * s[plan.IN_PITCH]
        transform_inputs(s, h, w, x, x0, work, at, v_step, width, scratch)


@jit
def _panels_part(slot, part, parts, w, work, s, pixels, places, table):
    """Multiply all tiles by some panels of the kernel, transformed block after block just before."""
    group, _, _, panel0, panel1 = table[part]
    width = VECTORS * (VECTOR_BYTES // work.itemsize)
    scratch = s[plan.SLOTS0] + slot * s[plan.SLOT]
    u0 = scratch + s[plan.PANEL0]
    v0, m0 = s[plan.V0] + group * s[plan.V_GROUP], s[plan.M0] + group * s[plan.M_GROUP]
    v_step, m_step = s[plan.V_STEP], s[plan.M_STEP]
    for panel in range(panel0, panel1):
        for k0 in range(0, s[plan.INPUTS], s[plan.K_BLOCK]):
            k1 = min(k0 + s[plan.K_BLOCK], s[plan.INPUTS])
            mode = ZERO if k0 == 0 else ADD
            _transform_kernel(s, group, panel, k0, k1, w, work, u0, work, scratch)
            for e in range((s[plan.M] + 2) ** 2):
                multiply(
                    pixels, places, s[plan.TILES], k1 - k0, work, v0 + e * v_step + k0, work,
                    u0 + e * s[plan.U_STEP], m0 + e * m_step + panel * width, pixels[:1], mode,
                )  # fmt: skip


@jit
def _points_part(slot, part, parts, packed, work, s, pixels, places, table):
    """Multiply all tiles at some points by some panels of the kernel, chunks of tiles that stay in L2."""
    group, e0, e1, panel0, panel1 = table[part]
    width = VECTORS * (VECTOR_BYTES // work.itemsize)
    v0, m0 = s[plan.V0] + group * s[plan.V_GROUP], s[plan.M0] + group * s[plan.M_GROUP]
    for e in range(e0, e1):
        u0 = group * s[plan.KERNEL_GROUP] + e * s[plan.U_STEP]
        for t in range(0, s[plan.TILES], s[plan.CHUNK]):
            count = min(s[plan.CHUNK], s[plan.TILES] - t)
            v, m = (
                v0 + e * s[plan.V_STEP] + t * s[plan.IN_PITCH],
                m0 + e * s[plan.M_STEP] + t * s[plan.OUT_PITCH],
            )
            for panel in range(panel0, panel1):
                multiply(
                    pixels, places, count, s[plan.INPUTS], work, v, packed,
                    u0 + panel * s[plan.K_PITCH] * width, m + panel * width, pixels[:1], ZERO,
                )  # fmt: skip


@jit
def _outputs_part(slot, part, parts, bias, y, work, finish, s, rows, columns, table):
    """Transform the products of some of all tiles back."""
    group, first, end = table[part]
    m_step = s[plan.M_STEP]
    for t in range(first, end):
        image, h, w = place(s, rows, columns, t)
        y0, b0 = image * s[plan.Y_IMAGE] + group * s[plan.OUTPUTS], group * s[plan.OUTPUTS]
        at = s[plan.M0] + group * s[plan.M_GROUP] + t * s[plan.OUT_PITCH]
        scratch = s[plan.SLOTS0] + slot * s[plan.SLOT]
        _restore_outputs(s, h, w, work, at, m_step, bias, b0, y, y0, finish, scratch)


@kernel
def winograd(
    team, x, w, bias, y, packed, work, finish, s, rows, columns, pixels, places, chores, parts, products
):
    """``y[p, c] = bias[c] + sum of x * w`` by a plan; all arrays but tables are flat, bias has all channels.

    Reads x, w and bias whole, writes every element of y; packed takes the transformed kernel, or holds it
    where there are no chores; work is scratch.  finish: whether to, and the arguments of `finish_run`.
    """
    run_slots(team, _chore, chores.shape[0], (w, packed, work, s, chores))
    tiles = (s, rows, columns)
    if products.shape[0] == 0:
        run_slots(
            team, _block, parts.shape[0], (x, bias, y, packed, work, finish, *tiles, pixels, places, parts)
        )
    else:
        run_slots(team, _inputs_part, parts.shape[0], (x, work, *tiles, parts))
        if packed.size:
            run_slots(team, _points_part, products.shape[0], (packed, work, s, pixels, places, products))
        else:
            run_slots(team, _panels_part, products.shape[0], (w, work, s, pixels, places, products))
        run_slots(team, _outputs_part, parts.shape[0], (bias, y, work, finish, *tiles, parts))

"""Winograd's convolution for small kernels of stride 1, with any taps of depth: forward and data gradient.

``Y = A' [sum over channels of (G g G') * (B' d B)] A`` for tiles of m by m outputs (Lavin and Gray,
arXiv:1509.09308): F(4 x 4, 3 x 3) takes 36 products where the direct method takes 144, F(2 x 2, 5 x 5) 36
where it takes 100.  For each of the points, 6 by 6 of these, the products of all tiles and channels are one
matrix product, by the register tile.

Kernels are compiled for the filters along height and width: ``fh`` and ``fw``, codes of ``transforms.py``.
"""

from __future__ import annotations

from ..._jit import inlined, jit, kernel, run_slots
from . import winograd_plan as plan
from .finish import finish_pixels
from .simd import VECTOR_BYTES, zero_run
from .tile import ADD, BIAS, MIDDLE, ROWS, TAIL, VECTORS, ZERO, conv_tile
from .transforms import INPUTS, OUTPUTS, pass_line, read_line, write_line
from .winograd_kernel import transform_kernel


@jit
def strip(s, columns, tile, end, pitch):
    """Return the image, row and column of a tile, and how many up to ``end`` are its neighbours and it.

    Neighbours take pixels side by side, so that transforms along columns serve both; a row of a strip of them
    has plan.RUN numbers at most.
    """
    in_row = s[plan.TILES_W]
    in_image = s[plan.TILES_H] * in_row
    image, row, column = tile // in_image, tile % in_image // in_row, tile % in_row
    most = (plan.RUN // pitch - s[plan.POINTS_W]) // s[plan.M_W] + 1
    count = 1
    hop = s[plan.M_W] * s[plan.DILATION_W]
    while (
        count < most
        and tile + count < end
        and column + count < in_row
        and columns[column + count, plan.OUT0] == columns[column, plan.OUT0] + count * hop
    ):
        count += 1
    return image, row, column, count


@inlined
def read_columns(
    kind, fh, x, x0, row, column, low, high, first, last, count, joined, pitch, rows, work, square, blank
):
    """Transform pixels ``first .. last - 1`` of a strip along columns, to rows of pixels ``pitch`` apart.

    Rows outside low .. high - 1 are zeros.  joined: pixels lie side by side in both.
    """
    if joined:
        to, run = square + first * pitch, (last - first) * count
        read_line(kind, fh, x, x0 + first * column, row, low, high, work, blank, work, to, rows, run)
    else:
        for u in range(first, last):
            to = square + u * pitch
            read_line(kind, fh, x, x0 + u * column, row, low, high, work, blank, work, to, rows, count)


@jit
def transform_slice(
    fh, fw, s, h, columns, column0, tiles, x, x0, inside, work, at, y_tile, step, y_panel, scratch
):  # fmt: skip
    """Write ``B' d B`` of a strip of tiles: point e of tile t to ``work[at + t y_tile + e step :]``.

    Panels of channels lie y_panel apart.  x0: of the slice; inside: whether there is one, else it is zeros.
    """
    m, channels, dilation = s[plan.M_W], s[plan.INPUTS], s[plan.DILATION_W]
    width = VECTORS * (VECTOR_BYTES // work.itemsize)
    square, blank = scratch + s[plan.SQUARE0], scratch + s[plan.SPARE0]
    row, column = s[plan.DILATION_H] * s[plan.X_ROW], dilation * s[plan.X_COLUMN]
    pixels, start = (tiles - 1) * m + s[plan.POINTS_W], columns[column0, plan.SOURCE0]
    first = min(max(0, (dilation - 1 - start) // dilation), pixels)
    last = max(first, min(pixels, (s[plan.X_WIDTH] - start + dilation - 1) // dilation))
    x0 += h[plan.SOURCE0] * s[plan.X_ROW] + start * s[plan.X_COLUMN]
    zero_run(work, blank, plan.RUN)
    for c in range(0, channels, plan.CHANNELS):
        count = min(plan.CHANNELS, channels - c)
        pitch = s[plan.X_PITCH]
        joined = pitch == count == column
        rows = (pixels * pitch // width + 2) * width  # whole panels are written
        low, high = h[plan.LOW], h[plan.HIGH] if inside else h[plan.LOW]
        read_columns(
            INPUTS, fh, x, x0 + c, row, column, low, high, first, last, count, joined, pitch, rows, work,
            square, blank,
        )  # fmt: skip
        panels = (count + width - 1) // width
        for i in range(s[plan.POINTS_H]):
            zero_run(work, square + i * rows, first * pitch)
            zero_run(work, square + i * rows + last * pitch, (pixels - last) * pitch)
        for i in range(s[plan.POINTS_H]):
            for t in range(tiles):
                source, to = square + i * rows + t * m * pitch, at + t * y_tile + c // width * y_panel
                to += i * s[plan.POINTS_W] * step
                pass_line(INPUTS, fw, work, source, pitch, work, to, step, y_panel, panels)


@jit
def transform_inputs(
    fh, fw, s, h, columns, column0, tiles, image, group, x, work, at, y_tile, step, y_panel, scratch
):  # fmt: skip
    """Transform the inputs of a strip of tiles of an image's slice, those of each tap of depth in turn."""
    slice_ = s[plan.SLICE0] + image % s[plan.SLICES] * s[plan.SLICE_STEP]
    x0 = image // s[plan.SLICES] * s[plan.X_IMAGE] + group * s[plan.INPUTS]
    width = VECTORS * (VECTOR_BYTES // work.itemsize)
    for _ in range(s[plan.DEPTHS]):
        inside = 0 <= slice_ < s[plan.X_SLICES]
        transform_slice(
            fh, fw, s, h, columns, column0, tiles, x, x0 + slice_ * s[plan.X_SLICE], inside, work, at, y_tile,
            step, y_panel, scratch,
        )  # fmt: skip
        slice_ += s[plan.DILATION_D]
        at += s[plan.TAP_INPUTS] * (y_panel // width)  # the next tap's first panel covers zeros behind this


@jit
def _restore_outputs(fh, fw, s, h, columns, column0, tiles, work, at, step, b0, y, y0, finish, scratch):
    """Write ``A' M A`` of a strip of tiles, finished; point e of its sums is at ``work[at + e step :]``."""
    m, channels = s[plan.M_W], s[plan.OUTPUTS]
    width = VECTORS * (VECTOR_BYTES // work.itemsize)
    square, spare = scratch + s[plan.SQUARE0], scratch + s[plan.SPARE0]
    row, column = s[plan.DILATION_H] * s[plan.Y_ROW], s[plan.DILATION_W] * s[plan.Y_COLUMN]
    pixels = (tiles - 1) * m + columns[column0 + tiles - 1, plan.VALID]
    y0 += h[plan.OUT0] * s[plan.Y_ROW] + columns[column0, plan.OUT0] * s[plan.Y_COLUMN]
    for c in range(0, channels, plan.CHANNELS):
        count = min(plan.CHANNELS, channels - c)
        panels = (count + width - 1) // width
        pitch = panels * width
        rows = tiles * m * pitch
        for t in range(tiles):
            for i in range(s[plan.POINTS_H]):
                source = at + t * s[plan.OUT_PITCH] + c + i * s[plan.POINTS_W] * step
                to = square + i * rows + t * m * pitch
                pass_line(OUTPUTS, fw, work, source, step, work, to, pitch, width, panels)
        joined = pitch == count == column
        run, lines = (pixels * count, 1) if joined else (count, pixels)
        for u in range(lines):
            source, to = square + u * pitch, y0 + u * column + c
            write_line(OUTPUTS, fh, work, source, rows, y, to, row, h[plan.VALID], work, spare, run)
    if finish[0]:
        for i in range(h[plan.VALID]):
            finish_pixels(y, y0 + i * row, pixels, column, channels, b0, *finish[1:])


@jit
def multiply(pixels, places, count, k, work, v0, u, u0, m0, taps, bias, b0, mode, valid):
    """``M[t, c] (+)= sum over k of V[t, k] U[k, c]`` for a panel of outputs, all tiles t of a block."""
    t = 0
    while count - t >= ROWS:
        conv_tile(
            ROWS, VECTORS, work, v0, pixels, t, count, taps, 0, 1, k, u, u0, work, m0, places, bias, b0,
            mode, valid,
        )  # fmt: skip
        t += ROWS
    while count - t > TAIL:
        conv_tile(
            MIDDLE, VECTORS, work, v0, pixels, t, count, taps, 0, 1, k, u, u0, work, m0, places, bias, b0,
            mode, valid,
        )  # fmt: skip
        t += MIDDLE
    while t < count:
        conv_tile(
            TAIL, VECTORS, work, v0, pixels, t, count, taps, 0, 1, k, u, u0, work, m0, places, bias, b0,
            mode, valid,
        )  # fmt: skip
        t += TAIL


@jit
def _chore(slot, part, parts, fh, fw, w, packed, work, s, chores):
    """Transform a part of the kernel beforehand."""
    group, panel0, panel1, k0, k1 = chores[part]
    width = VECTORS * (VECTOR_BYTES // work.itemsize)
    y_panel = s[plan.K_PITCH] * width
    at = group * s[plan.KERNEL_GROUP] + panel0 * y_panel + k0 * width
    scratch = s[plan.SLOTS0] + slot * s[plan.SLOT]
    transform_kernel(fh, fw, s, group, panel0, panel1, k0, k1, w, packed, at, y_panel, work, scratch)


@jit
def _first_mode(s, e, bias):
    """How the sums at a point begin: a bias at the point of ones reaches every output of the tile once."""
    return BIAS if bias.size > 0 and e == s[plan.ONES] else ZERO


@jit
def _inputs(fh, fw, s, rows, columns, group, first, end, x, work, at, scratch):
    """Transform the inputs of tiles ``first .. end - 1``, to ``work[at:]``."""
    width = VECTORS * (VECTOR_BYTES // work.itemsize)
    t = first
    while t < end:
        image, row, column, count = strip(s, columns, t, end, s[plan.X_PITCH])
        transform_inputs(
            fh, fw, s, rows[row], columns, column, count, image, group, x, work,
            at + (t - first) * s[plan.IN_PITCH], s[plan.IN_PITCH], s[plan.V_STEP], width, scratch,
        )  # fmt: skip
        t += count


@jit
def _outputs(fh, fw, s, rows, columns, group, first, end, work, at, y, finish, scratch):
    """Transform the products of tiles ``first .. end - 1`` back, from ``work[at:]``."""
    t = first
    while t < end:
        image, row, column, count = strip(s, columns, t, end, min(plan.CHANNELS, s[plan.OUT_PITCH]))
        b0 = group * s[plan.OUTPUTS]
        y0, source = image * s[plan.Y_IMAGE] + b0, at + (t - first) * s[plan.OUT_PITCH]
        _restore_outputs(
            fh, fw, s, rows[row], columns, column, count, work, source, s[plan.M_STEP], b0, y, y0, finish,
            scratch,
        )  # fmt: skip
        t += count


@jit
def _block(
    slot, part, parts, fh, fw, x, bias, y, packed, work, finish, s, rows, columns, pixels, places, table
):  # fmt: skip
    """Compute a block of tiles: transform, multiply, transform back."""
    group, first, end = table[part]
    width = VECTORS * (VECTOR_BYTES // work.itemsize)
    scratch = s[plan.SLOTS0] + slot * s[plan.SLOT]
    v0, m0 = scratch + s[plan.V0], scratch + s[plan.M0]
    _inputs(fh, fw, s, rows, columns, group, first, end, x, work, v0, scratch)
    u0 = group * s[plan.KERNEL_GROUP]
    for e in range(s[plan.POINTS]):
        mode = _first_mode(s, e, bias)
        for panel in range(s[plan.PANELS]):
            c0 = panel * width
            multiply(
                pixels, places, end - first, s[plan.SUMMED], work, v0 + e * s[plan.V_STEP], packed,
                u0 + e * s[plan.U_STEP] + c0 * s[plan.K_PITCH], m0 + e * s[plan.M_STEP] + c0, pixels[:1],
                bias, group * s[plan.OUTPUTS] + c0, mode, s[plan.OUTPUTS] - c0,
            )  # fmt: skip
    _outputs(fh, fw, s, rows, columns, group, first, end, work, m0, y, finish, scratch)


@jit
def _inputs_part(slot, part, parts, fh, fw, x, work, s, rows, columns, table):
    """Transform the inputs of some of all tiles."""
    group, first, end = table[part]
    at = s[plan.V0] + group * s[plan.V_GROUP] + first * s[plan.IN_PITCH]
    _inputs(fh, fw, s, rows, columns, group, first, end, x, work, at, s[plan.SLOTS0] + slot * s[plan.SLOT])


@jit
def _panels_part(slot, part, parts, fh, fw, w, bias, work, s, pixels, places, table):
    """Multiply all tiles by some panels of the kernel, transformed block after block just before."""
    group, _, _, panel0, panel1 = table[part]
    width = VECTORS * (VECTOR_BYTES // work.itemsize)
    scratch = s[plan.SLOTS0] + slot * s[plan.SLOT]
    u0 = scratch + s[plan.PANEL0]
    v0, m0 = s[plan.V0] + group * s[plan.V_GROUP], s[plan.M0] + group * s[plan.M_GROUP]
    y_panel = s[plan.K_BLOCK] * width
    blocks = (s[plan.TAP_INPUTS] + s[plan.K_BLOCK] - 1) // s[plan.K_BLOCK]  # of the inputs of a tap of depth
    for near in range(panel0, panel1, s[plan.NEAR]):
        last = min(near + s[plan.NEAR], panel1)
        for block in range(s[plan.DEPTHS] * blocks):
            k0 = block // blocks * s[plan.TAP_INPUTS] + block % blocks * s[plan.K_BLOCK]
            k1 = min(k0 + s[plan.K_BLOCK], (block // blocks + 1) * s[plan.TAP_INPUTS])
            transform_kernel(fh, fw, s, group, near, last, k0, k1, w, work, u0, y_panel, work, scratch)
            for e in range(s[plan.POINTS]):
                mode = ADD if block > 0 else _first_mode(s, e, bias)
                for panel in range(near, last):
                    c0 = panel * width
                    multiply(
                        pixels, places, s[plan.TILES], k1 - k0, work, v0 + e * s[plan.V_STEP] + k0, work,
                        u0 + e * s[plan.U_STEP] + (panel - near) * y_panel, m0 + e * s[plan.M_STEP] + c0,
                        pixels[:1], bias, group * s[plan.OUTPUTS] + c0, mode, s[plan.OUTPUTS] - c0,
                    )  # fmt: skip


@jit
def _points_part(slot, part, parts, bias, packed, work, s, pixels, places, table):
    """Multiply all tiles at some points by some panels of the kernel, chunks of tiles that stay in L2."""
    group, e0, e1, panel0, panel1 = table[part]
    width = VECTORS * (VECTOR_BYTES // work.itemsize)
    v0, m0 = s[plan.V0] + group * s[plan.V_GROUP], s[plan.M0] + group * s[plan.M_GROUP]
    for e in range(e0, e1):
        u0, mode = group * s[plan.KERNEL_GROUP] + e * s[plan.U_STEP], _first_mode(s, e, bias)
        for t in range(0, s[plan.TILES], s[plan.CHUNK]):
            count = min(s[plan.CHUNK], s[plan.TILES] - t)
            v = v0 + e * s[plan.V_STEP] + t * s[plan.IN_PITCH]
            m = m0 + e * s[plan.M_STEP] + t * s[plan.OUT_PITCH]
            for panel in range(panel0, panel1):
                c0 = panel * width
                multiply(
                    pixels, places, count, s[plan.SUMMED], work, v, packed, u0 + c0 * s[plan.K_PITCH], m + c0,
                    pixels[:1], bias, group * s[plan.OUTPUTS] + c0, mode, s[plan.OUTPUTS] - c0,
                )  # fmt: skip


@jit
def _outputs_part(slot, part, parts, fh, fw, y, work, finish, s, rows, columns, table):
    """Transform the products of some of all tiles back."""
    group, first, end = table[part]
    at = s[plan.M0] + group * s[plan.M_GROUP] + first * s[plan.OUT_PITCH]
    scratch = s[plan.SLOTS0] + slot * s[plan.SLOT]
    _outputs(fh, fw, s, rows, columns, group, first, end, work, at, y, finish, scratch)


@kernel
def winograd(
    team, x, w, bias, y, packed, work, finish, fh, fw, s, rows, columns, pixels, places, chores, parts,
    products,
):  # fmt: skip
    """``y[p, c] = bias[c] + sum of x * w`` by a plan; all arrays but tables are flat.

    Reads x, w and bias, if it has elements, whole, writes every element of y; packed takes the transformed
    kernel, or holds it where there are no chores; work is scratch.  finish: whether to, and what
    `finish_pixels` takes.  fh, fw: literals.
    """
    run_slots(team, _chore, chores.shape[0], (fh, fw, w, packed, work, s, chores))
    if products.shape[0] == 0:
        run_slots(
            team, _block, parts.shape[0],
            (fh, fw, x, bias, y, packed, work, finish, s, rows, columns, pixels, places, parts),
        )  # fmt: skip
        return
    run_slots(team, _inputs_part, parts.shape[0], (fh, fw, x, work, s, rows, columns, parts))
    if packed.size > 0:
        run_slots(team, _points_part, products.shape[0], (bias, packed, work, s, pixels, places, products))
    else:
        run_slots(team, _panels_part, products.shape[0], (fh, fw, w, bias, work, s, pixels, places, products))
    run_slots(team, _outputs_part, parts.shape[0], (fh, fw, y, work, finish, s, rows, columns, parts))

"""The kernel's side of Winograd's method: ``G g G'`` of each input and output, packed as the tile reads it.

See ``winograd.py``; the data gradient turns the kernel and takes outputs for inputs.
"""

from __future__ import annotations

from ..._jit import jit
from . import winograd_plan as plan
from .simd import VECTOR_BYTES, transpose_block, zero_run
from .tile import VECTORS
from .transforms import KERNEL, pass_line, read_line


@jit
def _kernel_lines(
    fh, fw, s, w, first, row, column, count, work, square, pitch, out, at, step, y_panel
):  # fmt: skip
    """Write ``G g G'`` of ``count`` neighbouring numbers at each tap, point e to ``out[at + e step :]``."""
    width = VECTORS * (VECTOR_BYTES // work.itemsize)
    panels, line = pitch // width, s[plan.TAPS_W] * pitch
    for j in range(s[plan.TAPS_W]):
        start, to = first + j * column, square + j * pitch
        read_line(KERNEL, fh, w, start, row, 0, s[plan.TAPS_H], w, 0, work, to, line, count)
    for i in range(s[plan.POINTS_H]):
        to = at + i * s[plan.POINTS_W] * step
        pass_line(KERNEL, fw, work, square + i * line, pitch, out, to, step, y_panel, panels)


@jit
def transform_kernel(fh, fw, s, group, panel0, panel1, k0, k1, w, out, at, y_panel, work, scratch):
    """Write some panels of the transformed kernel for inputs k0 .. k1 - 1: ``[point][panel][k][width]``.

    The inputs are of one tap of depth; behind those that exist zeros are written.
    Forward, the kernel's rows are read in runs of several panels, as memory serves them best.
    """
    lanes = VECTOR_BYTES // work.itemsize
    width = VECTORS * lanes
    square, stage = scratch + s[plan.SQUARE0], scratch + s[plan.STAGE0]
    tap, step = s[plan.W_TAP], s[plan.U_STEP]
    row = s[plan.TAPS_W] * tap
    depth = k0 // s[plan.TAP_INPUTS]
    k0, k1 = k0 - depth * s[plan.TAP_INPUTS], k1 - depth * s[plan.TAP_INPUTS]
    count = min(k1, s[plan.INPUTS]) - k0
    start = group * s[plan.W_GROUP] + k0 * s[plan.W_INPUT] + s[plan.W_SLICE0] + depth * s[plan.W_SLICE]
    points = s[plan.POINTS]
    if not s[plan.TURNED]:
        pitch = (panel1 - panel0) * width
        valid = min(pitch, s[plan.OUTPUTS] - panel0 * width)
        for k in range(count):
            first, to = start + k * s[plan.W_INPUT] + panel0 * width, at + k * width
            _kernel_lines(
                fh, fw, s, w, first, row, tap, valid, work, square, pitch, out, to, step, y_panel
            )  # fmt: skip
        for k in range(count, k1 - k0):
            for e in range(points):
                for panel in range(panel1 - panel0):
                    zero_run(out, at + e * step + panel * y_panel + k * width, width)
        return
    # The data gradient turns the kernel, and its outputs lie across: lines along the inputs, transposed.
    pitch = (count + width - 1) // width * width
    for panel in range(panel0, panel1):
        for v in range(0, width, lanes):
            for c in range(lanes):
                output, to = panel * width + v + c, stage + c * pitch
                if output < s[plan.OUTPUTS]:
                    first = start + s[plan.TAPS_H] * row - tap + output * s[plan.W_OUTPUT]
                    _kernel_lines(
                        fh, fw, s, w, first, -row, -tap, count, work, square, pitch, work, to, lanes * pitch,
                        width,
                    )  # fmt: skip
                else:
                    for e in range(points):
                        zero_run(work, to + e * lanes * pitch, pitch)
            for e in range(points):
                to = at + e * step + (panel - panel0) * y_panel + v
                for k in range(0, count, lanes):
                    transpose_block(work, stage + e * lanes * pitch + k, pitch, out, to + k * width, width)

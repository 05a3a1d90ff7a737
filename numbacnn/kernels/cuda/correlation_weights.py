"""The kernel of the weight gradient: a product of matrices whose depth is the batch's outputs.

Rows are taps and input channels, columns output channels.  The depth is cut into slices, whose sums another
kernel adds in order: nothing is added by two blocks.  Where the outputs of the next stage lie is worked out
by one warp while the others multiply.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from .intrinsics import (
    block_x,
    copy_async,
    copy_commit,
    copy_wait,
    div,
    dynamic_like,
    fill_zero,
    i32,
    i64,
    load4,
    local_array,
    minimum,
    real,
    shared_array,
    static_range,
    sync,
    thread,
    u32,
)
from .launch import device, kernel
from .plan import DEPTH, GROUPS, HEADER, NOWHERE, PITCH_Y, TAP, TAPS, TILES_M, TILES_N
from .tile import (
    a_offset,
    b_offset,
    beside,
    blocks_of,
    multiply,
    outputs,
    place,
    quotient,
    shared_of,
    threads_of,
    write,
)

if TYPE_CHECKING:
    MATH = BM = BN = BK = PA = PB = B_AT = STAGE = STAGES = THREADS = MT = NT = SUMS = cast(Any, None)
    WARPS_N = VA = VB = WIDE = cast(Any, None)


@device
def describe(plan, base, at, rows, number, begin, stop, count, group_x):
    """Say where the outputs of a stage lie, in one of two places."""
    t = thread()
    if t < BK:
        r = i32((number & 1) * BK + t)
        if WIDE:
            p = i64(number) * BK + t
        else:
            p = i32(number * BK + t)
        there = (p < count) & (number < stop)
        offset, r0, r1, r2, pixel = place(plan, i32(HEADER), p if there else p - p, group_x)
        base[r] = offset
        at[r * 4] = r0 if there else i32(-NOWHERE)
        at[r * 4 + 1] = r1
        at[r * 4 + 2] = r2
        at[r * 4 + 3] = i32(0)
        rows[r] = pixel * plan[PITCH_Y] if there else i64(-1)


@device
def bring(
    stage, x, dy, base, at, rows, number, start, d0, d1, d2, ahead, given, in0, in1, in2, n, columns, group_y
):  # fmt: skip
    """Begin to copy a stage: of each output the pixels at the block's taps, and the gradients."""
    described = i32((number & 1) * BK)
    first = div(thread(), BM // VA)
    column = i32((thread() - first * (BM // VA)) * VA)
    for i in range(BM * BK // VA // THREADS):
        k = i32(first + i * (THREADS * VA // BM))
        r = i32(described + k)
        r0, r1, r2, _ = load4(at, i32(r * 4))
        inside = (u32(r0 + d0) < in0) & (u32(r1 + d1) < in1) & (u32(r2 + d2) < in2) & given
        copy_async(stage, i32(start + k * PA + column), x, base[r] + ahead, VA, inside)
    first = div(thread(), BN // VB)
    column = i32((thread() - first * (BN // VB)) * VB)
    for i in range(BN * BK // VB // THREADS):
        k = i32(first + i * (THREADS * VB // BN))
        row = rows[i32(described + k)]
        there = (row >= 0) & (n + column < columns)
        source = row + (group_y + n + column)
        copy_async(stage, i32(start + B_AT + k * PB + column), dy, source, VB, there)


@kernel(
    "x dy dw plan in0:u32 in1:u32 in2:u32 channels:i32 magic:u32 shift:u32 columns:i32 size:i64",
    threads=threads_of,
    shared=shared_of,
    blocks=blocks_of,
)
def correlate_weights(x, dy, dw, plan, in0, in1, in2, channels, magic, shift, columns, size):
    """Write a tile of a slice of the weight gradient; arguments as those of ``correlation.correlate``."""
    stage = dynamic_like(x)
    base = shared_array(2 * BK, i64)  # of the outputs of two stages: x's offset,
    at = shared_array(8 * BK, i32)  # its coordinates
    rows = shared_array(2 * BK, i64)  # and dy's offset
    written = shared_array(BM, i64)  # of each row of the tile: dw's offset
    sums = local_array(SUMS, real)
    a_part = local_array(MT * 4 if MT else 1, u32)
    b_part = local_array(NT * 2 if NT else 1, u32)

    left = div(block_x(), plan[TILES_N])
    n = i32((block_x() - left * plan[TILES_N]) * BN)
    block = left
    left = div(block, plan[TILES_M])
    m = i32((block - left * plan[TILES_M]) * BM)
    part = div(left, plan[GROUPS])
    group = i32(left - part * plan[GROUPS])

    height = i32(plan[HEADER + 7] * channels)
    for r in range(thread(), BM, THREADS):
        row = i64(m + r) * plan[PITCH_Y] + part * size
        written[r] = row if m + r < height else i64(-1)
    mine = i32(m + (thread() - div(thread(), BM // VA) * (BM // VA)) * VA)  # the row of the thread's pieces
    given = mine < height
    number_of_tap = i32(quotient(mine, channels, magic, shift)) if given else i32(0)
    tap = i32(plan[TAPS] + number_of_tap * TAP)
    d0, d1, d2, _ = load4(plan, tap)
    offset = beside(plan, tap) + (mine - number_of_tap * channels)

    count = outputs(plan, i32(HEADER))
    if WIDE:
        stages = i32((count + (BK - 1)) // BK)
    else:
        stages = div(i32(count + (BK - 1)), BK)
    begin = i32(part * plan[DEPTH])
    stop = minimum(stages, i32(begin + plan[DEPTH]))
    group_x, group_y = i32(group * channels), i32(group * columns)
    fill_zero(sums, SUMS)
    for s in static_range(STAGES - 1):
        describe(plan, base, at, rows, i32(begin + s), begin, stop, count, group_x)
        sync()
        if begin + s < stop:
            bring(
                stage, x, dy, base, at, rows, i32(begin + s), i32(s * STAGE), d0, d1, d2, offset, given,
                in0, in1, in2, n, columns, group_y,
            )  # fmt: skip
        copy_commit()
    describe(plan, base, at, rows, i32(begin + STAGES - 1), begin, stop, count, group_x)

    if MATH == "exact":
        warp_row, warp_column = i32(0), i32(0)
    else:
        warp = thread() >> 5
        warp_row = i32(div(warp, WARPS_N) * (MT * 16))
        warp_column = i32((warp - div(warp, WARPS_N) * WARPS_N) * (NT * 8))
    a, b = a_offset(warp_row), b_offset(warp_column)
    now, ahead = i32(0), i32((STAGES - 1) * STAGE)
    for number in range(begin, stop):
        copy_wait(STAGES - 2)
        sync()  # the stage is all there, the one before it was used, and the next outputs are described
        if number + STAGES - 1 < stop:
            bring(
                stage, x, dy, base, at, rows, i32(number + STAGES - 1), ahead, d0, d1, d2, offset, given,
                in0, in1, in2, n, columns, group_y,
            )  # fmt: skip
        copy_commit()
        describe(plan, base, at, rows, i32(number + STAGES), begin, stop, count, group_x)
        multiply(sums, a_part, b_part, stage, i32(a + now), i32(b + now))
        now = i32(now + STAGE) if now < (STAGES - 1) * STAGE else i32(0)
        ahead = i32(ahead + STAGE) if ahead < (STAGES - 1) * STAGE else i32(0)
    write(
        sums, written, dw, dw, dw, dw, n, warp_row, warp_column, columns, group_y, real(0), real(0)
    )  # fmt: skip

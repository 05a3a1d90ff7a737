"""The kernel of the forward pass and the data gradient: an implicit product of matrices.

Rows are outputs (of a class, see ``plan``), columns the output's channels, the depth runs over taps and
input channels.  A block brings stages of both operands to shared memory, three deep, and multiplies them.
The left operand's rows are described once in shared memory, so that a piece of it costs a table look-up and
three comparisons: padding is told there and read as zeros.
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
from .plan import (
    CLASS,
    DEPTH,
    GROUPS,
    HEADER,
    NOWHERE,
    PITCH_Y,
    ROWS_W,
    SLICES,
    TAP,
    TILES_M,
    TILES_N,
)
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
    MATH = BM = BN = BK = V = PA = PB = B_AT = STAGE = STAGES = THREADS = MT = NT = TM = TN = cast(Any, None)
    SUMS = WARPS_N = VA = VB = TURNED = SPLIT = WIDE = cast(Any, None)


@device
def bring_left(
    stage, x, plan, base, at, tap, c, start, k, given, in0, in1, in2,
):  # fmt: skip
    """Bring the pixels that the rows read at one tap: a thread's pieces are of one depth."""
    d0, d1, d2, _ = load4(plan, tap)
    ahead = beside(plan, tap) + c
    first = div(thread(), BK // VA)
    for i in range(BM * BK // VA // THREADS):
        r = i32(first + i * (THREADS * VA // BK))
        r0, r1, r2, _ = load4(at, i32(r * 4))
        inside = (u32(r0 + d0) < in0) & (u32(r1 + d1) < in1) & (u32(r2 + d2) < in2) & given
        if MATH == "exact":
            copy_async(stage, i32(start + k * PA + r), x, base[r] + ahead, VA, inside)
        else:
            copy_async(stage, i32(start + r * PA + k), x, base[r] + ahead, VA, inside)


@device
def bring_turned(stage, w, start, k, given, row, n, columns, pitch):
    """Bring weights of which the depth, not the columns, are neighbours in memory."""
    first = div(thread(), BK // VB)
    for i in range(BN * BK // VB // THREADS):
        r = i32(first + i * (THREADS * VB // BK))
        there = (n + r < columns) & given
        if MATH == "exact":
            copy_async(stage, i32(start + k * PB + r), w, row + i64(n + r) * pitch, VB, there)
        else:
            copy_async(stage, i32(start + r * PB + k), w, row + i64(n + r) * pitch, VB, there)


@device
def bring_weights(stage, w, start, k, end, n, columns, pitch, group):
    """Bring weights as they lie: rows of columns."""
    first = div(thread(), BN // VB)
    column = i32((thread() - first * (BN // VB)) * VB)
    for i in range(BN * BK // VB // THREADS):
        r = i32(first + i * (THREADS * VB // BN))
        there = (k + r < end) & (n + column < columns)
        source = i64(k + r) * pitch + (group + n + column)
        copy_async(stage, i32(start + r * PB + column), w, source, VB, there)


@device
def bring(
    stage, x, w, plan, base, at, number, start, taps, end, n, group, in0, in1, in2, channels, magic, shift,
    columns, pitch,
):  # fmt: skip
    """Begin to copy a stage of both operands."""
    inner = i32((thread() - div(thread(), BK // VA) * (BK // VA)) * VA)
    k = i32(number * BK + inner)
    given = k < end
    number_of_tap = i32(quotient(k, channels, magic, shift)) if given else i32(0)
    c = i32(k - number_of_tap * channels)
    tap = i32(taps + number_of_tap * TAP)
    bring_left(stage, x, plan, base, at, tap, c, start, inner, given, in0, in1, in2)
    if TURNED:
        row = i64(plan[tap + 3]) * plan[ROWS_W] * pitch + (group * channels + c)
        bring_turned(stage, w, i32(start + B_AT), inner, given, row, n, columns, pitch)
    else:
        bring_weights(stage, w, i32(start + B_AT), i32(number * BK), end, n, columns, pitch, group * columns)


@kernel(
    "x w scale bias residual y plan in0:u32 in1:u32 in2:u32 channels:i32 magic:u32 shift:u32 columns:i32 "
    "pitch:i32 size:i64 low:real high:real",
    threads=threads_of,
    shared=shared_of,
    blocks=blocks_of,
)
def correlate(
    x, w, scale, bias, residual, y, plan,
    in0, in1, in2, channels, magic, shift, columns, pitch, size, low, high,
):  # fmt: skip
    """Write a tile of a slice of the sums, finished where the slice is all.

    x and y are the pass's input and output, or y slices of it in the type of the sums; scale, bias, residual,
    low and high are ``tile.finished``'s; in0 to in2 the input's pixels along each axis, channels those of the
    input in a group, magic and shift ``plan.division`` by them; columns the output's channels in a group,
    pitch all the weights' output channels; size is a slice's.
    """
    stage = dynamic_like(x)
    base = shared_array(BM, i64)  # of each row: x's offset,
    at = shared_array(4 * BM, i32)  # its coordinates
    rows = shared_array(BM, i64)  # and y's offset
    sums = local_array(SUMS, real)
    a_part = local_array(MT * 4 if MT else 1, u32)
    b_part = local_array(NT * 2 if NT else 1, u32)

    left = div(block_x(), plan[TILES_N])
    n = i32((block_x() - left * plan[TILES_N]) * BN)
    block = left
    left = div(block, plan[TILES_M])
    m = i32(block - left * plan[TILES_M])
    block = left
    left = div(block, plan[SLICES])
    part = i32(block - left * plan[SLICES])
    of = div(left, plan[GROUPS])
    group = i32(left - of * plan[GROUPS])
    record = i32(HEADER + of * CLASS)

    count = outputs(plan, record)
    if i64(m) * BM >= count:
        return  # a class of fewer outputs than the first
    for r in range(thread(), BM, THREADS):
        if WIDE:
            p = i64(m) * BM + r
        else:
            p = i32(m * BM + r)
        there = p < count
        offset, r0, r1, r2, pixel = place(plan, record, p if there else p - p, group * channels)
        base[r] = offset
        at[r * 4] = r0 if there else i32(-NOWHERE)
        at[r * 4 + 1] = r1
        at[r * 4 + 2] = r2
        at[r * 4 + 3] = i32(0)
        rows[r] = pixel * plan[PITCH_Y] + part * size if there else i64(-1)
    sync()

    taps = plan[record + 6]
    end = i32(plan[record + 7] * channels)
    begin = i32(part * plan[DEPTH])
    stop = minimum(div(i32(end + BK - 1), BK), i32(begin + plan[DEPTH]))
    fill_zero(sums, SUMS)
    for s in static_range(STAGES - 1):
        if begin + s < stop:
            bring(
                stage, x, w, plan, base, at, i32(begin + s), i32(s * STAGE), taps, end, n, group,
                in0, in1, in2, channels, magic, shift, columns, pitch,
            )  # fmt: skip
        copy_commit()

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
        sync()  # the stage is all there, and the one before it was used by all
        if number + STAGES - 1 < stop:
            bring(
                stage, x, w, plan, base, at, i32(number + STAGES - 1), ahead, taps, end, n, group,
                in0, in1, in2, channels, magic, shift, columns, pitch,
            )  # fmt: skip
        copy_commit()
        multiply(sums, a_part, b_part, stage, i32(a + now), i32(b + now))
        now = i32(now + STAGE) if now < (STAGES - 1) * STAGE else i32(0)
        ahead = i32(ahead + STAGE) if ahead < (STAGES - 1) * STAGE else i32(0)
    write(
        sums, rows, scale, bias, residual, y, n, warp_row, warp_column, columns, group * columns, low, high
    )  # fmt: skip

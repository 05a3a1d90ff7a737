"""A tile of a matrix product in a block: operands staged through shared memory, sums in registers.

The kernels that use it differ in how they bring the operands.  Constants that they share:

MATH: "exact" (fused multiply-adds of what the arrays hold), "tf32", "f16" or "bf16" (tensor cores).
BM, BN, BK: rows, columns and depth of a stage.  V: elements in 16 bytes.
A_BY_K, B_BY_K: whether a stage holds an operand with its depth first; exact tiles always do.
PA, PB: elements from one line of a stage to the next: a skew that spreads lines over the banks.
MT, NT: of tensor cores: tiles of 16 rows and of 8 columns in a warp.  WARPS_N: warps side by side.
TM, TN: of exact tiles: rows and columns of a thread.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from .intrinsics import (
    bits,
    div,
    div64,
    exp,
    i32,
    i64,
    lane,
    load,
    load2,
    matrix4,
    matrix4_turned,
    maximum,
    minimum,
    mma_bf16,
    mma_f16,
    mma_tf32,
    mul_high,
    outer,
    real,
    round_tf32,
    static_range,
    store,
    store2,
    thread,
    u32,
)
from .launch import ceil_div, device
from .plan import BATCH, INPUT, JUMP, OUTPUT, PITCH_X, STEP

if TYPE_CHECKING:
    MATH = BM = BN = BK = V = A_BY_K = B_BY_K = PA = PB = B_AT = MT = NT = TM = TN = cast(Any, None)
    SCALE = BIAS = RESIDUAL = ACTIVATION = PAIRS = WIDE = cast(Any, None)


class Shape(NamedTuple):
    """A tile's sizes; across and down are a thread's in exact tiles, warps in those of tensor cores."""

    rows: int
    columns: int
    depth: int  # of a stage: elements of exact tiles, bytes of those of tensor cores
    threads: int
    down: int
    across: int
    blocks: int  # that a multiprocessor is to hold: caps the registers


# From large to small.  A thread of 8 x 8 sums loads 16 floats for 64 multiply-adds; smaller tiles load
# more, and fill the GPU where the output is small.  Three stages of the largest fit the 99 KiB that every
# GPU from compute capability 8.0 on lends a block.
EXACT = (
    Shape(128, 128, 8, 256, 8, 8, 2), Shape(128, 64, 8, 128, 8, 8, 4),
    Shape(64, 64, 16, 128, 8, 4, 4), Shape(64, 32, 16, 128, 4, 4, 6),
)  # fmt: skip
EXACT_F64 = Shape(64, 64, 8, 256, 4, 4, 2), Shape(64, 32, 8, 128, 4, 4, 4)
TENSOR = (
    Shape(128, 128, 64, 256, 2, 4, 2), Shape(128, 64, 128, 128, 2, 2, 3),
    Shape(64, 64, 128, 128, 2, 2, 4), Shape(64, 32, 128, 64, 2, 1, 6),
)  # fmt: skip
STAGES = 3
ENOUGH = 128  # blocks that fill a GPU passably: a constant, as bits must not depend on the GPU


def shapes(math: str, item: int) -> tuple[Shape, ...]:
    """The tiles for a way to compute, from large to small."""
    return TENSOR if math != "exact" else EXACT_F64 if item == 8 else EXACT


def choose(math: str, item: int, rows: int, columns: int, copies: int) -> Shape:
    """The largest tile of which enough cover the output and none is half empty; else the smallest."""
    fitting = [s for s in shapes(math, item) if s.columns < 2 * columns] or [shapes(math, item)[-1]]
    for shape in fitting:
        if ceil_div(rows, shape.rows) * ceil_div(columns, shape.columns) * copies >= ENOUGH:
            return shape
    return fitting[-1]


def depth_of(math: str, item: int, shape: Shape) -> int:
    """Elements of the depth of a stage."""
    return shape.depth if math == "exact" else shape.depth // item


@functools.cache
def constants(math: str, item: int, shape: Shape, a_by_k: bool, b_by_k: bool) -> Mapping[str, Any]:
    """A tile's constants."""
    v, exact = 16 // item, math == "exact"
    depth = depth_of(math, item, shape)
    a_by_k, b_by_k = a_by_k or exact, b_by_k or exact
    skew = v if exact else 8  # 8 elements keep the lines of a fragment in different banks
    pa = shape.rows + skew if a_by_k else depth + v
    pb = shape.columns + skew if b_by_k else depth + v
    a_size = pa * (depth if a_by_k else shape.rows)
    b_size = pb * (depth if b_by_k else shape.columns)
    mt, nt = (0, 0) if exact else (shape.rows // shape.down // 16, shape.columns // shape.across // 8)
    return {
        "MATH": math, "BM": shape.rows, "BN": shape.columns, "BK": depth, "V": v, "PA": pa, "PB": pb,
        "A_BY_K": a_by_k, "B_BY_K": b_by_k, "B_AT": a_size, "STAGE": a_size + b_size, "STAGES": STAGES,
        "THREADS": shape.threads, "MT": mt, "NT": nt, "WARPS_N": shape.across,
        "TM": shape.down, "TN": shape.across, "SUMS": shape.down * shape.across if exact else mt * nt * 4,
    }  # fmt: skip


def threads_of(c: Mapping[str, Any]) -> int:
    """Threads of a block."""
    return c["THREADS"]


def shared_of(c: Mapping[str, Any]) -> int:
    """Bytes of a block's stages."""
    return c["STAGES"] * c["STAGE"] * (16 // c["V"])


def blocks_of(c: Mapping[str, Any]) -> int:
    """Blocks that a multiprocessor is to hold at least."""
    sizes = c["BM"], c["BN"]
    blocks = next(s.blocks for s in shapes(c["MATH"], 16 // c["V"]) if (s.rows, s.columns) == sizes)
    return blocks - 1 if c["VB"] == 1 and blocks > 2 else blocks  # copies of single elements need registers


def flags(
    scale: Any, bias: Any, residual: Any, activation: Any, split: bool = False
) -> tuple[tuple[str, Any], ...]:
    """The constants of what follows the sums; nothing does where they are cut into slices."""
    if split:
        scale = bias = residual = activation = None
    kind = "" if activation is None else activation.kind
    return (
        ("SCALE", scale is not None), ("BIAS", bias is not None), ("RESIDUAL", residual is not None),
        ("ACTIVATION", kind),
    )  # fmt: skip


def aligned(*arrays: Any) -> bool:
    """Whether arrays begin at whole 16 bytes, as all of the allocator do; foreign ones may not."""
    return all(getattr(a, "pointer", 0) % 16 == 0 for a in arrays if a is not None and a.size)


def item_of(x: Any) -> int:
    """Bytes of an element."""
    return np.dtype(x.dtype).itemsize


@device
def quotient(n, by, magic, shift):
    """``n // by`` with the numbers of ``plan.division``."""
    return n if by == 1 else i32(mul_high(u32(n), magic) >> shift)


@device
def parted(p, by):
    """Quotient and rest of a position."""
    if WIDE:
        q = div64(i64(p), i64(by))
        return q, i32(p - q * by)
    q = div(i32(p), by)
    return q, i32(p - q * by)


@device
def place(plan, part, p, group_x):
    """Where output p of a class reads and writes: x's offset, three coordinates, the output's pixel."""
    left, q2 = parted(p, plan[part + 2])
    left, q1 = parted(left, plan[part + 1])
    n, q0 = parted(left, plan[part])
    r0, r1, r2 = i32(q0 * plan[STEP]), i32(q1 * plan[STEP + 1]), i32(q2 * plan[STEP + 2])
    line = (i64(n) * plan[INPUT] + r0) * plan[INPUT + 1] + r1
    o0 = plan[part + 3] + q0 * plan[JUMP]
    o1 = plan[part + 4] + q1 * plan[JUMP + 1]
    o2 = plan[part + 5] + q2 * plan[JUMP + 2]
    row = (i64(n) * plan[OUTPUT] + o0) * plan[OUTPUT + 1] + o1
    base = (line * plan[INPUT + 2] + r2) * plan[PITCH_X] + group_x
    return base, r0, r1, r2, row * plan[OUTPUT + 2] + o2


@device
def outputs(plan, part):
    """Outputs of a class, over the batch."""
    if WIDE:
        return i64(plan[BATCH]) * plan[part] * plan[part + 1] * plan[part + 2]
    return i32(plan[BATCH] * plan[part] * plan[part + 1] * plan[part + 2])


@device
def beside(plan, tap):
    """The offset from an output's pixel to a tap's."""
    return (i64(plan[tap + 4]) << 31) + plan[tap + 5]


@device
def a_offset(warp_row):
    """Where the thread's part of the left operand begins in a stage."""
    if MATH == "exact":
        return i32(div(thread(), BN // TN) * V)
    k = lane()
    if not A_BY_K:
        return i32((warp_row + (k & 15)) * PA + (k >> 4) * V)
    if MATH == "tf32":
        return i32((k & 3) * PA + warp_row + (k >> 2))
    return i32(((k & 7) + (k >> 4) * 8) * PA + warp_row + ((k >> 3) & 1) * 8)


@device
def b_offset(warp_column):
    """Where the thread's part of the right operand begins in a stage."""
    if MATH == "exact":
        return i32(B_AT + (thread() - div(thread(), BN // TN) * (BN // TN)) * V)
    k = lane()
    if not B_BY_K:
        return i32(B_AT + (warp_column + (k & 7) + (k >> 4) * 8) * PB + ((k >> 3) & 1) * V)
    if MATH == "tf32":
        return i32(B_AT + (k & 3) * PB + warp_column + (k >> 2))
    return i32(B_AT + ((k & 7) + ((k >> 3) & 1) * 8) * PB + warp_column + (k >> 4) * 8)


@device
def multiply(sums, a_part, b_part, stage, a, b):
    """Add the product of a stage's operands to the sums; a and b from a_offset and b_offset."""
    if MATH == "exact":
        outer(sums, TM, TN, BK, stage, a, BM * V // TM, PA, b, BN * V // TN, PB)
    else:
        for s in static_range(BK // (2 * V)):
            read_a(a_part, stage, i32(a + s * (2 * V * (PA if A_BY_K else 1))))
            read_b(b_part, stage, i32(b + s * (2 * V * (PB if B_BY_K else 1))))
            if MATH == "tf32":
                round_tf32(a_part, MT * 4)
                round_tf32(b_part, NT * 2)
                mma_tf32(sums, a_part, b_part, MT, NT)
            elif MATH == "f16":
                mma_f16(sums, a_part, b_part, MT, NT)
            else:
                mma_bf16(sums, a_part, b_part, MT, NT)


@device
def read_a(part, stage, a):
    """A warp's fragments of the left operand; TF32 has no turning read, so its words are read one by one."""
    for i in static_range(MT):
        if not A_BY_K:
            matrix4(part, i * 4, stage, i32(a + i * 16 * PA))
        elif MATH == "tf32":
            part[i * 4] = bits(stage, i32(a + i * 16))
            part[i * 4 + 1] = bits(stage, i32(a + i * 16 + 8))
            part[i * 4 + 2] = bits(stage, i32(a + i * 16 + 4 * PA))
            part[i * 4 + 3] = bits(stage, i32(a + i * 16 + 4 * PA + 8))
        else:
            matrix4_turned(part, i * 4, stage, i32(a + i * 16))


@device
def read_b(part, stage, b):
    """A warp's fragments of the right operand."""
    for j in static_range(NT // 2):
        if not B_BY_K:
            matrix4(part, j * 4, stage, i32(b + j * 16 * PB))
        elif MATH == "tf32":
            part[j * 4] = bits(stage, i32(b + j * 16))
            part[j * 4 + 1] = bits(stage, i32(b + j * 16 + 4 * PB))
            part[j * 4 + 2] = bits(stage, i32(b + j * 16 + 8))
            part[j * 4 + 3] = bits(stage, i32(b + j * 16 + 8 + 4 * PB))
        else:
            matrix4_turned(part, j * 4, stage, i32(b + j * 16))


@device
def finished(v, factor, more, other, low, high):
    """A sum scaled, with bias and residual added, and activated; NaN stays NaN."""
    if SCALE:
        v = v * factor
    if BIAS:
        v = v + more
    if RESIDUAL:
        v = v + other
    if ACTIVATION == "relu":
        v = maximum(real(0), v)
    elif ACTIVATION == "leaky_relu":
        v = v if v > real(0) else low * v
    elif ACTIVATION == "clip":
        v = minimum(high, maximum(low, v))
    elif ACTIVATION == "silu":
        v = v / (real(1) + exp(-v))
    return v


@device
def write_pair(y, residual, at, column, columns, v0, v1, f0, f1, b0, b1, low, high):
    """Write two neighbouring outputs, finished."""
    r0, r1 = real(0), real(0)
    if PAIRS:
        if RESIDUAL:
            r0, r1 = load2(residual, at)
        v0 = finished(v0, f0, b0, r0, low, high)
        v1 = finished(v1, f1, b1, r1, low, high)
        store2(y, at, v0, v1)
    else:
        if RESIDUAL:
            r0 = load(residual, at)
        store(y, at, finished(v0, f0, b0, r0, low, high))
        if column + 1 < columns:
            if RESIDUAL:
                r1 = load(residual, at + 1)
            store(y, at + 1, finished(v1, f1, b1, r1, low, high))


@device
def channel_pair(p, at, column, columns):
    """Numbers of two neighbouring channels."""
    return load(p, at), load(p, at + 1 if column + 1 < columns else at)


@device
def write(sums, rows, scale, bias, residual, y, first, warp_row, warp_column, columns, group_y, low, high):
    """Write a tile: rows[r] is the offset of row r, or -1; columns are the group's, from `first` on."""
    f0, f1, b0, b1 = real(0), real(0), real(0), real(0)
    if MATH == "exact":
        ty = div(thread(), BN // TN)
        tx = i32(thread() - ty * (BN // TN))
        for j in static_range(TN // 2):
            inner = i32((j * 2 // V) * (BN * V // TN) + tx * V + j * 2 % V)
            column = i32(first + inner)
            if column < columns:
                at = i64(group_y) + column
                if SCALE:
                    f0, f1 = channel_pair(scale, at, column, columns)
                if BIAS:
                    b0, b1 = channel_pair(bias, at, column, columns)
                for i in static_range(TM):
                    row = rows[i32((i // V) * (BM * V // TM) + ty * V + i % V)]
                    if row >= 0:
                        write_pair(
                            y, residual, row + at, column, columns,
                            sums[i * TN + j * 2], sums[i * TN + j * 2 + 1],
                            f0, f1, b0, b1, low, high,
                        )  # fmt: skip
    else:
        across = i32(warp_column + (lane() & 3) * 2)
        down = i32(warp_row + (lane() >> 2))
        for j in static_range(NT):
            column = i32(first + across + j * 8)
            if column < columns:
                at = i64(group_y) + column
                if SCALE:
                    f0, f1 = channel_pair(scale, at, column, columns)
                if BIAS:
                    b0, b1 = channel_pair(bias, at, column, columns)
                for i in static_range(2 * MT):
                    row = rows[i32(down + i * 8)]
                    if row >= 0:
                        write_pair(
                            y, residual, row + at, column, columns,
                            sums[((i // 2) * NT + j) * 4 + i % 2 * 2],
                            sums[((i // 2) * NT + j) * 4 + i % 2 * 2 + 1],
                            f0, f1, b0, b1, low, high,
                        )  # fmt: skip

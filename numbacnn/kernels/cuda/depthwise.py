"""Depthwise convolution: each channel by itself, so that nothing is a product of matrices.

Bound by memory: neighbouring threads take neighbouring channels, four each where that is aligned, and what
the taps of neighbouring outputs share comes from the cache.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, cast

from ...dims import ConvDims
from . import plan
from .intrinsics import (
    block_x,
    block_y,
    block_z,
    div,
    div64,
    fma,
    i32,
    i64,
    load,
    load4,
    local_array,
    minimum,
    real,
    shared_array,
    static_range,
    store,
    store4,
    sync,
    thread,
    u32,
)
from .job import Job, variant
from .launch import Variant, ceil_div, kernel
from .plan import CLASS, HEADER, INPUT, PITCH_Y, TAP, TILES_M
from .tile import beside, finished, outputs, place

if TYPE_CHECKING:
    SCALE = BIAS = RESIDUAL = VECTOR = WIDE = SPREAD = GATHER = AT_ONCE = cast(Any, None)

_THREADS = 256
_LANES, _LINES = 32, 8  # of a block of the weight gradient: channels, and outputs side by side
_AT_ONCE = 9  # taps whose weight gradients a thread sums
_LEAST = 64  # outputs that a line sums, so that adding the lines and slices does not matter
_MOST_SLICES = 256
_WIDE = (1 << 31) - (1 << 12)  # threads from which positions need 64 bits


@kernel("x w scale bias residual y plan low:real high:real", threads=_THREADS)
def correlate_depthwise(x, w, scale, bias, residual, y, plan, low, high):
    """Write VECTOR channels of an output; arguments as those of ``correlation.correlate``."""
    blocks = plan[TILES_M]
    of = div(block_x(), blocks)
    record = i32(HEADER + of * CLASS)
    across = div(plan[PITCH_Y], VECTOR)
    if WIDE:
        number = i64(block_x() - of * blocks) * 256 + thread()
        p = div64(number, i64(across))
    else:
        number = i32((block_x() - of * blocks) * 256 + thread())
        p = div(number, across)
    if p < outputs(plan, record):
        channel = i32((number - p * across) * VECTOR)
        first = i32(div(channel, SPREAD) * GATHER)  # the first of x's channels that it meets
        offset, r0, r1, r2, pixel = place(plan, record, p, first)
        sums = local_array(VECTOR, real)
        for e in static_range(VECTOR):
            sums[e] = real(0)
        for j in range(plan[record + 7]):
            tap = i32(plan[record + 6] + j * TAP)
            d0, d1, d2, line = load4(plan, tap)
            inside = (u32(r0 + d0) < u32(plan[INPUT])) & (u32(r1 + d1) < u32(plan[INPUT + 1]))
            if inside & (u32(r2 + d2) < u32(plan[INPUT + 2])):
                source = offset + beside(plan, tap)
                weight = i64(line) * (plan[PITCH_Y] * GATHER) + channel * GATHER
                if VECTOR == 4:
                    pixels_, weights = load4(x, source), load4(w, weight)
                    for e in static_range(4):
                        sums[e] = fma(pixels_[e], weights[e], sums[e])
                else:
                    for g in range(GATHER):
                        sums[0] = fma(load(x, source + g), load(w, weight + g), sums[0])
        at = pixel * plan[PITCH_Y] + channel
        for e in static_range(VECTOR):
            factor, more, other = real(0), real(0), real(0)
            if SCALE:
                factor = load(scale, channel + e)
            if BIAS:
                more = load(bias, channel + e)
            if RESIDUAL:
                other = load(residual, at + e)
            sums[e] = finished(sums[e], factor, more, other, low, high)
        if VECTOR == 4:
            store4(y, at, (sums[0], sums[1], sums[2], sums[3]))
        else:
            store(y, at, sums[0])


@kernel("x dy slices plan each:i32", threads=_THREADS)
def correlate_depthwise_weights(x, dy, slices, plan, each):
    """Write the sums over `each` outputs, of AT_ONCE taps and 32 channels: 8 lines of threads share them."""
    lines = shared_array(8 * 32, real)
    line = thread() >> 5
    lane_ = thread() & 31
    channel = i32(block_x() * 32 + lane_)
    first = i32(block_y() * AT_ONCE)  # of the block's taps
    record = i32(HEADER)
    count = outputs(plan, record)
    live = channel < plan[PITCH_Y]
    group = div(channel if live else i32(0), SPREAD)
    sums = local_array(AT_ONCE, real)
    for j in static_range(AT_ONCE):
        sums[j] = real(0)
    begin = i64(block_z()) * each
    stop = minimum(i64(count), begin + each)
    if live:
        for p in range(begin + line, stop, 8):
            if WIDE:
                offset, r0, r1, r2, pixel = place(plan, record, i64(p), group)
            else:
                offset, r0, r1, r2, pixel = place(plan, record, i32(p), group)
            gradient = load(dy, pixel * plan[PITCH_Y] + channel)
            for j in static_range(AT_ONCE):
                if first + j < plan[record + 7]:
                    tap = i32(plan[record + 6] + (first + j) * TAP)
                    d0, d1, d2, _ = load4(plan, tap)
                    inside = (u32(r0 + d0) < u32(plan[INPUT])) & (u32(r1 + d1) < u32(plan[INPUT + 1]))
                    if inside & (u32(r2 + d2) < u32(plan[INPUT + 2])):
                        sums[j] = fma(load(x, offset + beside(plan, tap)), gradient, sums[j])
    for j in static_range(AT_ONCE):
        lines[thread()] = sums[j]
        sync()
        if (line == 0) & live & (first + j < plan[record + 7]):
            total = lines[lane_]
            for other in range(1, 8):
                total = total + lines[i32(other * 32 + lane_)]
            row = i64(block_z()) * plan[record + 7] + (first + j)
            slices[row * plan[PITCH_Y] + channel] = total
        sync()


def is_depthwise(dims: ConvDims) -> bool:
    """Whether each input channel has its own few output channels."""
    return dims.groups == dims.c_in and dims.c_out <= 4 * dims.c_in


def depthwise_variant(
    vector: int, many: tuple[int, int], finish: tuple[tuple[str, Any], ...], wide: bool = False
) -> Variant:
    """The kernel of the forward pass and the data gradient.

    Args:
        vector: channels of a thread.
        many: outputs that an input channel spreads to, and inputs that an output channel gathers.
        finish: from ``tile.flags``.
        wide: positions need 64 bits.

    """
    constants = {"VECTOR": vector, "WIDE": wide, "SPREAD": many[0], "GATHER": many[1]}
    return variant(correlate_depthwise, **constants, **dict(finish))


def depthwise_weights_variant(taps: int, many: int, wide: bool = False) -> Variant:
    """The kernel of the weight gradient: `taps` at once, `many` outputs of an input channel."""
    return variant(correlate_depthwise_weights, WIDE=wide, SPREAD=many, AT_ONCE=taps)


@functools.lru_cache(1024)
def depthwise_job(
    dims: ConvDims, turned: bool, aligned_: bool, finish: tuple[tuple[str, Any], ...], device: Any
) -> Job:
    """The forward pass, or turned the data gradient."""
    pass_ = plan.backward(dims) if turned else plan.forward(dims)
    many = dims.c_out // dims.c_in
    channels = pass_.columns * dims.groups
    vector = 4 if many == 1 and aligned_ and channels % 4 == 0 else 1
    work = max(plan.pixels(dims, part) for part in pass_.classes) * (channels // vector)
    blocks = ceil_div(work, _THREADS)
    wide = work >= _WIDE
    made = depthwise_variant(vector, (1, many) if turned else (many, 1), finish, wide)
    return Job(made, blocks * len(pass_.classes), plan.table(dims, pass_, blocks), (), 1)


@functools.lru_cache(1024)
def depthwise_weights_job(dims: ConvDims, device: Any) -> tuple[Job, tuple[int, int, int]]:
    """The weight gradient, and its grid."""
    pass_ = plan.forward(dims)
    outputs_, taps = plan.pixels(dims, pass_.classes[0]), len(pass_.classes[0].taps)
    at_once = min(taps, _AT_ONCE)
    slices = max(1, min(ceil_div(outputs_, _LINES * _LEAST), _MOST_SLICES))
    each = ceil_div(outputs_, slices)
    slices = ceil_div(outputs_, each)
    made = depthwise_weights_variant(at_once, dims.c_out // dims.c_in, outputs_ >= _WIDE)
    grid = ceil_div(dims.c_out, _LANES), ceil_div(taps, at_once), slices
    return Job(made, 0, plan.table(dims, pass_), (each,), slices), grid

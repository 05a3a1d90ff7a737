"""Depthwise convolution: every group has one input channel, and one or more (the multiplier) output channels.

A register tile has nothing to multiply out here, and memory is what there is to save: the channels of a pixel
are the lanes of vectors, and each output row reads its inputs once from L2 (``depthwise_tile.py``).  The data
gradient is the forward pass with turned weights, phase by phase; the weight gradient sums boxes of outputs.

With a multiplier m, output channel j reads input channel j // m.  The forward pass then has m kernels of
``c_in`` channels each, whose results are interleaved; the data gradient is computed for all ``c_out``
channels, of which m at a time are added; the weight gradient takes the output gradient apart first.
"""

from __future__ import annotations

import functools

import numpy as np

from ..._jit import jit, kernel, run, run_slots, split
from ..._threads import POOL
from ...dims import ConvDims
from ...memory import buffer_pool
from .depthwise_plan import tap_plan, window_plan
from .depthwise_tile import PIXELS, tap_sums, window_sums
from .finish import CLIP, Finish, as_it_is, finish_pixels
from .simd import VECTOR_BYTES, zero_run

STRIP = 2048  # elements of the output that are finished together, in L1
NS_PER_MAC = 0.04  # on one thread, for the choice between serial and parallel


@jit
def _spread(row, y, target, multiplier):
    """Write a row of results to every multiplier-th channel."""
    out = y[target : target + (row.size - 1) * multiplier + 1]
    for i in range(row.size):
        out[i * multiplier] = row[i]


@jit
def _fold(row, y, target, multiplier):
    """Write the sums of ``multiplier`` neighbours each."""
    out = y[target : target + row.size // multiplier]
    for i in range(out.size):
        total = row[i * multiplier]
        for r in range(1, multiplier):
            total += row[i * multiplier + r]
        out[i] = total


@jit
def _repack(w, bias, work, sizes):
    """Take the kernel apart by the multiplier, and repeat it for every pixel of a block; the bias first."""
    _, _, _, _, _, planes, _, taps, channels, block = sizes
    width = block * channels
    for row in range(taps + 1):
        source = bias if row == 0 else w[(row - 1) * planes * channels : row * planes * channels]
        for plane in range(planes):
            at = plane * width if row == 0 else (planes + plane * taps + row - 1) * width
            out = work[at : at + width]
            for i in range(channels):
                out[i] = source[i * planes + plane]
            for i in range(channels, width):
                out[i] = out[i - channels]


@jit
def _deliver(pixels, length, planes, plane, multiplier, work, scratch, width, y, target, pitch):
    """Write from the scratch what was computed of some outputs: spread over y, or folded into it."""
    for p in range(pixels):
        row = work[scratch + p * width : scratch + p * width + length]
        if planes > 1:
            _spread(row, y, target + p * pitch + plane, multiplier)
        else:
            _fold(row, y, target + p * pitch, multiplier)


@jit
def _window_part(
    slot, part, parts, x, w, bias, y, work, scratch0, finish, sizes, x_steps, w_steps, slabs, rows, spans,
    pieces
):  # fmt: skip
    """Compute some units: a row of outputs or a piece of one, for a chunk of the channels."""
    images, x_size, y_size, chunks, chunk, planes, multiplier, taps, channels, block = sizes
    kind, low, high = finish[4]
    clipped = kind == CLIP and finish[3].size == 0  # as they are written
    after = finish[0] and not clipped
    width = block * channels
    lines = slabs.shape[0] * rows.shape[0] * pieces.shape[0]
    scratch = scratch0 + slot * PIXELS[0] * width
    lo, hi = split(part, parts, images * chunks * lines)
    for unit in range(lo, hi):
        image_chunk, line = unit // lines, unit % lines
        image, first = image_chunk // chunks, image_chunk % chunks * chunk
        line, piece = line // pieces.shape[0], line % pieces.shape[0]
        d, h = line // rows.shape[0], line % rows.shape[0]
        y_line = image * y_size + slabs[d, 0] + rows[h, 0]
        x_line = image * x_size + slabs[d, 1] + rows[h, 1] + first
        w_line = slabs[d, 2] + rows[h, 2] + first
        for s in range(pieces[piece, 0], pieces[piece, 1]):
            target, at, w0 = y_line + spans[s, 0], x_line + spans[s, 1], w_line + spans[s, 2]
            counts, left, length = (slabs[d, 3], rows[h, 3], spans[s, 3]), spans[s, 4], spans[s, 5]
            hop, pitch, end = spans[s, 6], spans[s, 7], min(length, first + chunk)
            goal, goal0, step, pixels = y, target + first, pitch, left
            if multiplier > 1:  # by way of the scratch, which holds few outputs
                goal, goal0, step, pixels = work, scratch, width, PIXELS[0]
            elif after:  # while they are in L1
                pixels = max(1, STRIP // ((end - first) * PIXELS[0])) * PIXELS[0]
            while left > 0:
                pixels = min(pixels, left)
                for plane in range(planes):
                    window_sums(
                        pixels, end - first, x, at, hop, w, w0 + plane * taps * width, counts, x_steps,
                        w_steps, bias, plane * width + first, goal, goal0, step, clipped, low, high,
                    )  # fmt: skip
                    if multiplier > 1:
                        _deliver(
                            pixels, length, planes, plane, multiplier, work, scratch, width, y, target, pitch
                        )  # fmt: skip
                if after:
                    count = (end - first) * planes
                    finish_pixels(y, target + first, pixels, pitch, count, first, *finish[1:])
                at, target, left = at + pixels * hop, target + pixels * pitch, left - pixels
                if multiplier == 1:
                    goal0 += pixels * pitch


@kernel
def _windows(
    team, parts, x, w, bias, y, work, head, finish, sizes, x_steps, w_steps, slabs, rows, spans, pieces
):  # fmt: skip
    """Sum windows by a plan; all arrays but tables are flat.  ``head`` elements of work hold the weights.

    finish: whether to, and what `finish_pixels` takes, without a scale; nothing where results are folded.
    """
    weights, start = w, bias
    if head > 0:
        _repack(w, bias, work, sizes)
        width = sizes[8] * sizes[9]
        start, weights = work, work[sizes[5] * width :]
    arrays = (x, weights, start, y, work, head)
    tables = (sizes, x_steps, w_steps, slabs, rows, spans, pieces)
    run_slots(team, _window_part, parts, (*arrays, finish, *tables))


@jit
def _take_apart(dy, dy0, counts, steps, length, multiplier, work, scratch):
    """Copy a box of the output gradient, channel ``r`` of every multiplier to plane r."""
    row = counts[2] * length
    size = counts[0] * counts[1] * row
    for line in range(counts[0] * counts[1]):
        at = dy0 + line // counts[1] * steps[0] + line % counts[1] * steps[1]
        source = dy[at : at + row * multiplier]
        for r in range(multiplier):
            start = scratch + r * size + line * row
            out = work[start : start + row]
            for i in range(row):
                out[i] = source[i * multiplier + r]


@jit
def _tap_part(slot, part, parts, x, dy, dw, work, head, room, sizes, x_strides, y_strides, boxes, taps, cuts):
    """Sum over one split's boxes, for one chunk of the channels."""
    x_size, y_size, splits, chunks, chunk, multiplier, number, channels, block = sizes
    width = block * channels
    share, first = part // chunks, part % chunks * chunk
    sums, sums0 = dw if head == 0 else work, share * multiplier * number * width
    scratch = head + slot * room
    for t in range(multiplier * number):
        zero_run(sums, sums0 + t * width + first, min(width, first + chunk) - first)
    for unit in range(cuts[share], cuts[share + 1]):
        image, b = unit // boxes.shape[0], unit % boxes.shape[0]
        x0, y0 = image * x_size + boxes[b, 0], image * y_size + boxes[b, 1]
        counts = (boxes[b, 2], boxes[b, 3], boxes[b, 4])
        t0, t1, length = boxes[b, 5], boxes[b, 6], boxes[b, 7]
        x_steps, end = (x_strides[0], x_strides[1], boxes[b, 8]), min(length, first + chunk)
        y_steps, source, at = (y_strides[0], y_strides[1], length), dy, y0
        if multiplier > 1:
            row = counts[2] * length
            _take_apart(dy, y0, counts, y_strides, length, multiplier, work, scratch)
            y_steps, source, at = (counts[1] * row, row, length), work, scratch
        for r in range(multiplier):
            home = sums0 + r * number * width + first
            tap_sums(
                t0, t1, end - first, x, x0 + first, source, at + first, counts, x_steps, y_steps, taps, sums,
                home,
            )  # fmt: skip
            at += counts[0] * y_steps[0]


@jit
def _add_part(part, parts, work, dw, sizes):
    """Add the copies of some taps' sums, and the pixels of a block, in order."""
    _, _, splits, _, _, multiplier, number, channels, block = sizes
    width = block * channels
    lo, hi = split(part, parts, number)
    for t in range(lo, hi):
        for r in range(multiplier):
            home = (r * number + t) * width
            total = work[home : home + channels]
            for s in range(splits):
                for p in range(block):
                    at = home + s * multiplier * number * width + p * channels
                    if at > home:
                        more = work[at : at + channels]
                        for c in range(channels):
                            total[c] += more[c]
            _spread(total, dw, t * channels * multiplier + r, multiplier)


@kernel
def _taps(team, parts, x, dy, dw, work, head, room, sizes, x_strides, y_strides, boxes, taps, cuts):
    """Sum products by a plan; all arrays but tables are flat.  ``head`` elements of work hold the copies."""
    arrays, tables = (x, dy, dw, work, head, room), (sizes, x_strides, y_strides, boxes, taps, cuts)
    run_slots(team, _tap_part, parts, (*arrays, *tables))
    if head > 0:
        run(team, _add_part, min(sizes[6], 1 + head // 16384), (work, dw, sizes))


@functools.lru_cache(64)
def _zeros(count: int, dtype: np.dtype) -> np.ndarray:
    return np.zeros(count, dtype)


def depthwise_correlation(
    dims: ConvDims, backward: bool, x: np.ndarray, w: np.ndarray, b: np.ndarray | None, finish: Finish,
    y: np.ndarray,
) -> None:  # fmt: skip
    """Write the forward pass, finished, or the data gradient."""
    if dims.n == 0:
        return  # nothing to write
    team = POOL.team(dims.macs * NS_PER_MAC)
    plan = window_plan(dims, backward, VECTOR_BYTES // x.itemsize)
    work = buffer_pool.array((plan.head + team[1] * plan.slot,), x.dtype)
    if finish.scale.size:  # the kernel is small: it takes the scale
        w, b, finish = w * finish.scale, finish.shift, finish.without_scale()
    bias = _zeros(dims.c_out, x.dtype) if b is None else b
    flat = x.reshape(-1), w.reshape(-1), bias, y.reshape(-1)
    _windows.on(team, plan.parts, *flat, work, plan.head, finish.argument(), plan.tables)


def is_depthwise(dims: ConvDims) -> bool:
    """Tell whether every one of several groups has one input channel."""
    return dims.groups == dims.c_in > 1


def depthwise_forward(
    dims: ConvDims,
    x: np.ndarray,  # (n, *in, c_in) read
    w: np.ndarray,  # (*k, 1, c_out) read
    b: np.ndarray | None,  # (c_out,) read, or None
    y: np.ndarray,  # (n, *out, c_out) written
) -> None:
    """``y[o, j] = b[j] + sum over taps t of x[o*stride - pad + t*dilation, j // m] * w[t, 0, j]``."""
    depthwise_correlation(dims, False, x, w, b, as_it_is(x), y)


def depthwise_backward_data(
    dims: ConvDims,
    dy: np.ndarray,  # (n, *out, c_out) read
    w: np.ndarray,  # (*k, 1, c_out) read
    dx: np.ndarray,  # (n, *in, c_in) written
) -> None:
    """``dx[p, i] = sum of dy[o, j] * w[t, 0, j]`` over j // m = i and o*stride - pad + t*dilation = p."""
    depthwise_correlation(dims, True, dy, w, None, as_it_is(dy), dx)


def depthwise_backward_weights(
    dims: ConvDims,
    x: np.ndarray,  # (n, *in, c_in) read
    dy: np.ndarray,  # (n, *out, c_out) read
    dw: np.ndarray,  # (*k, 1, c_out) written
) -> None:
    """``dw[t, 0, j] = sum over outputs o of x[o*stride - pad + t*dilation, j // m] * dy[o, j]``."""
    if dims.n == 0:
        dw.fill(0)
        return
    team = POOL.team(dims.macs * NS_PER_MAC)
    plan = tap_plan(dims, VECTOR_BYTES // x.itemsize, team[1])
    work = buffer_pool.array((plan.head + team[1] * plan.slot,), x.dtype)
    flat = x.reshape(-1), dy.reshape(-1), dw.reshape(-1)
    _taps.on(team, plan.parts, *flat, work, plan.head, plan.slot, plan.tables)

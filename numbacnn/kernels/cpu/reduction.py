"""Sums and maxima over pooling windows, axis by axis: the loops around the groups of `window`.

A piece of a row of the target is made in two passes, unless windows are small and overlap little.  The first
reduces over depths and rows: whole runs of a row of the source, so vectors are full however few the channels;
its result stays in L1.  The second reduces that over columns.  Nine taps of a 3 x 3 window are six that way,
27 of a 3 x 3 x 3 window twelve.
"""

from __future__ import annotations

import numpy as np

from ..._jit import jit, kernel, run_slots, split
from ..._threads import POOL
from ...memory import buffer_pool
from .pool_plan import Passes
from .simd import VECTOR_BYTES
from .window import GROUP, either, group_at, max_taps, sum_magnitudes, sum_squares, sum_taps

_ROWS = 8  # rows at a time: so many streams, rather than one number of each of hundreds


@jit
def locate(unit, depths, rows, chunks):
    """Return image, depth, row and chunk of a unit."""
    line = unit // chunks.shape[0]
    plane = line // rows.shape[0]
    image = plane // depths.shape[0]
    return (
        image,
        plane - image * depths.shape[0],
        line - plane * rows.shape[0],
        unit - line * chunks.shape[0],
    )


@jit
def _max_columns(x, at, first, end, carry, y, target, begin, done, groups, places):
    for g in range(begin, done):
        goal, start, inner, inner_end, length, hop1, hop2, hop3, pitch, active, drop, advance = group_at(
            groups, g
        )
        goal, start, ranges = goal + target, start + at, (first, end, inner, inner_end)
        for k in range(0, length, advance):
            shape = (hop1, hop2, hop3, pitch, active, length - k, drop)
            max_taps(x, start + k, places, ranges, carry, y, goal + k, shape)


@jit
def _sum_columns(x, at, first, end, factor, carry, y, target, begin, done, groups, places, weights):
    for g in range(begin, done):
        goal, start, inner, inner_end, length, hop1, hop2, hop3, pitch, active, drop, advance = group_at(
            groups, g
        )
        goal, start, ranges = goal + target, start + at, (first, end, inner, inner_end)
        for k in range(0, length, advance):
            shape = (hop1, hop2, hop3, pitch, active, length - k, drop)
            sum_taps(x, start + k, places, weights, ranges, factor, carry, y, goal + k, shape)


@jit
def max_unit(unit, slot, x, y, work, tables):
    """Write one unit of y."""
    sizes, depths, rows, chunks, groups, places, weights = tables
    _, source, goal, segment, at_once = sizes
    image, depth, row, chunk = locate(unit, depths, rows, chunks)
    d0, d1, r0, r1 = depths[depth, 0], depths[depth, 1], rows[row, 0], rows[row, 1]
    first, end, low, length = chunks[chunk, 0], chunks[chunk, 1], chunks[chunk, 2], chunks[chunk, 3]
    target = image * goal + depths[depth, 2] + rows[row, 2]
    at, lanes, carry = image * source, VECTOR_BYTES // x.itemsize, False
    whole = at_once or (d1 - d0) * (r1 - r0) == 1
    if not whole:
        line = slot * segment
        for d in range(d0, d1):
            start = at + places[d] + low
            for r in range(r0, r1, _ROWS):
                ranges = (r, min(r + _ROWS, r1), 0, 1)
                for k in range(0, length, GROUP * lanes):
                    shape = (lanes, 2 * lanes, 3 * lanes, lanes, GROUP, length - k, lanes)
                    max_taps(x, start + k, places, ranges, carry, work, line + k, shape)
                carry = True
        at, d0, d1, r0, r1 = line - low, 0, 1, 0, 1
    values = either(whole, x, work)
    for d in range(d0, d1):
        _max_columns(values, at + places[d], r0, r1, d > d0, y, target, first, end, groups, places)


@jit
def sum_unit(unit, slot, x, y, work, tables):
    """Write one unit of y."""
    sizes, depths, rows, chunks, groups, places, weights = tables
    _, source, goal, segment, at_once = sizes
    image, depth, row, chunk = locate(unit, depths, rows, chunks)
    d0, d1, r0, r1 = depths[depth, 0], depths[depth, 1], rows[row, 0], rows[row, 1]
    first, end, low, length = chunks[chunk, 0], chunks[chunk, 1], chunks[chunk, 2], chunks[chunk, 3]
    target = image * goal + depths[depth, 2] + rows[row, 2]
    at, lanes, carry = image * source, VECTOR_BYTES // x.itemsize, False
    taps = (d1 - d0) * (r1 - r0)
    whole = taps == 1 or (at_once and taps > 0)
    if not whole:
        line = slot * segment
        for d in range(d0, d1):
            start = at + places[d] + low
            for r in range(r0, r1, _ROWS):
                ranges = (r, min(r + _ROWS, r1), 0, 1)
                for k in range(0, length, GROUP * lanes):
                    shape = (lanes, 2 * lanes, 3 * lanes, lanes, GROUP, length - k, lanes)
                    sum_taps(x, start + k, places, weights, ranges, weights[d], carry, work, line + k, shape)
                carry = True
        at, d0, d1, r0, r1 = line - low, 0, 1, 0, min(taps, 1)  # without any source, zeros
    values = either(whole, x, work)
    for d in range(d0, d1):
        _sum_columns(
            values,
            at + places[d],
            r0,
            r1,
            weights[d],
            d > d0,
            y,
            target,
            first,
            end,
            groups,
            places,
            weights,
        )


@jit
def norm_unit(unit, slot, x, y, work, squares, tables):
    """Write sums of magnitudes or squares into one unit of y."""
    sizes, depths, rows, chunks, groups, places, weights = tables
    _, source, goal, segment, _ = sizes
    image, depth, row, chunk = locate(unit, depths, rows, chunks)
    r0, r1 = rows[row, 0], rows[row, 1]
    first, end, low, length = chunks[chunk, 0], chunks[chunk, 1], chunks[chunk, 2], chunks[chunk, 3]
    target = image * goal + depths[depth, 2] + rows[row, 2]
    lanes, one = VECTOR_BYTES // x.itemsize, x.dtype.type(1)
    line, carry = slot * segment, False
    for d in range(depths[depth, 0], depths[depth, 1]):
        at = image * source + places[d] + low
        for r in range(r0, r1, _ROWS):
            ranges = (r, min(r + _ROWS, r1), 0, 1)
            for k in range(0, length, GROUP * lanes):
                shape = (lanes, 2 * lanes, 3 * lanes, lanes, GROUP, length - k, lanes)
                if squares:
                    sum_squares(x, at + k, places, weights, ranges, one, carry, work, line + k, shape)
                else:
                    sum_magnitudes(x, at + k, places, weights, ranges, one, carry, work, line + k, shape)
            carry = True
    _sum_columns(work, line - low, 0, 1, one, False, y, target, first, end, groups, places, weights)


@jit
def _max_part(slot, part, parts, x, y, work, units, tables):
    first, end = split(part, parts, units)
    for unit in range(first, end):
        max_unit(unit, slot, x, y, work, tables)


@jit
def _sum_part(slot, part, parts, x, y, work, units, tables):
    first, end = split(part, parts, units)
    for unit in range(first, end):
        sum_unit(unit, slot, x, y, work, tables)


@kernel
def _max(team, parts, x, y, work, units, tables):
    run_slots(team, _max_part, parts, (x, y, work, units, tables))


@kernel
def _sum(team, parts, x, y, work, units, tables):
    run_slots(team, _sum_part, parts, (x, y, work, units, tables))


def lanes_of(x: np.ndarray) -> int:
    """Elements of a vector."""
    return VECTOR_BYTES // x.itemsize


def reduce_max(plan: Passes, x: np.ndarray, y: np.ndarray) -> None:
    """Write the maxima of the sources of each target."""
    team = POOL.team((x.nbytes + y.nbytes) * 0.06)
    work = buffer_pool.array((team[1] * plan.segment,), x.dtype)
    _max.on(team, plan.parts, x.reshape(-1), y.reshape(-1), work, plan.units, plan.tables)


def reduce_sum(plan: Passes, x: np.ndarray, y: np.ndarray) -> None:
    """Write the weighted sums of the sources of each target."""
    team = POOL.team((x.nbytes + y.nbytes) * 0.06)
    work = buffer_pool.array((team[1] * plan.segment,), x.dtype)
    _sum.on(team, plan.parts, x.reshape(-1), y.reshape(-1), work, plan.units, plan.tables)

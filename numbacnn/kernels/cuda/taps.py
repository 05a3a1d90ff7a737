"""What gathering kernels do with an input and with a result: the functions within `gather`'s two kernels.

Kernels are specialised by these constants:

- RANK: spatial axes, 1 to 3.
- V: neighbouring channels of a thread: 1, or 4 or 8 where they fill the channels.
- IMAGES: images of a thread, whose windows are the same.
- TAKE: how an input enters: "copy", "value" (summed), "magnitude", "square", "power" (their sums), "max",
  "place" (of the first input that is the maximum given), "least" (of places), "routed" (summed if its place
  is the output's own).
- WEIGHTED: inputs have weights.
- GIVE: what becomes of the result: "value", "filled" (with a value where no input is), "divided", "root2",
  "root"; of p-norms' gradients "sign", "slope", "power".
- THREADS: of a block; of it LANES vectors of channels, whose results LEVELS halvings combine.
- ACC: what it is computed in: "real", "f64" or "i64".
- OUT: what it is written from: "f32", "f64", "i32" or "i64".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .intrinsics import (
    abs_,
    f32,
    f64,
    fma,
    i32,
    i64,
    load,
    load4,
    pow_,
    real,
    sqrt,
    static_range,
    store,
    store4,
)
from .launch import device

if TYPE_CHECKING:  # constants that kernels are specialised by
    RANK = V = IMAGES = 0
    TAKE = GIVE = OUT = ""
    WEIGHTED = False

_NOWHERE = (1 << 63) - 1  # the place of what was not found


@device
def begin(acc):
    """What results start from."""
    for k in static_range(V * IMAGES):
        if TAKE == "max":
            acc[k] = -real(1e999)
        elif TAKE == "place" or TAKE == "least":
            acc[k] = i64(_NOWHERE)
        else:
            acc[k] = real(0)


@device
def power(base, p, whole):
    """Of a magnitude: by products where the power is a small whole number."""
    if whole < 0:
        return pow_(base, p)
    result, left, factor = f64(1), whole, base
    while left > 0:
        if left & 1:
            result = result * factor
        factor = factor * factor
        left = i32(left >> 1)
    return result


@device
def enter(acc, k, value, mark, weight, place, p, whole):
    """Combine one input: `mark` is the maximum where places are sought, else where the input was routed."""
    if TAKE == "copy":
        acc[k] = value
    elif TAKE == "value":
        acc[k] = fma(weight, value, acc[k]) if WEIGHTED else acc[k] + value
    elif TAKE == "magnitude":
        acc[k] = acc[k] + abs_(value)
    elif TAKE == "square":
        acc[k] = fma(value, value, acc[k])
    elif TAKE == "power":
        acc[k] = acc[k] + power(f64(abs_(value)), p, whole)
    elif TAKE == "max":
        # the first NaN stays: nothing replaces it
        if not (value <= acc[k]) and acc[k] == acc[k]:
            acc[k] = value
    elif TAKE == "place":
        if (value == mark or (value != value and mark != mark)) and place < acc[k]:
            acc[k] = place
    elif TAKE == "least":
        if value < acc[k]:
            acc[k] = value
    else:
        acc[k] = acc[k] + (value if mark == place else real(0))


@device
def merge(acc, k, other):
    """Combine two results, the own one's inputs being the earlier ones."""
    if TAKE == "max":
        if not (other <= acc[k]) and acc[k] == acc[k]:
            acc[k] = other
    elif TAKE == "place" or TAKE == "least":
        if other < acc[k]:
            acc[k] = other
    else:
        acc[k] = acc[k] + other


@device
def read_tops(beside, at, tops, first):
    """The maxima whose places are sought."""
    if V == 1:
        tops[first] = load(beside, at)
    else:
        for q in static_range(V // 4):
            four = load4(beside, at + 4 * q)
            for e in static_range(4):
                tops[first + 4 * q + e] = four[e]


@device
def tap(x, beside, at, acc, tops, first, weight, place, p, whole):
    """Combine the inputs of one pixel."""
    if V == 1:
        value = load(x, at)
        if TAKE == "routed":
            enter(acc, first, value, load(beside, at), weight, place, p, whole)
        else:
            enter(acc, first, value, tops[first], weight, place, p, whole)
    else:
        for q in static_range(V // 4):
            four = load4(x, at + 4 * q)
            if TAKE == "routed":
                marks = load4(beside, at + 4 * q)
                for e in static_range(4):
                    enter(acc, first + 4 * q + e, four[e], marks[e], weight, place, p, whole)
            else:
                for e in static_range(4):
                    k = first + 4 * q + e
                    enter(acc, k, four[e], tops[k], weight, place, p, whole)


@device
def result(value, own, divisor, p):
    """What becomes of a result, in the type that is written; `own` is what lies beside the output."""
    if OUT == "f32":
        return f32(finished(value, own, divisor, p))
    if OUT == "f64":
        return f64(finished(value, own, divisor, p))
    if OUT == "i32":
        return i32(value)
    return value


@device
def finished(value, own, divisor, p):
    """What becomes of a result."""
    if GIVE == "divided":
        return value / divisor
    if GIVE == "root2":
        return sqrt(value)
    if GIVE == "root":
        return pow_(value, f64(1) / p)
    if GIVE == "sign":
        return value if own > real(0) else (-value if own < real(0) else own)
    if GIVE == "slope":
        return value * own
    if GIVE == "power":
        size = value * pow_(f64(abs_(own)), p - f64(1))
        return size if own > real(0) else (-size if own < real(0) else f64(own))
    return value


@device
def give(beside, y, at, acc, first, divisor, p):
    """Write the results of one pixel."""
    if V == 1:
        own = acc[first]
        if GIVE == "sign" or GIVE == "slope" or GIVE == "power":
            own = load(beside, at)
        store(y, at, result(acc[first], own, divisor, p))
    else:
        for q in static_range(V // 4):
            k = first + 4 * q
            owns = (acc[k], acc[k + 1], acc[k + 2], acc[k + 3])
            if GIVE == "sign" or GIVE == "slope" or GIVE == "power":
                owns = load4(beside, at + 4 * q)
            a = result(acc[k], owns[0], divisor, p)
            b = result(acc[k + 1], owns[1], divisor, p)
            c = result(acc[k + 2], owns[2], divisor, p)
            d = result(acc[k + 3], owns[3], divisor, p)
            store4(y, at + 4 * q, (a, b, c, d))


@device
def window(table, d, h, w, o0, o1):
    """The bounds of an output's inputs along the axes."""
    d0, d1, h0, h1, base = i32(0), i32(1), i32(0), i32(1), i32(0)
    if RANK == 3:
        d0, d1, base = table[d], table[d + 1], i32(o0 + 1)
    if RANK > 1:
        h0, h1, base = table[base + h], table[base + h + 1], i32(base + o1 + 1)
    return d0, d1, h0, h1, table[base + w], table[base + w + 1]


@device
def divisor_of(weights, d, h, w, o0, o1):
    """By what an output's sum is divided."""
    count, base = real(1), i32(0)
    if GIVE == "divided":
        if RANK == 3:
            count, base = weights[d], i32(o0 + 1)
        if RANK > 1:
            count, base = count * weights[base + h], i32(base + o1 + 1)
        count = count * weights[base + w]
    return count


@device
def line_at(table, weights, td, th, i1):
    """The row of the input that taps of the first axes meet, and their weight."""
    line, weight = i32(0), real(1)
    if RANK == 3:
        line = i32(table[td] * i1)
        if WEIGHTED:
            weight = weights[td]
    if RANK > 1:
        line = i32(line + table[th])
        if WEIGHTED:
            weight = weight * weights[th]
    return line, weight

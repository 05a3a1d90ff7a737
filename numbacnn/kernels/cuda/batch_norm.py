"""Batch normalisation: a thread keeps its channels and goes over rows, in the tiles of column sums.

Two passes forward, two backward, as on the CPU; between them the blocks' sums are joined by one small launch.
Variances do not cancel: a thread's sums are taken from its own first row, and threads' and blocks' moments
are joined by their means, in a fixed order.  Statistics and parameters are float32 where x has 16 bits.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

from ...epilogue import Activation
from .each import sigmoid, silu_slope
from .intrinsics import (
    block_x,
    block_y,
    div,
    i32,
    i64,
    load,
    load4,
    local_array,
    maximum,
    minimum,
    real,
    shared_array,
    sqrt,
    static_range,
    store,
    store4,
    sync,
    thread,
)
from .launch import ceil_div, device, kernel
from .memory import DeviceArray, empty
from .reduce import column_sums, computed, tiles_of, wide_of

__all__ = ["batch_norm_backward", "batch_norm_forward", "batch_norm_statistics"]

if TYPE_CHECKING:  # constants that kernels are specialised by
    WIDE = 1  # neighbouring channels of a thread
    KIND = ""  # of the activation
    FIRST = False  # moments are of x, else of what blocks wrote
    GAMMA = BETA = RESIDUAL = RUNNING = CONSTANT = DX = DGAMMA = DBETA = cast(Any, None)

_THREADS = 256
_ROWS = 16  # that a thread sums, at least
_BLOCKS = 1024  # that sum, at most
_SET = 64  # rows of a thread whose sums are taken together, so that long columns keep their places
_PASS_ROWS = 8  # that a thread writes, at least
_PASS_BLOCKS = 8192  # that write, at most


@device
def fetch(p, i, values):
    """``values = p[i]``, i counted in vectors of ``WIDE``."""
    if WIDE == 4:
        quad = load4(p, i * 4)
        for k in static_range(4):
            values[k] = real(quad[k])
    else:
        values[0] = real(load(p, i))


@device
def put(p, i, values):
    """``p[i] = values``."""
    if WIDE == 4:
        store4(p, i * 4, (values[0], values[1], values[2], values[3]))
    else:
        store(p, i, values[0])


@device
def joined(n, mean, square, more, mean_, square_):
    """The mean and the sum of squares about it of n and of more numbers; more may be 0."""
    share = more / maximum(n + more, real(1))
    delta = mean_ - mean
    return mean + delta * share, square + square_ + delta * delta * (n * share)


@device
def activated(z, low, high):
    """The activation of z."""
    if KIND == "leaky_relu":
        return z * low if z <= real(0) else z
    if KIND == "silu":
        return z * sigmoid(z)
    value = low if z < low else z  # comparisons with NaN are false: it passes
    return high if value > high else value


@device
def slope(z, dy, low, high):
    """The gradient dy of the activation of z, taken on to z."""
    if KIND == "leaky_relu":
        return dy if z > real(0) else dy * low
    if KIND == "silu":
        return dy * silu_slope(z)
    return real(0) if (z <= low) | (z >= high) else dy


@device
def factors(mean, variance, gamma, beta, column, epsilon, centre, scale, shift):
    """What is subtracted, what is multiplied by and what is added then, of a thread's channels."""
    fetch(mean, column, centre)
    fetch(variance, column, scale)
    if GAMMA:
        fetch(gamma, column, shift)
    for k in static_range(WIDE):
        scale[k] = (shift[k] if GAMMA else real(1)) / sqrt(scale[k] + epsilon)
    if BETA:
        fetch(beta, column, shift)
    else:
        for k in static_range(WIDE):
            shift[k] = real(0)


@kernel(
    "x partial mean variance running_mean running_variance momentum:real"
    " rows:i64 columns:i32 width:i32 span:i32 chunk:i64 count:i64 last:i64",
    threads=_THREADS,
)
def _moments(
    x, partial, mean, variance, running_mean, running_variance, momentum,
    rows, columns, width, span, chunk, count, last,
):  # fmt: skip
    """Moments of a chunk of rows; or join those of ``rows`` chunks: of count pixels each, the last of last.

    Means are taken from the first row of all, near which they are.
    """
    counts = shared_array(_THREADS, real)
    means, squares = shared_array(_THREADS * WIDE, real), shared_array(_THREADS * WIDE, real)
    base, first, value = local_array(WIDE, real), local_array(WIDE, real), local_array(WIDE, real)
    m, s, d, q = (
        local_array(WIDE, real), local_array(WIDE, real), local_array(WIDE, real), local_array(WIDE, real)
    )  # fmt: skip
    groups, group = div(_THREADS, width), div(thread(), width)
    column = i64(block_y()) * width + (thread() - group * width)
    lo = i64(block_x()) * chunk
    hi = minimum(lo + chunk, rows)
    n = real(0)
    for k in static_range(WIDE):
        m[k] = real(0)
        s[k] = real(0)
    if group < groups and column < columns:
        fetch(x, column, base)
        row = lo + group
        while row < hi:
            if FIRST:
                stop = minimum(row + _SET * i64(groups), hi)
                fetch(x, row * columns + column, first)
                for k in static_range(WIDE):
                    d[k] = real(0)
                    q[k] = real(0)
                more = real(0)
                while row < stop:
                    fetch(x, row * columns + column, value)
                    for k in static_range(WIDE):
                        from_first = value[k] - first[k]
                        d[k] += from_first
                        q[k] += from_first * from_first
                    more += real(1)
                    row += groups
                for k in static_range(WIDE):
                    offset = d[k] / more
                    within = maximum(q[k] - offset * d[k], real(0))
                    m[k], s[k] = joined(n, m[k], s[k], more, first[k] - base[k] + offset, within)
                n += more
            else:
                more = real(last if row == rows - 1 else count)
                fetch(partial, (2 * row) * columns + column, d)
                fetch(partial, (2 * row + 1) * columns + column, q)
                for k in static_range(WIDE):
                    m[k], s[k] = joined(n, m[k], s[k], more, d[k], q[k])
                n += more
                row += groups
    store(counts, thread(), n)
    for k in static_range(WIDE):
        store(means, thread() * WIDE + k, m[k])
        store(squares, thread() * WIDE + k, s[k])
    sync()
    half = span >> 1
    while half > 0:
        if group < half and group + half < groups:
            mine, other = thread(), thread() + half * width
            n, more = load(counts, mine), load(counts, other)
            for k in static_range(WIDE):
                at, from_ = mine * WIDE + k, other * WIDE + k
                mean_k, square_k = joined(
                    n, load(means, at), load(squares, at), more, load(means, from_), load(squares, from_)
                )
                store(means, at, mean_k)
                store(squares, at, square_k)
            store(counts, mine, n + more)
        sync()
        half = half >> 1
    if group == 0 and column < columns:
        for k in static_range(WIDE):
            at, i = thread() * WIDE + k, column * WIDE + k
            if FIRST:
                store(partial, (2 * i64(block_x()) * columns) * WIDE + i, load(means, at))
                store(partial, ((2 * i64(block_x()) + 1) * columns) * WIDE + i, load(squares, at))
            else:
                n, exact, square = load(counts, thread()), base[k] + load(means, at), load(squares, at)
                store(mean, i, exact)
                store(variance, i, square / n)
                if RUNNING:
                    old, old_variance = load(running_mean, i), load(running_variance, i)
                    share = real(1) - momentum
                    if n > real(1):
                        unbiased = square / (n - real(1))
                        store(running_mean, i, momentum * old + share * exact)
                        store(running_variance, i, momentum * old_variance + share * unbiased)


def batch_norm_statistics(
    x: DeviceArray,  # (..., c) read
    momentum: float,
    running_mean: DeviceArray | None,  # (c,) updated, or None
    running_variance: DeviceArray | None,  # (c,) updated, or None
    mean: DeviceArray,  # (c,) written
    variance: DeviceArray,  # (c,) written
) -> None:
    """``mean = E[x]``, ``variance = E[(x - mean)^2]``; running: momentum old + (1 - momentum) new."""
    if not x.size:
        mean.fill_zero()
        variance.fill_zero()
        return
    c = mean.size
    rows, wide = x.size // c, wide_of(c)
    tiles, width, chunk, chunks = _cut(rows, c, _ROWS, _BLOCKS)
    partial = empty((chunks, 2, c), computed(x))
    none = (None,) * 4
    span = 1 << (_THREADS // width - 1).bit_length()
    _moments.of(WIDE=wide, FIRST=True, RUNNING=False)(
        (chunks, tiles), x, partial, *none, 0.0, rows, c // wide, width, span, chunk, 0, 0
    )
    tiles, width, groups = tiles_of(c, 8)
    running, span = running_mean is not None, 1 << (groups - 1).bit_length()
    left = rows - (chunks - 1) * chunk
    _moments.of(WIDE=wide, FIRST=False, RUNNING=running)(
        (1, tiles), x, partial, mean, variance, running_mean, running_variance, momentum,
        chunks, c // wide, width, span, chunks, chunk, left,
    )  # fmt: skip


@kernel(
    "x residual mean variance gamma beta y epsilon:real low:real high:real"
    " rows:i64 columns:i32 width:i32 chunk:i64",
    threads=_THREADS,
)
def _normalise(
    x, residual, mean, variance, gamma, beta, y, epsilon, low, high, rows, columns, width, chunk
):  # fmt: skip
    centre, scale, shift = local_array(WIDE, real), local_array(WIDE, real), local_array(WIDE, real)
    a, more = local_array(WIDE, real), local_array(WIDE, real)
    groups, group = div(_THREADS, width), div(thread(), width)
    column = i64(block_y()) * width + (thread() - group * width)
    if group < groups and column < columns:
        factors(mean, variance, gamma, beta, column, epsilon, centre, scale, shift)
        row = i64(block_x()) * chunk + group
        hi = minimum(i64(block_x()) * chunk + chunk, rows)
        while row < hi:
            at = row * columns + column
            fetch(x, at, a)
            if RESIDUAL:
                fetch(residual, at, more)
            for k in static_range(WIDE):
                z = (a[k] - centre[k]) * scale[k] + shift[k]
                a[k] = activated(z + more[k] if RESIDUAL else z, low, high)
            put(y, at, a)
            row += groups


def batch_norm_forward(
    x: DeviceArray,  # (..., c) read
    mean: DeviceArray,  # (c,) read
    variance: DeviceArray,  # (c,) read
    gamma: DeviceArray | None,  # (c,) read, or None for 1
    beta: DeviceArray | None,  # (c,) read, or None for 0
    epsilon: float,
    residual: DeviceArray | None,  # (..., c) read, or None for 0
    activation: Activation | None,
    y: DeviceArray,  # (..., c) written
) -> None:
    """``y = activation(gamma (x - mean) / sqrt(variance + epsilon) + beta + residual)``."""
    if not x.size:
        return
    c = mean.size
    rows, wide = x.size // c, wide_of(c)
    tiles, width, chunk, chunks = _cut(rows, c, _PASS_ROWS, _PASS_BLOCKS)
    kind, low, high = _kind(activation)
    flags = {"GAMMA": gamma is not None, "BETA": beta is not None, "RESIDUAL": residual is not None}
    _normalise.of(WIDE=wide, KIND=kind, **flags)(
        (chunks, tiles), x, residual, mean, variance, gamma, beta, y, epsilon, low, high,
        rows, c // wide, width, chunk,
    )  # fmt: skip


@kernel(
    "x dy residual mean variance gamma beta partial epsilon:real low:real high:real"
    " rows:i64 columns:i32 width:i32 span:i32 chunk:i64",
    threads=_THREADS,
)
def _gradient_sums(
    x, dy, residual, mean, variance, gamma, beta, partial, epsilon, low, high,
    rows, columns, width, span, chunk,
):  # fmt: skip
    """Of each channel of a chunk of rows, the sum of what comes before the activation, and with x - mean."""
    sums, products = shared_array(_THREADS * WIDE, real), shared_array(_THREADS * WIDE, real)
    centre, scale, shift = local_array(WIDE, real), local_array(WIDE, real), local_array(WIDE, real)
    a, b, more = local_array(WIDE, real), local_array(WIDE, real), local_array(WIDE, real)
    s, p = local_array(WIDE, real), local_array(WIDE, real)
    set_s, set_p = local_array(WIDE, real), local_array(WIDE, real)
    groups, group = div(_THREADS, width), div(thread(), width)
    column = i64(block_y()) * width + (thread() - group * width)
    lo = i64(block_x()) * chunk
    hi = minimum(lo + chunk, rows)
    for k in static_range(WIDE):
        s[k] = real(0)
        p[k] = real(0)
    if group < groups and column < columns:
        factors(mean, variance, gamma, beta, column, epsilon, centre, scale, shift)
        row = lo + group
        while row < hi:
            stop = minimum(row + _SET * i64(groups), hi)
            for k in static_range(WIDE):
                set_s[k] = real(0)
                set_p[k] = real(0)
            while row < stop:
                at = row * columns + column
                fetch(x, at, a)
                fetch(dy, at, b)
                if RESIDUAL:
                    fetch(residual, at, more)
                for k in static_range(WIDE):
                    centred = a[k] - centre[k]
                    z = centred * scale[k] + shift[k]
                    g = slope(z + more[k] if RESIDUAL else z, b[k], low, high)
                    set_s[k] += g
                    set_p[k] += g * centred
                row += groups
            for k in static_range(WIDE):
                s[k] += set_s[k]
                p[k] += set_p[k]
    for k in static_range(WIDE):
        store(sums, thread() * WIDE + k, s[k])
        store(products, thread() * WIDE + k, p[k])
    sync()
    half = span >> 1
    while half > 0:
        if group < half and group + half < groups:
            for k in static_range(WIDE):
                mine, other = thread() * WIDE + k, (thread() + half * width) * WIDE + k
                store(sums, mine, load(sums, mine) + load(sums, other))
                store(products, mine, load(products, mine) + load(products, other))
        sync()
        half = half >> 1
    if group == 0 and column < columns:
        for k in static_range(WIDE):
            at, i = thread() * WIDE + k, column * WIDE + k
            store(partial, (2 * i64(block_x()) * columns) * WIDE + i, load(sums, at))
            store(partial, ((2 * i64(block_x()) + 1) * columns) * WIDE + i, load(products, at))


@kernel("sums variance dgamma dbeta terms epsilon:real pixels:i64 channels:i32", threads=_THREADS)
def _finish_sums(sums, variance, dgamma, dbeta, terms, epsilon, pixels, channels):
    """The parameters' gradients; and by what x - mean is multiplied, and what is added, in that of x."""
    j = i32(block_x()) * _THREADS + thread()
    if j < channels:
        total, product = load(sums, j), load(sums, j + channels)
        inverse = real(1) / sqrt(load(variance, j) + epsilon)
        if DGAMMA:
            store(dgamma, j, product * inverse)
        if DBETA:
            store(dbeta, j, total)
        if DX:
            store(terms, j, -(product * inverse * inverse) / real(pixels))
            store(terms, j + channels, -total / real(pixels))


@kernel(
    "x dy residual mean variance gamma beta terms dx dresidual epsilon:real low:real high:real"
    " rows:i64 columns:i32 width:i32 chunk:i64",
    threads=_THREADS,
)
def _gradient(
    x, dy, residual, mean, variance, gamma, beta, terms, dx, dresidual, epsilon, low, high,
    rows, columns, width, chunk,
):  # fmt: skip
    """``dresidual = g``, ``dx = scale (g + tilt (x - mean) + level)``."""
    centre, scale, shift = local_array(WIDE, real), local_array(WIDE, real), local_array(WIDE, real)
    a, b, more = local_array(WIDE, real), local_array(WIDE, real), local_array(WIDE, real)
    tilt, level = local_array(WIDE, real), local_array(WIDE, real)
    groups, group = div(_THREADS, width), div(thread(), width)
    column = i64(block_y()) * width + (thread() - group * width)
    if group < groups and column < columns:
        factors(mean, variance, gamma, beta, column, epsilon, centre, scale, shift)
        if not CONSTANT:
            fetch(terms, column, tilt)
            fetch(terms, columns + column, level)
        row = i64(block_x()) * chunk + group
        hi = minimum(i64(block_x()) * chunk + chunk, rows)
        while row < hi:
            at = row * columns + column
            fetch(x, at, a)
            fetch(dy, at, b)
            if RESIDUAL:
                fetch(residual, at, more)
            for k in static_range(WIDE):
                centred = a[k] - centre[k]
                z = centred * scale[k] + shift[k]
                b[k] = slope(z + more[k] if RESIDUAL else z, b[k], low, high)
                a[k] = scale[k] * (b[k] if CONSTANT else b[k] + (centred * tilt[k] + level[k]))
            if DX:
                put(dx, at, a)
            if RESIDUAL:
                put(dresidual, at, b)
            row += groups


def batch_norm_backward(
    x: DeviceArray,  # (..., c) read
    mean: DeviceArray,  # (c,) read
    variance: DeviceArray,  # (c,) read
    gamma: DeviceArray | None,  # (c,) read, or None for 1
    beta: DeviceArray | None,  # (c,) read, or None for 0
    epsilon: float,
    residual: DeviceArray | None,  # (..., c) read, or None for 0
    activation: Activation | None,
    constant: bool,
    dy: DeviceArray,  # (..., c) read
    dx: DeviceArray | None,  # (..., c) written, or None
    dresidual: DeviceArray | None,  # (..., c) written, or None; with a residual and dx, not None
    dgamma: DeviceArray | None,  # (c,) written, or None
    dbeta: DeviceArray | None,  # (c,) written, or None
) -> None:
    """``dresidual = g = dy activation'``, ``dbeta = sum(g)``, ``dgamma = sum(g n)``, n the normalised x.

    ``dx = gamma (g - dbeta / m - n dgamma / m) / sqrt(variance + epsilon)``, without the means of constants.
    """
    if not x.size:
        for sums in (dgamma, dbeta):
            if sums is not None:
                sums.fill_zero()
        return
    c = mean.size
    rows, wide = x.size // c, wide_of(c)
    kind, low, high = _kind(activation)
    options = {
        "WIDE": wide, "KIND": kind, "GAMMA": gamma is not None, "BETA": beta is not None,
        "RESIDUAL": residual is not None,
    }  # fmt: skip
    given, numbers = (x, dy, residual, mean, variance, gamma, beta), (epsilon, low, high, rows, c // wide)
    terms = None
    if not constant or dgamma is not None or dbeta is not None:
        tiles, width, chunk, chunks = _cut(rows, c, _ROWS, _BLOCKS)
        span = 1 << (_THREADS // width - 1).bit_length()
        partial = empty((chunks, 2, c), computed(x))
        _gradient_sums.of(**options)((chunks, tiles), *given, partial, *numbers, width, span, chunk)
        sums, terms = empty((2, c), computed(x)), empty((2, c), computed(x))
        column_sums(partial, chunks, 2 * c, sums)
        _finish_sums.of(DGAMMA=dgamma is not None, DBETA=dbeta is not None, DX=not constant)(
            ceil_div(c, _THREADS), sums, variance, dgamma, dbeta, terms, epsilon, rows, c
        )
    if dx is not None or dresidual is not None:
        tiles, width, chunk, chunks = _cut(rows, c, _PASS_ROWS, _PASS_BLOCKS)
        _gradient.of(CONSTANT=bool(constant), DX=dx is not None, **options)(
            (chunks, tiles), *given, terms, dx, dresidual, *numbers, width, chunk
        )


def _cut(rows: int, c: int, least: int, most: int) -> tuple[int, int, int, int]:
    """Blocks side by side, vectors of each, rows of a block, and blocks one above the other."""
    tiles, width, groups = tiles_of(c, 64)
    chunks = max(1, min(ceil_div(rows, least * groups), most // tiles))
    chunk = ceil_div(rows, chunks)
    return tiles, width, chunk, ceil_div(rows, chunk)


def _kind(activation: Activation | None) -> tuple[str, float, float]:
    """The kind, and its slope or bounds."""
    kind, low, high = activation or ("clip", -math.inf, math.inf)
    return kind if kind in ("leaky_relu", "silu") else "clip", low, high

"""One kernel for all that is done element by element: a vector of four a thread, the operation a constant.

Arrays begin at a multiple of 16 bytes, as those of the allocator do.  The output may be an input: each
element is read before it is written, by the thread that writes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .curves import curve, sigmoid
from .intrinsics import (
    abs_,
    block_x,
    exp,
    i64,
    load,
    load4,
    local_array,
    real,
    static_range,
    store,
    store4,
    tanh,
    thread,
)
from .launch import ceil_div, device, kernel

if TYPE_CHECKING:  # constants that kernels are specialised by
    OP = ""  # the operation
    BINARY = False  # it reads a second array element by element
    QUADS = 1  # vectors of four per thread

THREADS = 256


@device
def silu_slope(x):
    """``s (1 + x (1 - s))``, of which ``s (1 - s)`` is no difference."""
    small = exp(-abs_(x))
    t = real(1) / (real(1) + small)
    return t * ((real(1) if x >= real(0) else small) + x * (small * t))


@device
def result(a, b, p, q):
    """The operation on an element of each array, with two numbers."""
    if OP == "relu":  # NaN is not 0 or less: it passes
        return real(0) if a <= real(0) else a
    if OP == "relu_slope":
        return b if a > real(0) else real(0)
    if OP == "leaky":
        return a * p if a <= real(0) else a
    if OP == "leaky_slope":
        return b if a > real(0) else b * p
    if OP == "clip":
        low = p if a < p else a
        return q if low > q else low
    if OP == "clip_slope":
        return b if (a > p) & (a < q) else real(0)
    if OP == "silu":
        return a * sigmoid(a)
    if OP == "silu_slope":
        return b * silu_slope(a)
    if OP == "sigmoid":
        return sigmoid(a)
    if OP == "sigmoid_slope":
        return b * (a * (real(1) - a))
    if OP == "tanh":
        return tanh(a)
    if OP == "tanh_slope":  # 1 - a^2 would lose places near 1
        return b * ((real(1) - a) * (real(1) + a))
    if OP == "masked":
        return a * (b * p)
    if OP == "sum":
        return a + b
    if OP == "product":
        return a * b
    if OP == "difference":
        return p * (a - b)
    if OP in ("by the scale", "by the inverse"):
        return a * b
    if OP == "approach":
        return b + p * (a - b)
    if OP in ("copy", "scaled"):
        return a * p if OP == "scaled" else a
    return curve(a, b, p, q)


@kernel("x y out p:real q:real n:i64", threads=THREADS)
def each(x, y, out, p, q, n):
    """``out = result(x, y)``; the last block's last vectors may be elements."""
    first = i64(block_x()) * (4 * THREADS * QUADS) + thread() * 4
    number = real(0)
    if OP == "by the scale":
        number = real(load(y, 0))
    if OP == "by the inverse":
        number = real(load(y, 1))
    if first + (4 * THREADS * (QUADS - 1) + 4) <= n:
        a, b = local_array(4 * QUADS, real), local_array(4 * QUADS, real)
        for quad in static_range(QUADS):
            values = load4(x, first + 4 * THREADS * quad)
            for k in static_range(4):
                a[4 * quad + k] = real(values[k])
            if BINARY:
                others = load4(y, first + 4 * THREADS * quad)
                for k in static_range(4):
                    b[4 * quad + k] = real(others[k])
            else:
                for k in static_range(4):
                    b[4 * quad + k] = number
        for quad in static_range(QUADS):
            store4(
                out,
                first + 4 * THREADS * quad,
                (
                    result(a[4 * quad], b[4 * quad], p, q),
                    result(a[4 * quad + 1], b[4 * quad + 1], p, q),
                    result(a[4 * quad + 2], b[4 * quad + 2], p, q),
                    result(a[4 * quad + 3], b[4 * quad + 3], p, q),
                ),
            )
    else:
        for quad in static_range(QUADS):
            for k in static_range(4):
                i = first + (4 * THREADS * quad + k)
                if i < n:
                    other = real(load(y, i)) if BINARY else number
                    store(out, i, result(real(load(x, i)), other, p, q))


def apply(operation: str, x: Any, y: Any, out: Any, p: float = 0.0, q: float = 0.0) -> None:
    """``out = operation(x, y; p, q)``, element by element.

    y may be None, where the operation reads one array, or a loss scale's state.
    """
    quads = 2 if out.dtype.itemsize == 2 else 1  # 16 bytes a thread
    variant = each.of(OP=operation, BINARY=y is not None and not operation.startswith("by"), QUADS=quads)
    variant(ceil_div(out.size, 4 * THREADS * quads), x, y, out, p, q, out.size)

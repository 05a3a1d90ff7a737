"""Elementwise functions with their gradients, dropout, and the sum over pixels: one pass over memory each.

Arrays of a call have one shape and dtype; input and output must not overlap (LLVM then leaves its
vector loops).  The gradients of activations need the output only, but for SiLU's, which is not monotonic.
"""

from __future__ import annotations

import numpy as np

from numbacnn._jit import jit, kernel, parts_for, run, split

from . import math

__all__ = [
    "add",
    "bias_backward",
    "clip_backward",
    "clip_forward",
    "dropout_backward",
    "dropout_forward",
    "leaky_relu_backward",
    "leaky_relu_forward",
    "relu_backward",
    "relu_forward",
    "sigmoid_backward",
    "sigmoid_forward",
    "silu_backward",
    "silu_forward",
    "tanh_backward",
    "tanh_forward",
]

_GRAIN = 16384  # elements per part: some microseconds
_STREAM = 0.035  # nanoseconds per byte on one thread: memory gives some 30 GB/s
_EXP = 0.12  # nanoseconds per byte of an argument, with an exponential
_SUM_WIDTH = 256  # neighbouring elements summed side by side: enough full vectors for few channels too
_SUM_ROWS = 128  # of them per part, so that the partial sums are little beside what they sum


@jit
def _relu_part(part, parts, x, y):
    lo, hi = split(part, parts, x.size)
    x, y = x[lo:hi], y[lo:hi]
    zero = x.dtype.type(0)
    for i in range(x.size):
        value = x[i]
        y[i] = zero if value <= zero else value  # NaN is not: it passes


@jit
def _relu_gradient_part(part, parts, y, dy, dx):
    lo, hi = split(part, parts, y.size)
    y, dy, dx = y[lo:hi], dy[lo:hi], dx[lo:hi]
    zero = y.dtype.type(0)
    for i in range(y.size):
        gradient = dy[i]
        dx[i] = gradient if y[i] > zero else zero


@jit
def _leaky_part(part, parts, x, slope, y):
    lo, hi = split(part, parts, x.size)
    x, y = x[lo:hi], y[lo:hi]
    zero = x.dtype.type(0)
    for i in range(x.size):
        value = x[i]
        y[i] = value * slope if value <= zero else value


@jit
def _leaky_gradient_part(part, parts, y, dy, slope, dx):
    lo, hi = split(part, parts, y.size)
    y, dy, dx = y[lo:hi], dy[lo:hi], dx[lo:hi]
    zero = y.dtype.type(0)
    for i in range(y.size):
        gradient = dy[i]
        dx[i] = gradient if y[i] > zero else gradient * slope


@jit
def _clip_part(part, parts, x, low, high, y):
    lo, hi = split(part, parts, x.size)
    x, y = x[lo:hi], y[lo:hi]
    for i in range(x.size):
        value = x[i]
        value = low if value < low else value  # comparisons with NaN are false: it passes
        y[i] = high if value > high else value


@jit
def _clip_gradient_part(part, parts, y, dy, low, high, dx):
    lo, hi = split(part, parts, y.size)
    y, dy, dx = y[lo:hi], dy[lo:hi], dx[lo:hi]
    zero = y.dtype.type(0)
    for i in range(y.size):
        value, gradient = y[i], dy[i]
        dx[i] = gradient if (value > low) & (value < high) else zero


@jit
def _silu_part(part, parts, x, y):
    lo, hi = split(part, parts, x.size)
    x, y = x[lo:hi], y[lo:hi]
    for i in range(x.size):
        y[i] = x[i] * math.sigmoid(x[i])


@jit
def _silu_gradient_part(part, parts, x, dy, dx):
    lo, hi = split(part, parts, x.size)
    x, dy, dx = x[lo:hi], dy[lo:hi], dx[lo:hi]
    zero, one = x.dtype.type(0), x.dtype.type(1)
    for i in range(x.size):
        value = x[i]
        small = math.exp(-abs(value))  # s = t or small t, and s (1 - s) = small t^2 without a difference
        t = one / (one + small)
        dx[i] = dy[i] * (t * ((one if value >= zero else small) + value * (small * t)))


@jit
def _sigmoid_part(part, parts, x, y):
    lo, hi = split(part, parts, x.size)
    x, y = x[lo:hi], y[lo:hi]
    for i in range(x.size):
        y[i] = math.sigmoid(x[i])


@jit
def _sigmoid_gradient_part(part, parts, y, dy, dx):
    lo, hi = split(part, parts, y.size)
    y, dy, dx = y[lo:hi], dy[lo:hi], dx[lo:hi]
    one = y.dtype.type(1)
    for i in range(y.size):
        dx[i] = dy[i] * (y[i] * (one - y[i]))


@jit
def _tanh_part(part, parts, x, y):
    lo, hi = split(part, parts, x.size)
    x, y = x[lo:hi], y[lo:hi]
    for i in range(x.size):
        y[i] = math.tanh(x[i])


@jit
def _tanh_gradient_part(part, parts, y, dy, dx):
    lo, hi = split(part, parts, y.size)
    y, dy, dx = y[lo:hi], dy[lo:hi], dx[lo:hi]
    one = y.dtype.type(1)
    for i in range(y.size):
        dx[i] = dy[i] * ((one - y[i]) * (one + y[i]))  # 1 - y^2 would lose places near 1


@jit
def _drop_part(part, parts, x, mask, scale, y):
    lo, hi = split(part, parts, x.size)
    x, mask, y = x[lo:hi], mask[lo:hi], y[lo:hi]
    for i in range(x.size):
        y[i] = x[i] * (x.dtype.type(mask[i]) * scale)


@jit
def _add_part(part, parts, x, y, out):
    lo, hi = split(part, parts, x.size)
    x, y, out = x[lo:hi], y[lo:hi], out[lo:hi]
    for i in range(x.size):
        out[i] = x[i] + y[i]


@jit
def _multiply_part(part, parts, x, y, out):
    lo, hi = split(part, parts, x.size)
    x, y, out = x[lo:hi], y[lo:hi], out[lo:hi]
    for i in range(x.size):
        out[i] = x[i] * y[i]


@jit
def _sum_part(part, parts, rows, partial):
    """Sum some rows into row ``part`` of the partial sums."""
    lo, hi = split(part, parts, rows.shape[0])
    for j in range(rows.shape[1]):
        partial[part, j] = 0
    for i in range(lo, hi):
        for j in range(rows.shape[1]):
            partial[part, j] += rows[i, j]


@kernel
def _relu(team, parts, x, y):
    run(team, _relu_part, parts, (x, y))


@kernel
def _relu_gradient(team, parts, y, dy, dx):
    run(team, _relu_gradient_part, parts, (y, dy, dx))


@kernel
def _leaky(team, parts, x, slope, y):
    run(team, _leaky_part, parts, (x, slope, y))


@kernel
def _leaky_gradient(team, parts, y, dy, slope, dx):
    run(team, _leaky_gradient_part, parts, (y, dy, slope, dx))


@kernel
def _clip(team, parts, x, low, high, y):
    run(team, _clip_part, parts, (x, low, high, y))


@kernel
def _clip_gradient(team, parts, y, dy, low, high, dx):
    run(team, _clip_gradient_part, parts, (y, dy, low, high, dx))


@kernel
def _silu(team, parts, x, y):
    run(team, _silu_part, parts, (x, y))


@kernel
def _silu_gradient(team, parts, x, dy, dx):
    run(team, _silu_gradient_part, parts, (x, dy, dx))


@kernel
def _sigmoid(team, parts, x, y):
    run(team, _sigmoid_part, parts, (x, y))


@kernel
def _sigmoid_gradient(team, parts, y, dy, dx):
    run(team, _sigmoid_gradient_part, parts, (y, dy, dx))


@kernel
def _tanh(team, parts, x, y):
    run(team, _tanh_part, parts, (x, y))


@kernel
def _tanh_gradient(team, parts, y, dy, dx):
    run(team, _tanh_gradient_part, parts, (y, dy, dx))


@kernel
def _drop(team, parts, x, mask, scale, y):
    run(team, _drop_part, parts, (x, mask, scale, y))


@kernel
def _add(team, parts, x, y, out):
    run(team, _add_part, parts, (x, y, out))


@kernel
def _multiply(team, parts, x, y, out):
    run(team, _multiply_part, parts, (x, y, out))


@kernel
def _sum(team, parts, rows, rest, partial, sums):
    """Sum columns: of ``rows``, as wide as some pixels together, and of the ``rest`` of the pixels."""
    run(team, _sum_part, parts, (rows, partial))
    for part in range(1, parts):
        for j in range(rows.shape[1]):
            partial[0, j] += partial[part, j]
    for j in range(rest.size):
        partial[0, j] += rest[j]
    for c in range(sums.size):
        total = partial[0, c]
        for j in range(c + sums.size, rows.shape[1], sums.size):
            total += partial[0, j]
        sums[c] = total


def relu_forward(x: np.ndarray, y: np.ndarray) -> None:
    """``y = max(x, 0)``; NaN stays NaN."""
    _relu(2 * x.nbytes * _STREAM, parts_for(x.size, _GRAIN), x.reshape(-1), y.reshape(-1))


def relu_backward(y: np.ndarray, dy: np.ndarray, dx: np.ndarray) -> None:
    """``dx = dy where y > 0, else 0``."""
    arrays = y.reshape(-1), dy.reshape(-1), dx.reshape(-1)
    _relu_gradient(3 * y.nbytes * _STREAM, parts_for(y.size, _GRAIN), *arrays)


def leaky_relu_forward(x: np.ndarray, slope: float, y: np.ndarray) -> None:
    """``y = x where x > 0, else slope x``; NaN stays NaN."""
    arrays = x.reshape(-1), x.dtype.type(slope), y.reshape(-1)
    _leaky(2 * x.nbytes * _STREAM, parts_for(x.size, _GRAIN), *arrays)


def leaky_relu_backward(y: np.ndarray, dy: np.ndarray, slope: float, dx: np.ndarray) -> None:
    """``dx = dy where y > 0, else slope dy``, for a slope of 0 or more."""
    arrays = y.reshape(-1), dy.reshape(-1), y.dtype.type(slope), dx.reshape(-1)
    _leaky_gradient(3 * y.nbytes * _STREAM, parts_for(y.size, _GRAIN), *arrays)


def clip_forward(x: np.ndarray, low: float, high: float, y: np.ndarray) -> None:
    """``y = min(max(x, low), high)``; NaN stays NaN."""
    limits = x.dtype.type(low), x.dtype.type(high)
    _clip(2 * x.nbytes * _STREAM, parts_for(x.size, _GRAIN), x.reshape(-1), *limits, y.reshape(-1))


def clip_backward(y: np.ndarray, dy: np.ndarray, low: float, high: float, dx: np.ndarray) -> None:
    """``dx = dy where low < y < high, else 0``."""
    arrays, limits = (y.reshape(-1), dy.reshape(-1)), (y.dtype.type(low), y.dtype.type(high))
    _clip_gradient(3 * y.nbytes * _STREAM, parts_for(y.size, _GRAIN), *arrays, *limits, dx.reshape(-1))


def silu_forward(x: np.ndarray, y: np.ndarray) -> None:
    """``y = x / (1 + exp(-x))``."""
    _silu(x.nbytes * _EXP, parts_for(x.size, _GRAIN), x.reshape(-1), y.reshape(-1))


def silu_backward(x: np.ndarray, dy: np.ndarray, dx: np.ndarray) -> None:
    """``dx = dy s (1 + x (1 - s))``, ``s = 1 / (1 + exp(-x))``."""
    arrays = x.reshape(-1), dy.reshape(-1), dx.reshape(-1)
    _silu_gradient(x.nbytes * _EXP, parts_for(x.size, _GRAIN), *arrays)


def sigmoid_forward(x: np.ndarray, y: np.ndarray) -> None:
    """``y = 1 / (1 + exp(-x))``; no exponential overflows."""
    _sigmoid(x.nbytes * _EXP, parts_for(x.size, _GRAIN), x.reshape(-1), y.reshape(-1))


def sigmoid_backward(y: np.ndarray, dy: np.ndarray, dx: np.ndarray) -> None:
    """``dx = dy y (1 - y)``."""
    arrays = y.reshape(-1), dy.reshape(-1), dx.reshape(-1)
    _sigmoid_gradient(3 * y.nbytes * _STREAM, parts_for(y.size, _GRAIN), *arrays)


def tanh_forward(x: np.ndarray, y: np.ndarray) -> None:
    """``y = tanh(x)``."""
    _tanh(x.nbytes * _EXP, parts_for(x.size, _GRAIN), x.reshape(-1), y.reshape(-1))


def tanh_backward(y: np.ndarray, dy: np.ndarray, dx: np.ndarray) -> None:
    """``dx = dy (1 - y^2)``."""
    arrays = y.reshape(-1), dy.reshape(-1), dx.reshape(-1)
    _tanh_gradient(3 * y.nbytes * _STREAM, parts_for(y.size, _GRAIN), *arrays)


def dropout_forward(
    x: np.ndarray,
    mask: np.ndarray,  # uint8, 0 or 1
    scale: float,
    y: np.ndarray,
) -> None:
    """``y = x mask scale``, with 0 or 1 in the mask."""
    arrays = x.reshape(-1), mask.reshape(-1), x.dtype.type(scale), y.reshape(-1)
    _drop(2 * x.nbytes * _STREAM, parts_for(x.size, _GRAIN), *arrays)


def dropout_backward(
    dy: np.ndarray,
    mask: np.ndarray,  # uint8, 0 or 1
    scale: float,
    dx: np.ndarray,
) -> None:
    """``dx = dy mask scale``."""
    dropout_forward(dy, mask, scale, dx)


def add(x: np.ndarray, y: np.ndarray, out: np.ndarray) -> None:
    """``out = x + y``."""
    arrays = x.reshape(-1), y.reshape(-1), out.reshape(-1)
    _add(3 * x.nbytes * _STREAM, parts_for(x.size, _GRAIN), *arrays)


def multiply(x: np.ndarray, y: np.ndarray, out: np.ndarray) -> None:
    """``out = x y``."""
    arrays = x.reshape(-1), y.reshape(-1), out.reshape(-1)
    _multiply(3 * x.nbytes * _STREAM, parts_for(x.size, _GRAIN), *arrays)


def bias_backward(
    dy: np.ndarray,  # (..., c) read
    db: np.ndarray,  # (c,) written
) -> None:
    """``db[j] = sum of dy[..., j]``, over all axes but the last.

    Parts sum for themselves, then their sums are added in order: the same bits for any number of threads.
    """
    width = db.size * max(1, _SUM_WIDTH // db.size)
    count = dy.size // width
    flat, parts = dy.reshape(-1), parts_for(count, _SUM_ROWS)
    rows, rest = flat[: count * width].reshape(count, width), flat[count * width :]
    _sum(dy.nbytes * _STREAM, parts, rows, rest, np.empty((parts, width), dy.dtype), db)

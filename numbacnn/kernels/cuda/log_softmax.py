"""The logarithm of softmax over the last axis: a group of threads per row, as in ``softmax``.

No exponential overflows: each row is shifted by its maximum.  Rows with NaN give NaN.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .intrinsics import block_x, div, exp, i64, load, local_array, log, real, shared_array, store, thread
from .launch import kernel
from .memory import DeviceArray
from .reduce import block_of, group_sum, lanes_for
from .softmax import _THREADS, _grid, _layout, exponentials

__all__ = ["log_softmax_backward", "log_softmax_forward"]

if TYPE_CHECKING:  # constants that kernels are specialised by
    LANES = 32  # threads of a row
    ITEMS = 1  # classes of a thread, which it keeps in registers; 0 where they are read again


@kernel("x y rows:i64 classes:i64", threads=block_of)
def _forward(x, y, rows, classes):
    scratch, kept = shared_array(32, real), local_array(max(1, ITEMS), real)
    row = i64(block_x()) * max(1, _THREADS // LANES) + div(thread(), LANES)
    j, end = thread() & (LANES - 1), classes if row < rows else i64(0)
    base = row * classes
    top, sum_ = exponentials(x, base, j, end, kept, scratch)
    level = log(sum_)
    i = i64(j)
    while i < end:
        store(y, base + i, (load(x, base + i) - top) - level)
        i += LANES


@kernel("y dy dx rows:i64 classes:i64", threads=block_of)
def _backward(y, dy, dx, rows, classes):
    scratch = shared_array(32, real)
    row = i64(block_x()) * max(1, _THREADS // LANES) + div(thread(), LANES)
    j, end = thread() & (LANES - 1), classes if row < rows else i64(0)
    base, sum_ = row * classes, real(0)
    i = i64(j)
    while i < end:
        sum_ += load(dy, base + i)
        i += LANES
    sum_ = group_sum(sum_, scratch)
    i = i64(j)
    while i < end:
        store(dx, base + i, load(dy, base + i) - exp(load(y, base + i)) * sum_)
        i += LANES


def log_softmax_forward(
    x: DeviceArray,  # (..., k) read
    y: DeviceArray,  # (..., k) written
) -> None:
    """``y[..., j] = x[..., j] - log(sum over l of exp(x[..., l]))``."""
    k, (lanes, items) = x.shape[-1], _layout(x, 1)
    rows = x.size // k
    _forward.of(LANES=lanes, ITEMS=items)(_grid(rows, lanes), x, y, rows, k)


def log_softmax_backward(
    y: DeviceArray,  # (..., k) read: what the forward pass wrote
    dy: DeviceArray,  # (..., k) read
    dx: DeviceArray,  # (..., k) written
) -> None:
    """``dx[..., j] = dy[..., j] - exp(y[..., j]) sum over l of dy[..., l]``."""
    k = y.shape[-1]
    rows, lanes = y.size // k, lanes_for(k)
    _backward.of(LANES=lanes)(_grid(rows, lanes), y, dy, dx, rows, k)

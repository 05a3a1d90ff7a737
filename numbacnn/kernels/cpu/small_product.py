"""Products of a matrix with few rows: the weights are read, or written, once, in their own order.

With few samples a dense layer does too little with each weight to be worth packing it for the register tile:
memory alone decides.  So these kernels walk along the rows of the weights where they lie, some rows side by
side.  What is cut where depends on sizes alone, and sums of splits are added in order: the same bits for any
number of threads.

The same products serve convolutions that are dense products of few samples (``small_product_rows``).
"""

from __future__ import annotations

import functools
from math import prod

import numpy as np

from numbacnn._jit import jit, kernel, run, split
from numbacnn.dims import ConvDims
from numbacnn.memory import buffer_pool

from .finish import Finish, finish_pixels
from .simd import VECTOR_BYTES
from .small_tile import CHAINS, DOT_ROWS, NARROW, OUTER_ROWS, SAMPLES, WIDE, dot_rows, outer_rows, sum_rows
from .tile import ADD, BIAS, ZERO

#: Samples up to which these products are faster than the register tile: of any matrix, and of one in L2.
MOST_SAMPLES, MOST_SAMPLES_NEAR = 8, 16
_NEAR = 1 << 18  # weights

_PART = 131072  # bytes of weights per part: some microseconds
_PARTS = 16  # more are not sought
_SPLITS = 32
_SPLIT_ROWS = 64  # rows per split at least, as a split writes a row of sums that are read again
_CHUNK = 16384  # bytes of a row per part at most: their sums stay in L1, and the prefetcher sees long runs
_CACHED = 4 << 20  # bytes of weights that are taken to lie in a cache
_BLOCK_ROWS = 8  # rows read side by side from memory: more streams are beyond what hardware prefetches
_BLOCK_ROWS_CACHED = 16
_BLOCK = 4096  # weights per block of rows at least, for rows of few columns
_DOT_BLOCK = 4096  # bytes of a sample's output gradients that stay in L1 while rows pass
_DOT_ONE, _DOT_SEVERAL = DOT_ROWS[1], DOT_ROWS[SAMPLES]

_NS_PER_BYTE = 0.03  # of the weights, from cache, on one thread
_NS_PER_MAC = 0.03  # where samples are several

_NO_BIAS = {np.dtype(t): np.zeros(0, t) for t in (np.float32, np.float64)}


def is_small(n: int, weights: int) -> bool:
    """Return whether a product of n samples with so many weights belongs here; at least one sample does."""
    return 0 < n <= MOST_SAMPLES or (0 < n <= MOST_SAMPLES_NEAR and weights <= _NEAR)


@functools.lru_cache(maxsize=1024)
def small_product_rows(dims: ConvDims) -> int:
    """Return of how many samples the dense product is that a convolution is; 0: of too many, or it is none.

    A kernel of one pixel takes each pixel as a sample, and one as large as the input takes each image.
    """
    plain = dims.groups == 1 and not any(dims.pad_lo_ + dims.pad_hi_)
    if plain and prod(dims.k_) == prod(dims.stride_) == 1:
        rows = dims.n * prod(dims.in_)
    elif plain and dims.k_ == dims.in_:
        rows = dims.n
    else:
        return 0
    return rows if is_small(rows, prod(dims.kernel_shape)) else 0


@jit
def _forward_part(part, parts, x, w, b, sums, splits, columns, block):
    """Sum the rows of one split for one chunk of columns, some rows at a time."""
    n, lanes = x.shape[0], VECTOR_BYTES // x.itemsize
    inputs, outputs = w.shape
    chunks = parts // splits
    first, end = split(part // chunks, splits, inputs)
    base = part // chunks * n * outputs
    low = part % chunks * columns
    high = min(outputs, low + columns)
    for row in range(first, end, block):
        stop = min(end, row + block)
        mode = ADD if row > first else BIAS if b.size > 0 and first == 0 else ZERO
        at = (w, outputs, row, stop, b, sums, base, mode)
        j = low
        if n == 1:
            while high - j >= WIDE * lanes:
                sum_rows(1, WIDE, 1, x, inputs, 0, 1, at, j, high)
                j += WIDE * lanes
            while j < high:
                sum_rows(1, NARROW, CHAINS, x, inputs, 0, 1, at, j, high)
                j += NARROW * lanes
        else:
            while j < high:
                for s in range(0, n, SAMPLES):
                    sum_rows(SAMPLES, NARROW, 1, x, inputs, s, n, at, j, high)
                j += NARROW * lanes


@jit
def _total_part(part, parts, sums, splits, outputs, finish, y):
    """Add the sums of the splits in order, where there are several, and finish y."""
    low, high = split(part, parts, outputs)
    for s in range(y.size // outputs):
        at = s * outputs + low
        out = y[at : at + high - low]
        for k in range(splits if splits > 1 else 0):
            held = sums[k, at : at + high - low]
            if k == 0:
                for j in range(out.size):
                    out[j] = held[j]
            else:
                for j in range(out.size):
                    out[j] += held[j]
        if finish[0]:
            finish_pixels(y, at, 1, high - low, high - low, low, *finish[1:])


@jit
def _data_part(part, parts, dy, w, dx, block, mode):
    """Multiply a range of rows with the gradients, a block of columns at a time where samples are several."""
    n = dy.shape[0]
    inputs, outputs = w.shape
    groups = (inputs + _DOT_ONE - 1) // _DOT_ONE
    first, end = split(part, parts, groups)
    first, end = first * _DOT_ONE, min(inputs, end * _DOT_ONE)
    for low in range(0, outputs, block):
        high = min(outputs, low + block)
        going = ADD if low > 0 else mode
        if n == 1 or outputs < SAMPLES * (VECTOR_BYTES // w.itemsize):
            for row in range(first, end, _DOT_ONE):
                for s in range(n):
                    dot_rows(1, dy, s, n, w, outputs, row, end, low, high, dx, inputs, going)
        else:
            for row in range(first, end, _DOT_SEVERAL):
                for s in range(0, n, SAMPLES):
                    dot_rows(SAMPLES, dy, s, n, w, outputs, row, end, low, high, dx, inputs, going)


@jit
def _weights_part(part, parts, x, dy, dw):
    """Write a range of rows."""
    n, width = x.shape[0], NARROW * (VECTOR_BYTES // x.itemsize)
    inputs, outputs = dw.shape
    first, end = split(part, parts, inputs)
    for row in range(first, end, OUTER_ROWS):
        for j in range(0, outputs, width):
            # the last columns once more, with those before them, rather than through a mask
            outer_rows(x, n, dy, dw, inputs, outputs, row, end, min(j, max(0, outputs - width)))


@kernel
def _forward(team, parts, x, w, b, y, sums, splits, columns, block, finish):
    run(team, _forward_part, parts, (x, w, b, sums, splits, columns, block))
    if splits > 1 or finish[0]:
        run(team, _total_part, 1 + splits * y.size // 65536, (sums, splits, w.shape[1], finish, y))


@kernel
def _data(team, parts, dy, w, dx, block, mode):
    run(team, _data_part, parts, (dy, w, dx, block, mode))


@kernel
def _weights(team, parts, x, dy, dw):
    run(team, _weights_part, parts, (x, dy, dw))


@functools.lru_cache(maxsize=512)
def _forward_plan(n: int, inputs: int, outputs: int, itemsize: int) -> tuple[int, int, int, int]:
    """Return splits of the inputs, columns and rows of a block, and parts: by sizes alone."""
    size = inputs * outputs * itemsize
    wanted = size // _PART
    splits = max(1, min(inputs // _SPLIT_ROWS, _SPLITS, wanted))
    width = WIDE * VECTOR_BYTES // itemsize
    columns = min(_CHUNK // itemsize, -(-outputs // max(1, min(wanted, _PARTS) // splits)))
    columns = -(-columns // width) * width
    block = max(_BLOCK_ROWS if size > _CACHED else _BLOCK_ROWS_CACHED, _BLOCK // outputs)
    return splits, columns, block, splits * -(-outputs // columns)


def _work(n: int, w: np.ndarray) -> float:
    """Return the estimated nanoseconds of a product on one thread."""
    return w.nbytes * _NS_PER_BYTE if n == 1 else n * w.size * _NS_PER_MAC


def small_product_forward(
    x: np.ndarray,  # (n, inputs) read
    w: np.ndarray,  # (inputs, outputs) read
    b: np.ndarray | None,  # (outputs,) read, or None
    finish: Finish,
    y: np.ndarray,  # (n, outputs) written
) -> None:
    """``y = x w + b`` for few samples, at least one, finished."""
    n, (inputs, outputs) = x.shape[0], w.shape
    if outputs == 1 and finish.nothing:  # the weights are one row
        y.fill(0 if b is None else b[0])
        _data(_work(n, w), 1, x, w.reshape(1, inputs), y, inputs, ADD)
        return
    splits, columns, block, parts = _forward_plan(n, inputs, outputs, w.itemsize)
    sums = y if splits == 1 else buffer_pool.array((splits, y.size), y.dtype)
    bias = _NO_BIAS[x.dtype] if b is None else b
    _forward(_work(n, w), parts, x, w, bias, y.reshape(-1), sums, splits, columns, block, finish.argument())


def small_product_backward_data(
    dy: np.ndarray,  # (n, outputs) read
    w: np.ndarray,  # (inputs, outputs) read
    dx: np.ndarray,  # (n, inputs) written
) -> None:
    """``dx = dy w'`` for few samples, at least one."""
    n, (inputs, outputs) = dy.shape[0], w.shape
    parts = max(1, min(inputs // _DOT_ONE, w.nbytes // _PART))
    block = outputs if n == 1 else _DOT_BLOCK // w.itemsize
    _data(_work(n, w), parts, dy, w, dx, block, ZERO)


def small_product_backward_weights(
    x: np.ndarray,  # (n, inputs) read
    dy: np.ndarray,  # (n, outputs) read
    dw: np.ndarray,  # (inputs, outputs) written
) -> None:
    """``dw = x' dy`` for few samples, at least one."""
    parts = max(1, min(dw.shape[0] // OUTER_ROWS, dw.nbytes // _PART))
    _weights(_work(x.shape[0], dw), parts, x, dy, dw)

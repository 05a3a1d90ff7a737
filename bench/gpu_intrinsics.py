"""Every word of the kernels' language on the device, beside its twin in the simulator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import ml_dtypes
import numpy as np

from numbacnn.kernels.cuda.intrinsics import (
    abs_,
    bits,
    block_x,
    block_y,
    block_z,
    copy_async,
    copy_commit,
    copy_wait,
    div,
    div64,
    dynamic_like,
    dynamic_shared,
    exp,
    expm1,
    f32,
    f64,
    fill_zero,
    fma,
    grid_x,
    i32,
    i64,
    is_nan,
    lane,
    load,
    load2,
    load4,
    local_array,
    log,
    log1p,
    matrix4,
    matrix4_turned,
    maximum,
    minimum,
    mma_bf16,
    mma_f16,
    mma_tf32,
    mul_high,
    normal_cdf,
    outer,
    pow_,
    real,
    round_tf32,
    rsqrt,
    shared_array,
    shuffle_down,
    shuffle_xor,
    sqrt,
    static_range,
    store,
    store2,
    store4,
    sync,
    sync_warp,
    tanh,
    thread,
    u32,
    u64,
)
from numbacnn.kernels.cuda.launch import Variant, kernel

if TYPE_CHECKING:  # constants that kernels are specialised by
    KIND = ""
    COUNT = 4
    ELEMENTS = 0

_N = 64


@kernel("x y z out", threads=_N)
def arithmetic(x, y, z, out):
    i = thread()
    a, b, c = load(x, i), load(y, i), load(z, i)
    if KIND == "exp":
        r = exp(a)
    elif KIND == "log":
        r = log(b)
    elif KIND == "sqrt":
        r = sqrt(b)
    elif KIND == "rsqrt":
        r = rsqrt(b)
    elif KIND == "tanh":
        r = tanh(a)
    elif KIND == "expm1":
        r = expm1(a)
    elif KIND == "log1p":
        r = log1p(b)
    elif KIND == "normal_cdf":
        r = normal_cdf(a)
    elif KIND == "pow_":
        r = pow_(b, a)
    elif KIND == "abs_":
        r = abs_(a)
    elif KIND == "fma":
        r = fma(a, b, c)
    elif KIND == "maximum":
        r = maximum(a, c)
    elif KIND == "minimum":
        r = minimum(a, c)
    else:
        r = real(1) if is_nan(c) else real(0)
    store(out, i, r)


@kernel("a b out", threads=_N)
def integers(a, b, out):
    """Unsigned division, upper halves, conversions that wrap."""
    i = thread()
    x, y = load(a, i), load(b, i)
    store(out, i, i64(div(i32(x), i32(y))))
    store(out, _N + i, i64(div64(i64(x) * i64(x), i64(y))))
    store(out, 2 * _N + i, i64(mul_high(u32(x), u32(i64(y) * 1000003))))
    store(out, 3 * _N + i, i64(u32(u64(x) * u64(0x9E3779B97F4A7C15))))
    store(out, 4 * _N + i, i64(f32(x)) + i64(f64(y)))


@kernel("x out", threads=_N // 4)
def memory(x, out):
    i = thread() * 4
    if KIND == "load and store":
        for k in static_range(4):
            store(out, i + k, load(x, i + k) * real(1.0009765625))
    elif KIND == "load2 and store2":
        for k in static_range(2):
            a, b = load2(x, i + 2 * k)
            store2(out, i + 2 * k, b * real(1.0009765625), a)
    else:
        four = load4(x, i)
        store4(out, i, (four[3], four[2] * real(1.0009765625), four[1], four[0]))


@kernel("out", threads=64)
def places(out):
    block = block_x() + i32(2) * (block_y() + i32(3) * block_z())
    store(out, block * 64 + thread(), i32(thread() + 100 * lane() + 10000 * block_x() + 100000 * grid_x()))


@kernel("x out", threads=64)
def shuffles(x, out):
    i, value = thread(), load(x, thread())
    for k in static_range(5):
        store(out, 64 * k + i, shuffle_xor(value, 1 << k))
        store(out, 64 * (5 + k) + i, shuffle_down(value, 1 << k))
    sync_warp()


@kernel("x out", threads=128)
def barriers(x, out):
    """Static shared memory, read in the other order, twice."""
    first, second = shared_array(128, real), shared_array(128, i32)
    store(first, thread(), load(x, thread()))
    store(second, thread(), i32(thread()))
    sync()
    value, place = load(first, 127 - thread()), load(second, 127 - thread())
    sync()
    store(first, place, value + real(1))
    sync()
    store(out, thread(), load(first, thread()))


@kernel("x out", threads=128, shared=lambda c: 4 * c["ELEMENTS"])
def large_shared(x, out):
    """More shared memory than a kernel has unasked."""
    room = dynamic_shared(f32)
    i = thread()
    while i < ELEMENTS:
        store(room, i, load(x, i & 127) + f32(i))
        i += 128
    sync()
    store(out, thread(), load(room, ELEMENTS - 1 - thread()) + load(room, thread()))


@kernel("x out", threads=32, shared=2048)
def copies(x, out):
    """Three groups under way, zeros where nothing is given, then read by other threads."""
    room = dynamic_like(x)
    for group in static_range(3):
        place = i32((group * 32 + thread()) * COUNT)
        copy_async(room, place, x, i64(place), COUNT, thread() % 5 != group)
        copy_commit()
    for group in static_range(3):
        if group == 0:
            copy_wait(2)
        elif group == 1:
            copy_wait(1)
        else:
            copy_wait(0)
        sync()
        for k in static_range(COUNT):
            store(
                out, (group * 32 + thread()) * COUNT + k, load(room, (group * 32 + 31 - thread()) * COUNT + k)
            )


@kernel("x out", threads=32, shared=1024)
def matrices(x, out):
    room = dynamic_like(x)
    for k in static_range(8):
        room[8 * thread() + k] = x[8 * thread() + k]
    sync()
    part = local_array(4, u32)
    if KIND == "matrix4":
        matrix4(part, 0, room, i32(8 * thread()))
    else:
        matrix4_turned(part, 0, room, i32(8 * thread()))
    for k in static_range(4):
        store(out, 4 * thread() + k, part[k])


@kernel("a b out", threads=32)
def products(a, b, out):
    """Two tiles of 16 rows by two of 8 columns, twice onto the same sums."""
    sums, left, right = local_array(16, f32), local_array(8, u32), local_array(4, u32)
    fill_zero(sums, 16)
    for k in static_range(8):
        left[k] = a[8 * thread() + k]
    for k in static_range(4):
        right[k] = b[4 * thread() + k]
    if KIND == "mma_tf32":
        mma_tf32(sums, left, right, 2, 2)
        mma_tf32(sums, left, right, 2, 2)
    elif KIND == "mma_bf16":
        mma_bf16(sums, left, right, 2, 2)
        mma_bf16(sums, left, right, 2, 2)
    else:
        mma_f16(sums, left, right, 2, 2)
        mma_f16(sums, left, right, 2, 2)
    for k in static_range(16):
        store(out, 16 * thread() + k, sums[k])


@kernel("x out", threads=32)
def rounding(x, out):
    room, part = shared_array(128, f32), local_array(4, u32)
    for k in static_range(4):
        store(room, 4 * thread() + k, load(x, 4 * thread() + k))
    sync()
    for k in static_range(4):
        part[k] = bits(room, i32(4 * thread() + k))
    round_tf32(part, 4)
    for k in static_range(4):
        store(out, 4 * thread() + k, part[k])


@kernel("x out", threads=32)
def outers(x, out):
    """A thread's 8 by 8 products of shared rows and columns."""
    room, sums = shared_array(256, f32), local_array(64, f32)
    for k in static_range(8):
        store(room, 8 * thread() + k, load(x, 8 * thread() + k))
    sync()
    fill_zero(sums, 64)
    outer(sums, 8, 8, 2, room, i32(0), 4, 64, i32(128 + (thread() & 3) * 4), 8, 16)
    for k in static_range(64):
        store(out, 64 * thread() + k, sums[k])


class Trial(NamedTuple):
    """A kernel to run on both sides; the last array is written. Equal bits where the bound is 0."""

    name: str
    variant: Variant
    grid: int | tuple[int, ...]
    arrays: tuple[np.ndarray, ...]
    bound: float = 0.0  # relative to each result


BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
#: CUDA's documented errors of these functions are 1 to 5 units in the last place
_UNITS = {"exp": 4, "expm1": 2, "log": 3, "log1p": 2, "normal_cdf": 6}
_UNITS |= {"rsqrt": 4, "tanh": 4, "pow_": 16, "fma": 1}
_FUNCTIONS = (*_UNITS, "sqrt", "abs_", "maximum", "minimum", "is_nan")


def trials(shared_limit: int) -> Iterator[Trial]:
    """All trials, for a device that lends a block so many bytes of shared memory."""
    rng = np.random.default_rng(0)

    def drawn(dtype: Any, count: int) -> np.ndarray:
        return rng.standard_normal(count).astype(dtype)

    for dtype in (np.float32, np.float64):
        x, y, z = drawn(dtype, _N) * 3, np.abs(drawn(dtype, _N)) + dtype(1e-3), drawn(dtype, _N)
        z[::7] = np.nan
        for name in _FUNCTIONS:
            c = np.nan_to_num(z, nan=0.25) if name == "fma" else z
            bound = _UNITS.get(name, 0) * float(np.finfo(dtype).eps)
            arrays = (x, y, c, np.empty(_N, dtype))
            yield Trial(f"{name} {np.dtype(dtype)}", arithmetic.of(KIND=name), 1, arrays, bound)
    numbers = rng.integers(1, 1 << 31, _N), rng.integers(1, 1 << 16, _N)
    whole = tuple(n.astype(np.int32) for n in numbers)
    yield Trial("div div64 mul_high u32 i64", integers.of(), 1, (*whole, np.empty(5 * _N, np.int64)))
    for dtype in (np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.float16), BFLOAT16):
        for name in ("load and store", "load2 and store2", "load4 and store4"):
            if name.startswith("load2") and dtype.itemsize != 2:
                continue
            x = drawn(dtype, _N)
            x[:3] = np.nan, np.inf, -0.0
            yield Trial(f"{name} {dtype}", memory.of(KIND=name), 1, (x, np.empty(_N, dtype)))
    yield Trial("thread lane block grid", places.of(), (2, 3, 2), (np.empty(12 * 64, np.int32),))
    for dtype in (np.float32, np.float64):
        arrays = drawn(dtype, 64), np.empty(640, dtype)
        yield Trial(f"shuffles {np.dtype(dtype)}", shuffles.of(), 1, arrays)
        yield Trial(
            f"barriers {np.dtype(dtype)}", barriers.of(), 1, (drawn(dtype, 128), np.empty(128, dtype))
        )
    for size in (40 << 10, shared_limit):
        arrays = drawn(np.float32, 128), np.empty(128, np.float32)
        yield Trial(f"{size:,} bytes shared", large_shared.of(ELEMENTS=size // 4), 1, arrays)
    yield from _products(rng, drawn)


def _products(rng: np.random.Generator, drawn: Any) -> Iterator[Trial]:
    for dtype in (np.dtype(np.float32), np.dtype(np.float64), BFLOAT16):
        for count in (1, 2, 4, 8):
            if count * dtype.itemsize <= 16 and 96 * count * dtype.itemsize <= 2048:
                arrays = drawn(dtype, 96 * count), np.empty(96 * count, dtype)
                yield Trial(f"copy_async {count} {dtype}", copies.of(COUNT=count), 1, arrays)
    for name in ("matrix4", "matrix4_turned"):
        arrays = drawn(np.float16, 256), np.empty(128, np.uint32)
        yield Trial(name, matrices.of(KIND=name), 1, arrays)
    for name, dtype in (("mma_tf32", np.float32), ("mma_bf16", BFLOAT16), ("mma_f16", np.float16)):
        each = 4 // np.dtype(dtype).itemsize
        words = [drawn(dtype, 32 * count * each).view(np.uint32) for count in (8, 4)]
        yield Trial(name, products.of(KIND=name), 1, (*words, np.empty(512, np.float32)), 2e-5)
    x = drawn(np.float32, 128)
    x[:2] = np.nan, np.inf
    yield Trial("bits round_tf32", rounding.of(), 1, (x, np.empty(128, np.uint32)))
    yield Trial("outer", outers.of(), 1, (drawn(np.float32, 256), np.empty(2048, np.float32)), 1e-6)


def compare(trial: Trial) -> str:
    """Run both sides; the difference in words. AssertionError where it is beyond the bound."""
    from numbacnn.kernels.cuda import memory as device

    *given, out = trial.arrays
    there = [device.from_numpy(a) for a in trial.arrays]
    trial.variant(trial.grid, *there)
    got, expected = there[-1].numpy(), out.copy()
    trial.variant.simulate(trial.grid, *given, expected)
    if trial.bound == 0.0:
        same = (got == expected) | ((got != got) & (expected != expected))
        assert same.all(), f"{int((~same).sum())} of {same.size} differ, first at {int(np.argmin(same))}"
        return "equal bits"
    size = np.abs(expected.astype(np.float64))
    if trial.name.startswith(("mma", "outer", "fma")):  # sums of both signs: relative to the largest
        size = np.full(size.shape, size.max())
    error = float((np.abs(got.astype(np.float64) - expected) / size).max())
    assert error <= trial.bound, f"error {error:.1e}, more than {trial.bound:.0e}"
    return f"error {error:.0e} of {trial.bound:.0e}"


@kernel("x", threads=32)
def nothing(x):
    """What a launch costs."""

"""The words that kernels for a GPU are written in; their meaning is in ``ptx``, simulated in ``simulator``.

A kernel module imports its words from here.  Each stands for its meaning until a kernel is specialised, so
that importing a kernel imports neither Numba nor a driver.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "abs_",
    "bits",
    "block_x",
    "block_y",
    "block_z",
    "copy_async",
    "copy_commit",
    "copy_wait",
    "div",
    "div64",
    "dynamic_like",
    "dynamic_shared",
    "exp",
    "expm1",
    "f32",
    "f64",
    "fill_zero",
    "fma",
    "grid_x",
    "i32",
    "i64",
    "is_nan",
    "lane",
    "load",
    "load2",
    "load4",
    "local_array",
    "log",
    "log1p",
    "matrix4",
    "matrix4_turned",
    "maximum",
    "minimum",
    "mma_bf16",
    "mma_f16",
    "mma_tf32",
    "mul_high",
    "normal_cdf",
    "outer",
    "pow_",
    "real",
    "round_tf32",
    "rsqrt",
    "shared_array",
    "shuffle_down",
    "shuffle_xor",
    "sqrt",
    "static_range",
    "store",
    "store2",
    "store4",
    "sync",
    "sync_warp",
    "tanh",
    "thread",
    "u32",
    "u64",
]


class Word:
    """A name of the kernels' language."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, *arguments: Any) -> Any:
        raise TypeError(f"{self.name}() means something within kernels only")

    def __repr__(self) -> str:
        return f"<word {self.name}>"


# Where a thread is: ``thread()`` and ``lane()`` in its block and warp, ``block_x()`` of ``grid_x()`` blocks.
thread: Any = Word("thread")
lane: Any = Word("lane")
block_x: Any = Word("block_x")
block_y: Any = Word("block_y")
block_z: Any = Word("block_z")
grid_x: Any = Word("grid_x")

# Types, which convert. `real` is what a kernel computes in: float64 for arrays of it, else float32.
i32: Any = Word("i32")
i64: Any = Word("i64")
u32: Any = Word("u32")
u64: Any = Word("u64")
f32: Any = Word("f32")
f64: Any = Word("f64")
real: Any = Word("real")

# Memory: ``load(p, i)`` widens 16-bit floats, ``store(p, i, value)`` rounds to nearest, ties to even.
load: Any = Word("load")
store: Any = Word("store")
load4: Any = Word("load4")  # of elements i to i + 3, i a multiple of 4: a tuple
store4: Any = Word("store4")
shared_array: Any = Word("shared_array")  # (constant size, type): of a block; in kernels, outside of loops
dynamic_shared: Any = Word("dynamic_shared")  # (type): the block's memory that the launch sized
local_array: Any = Word("local_array")  # (constant size, type): registers where all indices are constant

# A block's threads meet at sync(), a warp's at sync_warp() and in the shuffles, which take all its lanes.
sync: Any = Word("sync")
sync_warp: Any = Word("sync_warp")
shuffle_xor: Any = Word("shuffle_xor")  # (value, mask): the value of lane ^ mask
shuffle_down: Any = Word("shuffle_down")  # (value, by): the value of lane + by, the own one past the end

# Arithmetic. maximum and minimum return the second argument where a comparison with NaN fails.
div: Any = Word("div")  # (a, b): a // b of 32-bit numbers, a >= 0, b > 0
fma: Any = Word("fma")
exp: Any = Word("exp")
expm1: Any = Word("expm1")
log: Any = Word("log")
log1p: Any = Word("log1p")
normal_cdf: Any = Word("normal_cdf")  # the normal distribution's share below a number
sqrt: Any = Word("sqrt")
rsqrt: Any = Word("rsqrt")
tanh: Any = Word("tanh")
pow_: Any = Word("pow_")
abs_: Any = Word("abs_")
maximum: Any = Word("maximum")
minimum: Any = Word("minimum")
is_nan: Any = Word("is_nan")
static_range: Any = Word("static_range")  # a range of constants, unrolled in the source

# Matrix products.  A copy may be read after its group was waited for and, by other threads, after a sync().
copy_async: Any = Word("copy_async")  # (to shared, i, p, k, constant count, given): zeros if not given
copy_commit: Any = Word("copy_commit")  # the copies begun since the last call are a group
copy_wait: Any = Word("copy_wait")  # (constant): until at most so many of the thread's groups are under way
dynamic_like: Any = Word("dynamic_like")  # (p): dynamic_shared of p's elements, 16-bit floats as they are
load2: Any = Word("load2")  # of elements i and i + 1, i even: a tuple
store2: Any = Word("store2")  # (p, i, first, second)
fill_zero: Any = Word("fill_zero")  # (local array, constant count)
outer: Any = Word("outer")  # sums += the product of two operands in shared memory: see ptx_mma
matrix4: Any = Word("matrix4")  # (fragment, first, shared, i): ldmatrix of four 8 by 8 of 16 bits
matrix4_turned: Any = Word("matrix4_turned")
bits: Any = Word("bits")  # (p, i): of a float32, as a u32
round_tf32: Any = Word("round_tf32")  # (fragment, constant count)
mma_tf32: Any = Word("mma_tf32")  # (sums, a, b, tiles of 16 rows, tiles of 8 columns): sums += a b
mma_bf16: Any = Word("mma_bf16")
mma_f16: Any = Word("mma_f16")
mul_high: Any = Word("mul_high")  # (u32, u32): the upper 32 bits of the product
div64: Any = Word("div64")  # (a, b): a // b of 64-bit numbers, a >= 0, b > 0

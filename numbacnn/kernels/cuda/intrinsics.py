"""The words that kernels for a GPU are written in; their meaning is in ``ptx``, simulated in ``simulator``.

A kernel module imports its words from here.  Each stands for its meaning until a kernel is specialised, so
that importing a kernel imports neither Numba nor a driver.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "abs_",
    "block_x",
    "block_y",
    "block_z",
    "div",
    "dynamic_shared",
    "exp",
    "f32",
    "f64",
    "fma",
    "grid_x",
    "i32",
    "i64",
    "is_nan",
    "lane",
    "load",
    "load4",
    "local_array",
    "log",
    "maximum",
    "minimum",
    "pow_",
    "real",
    "rsqrt",
    "shared_array",
    "shuffle_down",
    "shuffle_xor",
    "sqrt",
    "static_range",
    "store",
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
log: Any = Word("log")
sqrt: Any = Word("sqrt")
rsqrt: Any = Word("rsqrt")
tanh: Any = Word("tanh")
pow_: Any = Word("pow_")
abs_: Any = Word("abs_")
maximum: Any = Word("maximum")
minimum: Any = Word("minimum")
is_nan: Any = Word("is_nan")
static_range: Any = Word("static_range")  # a range of constants, unrolled in the source

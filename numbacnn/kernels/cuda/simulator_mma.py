"""The words of matrix products in the simulator: the twin of ``ptx_mma``.

Copies are made no sooner than they are waited for.  Fragments are spread over a warp's lanes as PTX states,
so that an address wrong by a lane is a wrong result.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .simulator import Pointer, SimulationError, _state, load, meet, own


def dynamic_like(p: Pointer) -> Pointer:
    return Pointer(_state.dynamic.view(p.array.dtype), "dynamic shared memory")


def copy_async(to: Pointer, i: int, p: Pointer, k: int, count: int, given: bool) -> None:
    to.check(i, count)
    if i % count or (given and p.check(k, count) % count):
        raise SimulationError(f"a copy of {count} elements from {k} to {i} is not aligned")

    def copy() -> None:
        to.array[i : i + count] = p.array[k : k + count] if given else 0

    if count * p.array.dtype.itemsize == 2:
        copy()
    else:
        own().copies.append(copy)


def copy_commit() -> None:
    thread_ = own()
    thread_.groups.append(thread_.copies)
    thread_.copies = []


def copy_wait(left: int) -> None:
    groups = own().groups
    while len(groups) > left:
        for copy in groups.pop(0):
            copy()


def _rows(p: Pointer, i: int) -> np.ndarray:
    count = 16 // p.array.dtype.itemsize
    if p.check(i, count) % count:
        raise SimulationError(f"{p.name}[{i}] is not aligned to 16 bytes")
    return p.array[i : i + count].view(np.uint16).copy()


def _read(what: str, spread: Callable[[np.ndarray], np.ndarray], to: Pointer, first: int, row: Any) -> None:
    """Four 8 by 8 matrices of 16-bit elements: lane k brings row k % 8 of matrix k // 8."""

    def combine(rows: list) -> Sequence:
        matrices = spread(np.stack(rows).reshape(4, 8, 8))
        pairs = np.ascontiguousarray(matrices).view(np.uint32).reshape(4, 32)
        return [pairs[:, k] for k in range(32)]

    to.array[first : first + 4] = meet(what, combine, row)


def matrix4(to: Pointer, first: int, p: Pointer, i: int) -> None:
    _read("matrix4()", lambda matrices: matrices, to, first, _rows(p, i))


def matrix4_turned(to: Pointer, first: int, p: Pointer, i: int) -> None:
    _read("matrix4_turned()", lambda matrices: matrices.transpose(0, 2, 1), to, first, _rows(p, i))


def bits(p: Pointer, i: int) -> Any:
    return p.array[p.check(i) : i + 1].view(np.uint32)[0]


def round_tf32(fragment: Pointer, count: int) -> None:
    given = fragment.array[:count]
    rounded = (given + np.uint32(0x1000)) & np.uint32(0xFFFFE000)
    fragment.array[:count] = np.where(given & 0x7FFFFFFF > 0x7F800000, given, rounded)  # NaN stays


def _as_floats(words: np.ndarray, kind: str) -> np.ndarray:
    """The numbers that a fragment's 32-bit words hold: one of TF32, or two in the last axis."""
    if kind == "tf32":
        return (words & np.uint32(0xFFFFE000)).view(np.float32)[..., None]
    halves = np.ascontiguousarray(words).view(np.uint16).reshape(*words.shape, 2)
    if kind == "f16":
        return halves.view(np.float16).astype(np.float32)
    return (halves.astype(np.uint32) << np.uint32(16)).view(np.float32)


def _mma(kind: str, name: str) -> Callable:
    each = 1 if kind == "tf32" else 2  # numbers in a register

    def word(sums: Pointer, a: Pointer, b: Pointer, rows: int, columns: int) -> None:
        def combine(brought: list) -> Sequence:
            left = np.stack([one for one, _ in brought]).reshape(8, 4, rows, 2, 2)  # g t i | half k, half row
            right = np.stack([two for _, two in brought]).reshape(8, 4, columns, 2)
            left, right = _as_floats(left, kind), _as_floats(right, kind)
            depth = 8 * each
            across = left.transpose(2, 4, 0, 3, 1, 5).reshape(rows * 16, depth)
            down = right.transpose(2, 0, 3, 1, 4).reshape(columns * 8, depth)
            with np.errstate(all="ignore"):
                product = across.astype(np.float64) @ down.astype(np.float64).T
            tiles = product.reshape(rows, 2, 8, columns, 4, 2).transpose(2, 4, 0, 3, 1, 5)
            return list(tiles.reshape(32, rows * columns * 4))

        pieces = a.array[: rows * 4].copy(), b.array[: columns * 2].copy()
        count = rows * columns * 4
        sums.array[:count] = sums.array[:count] + meet(name, combine, pieces)

    return word


mma_tf32, mma_bf16, mma_f16 = _mma("tf32", "mma_tf32()"), _mma("bf16", "mma_bf16()"), _mma("f16", "mma_f16()")


def fill_zero(array: Pointer, count: int) -> None:
    array.array[:count] = 0


def outer(
    sums: Pointer,
    rows: int,
    columns: int,
    depth: int,
    p: Pointer,
    i: int,
    row_step: int,
    row_line: int,
    k: int,
    column_step: int,
    column_line: int,
) -> None:
    """Summed in float64 and rounded once, where a GPU rounds each step of the depth."""
    size = 16 // p.array.dtype.itemsize

    def lines(first: int, step: int, line: int, count: int) -> np.ndarray:
        if any(number % size for number in (first, step, line)):
            raise SimulationError(f"{p.name}[{first}] and others are not aligned to 16 bytes")
        places = _places(step, line, count, depth, size)
        p.check(first, int(places[-1, -1]) + 1)
        return p.array[places + first].astype(np.float64)

    with np.errstate(all="ignore"):
        product = lines(i, row_step, row_line, rows).T @ lines(k, column_step, column_line, columns)
        sums.array[: rows * columns] = sums.array[: rows * columns] + product.reshape(-1)


@functools.cache
def _places(step: int, line: int, count: int, depth: int, size: int) -> np.ndarray:
    """The elements of each line, beside the first one."""
    number = np.arange(count)
    return np.arange(depth)[:, None] * line + number // size * step + number % size


def mul_high(a: int, b: int) -> int:
    return a * b >> 32


def div64(a: int, b: int) -> int:
    if a < 0 or b <= 0:
        raise SimulationError(f"div64({a}, {b}): outside of its numbers")
    return a // b


def _pair(p: Pointer, i: int) -> None:
    if p.check(i, 2) % 2:
        raise SimulationError(f"{p.name}[{i}:{i + 2}] is not aligned to 2 elements")


def load2(p: Pointer, i: int) -> tuple:
    _pair(p, i)
    return load(p, i), load(p, i + 1)


def store2(p: Pointer, i: int, first: Any, second: Any) -> None:
    _pair(p, i)
    p[i], p[i + 1] = first, second


MEETING = {"matrix4", "matrix4_turned", "mma_tf32", "mma_bf16", "mma_f16"}

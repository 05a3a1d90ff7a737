"""A GPU in Python: kernels run thread by thread, and what a GPU leaves undefined is an error here.

An index outside its array, a negative one, an integer past 32 bits, a barrier that some threads miss: each
raises.  Memory that nobody wrote holds NaN.  Copies that run beside the threads are made no sooner than
they are waited for, so that a missing wait is a wrong result.  Threads run one after another up to a barrier,
in ascending or, on request, descending order: a result that depends on it is a race.

The words of ``intrinsics`` mean here what ``ptx`` makes of them on a GPU.
"""

from __future__ import annotations

import contextlib
import contextvars
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from ...errors import require

_WARP = 32
_Item = TypeVar("_Item")


class SimulationError(Exception):
    """A kernel did what a GPU leaves undefined."""


class _State(threading.local):
    """Where the thread that runs now is."""

    thread = 0
    threads = 0
    block = (0, 0, 0)
    grid = (1, 1, 1)
    hub: Any = None  # the greenlet that the block's threads meet in; None where they never meet
    lanes: list[_Thread]
    shared: list[Pointer]
    dynamic: np.ndarray
    descending = False


_state = _State()


class _Thread:
    """What one thread has of its own."""

    __slots__ = ("copies", "done", "greenlet", "groups", "request", "shared")

    def __init__(self) -> None:
        self.greenlet: Any = None
        self.request: Any = None
        self.done = False
        self.shared = 0  # shared arrays declared so far
        self.copies: list[Callable[[], None]] = []  # begun, in no group yet
        self.groups: list[list[Callable[[], None]]] = []  # committed, not waited for


class Pointer:
    """A flat array that refuses what is not in it."""

    __slots__ = ("array", "kind", "name", "skew")

    def __init__(self, array: np.ndarray, name: str, skew: int = 0) -> None:
        self.array, self.name = array, name
        self.kind = array.dtype.kind
        self.skew = skew  # elements from a place of whole vectors to the first

    def check(self, i: Any, count: int = 1) -> int:
        """The index as an int; SimulationError where some of `count` elements from it are outside."""
        if type(i) is not int:
            raise SimulationError(f"{self.name}[{i!r}]: the index is a {type(i).__name__}")
        if not 0 <= i <= self.array.size - count:
            raise SimulationError(f"{self.name}[{i}:{i + count}] of {self.array.size} elements")
        return i

    def __getitem__(self, i: int) -> Any:
        value = self.array[self.check(i)]
        return value if self.kind not in "iub" else int(value)

    def __setitem__(self, i: int, value: Any) -> None:
        self.array[self.check(i)] = value


def _argument(array: np.ndarray, number: int) -> Pointer:
    skew = array.__array_interface__["data"][0] % 16 // array.dtype.itemsize
    return Pointer(array, f"argument {number}", skew)


def run(
    function: Callable,
    meets: bool,
    grid: tuple[int, int, int],
    threads: int,
    shared: int,
    arguments: Sequence,
) -> None:
    """Run a kernel: all its blocks, one after another.

    Args:
        function: the kernel, specialised.
        meets: whether its threads meet at barriers or in their warps.
        grid: blocks along x, y and z.
        threads: of a block.
        shared: bytes of dynamic shared memory.
        arguments: flat arrays, numbers, or None for an array that is not there.

    """
    values = [_argument(a, k) if isinstance(a, np.ndarray) else a for k, a in enumerate(arguments)]
    _state.threads, _state.grid = threads, grid
    order = range(math.prod(grid))
    with np.errstate(all="ignore"):
        for number in reversed(order) if _state.descending else order:
            x, rest = number % grid[0], number // grid[0]
            _state.block = x, rest % grid[1], rest // grid[1]
            _state.shared = []
            _state.dynamic = np.full(shared, 0xFF, np.uint8)
            _state.lanes = [_Thread() for _ in range(threads)]
            (_run_meeting if meets else _run_alone)(function, values)


@contextlib.contextmanager
def descending_order() -> Iterator[None]:
    """Run threads and blocks from the last to the first: equal results show that no two race."""
    _state.descending = True
    try:
        yield
    finally:
        _state.descending = False


def _order(items: Sequence[_Item]) -> Iterator[_Item]:
    return reversed(items) if _state.descending else iter(items)


def _run_alone(function: Callable, values: Sequence[Any]) -> None:
    _state.hub = None
    for number in _order(range(_state.threads)):
        _state.thread = number
        function(*values)


def _run_meeting(function: Callable, values: Sequence[Any]) -> None:
    greenlet = require("greenlet", "test", "simulating a GPU's threads").greenlet
    _state.hub = hub = greenlet.getcurrent()
    for thread_ in _state.lanes:
        thread_.greenlet = greenlet(function, hub)
        thread_.greenlet.gr_context = contextvars.copy_context()  # in which NumPy does not warn
    waiting: list[tuple[int, Sequence[Any]]] = [(number, values) for number in range(_state.threads)]
    while waiting:
        for number, sent in _order(waiting):
            _resume(number, sent)
        for first in range(0, _state.threads, _WARP):
            _warp(range(first, min(first + _WARP, _state.threads)))
        ends = {thread_.done for thread_ in _state.lanes}
        if ends == {True}:
            return
        if ends == {True, False}:
            raise SimulationError("some threads of a block ended where others wait in sync()")
        waiting = [(number, (None,)) for number in range(_state.threads)]


def _resume(number: int, sent: Sequence[Any]) -> None:
    """Run a thread until it meets others or ends."""
    thread_ = _state.lanes[number]
    _state.thread = number
    thread_.request = thread_.greenlet.switch(*sent)
    thread_.done = thread_.greenlet.dead


def _warp(numbers: range) -> None:
    """Serve the meetings of a warp until all of it waits for the block."""
    while True:
        requests = [_state.lanes[number].request for number in numbers]
        if all(request is None for request in requests):
            return
        if any(request is None for request in requests):
            raise SimulationError("some lanes of a warp are not where the others meet")
        if len({request[0] for request in requests}) != 1:
            raise SimulationError(f"lanes of a warp meet in different places: {requests[0][0]} and others")
        answers = requests[0][1]([request[2] for request in requests])
        for number in _order(numbers):
            _resume(number, (answers[number - numbers[0]],))


def meet(what: str, combine: Callable[[list], Sequence], value: Any) -> Any:
    """Meet the warp's other lanes: `combine` turns what all bring into what each gets."""
    return _state.hub.switch((what, combine, value))


def own() -> _Thread:
    """What the running thread has of its own."""
    return _state.lanes[_state.thread]


# ---- the words


def thread() -> int:
    return _state.thread


def lane() -> int:
    return _state.thread % _WARP


def block_x() -> int:
    return _state.block[0]


def block_y() -> int:
    return _state.block[1]


def block_z() -> int:
    return _state.block[2]


def grid_x() -> int:
    return _state.grid[0]


def _integer(name: str, low: int, high: int) -> Callable[[Any], int]:
    def convert(value: Any) -> int:
        number = int(value)
        if not low <= number < high:
            raise SimulationError(f"{name}({number}) overflows")
        return number

    return convert


class _Type:
    """A type of numbers: converts, and names the elements of arrays."""

    def __init__(self, name: str, dtype: str, convert: Callable | None = None) -> None:
        self.name, self.dtype = name, np.dtype(dtype)
        self.convert = convert or self.dtype.type

    def __call__(self, value: Any) -> Any:
        return self.convert(value)


i32 = _Type("i32", "int32", _integer("i32", -(1 << 31), 1 << 31))
i64 = _Type("i64", "int64", _integer("i64", -(1 << 63), 1 << 63))
u32 = _Type("u32", "uint32", lambda value: int(value) & 0xFFFFFFFF)
u64 = _Type("u64", "uint64", lambda value: int(value) & 0xFFFFFFFFFFFFFFFF)
f32 = _Type("f32", "float32")
f64 = _Type("f64", "float64")
TYPES = {t.name: t for t in (i32, i64, u32, u64, f32, f64)}


def load(p: Pointer, i: int) -> Any:
    value = p[i]
    return np.float32(value) if p.array.dtype.itemsize == 2 else value


def store(p: Pointer, i: int, value: Any) -> None:
    p[i] = value


def _quad(p: Pointer, i: int) -> int:
    if (p.check(i, 4) + p.skew) % 4:
        raise SimulationError(f"{p.name}[{i}:{i + 4}] is not aligned to 4 elements")
    return i


def load4(p: Pointer, i: int) -> tuple:
    _quad(p, i)
    return load(p, i), load(p, i + 1), load(p, i + 2), load(p, i + 3)


def store4(p: Pointer, i: int, values: Sequence[Any]) -> None:
    _quad(p, i)
    for k in range(4):
        p[i + k] = values[k]


def _poisoned(size: int, kind: _Type) -> np.ndarray:
    return np.full(size * kind.dtype.itemsize, 0xFF, np.uint8).view(kind.dtype)


def shared_array(size: int, kind: _Type) -> Pointer:
    thread_, arrays = own(), _state.shared
    if thread_.shared == len(arrays):
        arrays.append(Pointer(_poisoned(size, kind), f"shared array {len(arrays)}"))
    thread_.shared += 1
    return arrays[thread_.shared - 1]


def dynamic_shared(kind: _Type) -> Pointer:
    return Pointer(_state.dynamic.view(kind.dtype), "dynamic shared memory")


def local_array(size: int, kind: _Type) -> Pointer:
    return Pointer(_poisoned(size, kind), "local array")


def sync() -> None:
    _state.hub.switch(None)


def sync_warp() -> None:
    meet("sync_warp()", lambda values: values, None)


def shuffle_xor(value: Any, mask: int) -> Any:
    return meet(
        "shuffle_xor()", lambda v: [v[k ^ mask] if k ^ mask < len(v) else v[k] for k in range(len(v))], value
    )


def shuffle_down(value: Any, by: int) -> Any:
    return meet(
        "shuffle_down()", lambda v: [v[k + by] if k + by < len(v) else v[k] for k in range(len(v))], value
    )


def div(a: int, b: int) -> int:
    if not (0 <= a < 1 << 32 and 0 < b < 1 << 32):
        raise SimulationError(f"div({a}, {b}): outside of unsigned 32-bit numbers")
    return a // b


def fma(a: Any, b: Any, c: Any) -> Any:
    """In float64, rounded once for float32 but for rare double roundings."""
    return type(a)(np.float64(a) * np.float64(b) + np.float64(c))


def rsqrt(x: Any) -> Any:
    return type(x)(1) / np.sqrt(x)


def pow_(x: Any, y: Any) -> Any:
    return type(x)(x**y)


def normal_cdf(x: Any) -> Any:
    return type(x)(0.5 * math.erfc(-float(x) / math.sqrt(2.0)))


def maximum(a: Any, b: Any) -> Any:
    return a if a > b else b


def minimum(a: Any, b: Any) -> Any:
    return a if a < b else b


def is_nan(x: Any) -> bool:
    return bool(x != x)


exp, log, sqrt, tanh, abs_ = np.exp, np.log, np.sqrt, np.tanh, abs
expm1, log1p = np.expm1, np.log1p
static_range = range
MEETING = {"sync", "sync_warp", "shuffle_xor", "shuffle_down"}
"""Words in which threads meet."""

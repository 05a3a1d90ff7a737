"""Outputs poisoned and guarded, and results compared by bits over threads."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from numbacnn import _jit

POISON = -7.7e33  # no result has it, so what is not written is seen, where NaN is a right answer too
INTEGER_POISON = 77
GUARD = 64  # elements: a vector register on either side


def written(kernel: Callable, *args: Any, shapes: Any, dtype: Any) -> Any:
    """What a kernel writes to its last arguments; it writes nothing beside them.

    `shapes` is one shape, or a list of them where the kernel has several outputs.
    """
    several = isinstance(shapes, list)
    memories, outs = [], []
    poison = POISON if np.dtype(dtype).kind == "f" else INTEGER_POISON
    for shape in shapes if several else [shapes]:
        size = math.prod(shape)
        memory = np.full(size + 2 * GUARD, poison, dtype)
        memories.append(memory)
        outs.append(memory[GUARD : GUARD + size].reshape(shape))
    assert kernel(*args, *outs) is None
    for memory in memories:
        for side in (memory[:GUARD], memory[len(memory) - GUARD :]):
            np.testing.assert_array_equal(side, memory.dtype.type(poison))
    return outs if several else outs[0]


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let kernels use this many threads, or as many as there are."""
    before = _jit.get_num_threads()
    _jit.set_num_threads(min(count, before))
    try:
        yield
    finally:
        _jit.set_num_threads(before)


def assert_same_bits(compute: Callable[[], list[np.ndarray]]) -> None:
    """The results are the same bits on one thread, on two, and once more."""
    with threads(1):
        first = [a.tobytes() for a in compute()]
    for _ in range(2):
        with threads(2):
            assert [a.tobytes() for a in compute()] == first

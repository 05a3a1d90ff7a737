"""Arrays on the simulated device, and results beside the reference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numbacnn.kernels.cuda import memory
from numbacnn.kernels.cuda.simulator import descending_order


def put(array: NDArray) -> Any:
    """The array on the device."""
    return memory.from_numpy(np.ascontiguousarray(array))


def computed(kernel: Callable, arguments: tuple, shape: tuple[int, ...], dtype: Any) -> NDArray:
    """What a kernel writes to its last argument, poisoned before, in either order of the threads.

    Args:
        kernel: a public function of a kernel file.
        arguments: all but the last; NumPy arrays among them are put on the device.
        shape: of the last argument.
        dtype: of the last argument.

    """
    given = tuple(put(a) if isinstance(a, np.ndarray) else a for a in arguments)
    results = []
    for again in (False, True):
        out = memory.empty(shape, dtype)
        if again:
            with descending_order():
                kernel(*given, out)
        else:
            kernel(*given, out)
        results.append(out.numpy())
    assert results[0].tobytes() == results[1].tobytes(), "threads race: the order in which they run matters"
    for before, after in zip(arguments, given, strict=True):
        if isinstance(before, np.ndarray):
            assert after.numpy().tobytes() == before.tobytes(), "an input was written"
    return results[0]

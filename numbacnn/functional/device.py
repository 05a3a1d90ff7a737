"""What training on a GPU needs beside the operations: results that stay there, so that no step waits."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

from numbacnn.functional._checks import fresh, require_shape
from numbacnn.functional._targets import NOTHING, ignored, targets_of
from numbacnn.kernels.cuda import _driver, each, memory, metrics, random, reduce
from numbacnn.kernels.cuda.weighted_mean import weighted_mean as weighted_mean_of
from numbacnn.tensor import Tensor


def dropout_mask(seed: int, rate: float, mask: Tensor) -> None:
    """Write 0 with the probability rate, else 1, to a uint8 mask on a GPU: a function of the seed alone."""
    array = mask._array
    with _driver.on(array.device):
        random.dropout_mask(seed, 0, rate, array)


def mean(x: Tensor) -> Tensor:
    """The mean of a tensor on a GPU: a tensor () of float32, or float64 for float64; 0 of nothing."""
    array = x._array
    with _driver.on(array.device):
        kind = np.dtype(np.float64 if array.dtype == np.float64 else np.float32)
        total: Any = fresh((), array, kind)
        if array.size:
            reduce.total(array, 1.0 / array.size, total)
        else:
            total.fill_zero()
    return Tensor(total)


def weighted_mean(loss: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
    """``sum(loss) / sum(share)`` of tensors on a GPU, and the divisor: tensors (); 0 where nothing weighs."""
    array: Any = loss._array
    with _driver.on(array.device):
        value: Any = fresh((), array, loss.dtype)
        divisor: Any = fresh((), array, loss.dtype)
        weighted_mean_of(array, share._array, divisor, value)
    return Tensor(value), Tensor(divisor)


def scaled(x: Tensor, factor: float) -> Tensor:
    """``factor x`` of a tensor on a GPU."""
    array: Any = x._array
    with _driver.on(array.device):
        out = fresh(x.shape, array)
        each.apply("scaled", array, None, out, factor)
    return Tensor(out)


def correct_count(
    prediction: Tensor, target: Tensor, count: Tensor, ignore: int | None = None, name: str = "accuracy"
) -> None:
    """Add to an int64 tensor (2,) on a GPU the number of largest scores that are their target's, and of all.

    Targets are classes, of which one may be ignored, or rows whose largest counts.
    """
    scores: Any = prediction._array
    with _driver.on(scores.device):
        wanted = ignored(name, ignore) if target.ndim < scores.ndim else NOTHING
        classes: Any = targets_of(name, target, scores, wanted)
        require_shape(name, "a count", count._array, (2,), "pass a tensor of shape (2,)")
        rows = scores.reshape(-1, scores.shape[-1])
        metrics.correct_count(rows, classes, wanted, count._array)


class Readings:
    """Numbers on their way from a GPU: each is read when it is there, in the order of `put`."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Any, Any, Any]] = deque()

    def put(self, what: Any, *values: Tensor) -> None:
        """Send the values of small tensors to the host; `what` comes back with them."""
        arrays = []
        for value in values:
            array = value._array
            with _driver.on(array.device):
                host = memory.pinned(array.shape, array.dtype)
                arrays.append((host, memory.read_into(array, host)))
        self._waiting.append((what, arrays, values))

    def ready(self, wait: bool = False) -> list[tuple[Any, list[Any]]]:
        """What has arrived since: pairs of `what` and the values. With `wait`, all that was put."""
        found = []
        while self._waiting:
            what, arrays, _ = self._waiting[0]
            if not wait and not all(event.done() for _, event in arrays):
                break
            for _, event in arrays:
                event.synchronize()
            found.append((what, [host.tolist() for host, _ in arrays]))
            self._waiting.popleft()
        return found

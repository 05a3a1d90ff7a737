"""Batches on their way to the device of a model, ahead of the steps that take them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from ..tensor import Tensor, as_tensor

Batch = tuple[np.ndarray, np.ndarray]


def staged(batches: Iterable[Batch], device: str) -> Iterator[tuple[Any, Any]]:
    """The batches on a device: on a GPU each is sent, on a stream of its own, while the one before is used.

    Args:
        batches: inputs and targets.
        device: of the model.

    Returns:
        Inputs and targets: on the CPU the arrays themselves, on a GPU tensors there.

    """
    if device == "cpu":
        yield from batches
        return
    from ..kernels.cuda import _driver, memory

    def send(batch: Batch) -> tuple[Tensor, Tensor, Any]:
        x, y = (Tensor(memory.from_numpy(array, stream=stream)) for array in batch)
        return x, y, stream.record()

    index = as_tensor(np.zeros(1, np.float32), device=device)._array.device
    stream, ahead = _driver.Stream(index), None
    for batch in batches:
        current, ahead = ahead, send(batch)
        if current is not None:
            yield _taken(current)
    if ahead is not None:
        yield _taken(ahead)


def _taken(sent: tuple[Tensor, Tensor, Any]) -> tuple[Tensor, Tensor]:
    from ..kernels.cuda import _driver

    x, y, event = sent
    with _driver.on(x._array.device):
        _driver.current_stream().wait(event)
    return x, y

"""Batches on their way to the device of a model, ahead of the steps that take them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from ..tensor import Tensor, as_tensor
from .checks import Data, first_of, mapped

Batch = tuple[Data, Data]


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

    def send(batch: Batch) -> tuple[Any, Any, Any]:
        x, y = (mapped(lambda a: Tensor(memory.from_numpy(a, stream=stream)), part) for part in batch)
        return x, y, stream.record()

    index = as_tensor(np.zeros(1, np.float32), device=device)._array.device
    stream, ahead = _driver.Stream(index), None
    for batch in batches:
        current, ahead = ahead, send(batch)
        if current is not None:
            yield _taken(current)
    if ahead is not None:
        yield _taken(ahead)


def _taken(sent: tuple[Any, Any, Any]) -> tuple[Any, Any]:
    from ..kernels.cuda import _driver

    x, y, event = sent
    with _driver.on(first_of(x)._array.device):
        _driver.current_stream().wait(event)
    return x, y

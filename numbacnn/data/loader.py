"""Batches: the order of an epoch, gathered batch by batch and augmented on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..errors import ArgumentError, ShapeError, message
from ..tensor import empty

#: ``augment(x, rng) -> x``: a batch in, a batch of the same shape and dtype out.
Transform = Callable[[np.ndarray, np.random.Generator], np.ndarray]


class Batches:
    """Draw batches ``(x, y)`` from arrays, in an order that the seed and the epoch's number decide.

    Args:
        x: (N, ...) inputs, or a tuple of such arrays.
        y: (N, ...) targets, or a tuple of such arrays.
        batch_size: samples in a batch; the last one of an epoch holds what is left.
        shuffle: draw a new order for each epoch; otherwise keep the arrays' order.
        augment: changes each batch of inputs, or None; of several inputs the first.
        seed: with the epoch's number, decides order and augmentation: epoch 7 is the same whether or not
            epochs 0 to 6 were drawn before.

    Raises:
        ShapeError: x and y have not the same number of samples, or have none.
        ArgumentError: batch_size is below 1.

    """

    def __init__(
        self,
        x: Any,
        y: Any,
        batch_size: int,
        *,
        shuffle: bool = True,
        augment: Transform | None = None,
        seed: int = 0,
    ) -> None:
        lengths = [len(a) for part in (x, y) for a in (part if isinstance(part, tuple) else (part,))]
        if len(set(lengths)) != 1 or lengths[0] == 0:
            expected = "as many inputs as targets, at least one"
            got = " and ".join(map(str, lengths))
            raise ShapeError(message("Batches", expected, got, "pair them"))
        if isinstance(batch_size, bool) or not isinstance(batch_size, int | np.integer) or batch_size < 1:
            raise ArgumentError(
                message("batch_size", "an integer from 1 on", repr(batch_size), "give at least 1")
            )
        self.x, self.y, self.batch_size = x, y, int(batch_size)
        self.shuffle, self.augment, self.seed = shuffle, augment, seed

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return -(-self.samples // self.batch_size)

    @property
    def samples(self) -> int:
        """Samples in an epoch."""
        return len(self.x[0] if isinstance(self.x, tuple) else self.x)

    def epoch(self, number: int) -> Iterator[tuple[Any, Any]]:
        """Yield the batches of epoch `number` (from 0), each freshly gathered."""
        rng = np.random.default_rng([self.seed, number])
        order = rng.permutation(self.samples) if self.shuffle else None
        for start in range(0, self.samples, self.batch_size):
            part: Any = slice(start, start + self.batch_size)
            if order is not None:
                part = order[part]
            x, y = _part(self.x, part), _part(self.y, part, pooled=False)
            if self.augment is not None:
                x = (self.augment(x[0], rng), *x[1:]) if isinstance(x, tuple) else self.augment(x, rng)
            yield x, y


def _part(value: Any, part: Any, pooled: bool = True) -> Any:
    """Some samples of an array, or of each of a tuple."""
    if isinstance(value, tuple):
        return tuple(_part(each, part, pooled) for each in value)
    return value[part] if isinstance(part, slice) or not pooled else _gather(value, part)


def _gather(x: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """``x[indices]`` in a buffer of the pool, where its dtype lives there."""
    if x.dtype not in (np.float32, np.float64):
        return x[indices]
    out = empty((len(indices), *x.shape[1:]), x.dtype).numpy()
    # "clip" only says that no index needs checking: with "raise", take() goes through a second buffer
    return np.take(x, indices, axis=0, out=out, mode="clip")

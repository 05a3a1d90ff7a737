"""Batches: the order of an epoch, gathered batch by batch and augmented on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from ..errors import ArgumentError, ShapeError, message
from ..tensor import empty

#: ``augment(x, rng) -> x``: a batch in, a batch of the same shape and dtype out.
Transform = Callable[[np.ndarray, np.random.Generator], np.ndarray]


class Batches:
    """Draw batches ``(x, y)`` from arrays, in an order that the seed and the epoch's number decide.

    Args:
        x: (N, ...) inputs.
        y: (N, ...) targets.
        batch_size: samples in a batch; the last one of an epoch holds what is left.
        shuffle: draw a new order for each epoch; otherwise keep the arrays' order.
        augment: changes each batch of inputs, or None.
        seed: with the epoch's number, decides order and augmentation: epoch 7 is the same whether or not
            epochs 0 to 6 were drawn before.

    Raises:
        ShapeError: x and y have not the same number of samples, or have none.
        ArgumentError: batch_size is below 1.

    """

    def __init__(
        self,
        x: np.ndarray,
        y: np.ndarray,
        batch_size: int,
        *,
        shuffle: bool = True,
        augment: Transform | None = None,
        seed: int = 0,
    ) -> None:
        if len(x) != len(y) or len(x) == 0:
            raise ShapeError(
                message(
                    "Batches",
                    "as many inputs as targets, at least one",
                    f"{len(x)} and {len(y)}",
                    "pair them",
                )
            )
        if isinstance(batch_size, bool) or not isinstance(batch_size, int | np.integer) or batch_size < 1:
            raise ArgumentError(
                message("batch_size", "an integer from 1 on", repr(batch_size), "give at least 1")
            )
        self.x, self.y, self.batch_size = x, y, int(batch_size)
        self.shuffle, self.augment, self.seed = shuffle, augment, seed

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return -(-len(self.x) // self.batch_size)

    @property
    def samples(self) -> int:
        """Samples in an epoch."""
        return len(self.x)

    def epoch(self, number: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the batches of epoch `number` (from 0), each freshly gathered."""
        rng = np.random.default_rng([self.seed, number])
        order = rng.permutation(len(self.x)) if self.shuffle else None
        for start in range(0, len(self.x), self.batch_size):
            if order is None:
                x, y = self.x[start : start + self.batch_size], self.y[start : start + self.batch_size]
            else:
                indices = order[start : start + self.batch_size]
                x, y = _gather(self.x, indices), self.y[indices]
            yield (x if self.augment is None else self.augment(x, rng)), y


def _gather(x: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """``x[indices]`` in a buffer of the pool, where its dtype lives there."""
    if x.dtype not in (np.float32, np.float64):
        return x[indices]
    out = empty((len(indices), *x.shape[1:]), x.dtype).numpy()
    # "clip" only says that no index needs checking: with "raise", take() goes through a second buffer
    return np.take(x, indices, axis=0, out=out, mode="clip")

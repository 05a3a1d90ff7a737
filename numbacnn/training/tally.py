"""The mean loss and the accuracy of an epoch, batch by batch, without waiting for a GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import metrics
from ..tensor import Tensor, as_tensor


class Tally:
    """What the batches so far have shown.

    On a GPU the loss and the count of right answers come to the host when they are ready, so that `loss` and
    `accuracy` may lag some steps behind until `finish`.

    Args:
        counted: whether targets are classes, so that there is an accuracy.
        report: called with the number of a batch and its loss, in order, once that is known.

    Attributes:
        seen: samples so far.

    """

    def __init__(self, counted: bool, report: Callable[[int, float], None] | None = None) -> None:
        self.seen = 0
        self._counted, self._report = counted, report
        self._batches = self._known = 0
        self._total = self._correct = 0.0
        self._readings: Any = None
        self._count: Tensor | None = None

    def add(self, prediction: Tensor, target: Any, *terms: float | Tensor) -> None:
        """Take a batch in: its predictions and targets, and the terms of its loss."""
        n = len(target)
        self.seen, self._batches = self.seen + n, self._batches + 1
        if prediction.device == "cpu":
            values = [term for term in terms if not isinstance(term, Tensor)]
            right = metrics.accuracy(prediction, target) * n if self._counted else 0.0
            self._take((self._batches, n, self.seen), sum(values), self._correct + right)
            return
        self._send(prediction, target, n, terms)
        for what, read in self._readings.ready():
            self._arrived(what, read)

    def _send(self, prediction: Tensor, target: Any, n: int, terms: tuple[float | Tensor, ...]) -> None:
        from ..functional import device

        if self._readings is None:
            self._readings = device.Readings()
        sent = [term for term in terms if isinstance(term, Tensor)]
        if self._counted:
            if self._count is None:
                self._count = as_tensor(np.zeros((), np.int64), device=prediction.device)
            device.correct_count(prediction, target, self._count)
            sent.append(self._count)
        host = sum(term for term in terms if not isinstance(term, Tensor))
        self._readings.put((self._batches, n, self.seen, host), *sent)

    def _arrived(self, what: tuple[int, int, int, float], read: list[float]) -> None:
        number, n, seen, host = what
        correct = read.pop() if self._counted else 0.0
        self._take((number, n, seen), host + sum(read), correct)

    def _take(self, batch: tuple[int, int, int], value: float, correct: float) -> None:
        number, n, seen = batch
        if self._report is not None:
            self._report(number, value)
        self._total, self._correct, self._known = self._total + value * n, correct, seen

    def finish(self) -> None:
        """Wait for what is under way."""
        if self._readings is not None:
            for what, read in self._readings.ready(wait=True):
                self._arrived(what, read)

    @property
    def loss(self) -> float:
        """Mean over the samples whose loss is known; 0.0 at first."""
        return self._total / self._known if self._known else 0.0

    @property
    def accuracy(self) -> float | None:
        """Share of right answers, likewise; None where targets are no classes."""
        return self._correct / self._known if self._counted and self._known else None

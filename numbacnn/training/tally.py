"""The mean loss and the accuracy of an epoch, batch by batch, without waiting for a GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import ShapeError, message
from ..tensor import Tensor, as_tensor
from .checks import first_of


class Tally:
    """What the batches so far have shown.

    On a GPU the loss and the count of right answers come to the host when they are ready, so that `loss` and
    `accuracy` may lag some steps behind until `finish`.

    Args:
        counted: whether targets are classes, so that there is an accuracy: of several outputs, of the first.
        report: called with the number of a batch and its loss, in order, once that is known.
        ignored: the class of targets that do not count, or None.

    Attributes:
        seen: samples so far.

    """

    def __init__(
        self,
        counted: bool,
        report: Callable[[int, float], None] | None = None,
        ignored: int | None = None,
    ) -> None:
        self.seen = 0
        self._counted, self._report, self._ignored = counted, report, ignored
        self._batches = self._right = self._answers = 0
        self._total = self._weight = 0.0
        self._readings: Any = None
        self._count: Tensor | None = None

    def add(self, prediction: Any, target: Any, *terms: float | Tensor, weight: float | None = None) -> None:
        """Take a batch in: its predictions and targets, the terms of its loss, and what that weighs.

        By default it weighs as many as its samples.
        """
        prediction, target = first_of(prediction), first_of(target)
        n = len(target)
        self.seen, self._batches = self.seen + n, self._batches + 1
        what = self._batches, float(n) if weight is None else weight
        if prediction.device == "cpu":
            values = [term for term in terms if not isinstance(term, Tensor)]
            if self._counted:
                right, answers = _answers(prediction, target, self._ignored)
                self._right, self._answers = self._right + right, self._answers + answers
            self._take(*what, sum(values))
            return
        self._send(prediction, target, what, terms)
        for given, read in self._readings.ready():
            self._arrived(given, read)

    def _send(
        self, prediction: Tensor, target: Any, what: tuple[int, float], terms: tuple[float | Tensor, ...]
    ) -> None:
        from ..functional import device

        if self._readings is None:
            self._readings = device.Readings()
        sent = [term for term in terms if isinstance(term, Tensor)]
        if self._counted:
            if self._count is None:
                self._count = as_tensor(np.zeros(2, np.int64), device=prediction.device)
            device.correct_count(prediction, target, self._count, self._ignored)
            sent.append(self._count)
        host = sum(term for term in terms if not isinstance(term, Tensor))
        self._readings.put((*what, host), *sent)

    def _arrived(self, what: tuple[int, float, float], read: list[Any]) -> None:
        number, weight, host = what
        if self._counted:
            self._right, self._answers = read.pop()
        self._take(number, weight, host + sum(read))

    def _take(self, number: int, weight: float, value: float) -> None:
        if self._report is not None:
            self._report(number, value)
        self._total, self._weight = self._total + value * weight, self._weight + weight

    def finish(self) -> None:
        """Wait for what is under way."""
        if self._readings is not None:
            for what, read in self._readings.ready(wait=True):
                self._arrived(what, read)

    @property
    def loss(self) -> float:
        """Mean over what is known; 0.0 at first."""
        return self._total / self._weight if self._weight else 0.0

    @property
    def accuracy(self) -> float | None:
        """Share of right answers, likewise; None where targets are no classes, or none counted."""
        return self._right / self._answers if self._counted and self._answers else None


def _answers(prediction: Tensor, target: Any, ignored: int | None) -> tuple[int, int]:
    """How many answers are right, of how many."""
    scores, wanted = prediction.numpy(), np.asarray(target)
    predicted = scores.argmax(axis=-1)
    actual = wanted.argmax(axis=-1) if wanted.ndim == scores.ndim else wanted
    if predicted.shape != actual.shape:
        got = f"{wanted.shape} for {scores.shape}"
        raise ShapeError(message("accuracy", "a class for each prediction", got, "pair them one to one"))
    right = predicted == actual
    if ignored is None or wanted.ndim == scores.ndim:
        return int(np.count_nonzero(right)), right.size
    there = actual != ignored
    return int(np.count_nonzero(right & there)), int(np.count_nonzero(there))

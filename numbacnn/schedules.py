"""Learning-rate schedules: functions from the step, counted from 0, to the learning rate of that step.

A schedule is any callable ``step -> lr``. A training loop sets ``optimizer.lr = schedule(step)`` before each
step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from numbacnn.errors import ArgumentError, message


def _require(good: bool, name: str, expected: str, got: object, remedy: str) -> None:
    if not good:
        raise ArgumentError(message(name, expected, repr(got), remedy))


@dataclass(frozen=True)
class Constant:
    """``lr(step) = lr``.

    Attributes:
        lr: learning rate, 0 or more.

    """

    lr: float

    def __post_init__(self) -> None:
        _require(
            0.0 <= self.lr < math.inf, "Constant", "a finite lr of 0 or more", self.lr, "pass such as 0.01"
        )

    def __call__(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        return self.lr


@dataclass(frozen=True)
class OneCycle:
    """Cosine rise from ``max_lr / start_factor`` to ``max_lr``, then cosine fall to ``start / end_factor``.

    The rise takes ``rise * total_steps - 1`` steps and the fall the rest; steps past the last keep its rate.

    Attributes:
        max_lr: the highest learning rate, above 0.
        total_steps: number of steps of the run: epochs times batches per epoch, 1 or more.
        rise: share of the steps spent rising, in [0, 1].
        start_factor: max_lr over the first learning rate, 1 or more.
        end_factor: the first learning rate over the last, above 0.

    Source:
        Smith and Topin, "Super-Convergence: Very Fast Training of Neural Networks Using Large Learning
        Rates", 2019, section 3, with the cosine shape of fastai.

    """

    max_lr: float
    total_steps: int
    rise: float = 0.3
    start_factor: float = 25.0
    end_factor: float = 1e4

    def __post_init__(self) -> None:
        name = "OneCycle"
        _require(
            0.0 < self.max_lr < math.inf, name, "a finite max_lr above 0", self.max_lr, "pass such as 0.01"
        )
        steps = self.total_steps
        _require(
            isinstance(steps, int) and steps >= 1, name, "total_steps of 1 or more", steps, "epochs * batches"
        )
        _require(0.0 <= self.rise <= 1.0, name, "rise in [0, 1]", self.rise, "pass such as 0.3")
        _require(
            1.0 <= self.start_factor < math.inf,
            name,
            "start_factor >= 1",
            self.start_factor,
            "pass such as 25",
        )
        _require(
            0.0 < self.end_factor < math.inf, name, "end_factor above 0", self.end_factor, "pass such as 1e4"
        )

    def __call__(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        start = self.max_lr / self.start_factor
        peak, last = self.rise * self.total_steps - 1.0, self.total_steps - 1.0
        if step <= peak:
            return _cosine(start, self.max_lr, step / peak if peak > 0.0 else 1.0)
        peak = max(peak, 0.0)
        return _cosine(
            self.max_lr, start / self.end_factor, (step - peak) / (last - peak) if last > peak else 1.0
        )


def _cosine(first: float, last: float, progress: float) -> float:
    """Half a cosine from `first` at progress 0 to `last` at progress 1 and beyond."""
    return last + (first - last) * 0.5 * (1.0 + math.cos(math.pi * min(max(progress, 0.0), 1.0)))

"""Learning-rate schedules: functions from the step, counted from 0, to the learning rate of that step.

A schedule is any callable ``step -> lr``. A training loop sets ``optimizer.lr = schedule(step)`` before each
step.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from numbacnn.errors import ArgumentError, message


def _require(good: bool, name: str, expected: str, got: object, remedy: str) -> None:
    if not good:
        raise ArgumentError(message(name, expected, repr(got), remedy))


def _require_lr(name: str, argument: str, lr: float, least: float = 0.0) -> None:
    _require(
        least <= lr < math.inf, name, f"a finite {argument} of {least:g} or more", lr, "pass such as 0.01"
    )


def _require_count(name: str, argument: str, count: object, remedy: str = "pass such as 1000") -> None:
    good = isinstance(count, int) and not isinstance(count, bool) and count >= 1
    _require(good, name, f"an integer {argument} of 1 or more", count, remedy)


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


@dataclass(frozen=True)
class StepDecay:
    """``lr(step) = lr * factor^k``, k = ``step // every``, or the number of milestones not after the step.

    Attributes:
        lr: the first learning rate, 0 or more.
        every: steps between two changes, 1 or more; None where milestones are given.
        milestones: the steps, increasing and from 1 on, from which each the rate is multiplied once more.
        factor: above 0, at most 1.

    Raises:
        ArgumentError: a value out of its range, or both or neither of every and milestones.

    Source:
        He et al., "Deep Residual Learning for Image Recognition", 2016, section 4.2, with milestones.

    """

    lr: float
    every: int | None = None
    milestones: Sequence[int] = ()
    factor: float = 0.1

    def __post_init__(self) -> None:
        name = "StepDecay"
        _require_lr(name, "lr", self.lr)
        object.__setattr__(self, "milestones", tuple(self.milestones))
        _require(
            (self.every is None) == bool(self.milestones),
            name,
            "either every or milestones",
            (self.every, self.milestones),
            "pass such as every=1000",
        )
        if self.every is not None:
            _require_count(name, "every", self.every)
        steps = [0, *self.milestones]
        _require(
            all(isinstance(b, int) and a < b for a, b in pairwise(steps)),
            name,
            "increasing integer milestones from 1 on",
            self.milestones,
            "pass such as (1000, 2000)",
        )
        _require(0.0 < self.factor <= 1.0, name, "factor above 0, at most 1", self.factor, "pass such as 0.1")

    def __call__(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        times = bisect_right(self.milestones, step) if self.every is None else step // self.every
        return self.lr * self.factor**times


@dataclass(frozen=True)
class ExponentialDecay:
    """``lr(step) = lr * factor^(step / every)``: `StepDecay` without its steps.

    Attributes:
        lr: the first learning rate, 0 or more.
        factor: what `every` steps multiply the rate by; above 0, at most 1.
        every: such as the steps of an epoch, 1 or more.

    Raises:
        ArgumentError: a value out of its range.

    Source:
        Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", 2016, section 8 (factor
        0.94 each two epochs).

    """

    lr: float
    factor: float
    every: int = 1

    def __post_init__(self) -> None:
        name = "ExponentialDecay"
        _require_lr(name, "lr", self.lr)
        _require(0.0 < self.factor <= 1.0, name, "factor above 0, at most 1", self.factor, "pass such as 0.9")
        _require_count(name, "every", self.every)

    def __call__(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        return self.lr * self.factor ** (step / self.every)


@dataclass(frozen=True)
class PolynomialDecay:
    """``lr(step) = min_lr + (lr - min_lr) * (1 - step / total_steps)^power``, then min_lr.

    Attributes:
        lr: the first learning rate, min_lr or more.
        total_steps: steps until min_lr is reached: epochs times batches per epoch, 1 or more.
        power: above 0; 1 falls along a line.
        min_lr: the last learning rate, 0 or more.

    Raises:
        ArgumentError: a value out of its range.

    Source:
        Chen et al., "DeepLab", 2018, section 4.1 (the "poly" policy, power 0.9).

    """

    lr: float
    total_steps: int
    power: float = 1.0
    min_lr: float = 0.0

    def __post_init__(self) -> None:
        name = "PolynomialDecay"
        _require_lr(name, "min_lr", self.min_lr)
        _require_lr(name, "lr", self.lr, self.min_lr)
        _require_count(name, "total_steps", self.total_steps, "epochs * batches")
        _require(0.0 < self.power < math.inf, name, "power above 0", self.power, "pass such as 0.9")

    def __call__(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        left = max(0.0, 1.0 - step / self.total_steps)
        return self.min_lr + (self.lr - self.min_lr) * left**self.power


@dataclass(frozen=True)
class CosineDecay:
    """``lr(step) = min_lr + (lr - min_lr) * (1 + cos(pi * t / T)) / 2``, t steps into a period of T.

    The first period has `period` steps, each later one `growth` times those of the one before. After the
    last the rate stays at min_lr.

    Attributes:
        lr: the learning rate at the begin of each period, min_lr or more.
        period: steps of the first period, 1 or more; without restarts epochs times batches per epoch.
        restarts: how often the rate goes back to lr, 0 or more; None for without end.
        growth: a whole number, 1 or more.
        min_lr: the learning rate that a period ends just before, 0 or more.

    Raises:
        ArgumentError: a value out of its range.

    Source:
        Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017, equation 5
        (T_0 = period, T_mult = growth).

    """

    lr: float
    period: int
    restarts: int | None = 0
    growth: int = 1
    min_lr: float = 0.0

    def __post_init__(self) -> None:
        name = "CosineDecay"
        _require_lr(name, "min_lr", self.min_lr)
        _require_lr(name, "lr", self.lr, self.min_lr)
        _require_count(name, "period", self.period, "epochs * batches")
        _require_count(name, "growth", self.growth, "pass such as 2")
        if self.restarts != 0 and self.restarts is not None:
            _require_count(name, "restarts", self.restarts, "pass 0 for none, None for without end")

    def __call__(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        # A closed form would take a logarithm, whose rounding decides at the border of two periods
        period, done = self.period, 0
        if self.growth == 1:
            done = step // period
            if self.restarts is not None:
                done = min(done, self.restarts)
            step -= done * period
        else:
            while step >= period and (self.restarts is None or done < self.restarts):
                step, period, done = step - period, period * self.growth, done + 1
        return _cosine(self.lr, self.min_lr, step / period)


@dataclass(frozen=True)
class WarmUp:
    """``lr(step) = schedule(0) * (f + (1 - f) * step / steps)`` at first, then ``schedule(step - steps)``.

    Attributes:
        schedule: any schedule; its step 0 follows the warm-up, so its own length leaves out `steps`.
        steps: of the warm-up, 1 or more.
        start_factor: f, in [0, 1]; with 0 the first step changes nothing.

    Raises:
        ArgumentError: a value out of its range.

    Source:
        Goyal et al., "Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour", 2017, section 2.2.

    """

    schedule: Callable[[int], float]
    steps: int
    start_factor: float = 0.1

    def __post_init__(self) -> None:
        name = "WarmUp"
        _require(callable(self.schedule), name, "a callable schedule", self.schedule, "pass such as OneCycle")
        _require_count(name, "steps", self.steps)
        _require(
            0.0 <= self.start_factor <= 1.0,
            name,
            "start_factor in [0, 1]",
            self.start_factor,
            "pass such as 0.1",
        )

    def __call__(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        if step >= self.steps:
            return self.schedule(step - self.steps)
        return self.schedule(0) * (self.start_factor + (1.0 - self.start_factor) * step / self.steps)


def _cosine(first: float, last: float, progress: float) -> float:
    """Half a cosine from `first` at progress 0 to `last` at progress 1 and beyond."""
    return last + (first - last) * 0.5 * (1.0 + math.cos(math.pi * min(max(progress, 0.0), 1.0)))

"""The average of weights over the steps, which often predicts better than the last of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from numbacnn.errors import ArgumentError, ShapeError, message
from numbacnn.functional._checks import operands
from numbacnn.functional._twins import Twins
from numbacnn.kernels.cpu import update as _cpu
from numbacnn.parameter import Parameter
from numbacnn.tensor import Tensor, as_tensor

from ._checks import within

_update = Twins(_cpu)


class EMA:
    """``average = decay * average + (1 - decay) * w`` after each step, from the weights at the start.

    Given to an optimizer, the averages move in the pass that updates the weights; otherwise call `update`
    after each step, which gives the same bits::

        ema = EMA(model, decay=0.999)
        optimizer = AdamW(1e-3, ema=ema)        # or ema.update() after each optimizer.step
        ...
        with ema.applied():
            print(evaluate(model, x, y))        # by the averages

    What is not learned, such as the running statistics of a norm, has no average. An average moves to
    another device when its weights have.

    Args:
        parameters: a built model, or parameters.
        decay: share of the average that a step keeps, in [0, 1).
        warmup: the step t, counted from 1, keeps ``min(decay, (1 + t) / (10 + t))``: early averages soon
            forget the start. Steps that a loss scale skips count too.

    Attributes:
        updates: steps followed so far.

    Raises:
        ArgumentError: the decay is out of its range; there are no parameters, as in a model not yet built.

    Source:
        Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", 1992; the exponential
        form and its warm-up are TensorFlow's ExponentialMovingAverage.

    """

    def __init__(
        self, parameters: Any | Iterable[Parameter], decay: float = 0.999, warmup: bool = False
    ) -> None:
        self.decay = within(self, "decay", decay, 0.0, 1.0)
        self.warmup = bool(warmup)
        self.updates = 0
        self._averages: dict[Parameter, Tensor] = {}
        for p in getattr(parameters, "parameters", parameters):
            if p.learned:
                self._averages[p] = Tensor(p.value._array.copy())
        if not self._averages:
            raise ArgumentError(message("EMA", "a built model, or parameters", "none", "call build first"))
        self._in_place = False

    @property
    def share(self) -> float:
        """What the running update takes of the weights."""
        if self.warmup:
            return 1.0 - min(self.decay, (1.0 + self.updates) / (10.0 + self.updates))
        return 1.0 - self.decay

    def update(self) -> None:
        """Move all averages, after a step."""
        self._begin("EMA")
        self._follow(())

    def average(self, parameter: Parameter) -> Tensor:
        """The average of a parameter's weights, of its shape and dtype."""
        found = self._averages[parameter]
        if found.device != parameter.value.device:
            found = self._averages[parameter] = found.to(parameter.value.device)
        return found

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Put the averages in the place of the weights, and the weights back at the end, come what may.

        Nothing is copied. What is written into the parameters meanwhile stays with the averages.

        Raises:
            ArgumentError: they are in place already.

        """
        self._refuse("EMA")
        kept = [(p, p.value, p.copy) for p in self._averages]
        self._in_place = True
        try:
            for p, _, copy in kept:
                p.value = self.average(p)
                p.copy = None if copy is None else p.value.astype(copy.dtype)
            yield
        finally:
            for p, value, copy in kept:
                p.value, p.copy = value, copy
            self._in_place = False

    def apply(self) -> None:
        """Overwrite the weights by their averages, for good."""
        self._refuse("EMA")
        for p in self._averages:
            p.assign(self.average(p).numpy())

    def state(self) -> dict[str, np.ndarray]:
        """Copies of the averages, by the names of their parameters, and ``"updates"``."""
        arrays = {p.name: self.average(p).numpy().copy() for p in self._averages}
        return {**arrays, "updates": np.array(self.updates)}

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from what `state` returned.

        Raises:
            ArgumentError: the names are not those of the parameters.
            ShapeError: a shape differs.

        """
        names = {p.name: p for p in self._averages}
        if set(state) != {*names, "updates"}:
            odd = ", ".join(sorted(set(state) ^ {*names, "updates"}))
            remedy = "load what the same model's EMA returned"
            raise ArgumentError(message("EMA", "an average for each parameter", f"others: {odd}", remedy))
        for name, p in names.items():
            if state[name].shape != p.shape:
                remedy = "load what the same model's EMA returned"
                raise ShapeError(message("EMA", f"{name} of shape {p.shape}", str(state[name].shape), remedy))
        for name, p in names.items():
            array = np.array(state[name], p.dtype)
            self._averages[p] = as_tensor(array, device=p.value.device)
        self.updates = int(state["updates"])

    def __repr__(self) -> str:
        return f"EMA(<{len(self._averages)} parameters>, decay={self.decay!r}, warmup={self.warmup!r})"

    # What the optimizers call, before a step and after it.

    def _begin(self, name: str) -> None:
        self._refuse(name)
        self.updates += 1

    def _follow(self, done: Iterable[Parameter]) -> None:
        """Move the averages of all parameters but those that the step's pass moved."""
        moved = set(done)
        for p in self._averages:
            if p not in moved:
                (w,) = operands(p.name, ("the parameter",), p.value)
                average: Any = self.average(p)._array
                _update.on(w).average_step(w.reshape(-1), average.reshape(-1), self.share)

    def _flat(self, p: Parameter) -> Any:
        """The average of a parameter as a flat array, or None where it has none."""
        return self.average(p)._array.reshape(-1) if p in self._averages else None

    def _refuse(self, name: str) -> None:
        if self._in_place:
            expected, got = "the weights in their place", "their averages"
            raise ArgumentError(message(name, expected, got, "leave `with ema.applied()` first"))

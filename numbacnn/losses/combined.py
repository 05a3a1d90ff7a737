"""Sums of losses with weights: several losses of one prediction, or of several heads."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from numbacnn import functional
from numbacnn.errors import ArgumentError, message
from numbacnn.tensor import Tensor

from .base import Loss, Value, added, scaled


class Sum(Loss):
    """``loss = sum_i(weight[i] * loss[i](prediction[i], target[i]))``.

    Of a sequence of predictions, such as a main and auxiliary heads give, each loss takes its own. Targets
    are a sequence too, one for each, or one target for all. Of a single prediction all losses take it, and a
    single target or a sequence of them; the gradients are summed.

    Args:
        losses: pairs of a loss and its weight, a finite number of 0 or more.

    Raises:
        ArgumentError: there are no losses, or something is no loss or no weight.

    """

    def __init__(self, losses: Sequence[tuple[Any, float]]) -> None:
        pairs = [tuple(pair) if isinstance(pair, Sequence) else (pair,) for pair in losses]
        good = all(len(pair) == 2 and hasattr(pair[0], "value_and_gradient") for pair in pairs)
        if not pairs or not good:
            expected = "pairs of a loss and its weight"
            raise ArgumentError(message("Sum", expected, repr(losses), "pass [(loss, 1.0), (other, 0.4)]"))
        for _, weight in pairs:
            number = isinstance(weight, (int, float)) and not isinstance(weight, bool)
            if not number or not 0.0 <= weight < math.inf:
                expected = "weights that are finite numbers of 0 or more"
                raise ArgumentError(message("Sum", expected, repr(weight), "pass such as 0.4"))
        self.losses = tuple(pair[0] for pair in pairs)
        self.weights = tuple(float(pair[1]) for pair in pairs)

    def value_and_gradient(self, prediction: Any, target: Any) -> tuple[Value, Any]:
        """The weighted sum of the losses of a batch, and its gradient.

        Args:
            prediction: what each loss takes, or a sequence with a prediction for each.
            target: what each loss takes, or a sequence with a target for each.

        Returns:
            The loss, and the gradient by the prediction, or a tuple with one for each of a sequence.

        Raises:
            ArgumentError: there are not as many predictions or targets as losses.
            NumbaCNNError: what the losses raise.

        """
        value: Value | None = None
        gradients: list[Tensor] = []
        for loss, weight, x, t in zip(*self._paired(prediction, target), strict=True):
            one, gradient = loss.value_and_gradient(x, t)
            one = scaled(one, weight) if isinstance(one, Tensor) else weight * one
            value = one if value is None else added(value, one)
            gradients.append(scaled(gradient, weight))
        assert value is not None
        if _heads(prediction):
            return value, tuple(gradients)
        total = gradients[0]
        for gradient in gradients[1:]:
            total = functional.add(total, gradient)
        return value, total

    def __call__(self, prediction: Any, target: Any) -> Value:
        """The weighted sum of the losses of a batch; see `value_and_gradient`."""
        value: Value | None = None
        for loss, weight, x, t in zip(*self._paired(prediction, target), strict=True):
            one = loss(x, t)
            one = scaled(one, weight) if isinstance(one, Tensor) else weight * one
            value = one if value is None else added(value, one)
        assert value is not None
        return value

    def _paired(self, prediction: Any, target: Any) -> tuple[Sequence[Any], ...]:
        count = len(self.losses)
        taken = []
        for what, given in (("predictions", prediction), ("targets", target)):
            if _heads(given) and len(given) != count:
                expected = f"as many {what} as losses, {count}"
                raise ArgumentError(message("Sum", expected, str(len(given)), "pair them one to one"))
            taken.append(given if _heads(given) else (given,) * count)
        return self.losses, self.weights, *taken

    def parts(self, target: Any) -> list[tuple[Any, Any]]:
        """Each loss with its target."""
        return list(zip(self.losses, self._paired((None,) * len(self.losses), target)[3], strict=True))

    def classes_of(self, target: ArrayLike) -> bool:
        """Targets are classes where the first loss takes them for such: it is the main one."""
        loss, first = self.parts(target)[0]
        return isinstance(loss, Loss) and loss.classes_of(first)

    def weight_of(self, target: Any) -> float:
        """What the first loss divides by."""
        loss, first = self.parts(target)[0]
        return loss.weight_of(first) if isinstance(loss, Loss) else float(len(first))

    def prepared(self, target: Any, dtype: np.dtype) -> Any:
        """Each loss's targets as it takes them; one target for all as the first does."""
        if not _heads(target):
            return self.losses[0].prepared(target, dtype) if isinstance(self.losses[0], Loss) else target
        parts = self.parts(target)
        return tuple(loss.prepared(t, dtype) if isinstance(loss, Loss) else t for loss, t in parts)

    @property
    def ignored(self) -> int | None:
        """What the first loss ignores."""
        return self.losses[0].ignored if isinstance(self.losses[0], Loss) else None

    def __repr__(self) -> str:
        return f"Sum({list(zip(self.losses, self.weights, strict=True))})"


def _heads(value: Any) -> bool:
    """Whether there is one for each head: a tuple or a list of arrays, not of numbers."""
    return isinstance(value, tuple) or (
        isinstance(value, list) and any(isinstance(each, (Tensor, np.ndarray)) for each in value)
    )

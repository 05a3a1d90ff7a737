"""Losses of values: squared, absolute and Huber's error."""

from __future__ import annotations

import math

from numpy.typing import ArrayLike

from numbacnn import functional
from numbacnn.errors import ArgumentError, message
from numbacnn.functional._checks import number_within
from numbacnn.tensor import Tensor

from .base import Loss, Value, mean, sized

_SQUARED, _ABSOLUTE, _HUBER = "mean_squared_error", "mean_absolute_error", "huber"


class MeanSquaredError(Loss):
    """``loss = mean((x - target)^2)`` over all elements. The gradient is ``2 * (x - target) / size``."""

    def value_and_gradient(self, prediction: ArrayLike, target: ArrayLike) -> tuple[Value, Tensor]:
        """The mean loss of a batch, and its gradient with respect to the prediction.

        Args:
            prediction: ``(N, ...)``, float32 or float64.
            target: of the same shape and dtype.

        Returns:
            The loss (0.0 for an empty batch; of predictions on a GPU a tensor () there), and the gradient
            ``(N, ...)``.

        Raises:
            ShapeError: prediction and target differ in shape.
            DTypeError: they differ in dtype.

        """
        loss = functional.mean_squared_error_forward(prediction, target, name=_SQUARED)
        scale = 1.0 / sized(loss)
        return mean(loss), functional.mean_squared_error_backward(
            prediction, target, scale=scale, name=_SQUARED
        )

    def __call__(self, prediction: ArrayLike, target: ArrayLike) -> Value:
        """The mean loss of a batch; see `value_and_gradient`."""
        return mean(functional.mean_squared_error_forward(prediction, target, name=_SQUARED))

    def __repr__(self) -> str:
        return "MeanSquaredError()"


class MeanAbsoluteError(Loss):
    """``loss = mean(|x - target|)`` over all elements. The gradient is ``sign(x - target) / size``.

    Where both are equal it is 0.
    """

    def value_and_gradient(self, prediction: ArrayLike, target: ArrayLike) -> tuple[Value, Tensor]:
        """The mean loss of a batch, and its gradient with respect to the prediction.

        Arguments, results and errors are those of `MeanSquaredError.value_and_gradient`.
        """
        loss = functional.mean_absolute_error_forward(prediction, target, name=_ABSOLUTE)
        scale = 1.0 / sized(loss)
        return mean(loss), functional.mean_absolute_error_backward(
            prediction, target, scale=scale, name=_ABSOLUTE
        )

    def __call__(self, prediction: ArrayLike, target: ArrayLike) -> Value:
        """The mean loss of a batch; see `value_and_gradient`."""
        return mean(functional.mean_absolute_error_forward(prediction, target, name=_ABSOLUTE))

    def __repr__(self) -> str:
        return "MeanAbsoluteError()"


class Huber(Loss):
    """``loss = mean(h(x - target))``, ``h(r) = r^2 / 2 where |r| < delta, else delta (|r| - delta / 2)``.

    A square for small errors, a straight line for large ones, over all elements. The gradient is
    ``min(max(x - target, -delta), delta) / size``.

    Args:
        delta: where the square ends, above 0.

    Source:
        Huber, "Robust Estimation of a Location Parameter", Annals of Mathematical Statistics, 1964.

    """

    def __init__(self, delta: float = 1.0) -> None:
        self.delta = number_within("Huber", "delta", delta, math.inf)
        if self.delta == 0.0:
            raise ArgumentError(message("Huber", "delta above 0", repr(delta), "pass such as 1.0"))

    def value_and_gradient(self, prediction: ArrayLike, target: ArrayLike) -> tuple[Value, Tensor]:
        """The mean loss of a batch, and its gradient with respect to the prediction.

        Arguments, results and errors are those of `MeanSquaredError.value_and_gradient`.
        """
        loss = functional.huber_forward(prediction, target, delta=self.delta, name=_HUBER)
        scale = 1.0 / sized(loss)
        return mean(loss), functional.huber_backward(
            prediction, target, delta=self.delta, scale=scale, name=_HUBER
        )

    def __call__(self, prediction: ArrayLike, target: ArrayLike) -> Value:
        """The mean loss of a batch; see `value_and_gradient`."""
        return mean(functional.huber_forward(prediction, target, delta=self.delta, name=_HUBER))

    def __repr__(self) -> str:
        return f"Huber(delta={self.delta})"

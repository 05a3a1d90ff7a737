"""Losses of classes that do not exclude each other, each a yes or no."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from numbacnn import functional
from numbacnn.functional._checks import number_within
from numbacnn.tensor import Tensor

from .base import Loss, Placed, Value, as_values, mean, sized

_BINARY, _FOCAL = "binary_cross_entropy", "focal"


class BinaryCrossEntropy(Loss):
    """``loss = mean(w t log(1 + exp(-x)) + (1 - t) log(1 + exp(x)))`` over all elements.

    It takes logits x, before any sigmoid s: this is ``-mean(w t log s(x) + (1 - t) log(1 - s(x)))``, without
    overflow and without a difference of large numbers. The gradient is
    ``((1 - t) s(x) - w t s(-x)) / size``.

    Args:
        pos_weight: w, what it costs more to miss a 1: a number, or one per class of the last axis, 0 or more;
            None for 1.

    """

    def __init__(self, pos_weight: ArrayLike | None = None) -> None:
        weights = [pos_weight] if isinstance(pos_weight, (int, float)) else pos_weight
        self.pos_weight = None if weights is None else Placed(weights, "BinaryCrossEntropy", "pos_weight")

    def value_and_gradient(self, prediction: ArrayLike, target: ArrayLike) -> tuple[Value, Tensor]:
        """The mean loss of a batch, and its gradient with respect to the logits.

        Args:
            prediction: logits ``(N, ..., C)``, float32 or float64.
            target: of the same shape, from 0 to 1, of the logits' dtype; on the CPU also integers.

        Returns:
            The loss (0.0 for an empty batch; of predictions on a GPU a tensor () there), and the gradient
            ``(N, ..., C)``.

        Raises:
            ShapeError: prediction and target, or pos_weight, do not fit each other.
            DTypeError: targets are neither of the logits' dtype nor integers.
            TargetError: a target is not from 0 to 1 (seen on the CPU only).

        """
        options = self._options(prediction)
        loss = functional.binary_cross_entropy_forward(prediction, target, **options)
        scale = 1.0 / sized(loss)
        dx = functional.binary_cross_entropy_backward(prediction, target, scale=scale, **options)
        return mean(loss), dx

    def __call__(self, prediction: ArrayLike, target: ArrayLike) -> Value:
        """The mean loss of a batch; see `value_and_gradient`."""
        return mean(functional.binary_cross_entropy_forward(prediction, target, **self._options(prediction)))

    def prepared(self, target: Any, dtype: np.dtype) -> Any:
        """Integer labels as values."""
        return as_values(target, dtype)

    def _options(self, prediction: ArrayLike) -> dict[str, Any]:
        weights = None if self.pos_weight is None else self.pos_weight.like(prediction)
        return {"positive_weights": weights, "name": _BINARY}

    def __repr__(self) -> str:
        return f"BinaryCrossEntropy(pos_weight={self.pos_weight!r})"


class Focal(Loss):
    """``loss = mean(a q^gamma e)`` over all elements: e the binary cross-entropy, q the chance to be wrong.

    ``q = t s(-x) + (1 - t) s(x)`` with the sigmoid s, ``a = alpha t + (1 - alpha) (1 - t)``. What is right
    already counts less. For exclusive classes there is `SoftmaxFocal`. The paper divides by the number of
    positives, this by that of all elements.

    Args:
        alpha: weight of what is to be 1, from 0 to 1; None for ``a = 1``.
        gamma: how much less, 0 or more; 0 is cross-entropy.

    Source:
        Lin, Goyal, Girshick, He and Dollar, "Focal Loss for Dense Object Detection", ICCV 2017, section 3.

    """

    def __init__(self, alpha: float | None = 0.25, gamma: float = 2.0) -> None:
        self.alpha = None if alpha is None else number_within("Focal", "alpha", alpha, 1.0)
        self.gamma = number_within("Focal", "gamma", gamma, math.inf)

    def value_and_gradient(self, prediction: ArrayLike, target: ArrayLike) -> tuple[Value, Tensor]:
        """The mean loss of a batch, and its gradient with respect to the logits.

        Arguments, results and errors are those of `BinaryCrossEntropy.value_and_gradient`.
        """
        options: dict[str, Any] = {"alpha": self.alpha, "gamma": self.gamma, "name": _FOCAL}
        loss = functional.focal_forward(prediction, target, **options)
        return mean(loss), functional.focal_backward(prediction, target, scale=1.0 / sized(loss), **options)

    def __call__(self, prediction: ArrayLike, target: ArrayLike) -> Value:
        """The mean loss of a batch; see `value_and_gradient`."""
        options: dict[str, Any] = {"alpha": self.alpha, "gamma": self.gamma, "name": _FOCAL}
        return mean(functional.focal_forward(prediction, target, **options))

    def prepared(self, target: Any, dtype: np.dtype) -> Any:
        """Integer labels as values."""
        return as_values(target, dtype)

    def __repr__(self) -> str:
        return f"Focal(alpha={self.alpha}, gamma={self.gamma})"

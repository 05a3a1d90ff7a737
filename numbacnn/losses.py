"""Losses: a number to minimise, the mean over the examples of a batch, with its gradient."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from numbacnn import functional
from numbacnn.errors import ArgumentError, message
from numbacnn.tensor import Tensor

Value = float | Tensor
"""A loss: a number, or where the predictions lie on a GPU a tensor () there; ``.item()`` waits for it."""

_CROSS_ENTROPY, _SQUARED_ERROR = "softmax_cross_entropy", "mean_squared_error"


class Loss:
    """The base: calling a loss gives its value alone."""

    def value_and_gradient(self, prediction: ArrayLike, target: ArrayLike) -> tuple[Value, Tensor]:
        """The mean loss of a batch, and its gradient with respect to the prediction."""
        raise NotImplementedError

    def __call__(self, prediction: ArrayLike, target: ArrayLike) -> Value:
        """The mean loss of a batch."""
        raise NotImplementedError


class SoftmaxCrossEntropy(Loss):
    """``loss = -mean_n(sum_k(t[n, k] * log(softmax(x[n])[k])))``, ``t = (1 - s) * target + s / K``.

    It takes the logits x, before any softmax, and does not overflow for large ones. The gradient is
    ``(softmax(x) - t) / N``.

    Args:
        label_smoothing: s, the share of the target spread evenly over all classes, in [0, 1).

    Source:
        Szegedy, Vanhoucke, Ioffe, Shlens and Wojna, "Rethinking the Inception Architecture for Computer
        Vision", CVPR 2016, section 7, for the smoothing.

    """

    def __init__(self, label_smoothing: float = 0.0) -> None:
        if not isinstance(label_smoothing, (int, float)) or not 0.0 <= label_smoothing < 1.0:
            expected, got = "label_smoothing in [0, 1)", repr(label_smoothing)
            raise ArgumentError(message("SoftmaxCrossEntropy", expected, got, "pass such as 0.1"))
        self.label_smoothing = float(label_smoothing)

    def value_and_gradient(self, prediction: ArrayLike, target: ArrayLike) -> tuple[Value, Tensor]:
        """The mean loss of a batch, and its gradient with respect to the logits.

        Args:
            prediction: logits ``(N, K)``, float32 or float64.
            target: integer classes ``(N,)``, or one-hot or other probabilities ``(N, K)`` of the
                logits' dtype (one-hot: or integers) that sum to 1.

        Returns:
            The loss (0.0 for an empty batch; of predictions on a GPU a tensor () there), and the gradient
            ``(N, K)``.

        Raises:
            ShapeError: prediction and target do not fit each other.
            TargetError: a class is not in ``0 .. K - 1``, or a row of probabilities does not sum to 1.
            DTypeError: classes are not integers, or probabilities not of the logits' dtype.

        """
        loss, p = functional.softmax_cross_entropy_forward(
            prediction, target, label_smoothing=self.label_smoothing, name=_CROSS_ENTROPY
        )
        dx = functional.softmax_cross_entropy_backward(
            p,
            target,
            label_smoothing=self.label_smoothing,
            scale=1.0 / max(1, p.shape[0]),
            name=_CROSS_ENTROPY,
        )
        return _mean(loss), dx

    def __call__(self, prediction: ArrayLike, target: ArrayLike) -> Value:
        """The mean loss of a batch; see `value_and_gradient`."""
        loss, _ = functional.softmax_cross_entropy_forward(
            prediction, target, label_smoothing=self.label_smoothing, name=_CROSS_ENTROPY
        )
        return _mean(loss)

    def __repr__(self) -> str:
        return f"SoftmaxCrossEntropy(label_smoothing={self.label_smoothing})"


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
        loss = functional.mean_squared_error_forward(prediction, target, name=_SQUARED_ERROR)
        scale = 1.0 / max(1, loss.size)
        dx = functional.mean_squared_error_backward(prediction, target, scale=scale, name=_SQUARED_ERROR)
        return _mean(loss), dx

    def __call__(self, prediction: ArrayLike, target: ArrayLike) -> Value:
        """The mean loss of a batch; see `value_and_gradient`."""
        return _mean(functional.mean_squared_error_forward(prediction, target, name=_SQUARED_ERROR))

    def __repr__(self) -> str:
        return "MeanSquaredError()"


def _mean(loss: Tensor) -> Value:
    """Mean in float64, where float32 would lose digits of a large batch; 0.0 of nothing.

    On a GPU the mean stays there, summed as a tree: the host need not wait for it.
    """
    if loss.device != "cpu":
        from numbacnn.functional import device

        return device.mean(loss)
    return float(np.mean(loss.numpy(), dtype=np.float64)) if loss.size else 0.0

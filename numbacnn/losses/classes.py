"""Losses of exclusive classes, and of distributions over them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from numbacnn import functional
from numbacnn.errors import ArgumentError, message
from numbacnn.functional._checks import number_within
from numbacnn.functional._targets import ignored
from numbacnn.tensor import Tensor, as_tensor

from .base import Loss, Placed, Value, mean, sized, weighted_mean

_CROSS_ENTROPY, _FOCAL, _DIVERGENCE = "softmax_cross_entropy", "softmax_focal", "kl_divergence"


def _held(weights: ArrayLike | None, loss: str) -> Placed | None:
    return None if weights is None else Placed(weights, loss, "class_weights")


def _host_weight(target: Any, weights: Placed | None, ignore: int | None) -> float:
    """The sum of the weights of classes on the host."""
    classes = np.asarray(target)
    there = classes if ignore is None else classes[classes != ignore]
    return float(there.size) if weights is None else float(weights.values[there].sum())


class SoftmaxCrossEntropy(Loss):
    """``loss = -sum_n(sum_k(w[k] t[n, k] log(softmax(x[n])[k]))) / sum_n(w[class n])``.

    ``t = (1 - s) * target + s / K``. It takes the logits x, before any softmax, and does not overflow for
    large ones. Without class weights it is the mean over the examples, and its gradient is
    ``(softmax(x) - t) / N``. Examples are what classes are given for: of images with a class for each pixel,
    their pixels. Of targets that are probabilities the mean divides by their number, whatever the weights.

    Args:
        label_smoothing: s, the share of the target spread evenly over all classes, in [0, 1).
        class_weights: w, ``(K,)``, 0 or more; None for ones.
        ignore_index: a class, in or out of the range, whose examples do not count; None for none. Where none
            count, or none weigh, value and gradient are 0 (PyTorch's are NaN).

    Source:
        Szegedy, Vanhoucke, Ioffe, Shlens and Wojna, "Rethinking the Inception Architecture for Computer
        Vision", CVPR 2016, section 7, for the smoothing; PyTorch's CrossEntropyLoss for the weights.

    """

    def __init__(
        self,
        label_smoothing: float = 0.0,
        class_weights: ArrayLike | None = None,
        ignore_index: int | None = None,
    ) -> None:
        if not isinstance(label_smoothing, (int, float)) or not 0.0 <= label_smoothing < 1.0:
            expected, got = "label_smoothing in [0, 1)", repr(label_smoothing)
            raise ArgumentError(message("SoftmaxCrossEntropy", expected, got, "pass such as 0.1"))
        ignored("SoftmaxCrossEntropy", ignore_index)
        self.label_smoothing = float(label_smoothing)
        self.class_weights = _held(class_weights, "SoftmaxCrossEntropy")
        self.ignore_index = ignore_index

    def value_and_gradient(self, prediction: ArrayLike, target: ArrayLike) -> tuple[Value, Tensor]:
        """The mean loss of a batch, and its gradient with respect to the logits.

        Args:
            prediction: logits ``(N, ..., K)``, float32 or float64.
            target: integer classes ``(N, ...)``, or one-hot or other probabilities ``(N, ..., K)`` of the
                logits' dtype (one-hot: or integers) that sum to 1.

        Returns:
            The loss (0.0 for an empty batch; of predictions on a GPU a tensor () there), and the gradient
            ``(N, ..., K)``.

        Raises:
            ShapeError: prediction and target, or the class weights, do not fit each other.
            TargetError: a class is not in ``0 .. K - 1``, or a row of probabilities does not sum to 1.
            DTypeError: classes are not integers, or probabilities not of the logits' dtype.
            ArgumentError: ignore_index with targets that are probabilities.

        """
        options = self._options(prediction)
        loss, p = functional.softmax_cross_entropy_forward(
            prediction, target, label_smoothing=self.label_smoothing, **options
        )
        value, divisor = self._mean(prediction, target, loss, options)
        dx = functional.softmax_cross_entropy_backward(
            p,
            target,
            label_smoothing=self.label_smoothing,
            divisor=divisor,
            scale=1.0 / max(1, loss.size) if divisor is None else 1.0,
            **options,
        )
        return value, dx

    def __call__(self, prediction: ArrayLike, target: ArrayLike) -> Value:
        """The mean loss of a batch; see `value_and_gradient`."""
        options = self._options(prediction)
        loss, _ = functional.softmax_cross_entropy_forward(
            prediction, target, label_smoothing=self.label_smoothing, **options
        )
        return self._mean(prediction, target, loss, options)[0]

    def _options(self, prediction: ArrayLike) -> dict[str, Any]:
        weights = None if self.class_weights is None else self.class_weights.like(prediction)
        return {"class_weights": weights, "ignore_index": self.ignore_index, "name": _CROSS_ENTROPY}

    def _mean(
        self, prediction: ArrayLike, target: ArrayLike, loss: Tensor, options: dict[str, Any]
    ) -> tuple[Value, Tensor | None]:
        """The mean, and what it divides by where that is not the number of losses."""
        plain = self.class_weights is None and self.ignore_index is None
        if plain or as_tensor(target).ndim > loss.ndim:
            return mean(loss), None
        return weighted_mean(loss, functional.target_weights(prediction, target, **options))

    def classes_of(self, target: ArrayLike) -> bool:
        """Every target is a class, or a distribution over them."""
        return True

    def weight_of(self, target: Any) -> float:
        """The number of classes that count, each times its weight."""
        classes = np.asarray(target)
        if classes.dtype.kind in "iu":
            return _host_weight(classes, self.class_weights, self.ignore_index)
        return float(len(classes))

    @property
    def ignored(self) -> int | None:
        """The class whose examples do not count."""
        return self.ignore_index

    def __repr__(self) -> str:
        more = "" if self.class_weights is None else f", class_weights={self.class_weights!r}"
        more += "" if self.ignore_index is None else f", ignore_index={self.ignore_index}"
        return f"SoftmaxCrossEntropy(label_smoothing={self.label_smoothing}{more})"


class SoftmaxFocal(Loss):
    """``loss = -mean_n(w[c] (1 - p[n, c])^gamma log(p[n, c]))``, ``p = softmax(x)``, c the target's class.

    The focal loss of exclusive classes: cross-entropy in which examples that are right already count less.
    The mean is over the examples that are not ignored, whatever their weights.

    Args:
        gamma: how much less, 0 or more; 0 is cross-entropy.
        class_weights: w, ``(K,)``, 0 or more; None for ones.
        ignore_index: a class, in or out of the range, whose examples do not count; None for none.

    Source:
        Lin, Goyal, Girshick, He and Dollar, "Focal Loss for Dense Object Detection", ICCV 2017, section 3.

    """

    def __init__(
        self, gamma: float = 2.0, class_weights: ArrayLike | None = None, ignore_index: int | None = None
    ) -> None:
        self.gamma = number_within("SoftmaxFocal", "gamma", gamma, math.inf)
        ignored("SoftmaxFocal", ignore_index)
        self.class_weights = _held(class_weights, "SoftmaxFocal")
        self.ignore_index = ignore_index

    def value_and_gradient(self, prediction: ArrayLike, target: ArrayLike) -> tuple[Value, Tensor]:
        """The mean loss of a batch, and its gradient with respect to the logits.

        Args:
            prediction: logits ``(N, ..., K)``, float32 or float64.
            target: integer classes ``(N, ...)``.

        Returns:
            The loss (of predictions on a GPU a tensor () there), and the gradient ``(N, ..., K)``.

        Raises:
            ShapeError, TargetError, DTypeError: as `SoftmaxCrossEntropy`.

        """
        options = self._options(prediction)
        loss, p = functional.focal_cross_entropy_forward(prediction, target, gamma=self.gamma, **options)
        value, divisor = self._mean(prediction, target, loss)
        dx = functional.focal_cross_entropy_backward(
            p,
            target,
            gamma=self.gamma,
            divisor=divisor,
            scale=1.0 / max(1, loss.size) if divisor is None else 1.0,
            **options,
        )
        return value, dx

    def __call__(self, prediction: ArrayLike, target: ArrayLike) -> Value:
        """The mean loss of a batch; see `value_and_gradient`."""
        options = self._options(prediction)
        loss, _ = functional.focal_cross_entropy_forward(prediction, target, gamma=self.gamma, **options)
        return self._mean(prediction, target, loss)[0]

    def _options(self, prediction: ArrayLike) -> dict[str, Any]:
        weights = None if self.class_weights is None else self.class_weights.like(prediction)
        return {"class_weights": weights, "ignore_index": self.ignore_index, "name": _FOCAL}

    def _mean(self, prediction: ArrayLike, target: ArrayLike, loss: Tensor) -> tuple[Value, Tensor | None]:
        if self.ignore_index is None:
            return mean(loss), None
        share = functional.target_weights(prediction, target, ignore_index=self.ignore_index, name=_FOCAL)
        return weighted_mean(loss, share)

    def classes_of(self, target: ArrayLike) -> bool:
        """Every target is a class."""
        return True

    def weight_of(self, target: Any) -> float:
        """The number of classes that count."""
        return _host_weight(target, None, self.ignore_index)

    @property
    def ignored(self) -> int | None:
        """The class whose examples do not count."""
        return self.ignore_index

    def __repr__(self) -> str:
        more = "" if self.class_weights is None else f", class_weights={self.class_weights!r}"
        more += "" if self.ignore_index is None else f", ignore_index={self.ignore_index}"
        return f"SoftmaxFocal(gamma={self.gamma}{more})"


class KLDivergence(Loss):
    """``loss = sum(t (log t - x)) / N``: how far log-probabilities x are from the distributions t.

    Where t is 0 it costs nothing. The gradient is ``-t / N``. The sum is over all elements and divided by
    the batch alone, PyTorch's "batchmean".

    Args:
        log_target: targets are log t.

    Source:
        Kullback and Leibler, "On Information and Sufficiency", Annals of Mathematical Statistics, 1951.

    """

    def __init__(self, log_target: bool = False) -> None:
        self.log_target = bool(log_target)

    def value_and_gradient(self, prediction: ArrayLike, target: ArrayLike) -> tuple[Value, Tensor]:
        """The divergence of a batch, and its gradient with respect to the log-probabilities.

        Args:
            prediction: log-probabilities ``(N, ...)``, such as a log-softmax's, float32 or float64.
            target: probabilities, or their logarithms, of the same shape and dtype.

        Returns:
            The loss (of predictions on a GPU a tensor () there), and the gradient ``(N, ...)``.

        Raises:
            ShapeError, DTypeError: prediction and target differ in shape or dtype.

        """
        options: dict[str, Any] = {"log_target": self.log_target, "name": _DIVERGENCE}
        loss = functional.kl_divergence_forward(prediction, target, **options)
        dx = functional.kl_divergence_backward(prediction, target, scale=1.0 / sized(loss), **options)
        return mean(loss), dx

    def __call__(self, prediction: ArrayLike, target: ArrayLike) -> Value:
        """The divergence of a batch; see `value_and_gradient`."""
        options: dict[str, Any] = {"log_target": self.log_target, "name": _DIVERGENCE}
        return mean(functional.kl_divergence_forward(prediction, target, **options))

    def __repr__(self) -> str:
        return f"KLDivergence(log_target={self.log_target})"

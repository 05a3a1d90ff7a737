"""Losses of several vectors by their distances."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from numbacnn import functional
from numbacnn.errors import ArgumentError, message
from numbacnn.functional._checks import number_within
from numbacnn.tensor import Tensor

from .base import Loss, Value, mean, several, sized

_COSINE, _TRIPLET = "cosine_embedding", "triplet"


class CosineEmbedding(Loss):
    """``loss = mean(1 - cos(a, b) where target is 1, max(0, cos(a, b) - margin) where it is -1)``.

    Args:
        margin: the cosine below which pairs that are not alike cost nothing, from -1 to 1.

    """

    def __init__(self, margin: float = 0.0) -> None:
        number = isinstance(margin, (int, float, np.integer, np.floating))
        if not number or not -1.0 <= margin <= 1.0:
            expected = "margin from -1 to 1"
            raise ArgumentError(message("CosineEmbedding", expected, repr(margin), "pass such as 0.0"))
        self.margin = float(margin)

    def value_and_gradient(
        self, prediction: Sequence[ArrayLike], target: ArrayLike
    ) -> tuple[Value, tuple[Tensor, Tensor]]:
        """The mean loss of a batch, and its gradients with respect to both vectors.

        Args:
            prediction: a and b, each ``(N, D)``, float32 or float64.
            target: ``(N,)`` integers: 1 for pairs that are to be alike, -1 for others.

        Returns:
            The loss (0.0 for an empty batch; of predictions on a GPU a tensor () there), and the gradients
            by a and by b.

        Raises:
            ShapeError, DTypeError: the arrays do not fit each other.
            TargetError: a target is neither 1 nor -1 (seen on the CPU only).
            ArgumentError: the prediction is no sequence of two.

        """
        a, b = several("CosineEmbedding", prediction, 2, "a and b")
        options: dict[str, Any] = {"margin": self.margin, "name": _COSINE}
        loss = functional.cosine_embedding_forward(a, b, target, **options)
        scale = 1.0 / sized(loss)
        return mean(loss), functional.cosine_embedding_backward(a, b, target, scale=scale, **options)

    def __call__(self, prediction: Sequence[ArrayLike], target: ArrayLike) -> Value:
        """The mean loss of a batch; see `value_and_gradient`."""
        a, b = several("CosineEmbedding", prediction, 2, "a and b")
        return mean(functional.cosine_embedding_forward(a, b, target, margin=self.margin, name=_COSINE))

    def __repr__(self) -> str:
        return f"CosineEmbedding(margin={self.margin})"


class Triplet(Loss):
    """``loss = mean(max(0, d(anchor, positive) - d(anchor, negative) + margin))``.

    d is the Euclidean distance, with 1e-6 added to each difference as PyTorch does, or its square.

    Args:
        margin: how much nearer the positive is to be, 0 or more.
        squared: d is the squared distance.

    Source:
        Schroff, Kalenichenko and Philbin, "FaceNet: A Unified Embedding for Face Recognition and Clustering",
        CVPR 2015, section 3.1, for the squared distance.

    """

    def __init__(self, margin: float = 1.0, squared: bool = False) -> None:
        self.margin, self.squared = number_within("Triplet", "margin", margin, math.inf), bool(squared)

    def value_and_gradient(
        self, prediction: Sequence[ArrayLike], target: Any = None
    ) -> tuple[Value, tuple[Tensor, Tensor, Tensor]]:
        """The mean loss of a batch, and its gradients with respect to the three vectors.

        Args:
            prediction: anchors, positives and negatives, each ``(N, D)``, float32 or float64.
            target: not looked at.

        Returns:
            The loss (0.0 for an empty batch; of predictions on a GPU a tensor () there), and the gradients
            by anchors, positives and negatives: 0 where the loss is 0.

        Raises:
            ShapeError, DTypeError: the arrays do not fit each other.
            ArgumentError: the prediction is no sequence of three.

        """
        vectors, options = self._vectors(prediction), self._options()
        loss = functional.triplet_forward(*vectors, **options)
        return mean(loss), functional.triplet_backward(*vectors, scale=1.0 / sized(loss), **options)

    def __call__(self, prediction: Sequence[ArrayLike], target: Any = None) -> Value:
        """The mean loss of a batch; see `value_and_gradient`."""
        return mean(functional.triplet_forward(*self._vectors(prediction), **self._options()))

    def _vectors(self, prediction: Any) -> Any:
        return several("Triplet", prediction, 3, "anchors, positives and negatives")

    def _options(self) -> dict[str, Any]:
        return {"margin": self.margin, "squared": self.squared, "name": _TRIPLET}

    def __repr__(self) -> str:
        return f"Triplet(margin={self.margin}, squared={self.squared})"

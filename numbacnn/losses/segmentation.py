"""Losses of masks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from numbacnn import functional
from numbacnn.functional._checks import number_within
from numbacnn.functional._targets import ignored
from numbacnn.tensor import Tensor

from .base import Loss, Value, as_values, mean, sized

_DICE = "dice"


class Dice(Loss):
    """``loss = 1 - mean((2 sum(p t) + s) / (sum(p) + sum(t) + s))``, the overlap of soft masks.

    It takes logits; p is their softmax over the classes, or the sigmoid of each. Sums are over the pixels of
    an example, the mean over examples and classes.

    Args:
        exclusive: a pixel has one class: softmax. Otherwise sigmoids, of masks that may overlap.
        squared: divide by ``sum(p^2) + sum(t^2) + s``, as Milletari et al. do.
        smooth: s, 0 or more: softens the loss of small masks; a quotient of 0 / 0 is 1.
        ignore_index: a number that is no class, whose pixels do not count; None for none.

    Source:
        Milletari, Navab and Ahmadi, "V-Net: Fully Convolutional Neural Networks for Volumetric Medical Image
        Segmentation", 3DV 2016, section 3.

    """

    def __init__(
        self,
        exclusive: bool = True,
        squared: bool = False,
        smooth: float = 1.0,
        ignore_index: int | None = None,
    ) -> None:
        self.exclusive, self.squared = bool(exclusive), bool(squared)
        self.smooth = number_within("Dice", "smooth", smooth, math.inf)
        ignored("Dice", ignore_index)
        self.ignore_index = ignore_index

    def value_and_gradient(self, prediction: ArrayLike, target: ArrayLike) -> tuple[Value, Tensor]:
        """The mean loss of a batch, and its gradient with respect to the logits.

        Args:
            prediction: logits ``(N, ..., K)``, float32 or float64.
            target: masks of the same shape, from 0 to 1, of the logits' dtype (on the CPU also integers); or,
                of exclusive classes, their numbers ``(N, ...)``.

        Returns:
            The loss (0.0 for an empty batch; of predictions on a GPU a tensor () there), and the gradient
            ``(N, ..., K)``.

        Raises:
            ShapeError: prediction and target do not fit each other.
            DTypeError: targets are neither of the logits' dtype nor integers.
            TargetError: a class is not in ``0 .. K - 1``, or a mask not from 0 to 1 (seen on the CPU only).
            ArgumentError: ignore_index is one of the classes.

        """
        kinds = self._kinds()
        loss, p, sums = functional.dice_forward(prediction, target, smooth=self.smooth, **kinds)
        return mean(loss), functional.dice_backward(p, target, sums, scale=1.0 / sized(loss), **kinds)

    def __call__(self, prediction: ArrayLike, target: ArrayLike) -> Value:
        """The mean loss of a batch; see `value_and_gradient`."""
        return mean(functional.dice_forward(prediction, target, smooth=self.smooth, **self._kinds())[0])

    def _kinds(self) -> dict[str, Any]:
        names = "exclusive", "squared", "ignore_index"
        return {**{name: getattr(self, name) for name in names}, "name": _DICE}

    def classes_of(self, target: ArrayLike) -> bool:
        """Numbers of exclusive classes are classes; masks are not."""
        return self.exclusive and np.asarray(target).dtype.kind in "iu"

    def prepared(self, target: Any, dtype: np.dtype) -> Any:
        """Integer masks of classes that do not exclude each other as values."""
        return target if self.exclusive else as_values(target, dtype)

    @property
    def ignored(self) -> int | None:
        """The number of pixels that do not count."""
        return self.ignore_index

    def __repr__(self) -> str:
        more = "" if self.ignore_index is None else f", ignore_index={self.ignore_index}"
        return f"Dice(exclusive={self.exclusive}, squared={self.squared}, smooth={self.smooth}{more})"

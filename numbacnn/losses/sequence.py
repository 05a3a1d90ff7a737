"""Losses of sequences."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from numbacnn import functional
from numbacnn.errors import ArgumentError, message
from numbacnn.tensor import Tensor

from .base import Loss, Value, mean, sized

_CTC = "ctc"


class CTC(Loss):
    """``loss = mean_n(-log(p(labels[n] | x[n])) / max(1, label_lengths[n]))``, of labels without alignment.

    p sums the probabilities of all paths, a class for each step, which are the labels once equal neighbours
    are merged and blanks then removed. The logits x come before any softmax, which is inside, and the
    gradient is by them. The mean is PyTorch's: of the losses per label.

    Where the steps are too few for the labels, the loss is infinite; the gradient of such an example is 0
    (PyTorch's is NaN without zero_infinity).

    Args:
        blank: the class that stands for no label, 0 or more.
        zero_infinity: infinite losses count as 0.

    Source:
        Graves, Fernandez, Gomez and Schmidhuber, "Connectionist Temporal Classification: Labelling
        Unsegmented Sequence Data with Recurrent Neural Networks", ICML 2006, sections 3 and 4.

    """

    def __init__(self, blank: int = 0, zero_infinity: bool = False) -> None:
        if isinstance(blank, bool) or not isinstance(blank, (int, np.integer)) or blank < 0:
            raise ArgumentError(message("CTC", "blank as a class", repr(blank), "pass such as 0"))
        self.blank, self.zero_infinity = int(blank), bool(zero_infinity)

    def value_and_gradient(self, prediction: ArrayLike, target: Any) -> tuple[Value, Tensor]:
        """The mean loss of a batch, and its gradient with respect to the logits.

        Args:
            prediction: logits ``(N, T, K)``, float32 or float64.
            target: labels ``(N, S)``, integers from 0 to K - 1 without the blank, padded by -1; or a tuple
                of labels and their lengths ``(N,)``, beyond which labels may be anything; or of these and
                input lengths ``(N,)``, the steps that count. Either length may be None.

        Returns:
            The loss (0.0 for an empty batch; of predictions on a GPU a tensor () there), and the gradient
            ``(N, T, K)``: 0 beyond an input's length.

        Raises:
            ShapeError: prediction and target do not fit each other.
            DTypeError: labels or lengths are no integers (on a GPU: of int64).
            TargetError: a label is out of range or blank, or a length out of range (seen on the CPU only).
            ArgumentError: blank is no class, or the target a tuple of another length.

        """
        labels, *lengths = _parts(target)
        loss, *kept = self._forward(prediction, labels, lengths)
        options: dict[str, Any] = {"blank": self.blank, "by_length": True, "scale": 1.0 / sized(loss)}
        return mean(loss), functional.ctc_backward(prediction, labels, *kept, *lengths, name=_CTC, **options)

    def __call__(self, prediction: ArrayLike, target: Any) -> Value:
        """The mean loss of a batch; see `value_and_gradient`."""
        labels, *lengths = _parts(target)
        return mean(self._forward(prediction, labels, lengths)[0])

    def weight_of(self, target: Any) -> float:
        """The number of examples."""
        return float(len(_parts(target)[0]))

    def _forward(self, prediction: ArrayLike, labels: Any, lengths: list[Any]) -> tuple[Tensor, ...]:
        options: dict[str, Any] = {"blank": self.blank, "zero_infinity": self.zero_infinity, "name": _CTC}
        return functional.ctc_forward(prediction, labels, *lengths, by_length=True, **options)

    def __repr__(self) -> str:
        return f"CTC(blank={self.blank}, zero_infinity={self.zero_infinity})"


def _parts(target: Any) -> tuple[Any, Any, Any]:
    """Labels, their lengths and the inputs', which may be None."""
    if not isinstance(target, tuple):
        return target, None, None
    if len(target) not in (1, 2, 3):
        expected = "labels, or a tuple of labels, label lengths and input lengths"
        raise ArgumentError(message("CTC", expected, f"{len(target)} of them", "leave out the last ones"))
    labels, label_lengths, input_lengths = (*target, None, None)[:3]
    return labels, label_lengths, input_lengths

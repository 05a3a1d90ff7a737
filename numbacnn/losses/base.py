"""What all losses share: the contract, means, and constants that follow the predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from numbacnn import functional
from numbacnn.errors import ArgumentError, message
from numbacnn.tensor import Tensor, as_tensor

Value = float | Tensor
"""A loss: a number, or where the predictions lie on a GPU a tensor () there; ``.item()`` waits for it."""


class Loss:
    """The base: calling a loss gives its value alone.

    Losses of several predictions take a sequence of them and give a tuple of gradients.
    """

    def value_and_gradient(self, prediction: Any, target: Any) -> tuple[Value, Any]:
        """The mean loss of a batch, and its gradient with respect to the prediction."""
        raise NotImplementedError

    def __call__(self, prediction: Any, target: Any) -> Value:
        """The mean loss of a batch."""
        raise NotImplementedError

    def classes_of(self, target: ArrayLike) -> bool:
        """Whether targets are classes of which the largest score is to be the right one: an accuracy."""
        return False

    def weight_of(self, target: Any) -> float:
        """What the mean of a batch divides by, of targets on the host: their number, or their weights."""
        return float(len(target))

    def prepared(self, target: Any, dtype: np.dtype) -> Any:
        """Targets on the host as the loss takes them on any device, for predictions of a dtype."""
        return target

    @property
    def ignored(self) -> int | None:
        """The class of targets that do not count, or None."""
        return None


def as_values(target: Any, dtype: np.dtype) -> Any:
    """Integer targets as values of a dtype, which GPUs take too."""
    return target.astype(dtype) if np.asarray(target).dtype.kind in "iub" else target


def mean(loss: Tensor) -> Value:
    """Mean in float64, where float32 would lose digits of a large batch; 0.0 of nothing.

    On a GPU the mean stays there, summed as a tree: the host need not wait for it.
    """
    if loss.device != "cpu":
        from numbacnn.functional import device

        return device.mean(loss)
    return float(np.mean(loss.numpy(), dtype=np.float64)) if loss.size else 0.0


def weighted_mean(loss: Tensor, share: Tensor) -> tuple[Value, Tensor]:
    """``sum(loss) / sum(share)``, and the divisor, a tensor () beside them; 0 where nothing weighs."""
    if loss.device != "cpu":
        from numbacnn.functional import device

        return device.weighted_mean(loss, share)
    total = float(np.sum(share.numpy(), dtype=np.float64))
    value = float(np.sum(loss.numpy(), dtype=np.float64)) / total if total else 0.0
    return value, Tensor(np.array(total, share.dtype))


class Placed:
    """A constant of a loss, in the type and on the device of the predictions.

    Args:
        values: an array (k,) of finite numbers of 0 or more.
        loss: that errors name.
        label: what they are, for errors.

    Raises:
        ArgumentError: the values are no such array.

    """

    def __init__(self, values: ArrayLike, loss: str, label: str) -> None:
        try:
            self.values = np.array(values, np.float64)
        except (TypeError, ValueError):
            self.values = np.empty((0, 0))
        fine = self.values.ndim == 1 and self.values.size and np.isfinite(self.values).all()
        if not fine or (self.values < 0).any():
            expected = f"{label} as finite numbers of 0 or more, one per class"
            raise ArgumentError(message(loss, expected, repr(values), "pass such as [1.0, 2.0]"))
        self._placed: dict[tuple[str, str], Tensor] = {}

    def like(self, prediction: Any) -> Tensor:
        """The values where the prediction lies, in the type of its losses."""
        lies = as_tensor(prediction)
        kind = np.dtype(np.float64 if lies.dtype == np.float64 else np.float32)
        key = lies.device, kind.name
        if key not in self._placed:
            self._placed[key] = as_tensor(self.values.astype(kind), device=lies.device)
        return self._placed[key]

    def __repr__(self) -> str:
        return repr(self.values.tolist())


def sized(prediction: Any) -> int:
    """Examples of a batch, at least 1: what a mean divides by."""
    return max(1, len(prediction))


def several(loss: str, prediction: Any, count: int, what: str) -> Sequence[Any]:
    """A sequence of so many predictions; ArgumentError for another number, or none."""
    if isinstance(prediction, (Tensor, np.ndarray)) or not isinstance(prediction, Sequence):
        got = type(prediction).__name__
    elif len(prediction) == count:
        return prediction
    else:
        got = f"{len(prediction)} of them"
    raise ArgumentError(
        message(loss, f"a sequence of {count} predictions: {what}", got, "pass them as a tuple")
    )


def scaled(gradient: Tensor, factor: float) -> Tensor:
    """``factor gradient``; the gradient itself where the factor is 1."""
    if factor == 1.0:
        return gradient
    if gradient.device != "cpu":
        from numbacnn.functional import device

        return device.scaled(gradient, factor)
    array: NDArray = gradient.numpy()
    return Tensor(array * array.dtype.type(factor))


def added(first: Value, second: Value) -> Value:
    """The sum of two losses, wherever they lie."""
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        return functional.add(first, second)
    if isinstance(first, Tensor) or isinstance(second, Tensor):
        raise TypeError("losses of one batch lie on one device")
    return first + second

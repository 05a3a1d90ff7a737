"""Parameters: the values a model learns, their gradients, and the penalty that a layer puts on them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from numbacnn import functional
from numbacnn.errors import ArgumentError, message
from numbacnn.tensor import Tensor, as_tensor


@dataclass(frozen=True)
class Penalty:
    """``l1 * sum(|w|) + l2 / 2 * sum(w^2)``, added to the loss; its gradient is ``l1 * sign(w) + l2 * w``.

    Attributes:
        l1: weight of the sum of magnitudes, 0 or more.
        l2: weight of half the sum of squares, 0 or more.

    """

    l1: float = 0.0
    l2: float = 0.0

    def __post_init__(self) -> None:
        for field in ("l1", "l2"):
            value = getattr(self, field)
            if not isinstance(value, (int, float)) or not 0.0 <= value < math.inf:
                expected = f"{field} as a finite number of 0 or more"
                raise ArgumentError(message("penalty", expected, repr(value), f"pass such as {field}=1e-4"))

    def config(self) -> dict[str, float]:
        """The weights, from which `Penalty.of` makes an equal penalty."""
        return {"l1": self.l1, "l2": self.l2}

    @staticmethod
    def of(value: Penalty | Mapping[str, float] | None, name: str = "penalty") -> Penalty | None:
        """The penalty that a layer's argument describes.

        Args:
            value: a penalty, its `config`, or None for no penalty.
            name: the layer that errors name.

        Returns:
            The penalty, or None.

        Raises:
            ArgumentError: the value describes no penalty.

        """
        if value is None or isinstance(value, Penalty):
            return value
        if isinstance(value, Mapping) and set(value) <= {"l1", "l2"}:
            return Penalty(**value)
        raise ArgumentError(
            message(
                name, "a penalty or None", repr(value), "pass one of numbacnn.regularizers, such as L2(1e-4)"
            )
        )


class Parameter:
    """An array of a layer's, with its gradient where it is learned.

    Attributes:
        value: the array. Optimizers write into it; assign to replace it.
        copy: the value in the 16-bit type that a model on a GPU computes in, which optimizers write too; or
            None.
        grad: the gradient of the loss, of the shape of `value`; None until a backward pass adds to it.
        name: unique within a model, dotted from the outermost layer, such as ``"conv2d_1.kernel"``.
        learned: False for state such as running statistics, which is kept, saved, moved and named with the
            parameters but has no gradient.
        frozen: keeps backward passes from computing the gradient and optimizers from touching it; of state,
            keeps its layer from changing it.
        trainable: whether it is learned and not frozen. Assigning sets `frozen`.
        full_precision: whether it gets no copy where its model computes in 16 bits.
        penalty: what the regularizers add to the loss for it, or None.

    """

    __slots__ = ("copy", "frozen", "full_precision", "grad", "learned", "name", "penalty", "value")

    def __init__(
        self,
        value: Tensor | np.ndarray,
        name: str = "",
        trainable: bool = True,
        penalty: Penalty | None = None,
        *,
        learned: bool = True,
        full_precision: bool = False,
    ) -> None:
        self.value: Tensor = as_tensor(value, name=name or "parameter")
        self.copy: Tensor | None = None
        self.grad: Tensor | None = None
        self.name = name
        self.frozen = not trainable
        self.learned = learned
        self.full_precision = full_precision or not learned
        self.penalty = penalty

    @property
    def trainable(self) -> bool:
        """Whether it is learned and not frozen."""
        return self.learned and not self.frozen

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self.frozen = not value

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the value."""
        return self.value.shape

    @property
    def size(self) -> int:
        """Number of elements of the value."""
        return self.value.size

    @property
    def dtype(self) -> np.dtype[Any]:
        """Element type of the value, float32 or float64."""
        return self.value.dtype

    @property
    def operand(self) -> Tensor:
        """What layers compute with: the copy where there is one, else the value."""
        return self.value if self.copy is None else self.copy

    def to(self, device: str, compute_dtype: np.dtype[Any] | None = None) -> None:
        """Move the value to a device, with a copy of it where another type is to be computed in.

        The gradient is forgotten: it belongs to the step that computed it.
        """
        self.value, self.grad = self.value.to(device), None
        same = compute_dtype is None or compute_dtype == self.dtype or self.full_precision
        self.copy = None if same else self.value.astype(compute_dtype or self.dtype)

    def assign(self, array: np.ndarray) -> None:
        """Overwrite the value by an array of its shape, wherever it lies."""
        if self.value.device == "cpu":
            np.copyto(self.value.numpy(), array, casting="same_kind")
        else:
            self.value = as_tensor(array, dtype=self.dtype, device=self.value.device)
            self.copy = None if self.copy is None else self.value.astype(self.copy.dtype)

    def accumulate(self, dw: Tensor) -> None:
        """``grad += dw``.

        Args:
            dw: gradient of the shape and dtype of the value. The first one since `zero_grad` becomes `grad`
                itself, without a copy, so the caller must not write into it afterwards.

        """
        self.grad = dw if self.grad is None else functional.add(self.grad, dw)

    def zero_grad(self) -> None:
        """Forget the gradient."""
        self.grad = None

    def __repr__(self) -> str:
        facts = f"shape={self.shape}, dtype={self.dtype}"
        facts += ("" if self.learned else ", learned=False") + (", trainable=False" if self.frozen else "")
        return f"Parameter({self.name!r}, {facts})"

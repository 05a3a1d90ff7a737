"""Activation layers: elementwise functions, and softmax over the channels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from numbacnn import functional
from numbacnn.layers.base import Layer, Shape, Training
from numbacnn.tensor import Tensor


class _Activation(Layer):
    """What the activations share: no parameters, the input's shape, and gradients from the output alone."""

    def build(
        self, input_shape: Shape, rng: np.random.Generator | None, dtype: DTypeLike = np.float32
    ) -> Shape:
        """Take any shape."""
        self.input_shape = self.output_shape = self._begin(input_shape)
        return self.output_shape

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"name": self.name}


class ReLU(_Activation):
    """``y = max(x, 0)``; ``dx = dy where y > 0, else 0``."""

    def forward(self, x: ArrayLike, training: Training = False) -> tuple[Tensor, Any]:
        """``max(x, 0)``."""
        y = functional.relu_forward(x, name=self.path)
        return y, (y if training else None)

    def backward(self, dy: ArrayLike, saved: Any, input_gradient: bool = True) -> Tensor | None:
        """``dy where y > 0, else 0``."""
        return functional.relu_backward(dy, saved, name=self.path) if input_gradient else None


class Sigmoid(_Activation):
    """``y = 1 / (1 + exp(-x))``; ``dx = dy * y * (1 - y)``."""

    def forward(self, x: ArrayLike, training: Training = False) -> tuple[Tensor, Any]:
        """``1 / (1 + exp(-x))``."""
        y = functional.sigmoid_forward(x, name=self.path)
        return y, (y if training else None)

    def backward(self, dy: ArrayLike, saved: Any, input_gradient: bool = True) -> Tensor | None:
        """``dy * y * (1 - y)``."""
        return functional.sigmoid_backward(dy, saved, name=self.path) if input_gradient else None


class Tanh(_Activation):
    """``y = tanh(x)``; ``dx = dy * (1 - y^2)``."""

    def forward(self, x: ArrayLike, training: Training = False) -> tuple[Tensor, Any]:
        """``tanh(x)``."""
        y = functional.tanh_forward(x, name=self.path)
        return y, (y if training else None)

    def backward(self, dy: ArrayLike, saved: Any, input_gradient: bool = True) -> Tensor | None:
        """``dy * (1 - y^2)``."""
        return functional.tanh_backward(dy, saved, name=self.path) if input_gradient else None


class Softmax(_Activation):
    """``y = exp(x) / sum(exp(x))`` over the last axis; ``dx = y * (dy - sum(dy * y))``.

    To train a classifier, end the model before it and use `SoftmaxCrossEntropy`, which takes the logits.
    """

    def forward(self, x: ArrayLike, training: Training = False) -> tuple[Tensor, Any]:
        """``exp(x) / sum(exp(x))`` over the last axis."""
        y = functional.softmax_forward(x, name=self.path)
        return y, (y if training else None)

    def backward(self, dy: ArrayLike, saved: Any, input_gradient: bool = True) -> Tensor | None:
        """``y * (dy - sum(dy * y))``."""
        return functional.softmax_backward(dy, saved, name=self.path) if input_gradient else None

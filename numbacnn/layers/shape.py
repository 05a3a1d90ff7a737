"""Layers that only reshape."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from numbacnn.layers.base import Layer, Shape, Training
from numbacnn.tensor import Tensor, as_tensor


class Flatten(Layer):
    """``y = x.reshape(N, -1)``: pixels in row-major order, channels fastest."""

    def build(
        self, input_shape: Shape, rng: np.random.Generator | None, dtype: DTypeLike = np.float32
    ) -> Shape:
        """Take any shape."""
        self.input_shape = self._begin(input_shape)
        self.output_shape = (math.prod(self.input_shape),)
        return self.output_shape

    def forward(self, x: ArrayLike, training: Training = False) -> tuple[Tensor, Any]:
        """A view of the input with one axis after the batch."""
        x = as_tensor(x, name=self.path)
        shape = x.shape
        y = x.reshape((shape[0], math.prod(shape[1:])))
        return y, (shape if training else None)

    def backward(self, dy: ArrayLike, saved: Any, input_gradient: bool = True) -> Tensor | None:
        """A view of the gradient in the input's shape."""
        return as_tensor(dy, name=self.path).reshape(saved) if input_gradient else None

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"name": self.name}

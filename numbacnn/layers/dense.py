"""Dense layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from numbacnn import functional, initializers
from numbacnn.epilogue import ActivationLike
from numbacnn.errors import ShapeError, message
from numbacnn.initializers import Initializer
from numbacnn.layers.activated import Activated
from numbacnn.layers.base import Shape, Training, positive
from numbacnn.parameter import Parameter, Penalty
from numbacnn.tensor import Tensor, as_tensor


class Dense(Activated):
    """``y = x @ w + b``; ``dw = x.T @ dy``, ``db = sum(dy)``, ``dx = dy @ w.T``.

    Args:
        units: output features.
        use_bias: whether to add a bias per unit.
        kernel_initializer: a name, an Initializer or its config.
        bias_initializer: likewise.
        kernel_regularizer: a penalty on the weights such as ``L2(1e-4)``, or None.
        activation: applied afterwards: None, ``"relu"``, ``"relu6"``, ``"silu"``, ``("leaky_relu", slope)``
            or ``("clip", low, high)``.
        name: the layer's name.

    Attributes:
        kernel: parameter, from `build` on, ``(features, units)``.
        bias: parameter ``(units,)``, or None.

    """

    kernel: Parameter

    def __init__(
        self,
        units: int,
        *,
        use_bias: bool = True,
        kernel_initializer: str | Mapping[str, Any] | Initializer = "he_normal",
        bias_initializer: str | Mapping[str, Any] | Initializer = "zeros",
        kernel_regularizer: Penalty | Mapping[str, float] | None = None,
        activation: ActivationLike = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self._activate(activation)
        self.units = positive(self.name, "units", units)
        self.use_bias = bool(use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer, self.name)
        self.bias_initializer = initializers.get(bias_initializer, self.name)
        self.kernel_regularizer = Penalty.of(kernel_regularizer, self.name)
        self.bias: Parameter | None = None

    def build(
        self, input_shape: Shape, rng: np.random.Generator | None, dtype: DTypeLike = np.float32
    ) -> Shape:
        """Make the weights and the bias for inputs ``(features,)``."""
        input_shape = self._begin(input_shape)
        if len(input_shape) != 1 or input_shape[0] < 1:
            remedy = "put a Flatten layer before it" if len(input_shape) > 1 else "check the sizes"
            raise ShapeError(message(self.path, "inputs of shape (features,)", str(input_shape), remedy))
        shape = (input_shape[0], self.units)
        self.kernel = self._parameter(
            "kernel", shape, self.kernel_initializer, rng, dtype, self.kernel_regularizer
        )
        if self.use_bias:
            self.bias = self._parameter("bias", (self.units,), self.bias_initializer, rng, dtype)
        self.input_shape, self.output_shape = input_shape, (self.units,)
        return self.output_shape

    def _linear(self, x: ArrayLike, training: Training, activation: ActivationLike) -> tuple[Tensor, Any]:
        self._require_built()
        x = as_tensor(x, name=self.path)
        bias = None if self.bias is None else self.bias.operand
        y = functional.dense_forward(x, self.kernel.operand, bias, name=self.path)
        return y, (x if training else None)

    def _linear_backward(self, dy: ArrayLike, saved: Any, input_gradient: bool) -> Tensor | None:
        kernel, bias = self.kernel, self.bias
        if kernel.trainable:
            kernel.accumulate(functional.dense_backward_weights(saved, dy, name=self.path))
        if bias is not None and bias.trainable:
            bias.accumulate(functional.bias_backward(dy, name=self.path))
        return functional.dense_backward_data(dy, kernel.operand, name=self.path) if input_gradient else None

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "units": self.units,
            "use_bias": self.use_bias,
            "kernel_initializer": self.kernel_initializer.config(),
            "bias_initializer": self.bias_initializer.config(),
            "kernel_regularizer": self.kernel_regularizer and self.kernel_regularizer.config(),
            "activation": self.activation,
            "name": self.name,
        }

    def macs(self) -> int:
        """Multiply-adds of one example."""
        self._require_built()
        return self.kernel.size

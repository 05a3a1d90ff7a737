"""Convolution layers, channels last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from numbacnn import functional, initializers
from numbacnn.dims import ConvDims, Ints, Padding
from numbacnn.initializers import Initializer
from numbacnn.layers.base import Layer, Shape, Training, frozen, pair, positive, require_image
from numbacnn.parameter import Parameter, Penalty
from numbacnn.tensor import Tensor, as_tensor


class Conv2D(Layer):
    """``y[n, i, j, o] = b[o] + sum(w[a, b, c, o] * x[n, i*s - p + a*d, j*s - p + b*d, c] for a, b, c)``.

    This is cross-correlation: the kernel is not flipped, as in every framework.

    Args:
        filters: output channels.
        kernel_size: taps, one integer or ``(height, width)``.
        strides: input pixels between neighbouring outputs, one integer or two.
        padding: ``"valid"`` (none), ``"same"`` (``out = ceil(in / stride)``, the odd pixel at the bottom and
            right), pixels for all sides, pixels per axis, or ``((top, bottom), (left, right))``.
        dilation: input pixels between neighbouring taps, one integer or two.
        groups: groups of channels that see only each other; divides input and output channels.
        use_bias: whether to add a bias per output channel.
        kernel_initializer: a name, an Initializer or its config.
        bias_initializer: likewise.
        kernel_regularizer: a penalty on the kernel such as ``L2(1e-4)``, or None.
        name: the layer's name.

    Attributes:
        kernel: parameter, from `build` on, ``(height, width, c_in / groups, filters)``.
        bias: parameter ``(filters,)``, or None.

    """

    kernel: Parameter
    _dims: ConvDims

    def __init__(
        self,
        filters: int,
        kernel_size: Ints,
        *,
        strides: Ints = 1,
        padding: Padding = "valid",
        dilation: Ints = 1,
        groups: int = 1,
        use_bias: bool = True,
        kernel_initializer: str | Mapping[str, Any] | Initializer = "he_normal",
        bias_initializer: str | Mapping[str, Any] | Initializer = "zeros",
        kernel_regularizer: Penalty | Mapping[str, float] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.filters = positive(self.name, "filters", filters)
        self.kernel_size = pair(self.name, "kernel_size", kernel_size)
        self.strides = pair(self.name, "strides", strides)
        self.padding = frozen(padding)
        self.dilation = pair(self.name, "dilation", dilation)
        self.groups = positive(self.name, "groups", groups)
        self.use_bias = bool(use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer, self.name)
        self.bias_initializer = initializers.get(bias_initializer, self.name)
        self.kernel_regularizer = Penalty.of(kernel_regularizer, self.name)
        self.bias: Parameter | None = None
        self._geometry: dict[str, Any] = {}

    def build(
        self, input_shape: Shape, rng: np.random.Generator | None, dtype: DTypeLike = np.float32
    ) -> Shape:
        """Make the kernel and the bias for images ``(height, width, channels)``."""
        input_shape = self._begin(input_shape)
        require_image(self.path, input_shape)
        # Where groups do not divide the channels, the rounded-up kernel makes the dims say so.
        kernel_shape = (*self.kernel_size, -(-input_shape[-1] // self.groups), self.filters)
        self._geometry = {
            "stride": self.strides,
            "padding": self.padding,
            "dilation": self.dilation,
            "groups": self.groups,
            "name": self.path,
        }
        self._dims = ConvDims.of((1, *input_shape), kernel_shape, **self._geometry)
        self.kernel = self._parameter(
            "kernel", kernel_shape, self.kernel_initializer, rng, dtype, self.kernel_regularizer
        )
        if self.use_bias:
            self.bias = self._parameter("bias", (self.filters,), self.bias_initializer, rng, dtype)
        self.input_shape, self.output_shape = input_shape, self._dims.output_shape[1:]
        return self.output_shape

    def forward(self, x: ArrayLike, training: Training = False) -> tuple[Tensor, Any]:
        """``y = conv(x, kernel) + bias``."""
        self._require_built()
        x = as_tensor(x, name=self.path)
        bias = None if self.bias is None else self.bias.operand
        y = functional.conv_forward(x, self.kernel.operand, bias, **self._geometry)
        return y, (x if training else None)

    def backward(self, dy: ArrayLike, saved: Any, input_gradient: bool = True) -> Tensor | None:
        """Gradients of the kernel, of the bias and, where asked for, of the input."""
        kernel, bias, x = self.kernel, self.bias, saved
        if kernel.trainable:
            kernel.accumulate(functional.conv_backward_weights(x, dy, kernel.shape, **self._geometry))
        if bias is not None and bias.trainable:
            bias.accumulate(functional.bias_backward(dy, name=self.path))
        if not input_gradient:
            return None
        return functional.conv_backward_data(dy, kernel.operand, x.shape, **self._geometry)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "dilation": self.dilation,
            "groups": self.groups,
            "use_bias": self.use_bias,
            "kernel_initializer": self.kernel_initializer.config(),
            "bias_initializer": self.bias_initializer.config(),
            "kernel_regularizer": self.kernel_regularizer and self.kernel_regularizer.config(),
            "name": self.name,
        }

    def macs(self) -> int:
        """Multiply-adds of one image, those with padding counted."""
        self._require_built()
        return self._dims.macs

    def window(self) -> ConvDims:
        """Geometry of the convolution of one image."""
        self._require_built()
        return self._dims

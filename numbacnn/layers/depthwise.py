"""Depthwise and separable convolution layers, channels last."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from numbacnn import functional
from numbacnn.dims import Ints, Padding
from numbacnn.epilogue import ActivationLike
from numbacnn.layers.base import Training, positive
from numbacnn.layers.conv import ConvLayer, InitializerLike, PenaltyLike
from numbacnn.parameter import Parameter
from numbacnn.tensor import Tensor, as_tensor


class _DepthwiseConv(ConvLayer):
    """What the depthwise convolutions share: all but the number of axes."""

    def __init__(
        self,
        kernel_size: Ints,
        *,
        depth_multiplier: int = 1,
        strides: Ints = 1,
        padding: Padding = "valid",
        padding_mode: str = "zeros",
        dilation: Ints = 1,
        use_bias: bool = True,
        kernel_initializer: InitializerLike = "he_normal",
        bias_initializer: InitializerLike = "zeros",
        kernel_regularizer: PenaltyLike = None,
        activation: ActivationLike = None,
        name: str | None = None,
    ) -> None:
        super().__init__(
            kernel_size,
            strides,
            padding,
            padding_mode,
            dilation,
            use_bias,
            kernel_initializer,
            bias_initializer,
            kernel_regularizer,
            name,
            activation,
        )
        self.depth_multiplier = positive(self.name, "depth_multiplier", depth_multiplier)

    def _channels(self, c_in: int) -> tuple[int, int]:
        return c_in, c_in * self.depth_multiplier

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().config(), "depth_multiplier": self.depth_multiplier}


class DepthwiseConv2D(_DepthwiseConv):
    """``y[i, j, c*m + q] = b[c*m + q] + sum(w[a, b, 0, c*m + q] * x[i*s - p + a*d, j*s - p + b*d, c])``.

    Each input channel c gives m output channels (q = 0 .. m - 1), and no two are mixed: a convolution of as
    many groups as channels.

    Args:
        kernel_size: taps, one integer or ``(height, width)``.
        depth_multiplier: the m of the formula, 1 or more.
        strides, padding, padding_mode, dilation: as in `Conv2D`.
        use_bias, kernel_initializer, bias_initializer, kernel_regularizer, activation: as in `Conv2D`.
        name: the layer's name.

    Attributes:
        kernel: parameter, from `build` on, ``(height, width, 1, c_in depth_multiplier)``.
        bias: parameter ``(c_in depth_multiplier,)``, or None.

    Source:
        Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications",
        2017, section 3.1.

    """

    rank = 2


class DepthwiseConv1D(_DepthwiseConv):
    """As `DepthwiseConv2D`, on signals ``(N, length, channels)``; `padding` may be ``"causal"`` too."""

    rank = 1


class DepthwiseConv3D(_DepthwiseConv):
    """As `DepthwiseConv2D`, on volumes ``(N, depth, height, width, channels)``."""

    rank = 3


class _SeparableConv(ConvLayer):
    """What the separable convolutions share: the depthwise part is `ConvLayer`'s."""

    pointwise_kernel: Parameter

    def __init__(
        self,
        filters: int,
        kernel_size: Ints,
        *,
        depth_multiplier: int = 1,
        strides: Ints = 1,
        padding: Padding = "valid",
        padding_mode: str = "zeros",
        dilation: Ints = 1,
        use_bias: bool = True,
        kernel_initializer: InitializerLike = "he_normal",
        bias_initializer: InitializerLike = "zeros",
        kernel_regularizer: PenaltyLike = None,
        activation: ActivationLike = None,
        name: str | None = None,
    ) -> None:
        super().__init__(
            kernel_size,
            strides,
            padding,
            padding_mode,
            dilation,
            use_bias,
            kernel_initializer,
            bias_initializer,
            kernel_regularizer,
            name,
            activation,
        )
        self.filters = positive(self.name, "filters", filters)
        self.depth_multiplier = positive(self.name, "depth_multiplier", depth_multiplier)

    def _channels(self, c_in: int) -> tuple[int, int]:
        return c_in, c_in * self.depth_multiplier

    def _build_rest(self, filters: int, rng: np.random.Generator | None, dtype: DTypeLike) -> None:
        shape = (*(1,) * self.rank, filters, self.filters)
        self.pointwise_kernel = self._parameter(
            "pointwise_kernel", shape, self.kernel_initializer, rng, dtype, self.kernel_regularizer
        )
        super()._build_rest(self.filters, rng, dtype)
        self.output_shape = (*self._dims.out_, self.filters)

    def _linear(self, x: ArrayLike, training: Training, activation: ActivationLike) -> tuple[Tensor, Any]:
        self._require_built()
        x = as_tensor(x, name=self.path)
        bias = None if self.bias is None else self.bias.operand
        h = functional.conv_forward(x, self.kernel.operand, **self._geometry)
        pointwise = self.pointwise_kernel.operand
        y = functional.conv_forward(h, pointwise, bias, activation=activation, name=self.path)
        return y, ((x, h) if training else None)

    def _linear_backward(self, dy: ArrayLike, saved: Any, input_gradient: bool) -> Tensor | None:
        x, h = saved
        kernel, pointwise, bias = self.kernel, self.pointwise_kernel, self.bias
        if bias is not None and bias.trainable:
            bias.accumulate(functional.bias_backward(dy, name=self.path))
        if pointwise.trainable:
            pointwise.accumulate(functional.conv_backward_weights(h, dy, pointwise.shape, name=self.path))
        if not (kernel.trainable or input_gradient):
            return None
        dh = functional.conv_backward_data(dy, pointwise.operand, h.shape, name=self.path)
        if kernel.trainable:
            kernel.accumulate(functional.conv_backward_weights(x, dh, kernel.shape, **self._geometry))
        if not input_gradient:
            return None
        return functional.conv_backward_data(dh, kernel.operand, x.shape, **self._geometry)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        own = {"filters": self.filters, "depth_multiplier": self.depth_multiplier}
        return {**own, **super().config()}

    def macs(self) -> int:
        """Multiply-adds of one example, those with padding counted."""
        self._require_built()
        return self._dims.macs + math.prod(self._dims.out_) * self.pointwise_kernel.size


class SeparableConv2D(_SeparableConv):
    """``y = conv(h, pointwise_kernel) + b``, ``h = depthwise_conv(x, kernel)``: space first, then channels.

    Two convolutions without bias or activation in between, of ``k_h k_w m + m filters`` multiply-adds per
    input channel and pixel in the place of ``k_h k_w filters``.

    Args:
        filters: output channels.
        kernel_size: taps of the depthwise convolution, one integer or ``(height, width)``.
        depth_multiplier: m, channels between the two per input channel.
        strides, padding, padding_mode, dilation: of the depthwise convolution, as in `Conv2D`.
        use_bias, bias_initializer: of the bias per output channel, as in `Conv2D`.
        kernel_initializer, kernel_regularizer: of both kernels, as in `Conv2D`.
        activation: after both, as in `Conv2D`.
        name: the layer's name.

    Attributes:
        kernel: parameter, from `build` on, ``(height, width, 1, c_in depth_multiplier)``.
        pointwise_kernel: parameter ``(1, 1, c_in depth_multiplier, filters)``.
        bias: parameter ``(filters,)``, or None.

    Source:
        Chollet, "Xception: Deep Learning with Depthwise Separable Convolutions", CVPR 2017, section 1.

    """

    rank = 2


class SeparableConv1D(_SeparableConv):
    """As `SeparableConv2D`, on signals ``(N, length, channels)``; `padding` may be ``"causal"`` too."""

    rank = 1


class SeparableConv3D(_SeparableConv):
    """As `SeparableConv2D`, on volumes ``(N, depth, height, width, channels)``."""

    rank = 3

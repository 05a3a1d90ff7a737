"""Transposed convolution layers, channels last."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from numbacnn import functional, initializers
from numbacnn.dims import ConvDims, Ints, Padding
from numbacnn.epilogue import ActivationLike
from numbacnn.errors import ArgumentError, message
from numbacnn.layers.activated import Activated
from numbacnn.layers.base import Shape, Training, frozen, per_axis, positive, require_spatial
from numbacnn.layers.conv import InitializerLike, PenaltyLike
from numbacnn.parameter import Parameter, Penalty
from numbacnn.receptive import ReceptiveField
from numbacnn.tensor import Tensor, as_tensor


class _ConvTranspose(Activated):
    """What the transposed convolutions share: all but the number of axes."""

    rank: ClassVar[int]
    kernel: Parameter
    _dims: ConvDims

    def __init__(
        self,
        filters: int,
        kernel_size: Ints,
        *,
        strides: Ints = 1,
        padding: Padding = "valid",
        output_padding: Ints = 0,
        dilation: Ints = 1,
        groups: int = 1,
        use_bias: bool = True,
        kernel_initializer: InitializerLike = "he_normal",
        bias_initializer: InitializerLike = "zeros",
        kernel_regularizer: PenaltyLike = None,
        activation: ActivationLike = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self._activate(activation)
        self.filters = positive(self.name, "filters", filters)
        self.kernel_size = per_axis(self.name, "kernel_size", kernel_size, self.rank)
        self.strides = per_axis(self.name, "strides", strides, self.rank)
        self.padding = frozen(padding)
        self.output_padding = frozen(output_padding)
        self.dilation = per_axis(self.name, "dilation", dilation, self.rank)
        self.groups = positive(self.name, "groups", groups)
        if self.filters % self.groups:
            expected = f"groups that divide the {self.filters} filters"
            raise ArgumentError(message(self.name, expected, repr(groups), "choose a common divisor"))
        self.use_bias = bool(use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer, self.name)
        self.bias_initializer = initializers.get(bias_initializer, self.name)
        self.kernel_regularizer = Penalty.of(kernel_regularizer, self.name)
        self.bias: Parameter | None = None
        self._geometry: dict[str, Any] = {}

    def build(
        self, input_shape: Shape, rng: np.random.Generator | None, dtype: DTypeLike = np.float32
    ) -> Shape:
        """Make the kernel and the bias for inputs ``(*in, channels)``."""
        input_shape = self._begin(input_shape)
        require_spatial(self.path, input_shape, self.rank)
        kernel_shape = (*self.kernel_size, self.filters // self.groups, input_shape[-1])
        self._geometry = {
            "stride": self.strides,
            "padding": self.padding,
            "output_padding": self.output_padding,
            "dilation": self.dilation,
            "groups": self.groups,
            "name": self.path,
        }
        self._dims = ConvDims.transposed((1, *input_shape), kernel_shape, **self._geometry)
        self.kernel = self._parameter(
            "kernel", kernel_shape, self.kernel_initializer, rng, dtype, self.kernel_regularizer
        )
        if self.use_bias:
            self.bias = self._parameter("bias", (self.filters,), self.bias_initializer, rng, dtype)
        self.input_shape, self.output_shape = input_shape, self._dims.input_shape[1:]
        return self.output_shape

    def _linear(self, x: ArrayLike, training: Training, activation: ActivationLike) -> tuple[Tensor, Any]:
        self._require_built()
        x = as_tensor(x, name=self.path)
        bias = None if self.bias is None else self.bias.operand
        y = functional.conv_transpose_forward(x, self.kernel.operand, bias, **self._geometry)
        return y, (x if training else None)

    def _linear_backward(self, dy: ArrayLike, saved: Any, input_gradient: bool) -> Tensor | None:
        kernel, bias, x = self.kernel, self.bias, saved
        if kernel.trainable:
            dw = functional.conv_transpose_backward_weights(x, dy, kernel.shape, **self._geometry)
            kernel.accumulate(dw)
        if bias is not None and bias.trainable:
            bias.accumulate(functional.bias_backward(dy, name=self.path))
        if not input_gradient:
            return None
        return functional.conv_transpose_backward_data(dy, kernel.operand, x.shape, **self._geometry)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "output_padding": self.output_padding,
            "dilation": self.dilation,
            "groups": self.groups,
            "use_bias": self.use_bias,
            "kernel_initializer": self.kernel_initializer.config(),
            "bias_initializer": self.bias_initializer.config(),
            "kernel_regularizer": self.kernel_regularizer and self.kernel_regularizer.config(),
            "activation": self.activation,
            "name": self.name,
        }

    def macs(self) -> int:
        """Multiply-adds of one example, those with outputs that padding cuts off counted."""
        self._require_built()
        return self._dims.macs

    def window(self) -> ReceptiveField:
        """The outermost inputs ``q`` with ``q stride - pad + t dilation = p`` for some tap t."""
        self._require_built()
        d = self._dims
        axes = tuple(zip(d.span_, d.stride_, d.pad_lo_, strict=True))
        return ReceptiveField(
            tuple(1 + Fraction(span - 1, s) for span, s, _ in axes),
            tuple(Fraction(1, s) for _, s, _ in axes),
            tuple(Fraction(lo - (span - 1), s) for span, s, lo in axes),
        )


class ConvTranspose2D(_ConvTranspose):
    """``y[n, p, o] = b[o] + sum(w[t, o, c] * x[n, q, c])`` over c and all q, t with ``q*s - pad + t*d = p``.

    Each input pixel adds a multiple of the kernel to the output, s pixels from its neighbour's: the data
    gradient of a convolution of stride s, which learns to enlarge.

    Args:
        filters: output channels.
        kernel_size: taps, one integer or ``(height, width)``.
        strides: output pixels between what neighbouring inputs add to, one integer or two.
        padding: output pixels cut off at the sides: ``"valid"`` (none), ``"same"`` (``out = in * stride``),
            pixels for all sides, pixels per axis, or ``((top, bottom), (left, right))``.
        output_padding: output pixels more at the bottom and right, below the larger of stride and dilation;
            one integer or two.
        dilation: output pixels between neighbouring taps, one integer or two.
        groups: groups of channels that see only each other; divides input and output channels.
        use_bias: whether to add a bias per output channel.
        kernel_initializer: a name, an Initializer or its config. Its fan_in is ``prod(k) filters / groups``,
            as the kernel lies; PyTorch and Keras count likewise.
        bias_initializer: likewise.
        kernel_regularizer: a penalty on the kernel such as ``L2(1e-4)``, or None.
        activation: applied afterwards: None, ``"relu"``, ``"relu6"``, ``"silu"``, ``("leaky_relu", slope)``
            or ``("clip", low, high)``.
        name: the layer's name.

    Attributes:
        kernel: parameter, from `build` on, ``(height, width, filters / groups, c_in)``.
        bias: parameter ``(filters,)``, or None.

    Source:
        Zeiler, Krishnan, Taylor and Fergus, "Deconvolutional Networks", CVPR 2010; Dumoulin and Visin, "A
        guide to convolution arithmetic for deep learning", 2016, section 4.

    """

    rank = 2


class ConvTranspose1D(_ConvTranspose):
    """As `ConvTranspose2D`, on signals ``(N, length, channels)``, with one integer where that takes two."""

    rank = 1


class ConvTranspose3D(_ConvTranspose):
    """As `ConvTranspose2D`, on volumes ``(N, depth, height, width, channels)``."""

    rank = 3

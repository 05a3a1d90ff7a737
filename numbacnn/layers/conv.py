"""Convolution layers of signals, images and volumes, channels last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from numbacnn import functional, initializers
from numbacnn.dims import ConvDims, Ints, Padding
from numbacnn.epilogue import ActivationLike
from numbacnn.errors import ArgumentError, message
from numbacnn.functional.pad import pad_geometry
from numbacnn.initializers import Initializer
from numbacnn.layers.activated import Activated
from numbacnn.layers.base import Shape, Training, frozen, per_axis, positive, require_spatial
from numbacnn.parameter import Parameter, Penalty
from numbacnn.tensor import Tensor, as_tensor

InitializerLike = str | Mapping[str, Any] | Initializer
PenaltyLike = Penalty | Mapping[str, float] | None

PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


def padding_mode_of(name: str, mode: str) -> str:
    """The mode, or ArgumentError where it is none."""
    if mode not in PADDING_MODES:
        expected = "padding_mode as one of " + ", ".join(map(repr, PADDING_MODES))
        raise ArgumentError(message(name, expected, repr(mode), "choose one of them"))
    return mode


class ConvLayer(Activated):
    """What convolutions of all ranks share; depthwise ones say by `_channels` how wide they are."""

    rank: ClassVar[int]
    kernel: Parameter
    _dims: ConvDims
    _fuses = True

    def __init__(
        self,
        kernel_size: Ints,
        strides: Ints,
        padding: Padding,
        padding_mode: str,
        dilation: Ints,
        use_bias: bool,
        kernel_initializer: InitializerLike,
        bias_initializer: InitializerLike,
        kernel_regularizer: PenaltyLike,
        name: str | None,
        activation: ActivationLike = None,
    ) -> None:
        super().__init__(name)
        self._activate(activation)
        self.kernel_size = per_axis(self.name, "kernel_size", kernel_size, self.rank)
        self.strides = per_axis(self.name, "strides", strides, self.rank)
        self.padding = frozen(padding)
        self.padding_mode = padding_mode_of(self.name, padding_mode)
        self.dilation = per_axis(self.name, "dilation", dilation, self.rank)
        self.use_bias = bool(use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer, self.name)
        self.bias_initializer = initializers.get(bias_initializer, self.name)
        self.kernel_regularizer = Penalty.of(kernel_regularizer, self.name)
        self.bias: Parameter | None = None
        self._geometry: dict[str, Any] = {}

    def _channels(self, c_in: int) -> tuple[int, int]:
        """Groups and output channels."""
        raise NotImplementedError

    def build(
        self, input_shape: Shape, rng: np.random.Generator | None, dtype: DTypeLike = np.float32
    ) -> Shape:
        """Make the kernel and the bias for inputs ``(*in, channels)``."""
        input_shape = self._begin(input_shape)
        require_spatial(self.path, input_shape, self.rank)
        groups, filters = self._channels(input_shape[-1])
        # Where groups do not divide the channels, the rounded-up kernel makes the dims say so.
        kernel_shape = (*self.kernel_size, -(-input_shape[-1] // groups), filters)
        self._geometry = {
            "stride": self.strides,
            "padding": self.padding,
            "dilation": self.dilation,
            "groups": groups,
            "name": self.path,
        }
        self._dims = ConvDims.of((1, *input_shape), kernel_shape, **self._geometry)
        self._geometry["padding_mode"] = self.padding_mode
        pads = tuple(zip(self._dims.pad_lo_, self._dims.pad_hi_, strict=True))
        pad_geometry(self.path, (1, *input_shape), pads, self.padding_mode)
        self.kernel = self._parameter(
            "kernel", kernel_shape, self.kernel_initializer, rng, dtype, self.kernel_regularizer
        )
        self.output_shape = self._dims.output_shape[1:]
        self._build_rest(filters, rng, dtype)
        self.input_shape = input_shape
        return self.output_shape

    def _build_rest(self, filters: int, rng: np.random.Generator | None, dtype: DTypeLike) -> None:
        """Make the parameters after the kernel."""
        if self.use_bias:
            self.bias = self._parameter("bias", (filters,), self.bias_initializer, rng, dtype)

    def _linear(self, x: ArrayLike, training: Training, activation: ActivationLike) -> tuple[Tensor, Any]:
        self._require_built()
        x = as_tensor(x, name=self.path)
        bias = None if self.bias is None else self.bias.operand
        y = functional.conv_forward(x, self.kernel.operand, bias, activation=activation, **self._geometry)
        return y, (x if training else None)

    def _linear_backward(self, dy: ArrayLike, saved: Any, input_gradient: bool) -> Tensor | None:
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
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "padding_mode": self.padding_mode,
            "dilation": self.dilation,
            "use_bias": self.use_bias,
            "kernel_initializer": self.kernel_initializer.config(),
            "bias_initializer": self.bias_initializer.config(),
            "kernel_regularizer": self.kernel_regularizer and self.kernel_regularizer.config(),
            "activation": self.activation,
            "name": self.name,
        }

    def macs(self) -> int:
        """Multiply-adds of one example, those with padding counted."""
        self._require_built()
        return self._dims.macs

    def window(self) -> ConvDims:
        """Geometry of the convolution of one example."""
        self._require_built()
        return self._dims


class _Conv(ConvLayer):
    """What `Conv1D`, `Conv2D` and `Conv3D` share: all but the number of axes."""

    def __init__(
        self,
        filters: int,
        kernel_size: Ints,
        *,
        strides: Ints = 1,
        padding: Padding = "valid",
        padding_mode: str = "zeros",
        dilation: Ints = 1,
        groups: int = 1,
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
        self.groups = positive(self.name, "groups", groups)

    def _channels(self, c_in: int) -> tuple[int, int]:
        return self.groups, self.filters

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"filters": self.filters, **super().config(), "groups": self.groups}


class Conv2D(_Conv):
    """``y[n, i, j, o] = b[o] + sum(w[a, b, c, o] * x[n, i*s - p + a*d, j*s - p + b*d, c] for a, b, c)``.

    This is cross-correlation: the kernel is not flipped, as in every framework.

    Args:
        filters: output channels.
        kernel_size: taps, one integer or ``(height, width)``.
        strides: input pixels between neighbouring outputs, one integer or two.
        padding: ``"valid"`` (none), ``"same"`` (``out = ceil(in / stride)``, the odd pixel at the bottom and
            right), pixels for all sides, pixels per axis, or ``((top, bottom), (left, right))``.
        padding_mode: what padding holds: ``"zeros"``, ``"reflect"`` (about the first and the last pixel, not
            repeated), ``"replicate"`` (the nearest pixel) or ``"circular"`` (from the other end).
        dilation: input pixels between neighbouring taps, one integer or two.
        groups: groups of channels that see only each other; divides input and output channels.
        use_bias: whether to add a bias per output channel.
        kernel_initializer: a name, an Initializer or its config.
        bias_initializer: likewise.
        kernel_regularizer: a penalty on the kernel such as ``L2(1e-4)``, or None.
        activation: applied to the results while they are in the cache: None, ``"relu"``, ``"relu6"``,
            ``"silu"``, ``("leaky_relu", slope)`` or ``("clip", low, high)``.
        name: the layer's name.

    Attributes:
        kernel: parameter, from `build` on, ``(height, width, c_in / groups, filters)``.
        bias: parameter ``(filters,)``, or None.

    Source:
        Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016, section 2.

    """

    rank = 2


class Conv1D(_Conv):
    """``y[n, i, o] = b[o] + sum(w[a, c, o] * x[n, i*s - p + a*d, c] for a, c)``.

    On signals ``(N, length, channels)``.

    Args: as `Conv2D`, with one integer where that takes two. `padding` may be ``"causal"`` too: so many
        pixels before the first that no output sees what comes after it.

    Attributes:
        kernel: parameter, from `build` on, ``(length, c_in / groups, filters)``.
        bias: parameter ``(filters,)``, or None.

    Source:
        of causal padding: van den Oord et al., "WaveNet", 2016, section 2.1.

    """

    rank = 1


class Conv3D(_Conv):
    """As `Conv2D` with taps of depth: on volumes ``(N, depth, height, width, channels)``.

    Args: as `Conv2D`, with three integers where that takes two.

    Attributes:
        kernel: parameter, from `build` on, ``(depth, height, width, c_in / groups, filters)``.
        bias: parameter ``(filters,)``, or None.

    Source:
        Tran, Bourdev, Fergus, Torresani and Paluri, "Learning Spatiotemporal Features with 3D Convolutional
        Networks", ICCV 2015, section 3.

    """

    rank = 3

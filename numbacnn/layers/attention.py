"""Attention to channels and to pixels: gates that layers compute from their input and multiply it by."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from numbacnn import functional, initializers
from numbacnn.dims import ConvDims, Ints
from numbacnn.errors import ArgumentError, ShapeError, message
from numbacnn.layers.activation import Sigmoid, _Activation
from numbacnn.layers.base import Layer, Shape, Training, frozen, per_axis, positive
from numbacnn.layers.containers import from_config, to_config
from numbacnn.layers.conv import Conv1D, Conv2D, Conv3D, InitializerLike
from numbacnn.layers.dense import Dense
from numbacnn.parameter import Parameter
from numbacnn.tensor import Tensor, as_tensor

ActivationLayer = str | Mapping[str, Any] | Layer
_CONV = (Conv1D, Conv2D, Conv3D)


class _Attention(Layer):
    """What the gates share: layers within, whose parameters are the layer's."""

    _within: tuple[Layer, ...] = ()

    @property
    def parameters(self) -> list[Parameter]:
        """The parameters of the layers within."""
        return [p for layer in self._within for p in layer.parameters]

    def reset(self) -> None:
        """Forget the layers within, so that the layer may be built anew."""
        super().reset()
        self._within = ()

    def _spatial(self, input_shape: Shape) -> Shape:
        """The shape, unless it is none of signals, images or volumes."""
        shape = self._begin(input_shape)
        if not 2 <= len(shape) <= 4 or min(shape) < 1:
            expected = "inputs of positive shape (*spatial, channels) with 1 to 3 spatial axes"
            raise ShapeError(message(self.path, expected, str(shape), "put it before Flatten and pooling"))
        return shape

    def _hold(self, *layers: Layer) -> None:
        """Keep layers, with paths within the layer's."""
        for layer in layers:
            layer.place(f"{self.path}.")
        self._within = layers

    def _run(self, x: Tensor, training: Training) -> tuple[Tensor, list[Any]]:
        """The layers within, one after the other."""
        saved = []
        for layer in self._within:
            x, kept = layer.forward(x, training)
            saved.append(kept)
        return x, saved

    def _run_back(self, dy: Tensor, saved: list[Any], input_gradient: bool) -> Tensor | None:
        """Their gradients, down to the input's."""
        for k in reversed(range(len(self._within))):
            dy = self._within[k].backward(dy, saved[k], input_gradient or k > 0)
        return dy if input_gradient else None

    def macs(self) -> int:
        """Multiply-adds of the layers within, for one example."""
        self._require_built()
        return sum(layer.macs() for layer in self._within)


class SqueezeExcite(_Attention):
    """``y[n, p, c] = x[n, p, c] g[n, c]``, ``g = gate(w_2 activation(w_1 mean_p(x[n, p]) + b_1) + b_2)``.

    On signals, images and volumes. Each gate depends on the whole input, which receptive fields leave out.

    Args:
        ratio: the hidden layer has as many units as channels divided by this, rounded down, 1 at least.
        units: of the hidden layer, instead of ratio.
        activation: of the hidden layer: that layer, or its class's name in lower case, such as ``"relu"``.
        gate: what makes the gates, likewise.
        kernel_initializer: of both dense layers: a name, an Initializer or its config.
        name: the layer's name.

    Attributes:
        parameters: ``reduce.kernel (channels, units)``, ``reduce.bias``, ``expand.kernel (units, channels)``
            and ``expand.bias``, from `build` on.

    Source:
        Hu, Shen and Sun, "Squeeze-and-Excitation Networks", CVPR 2018, section 3.

    """

    def __init__(
        self,
        ratio: int | None = None,
        *,
        units: int | None = None,
        activation: ActivationLayer = "relu",
        gate: ActivationLayer = "sigmoid",
        kernel_initializer: InitializerLike = "he_normal",
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        if ratio is not None and units is not None:
            raise ArgumentError(message(self.name, "ratio or units", "both", "pass one, such as ratio=16"))
        self.ratio = 16 if ratio is None and units is None else ratio
        for argument, value in (("ratio", self.ratio), ("units", units)):
            if value is not None:
                positive(self.name, argument, value)
        self.units = units
        self.activation = _activation(self.name, "activation", activation)
        self.gate = _activation(self.name, "gate", gate)
        self.kernel_initializer = initializers.get(kernel_initializer, self.name)

    def build(
        self, input_shape: Shape, rng: np.random.Generator | None, dtype: DTypeLike = np.float32
    ) -> Shape:
        """Make the dense layers for inputs ``(*spatial, channels)``."""
        shape = self._spatial(input_shape)
        channels = shape[-1]
        units = self.units or max(1, channels // (self.ratio or 1))
        first = Dense(units, kernel_initializer=self.kernel_initializer, name="reduce")
        last = Dense(channels, kernel_initializer=self.kernel_initializer, name="expand")
        self._hold(first, from_config(self.activation), last, from_config(self.gate))
        within: Shape = (channels,)
        for layer in self._within:
            within = layer.build(within, rng, dtype)
        self.input_shape = self.output_shape = shape
        return shape

    def forward(self, x: ArrayLike, training: Training = False) -> tuple[Tensor, Any]:
        """The input, each channel times its gate."""
        self._require_built()
        x = as_tensor(x, name=self.path)
        means = functional.global_avg_pool_forward(x, name=self.path)
        gates, saved = self._run(means.reshape((x.shape[0], x.shape[-1])), training)
        gates = gates.reshape(means.shape)
        y = functional.modulate_forward(x, gates, name=self.path)
        return y, ((x, gates, saved) if training else None)

    def backward(self, dy: ArrayLike, saved: Any, input_gradient: bool = True) -> Tensor | None:
        """``dg[c] = sum_p(x dy)`` through the dense layers; ``dx = dy g + dmean / pixels`` in one pass."""
        x, gates, kept = saved
        if not input_gradient and not self.trainable:
            return None
        slopes = functional.modulate_backward_scale(x, dy, gates.shape, name=self.path)
        flat = slopes.reshape((x.shape[0], x.shape[-1]))
        means = self._run_back(flat, kept, input_gradient)
        if means is None:
            return None
        # the gradient of the mean at one pixel, which all others share
        options: dict[str, Any] = {"divisor_override": float(math.prod(x.shape[1:-1])), "name": self.path}
        shift = functional.avg_pool_backward(means.reshape(gates.shape), gates.shape, 1, **options)
        return functional.modulate_forward(dy, gates, shift, name=self.path)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "ratio": self.ratio,
            "units": self.units,
            "activation": self.activation,
            "gate": self.gate,
            "kernel_initializer": self.kernel_initializer.config(),
            "name": self.name,
        }


class SpatialAttention(_Attention):
    """``y[n, p, c] = x[n, p, c] g[n, p]``, ``g = sigmoid(conv([mean_c(x), max_c(x)]))``.

    On signals, images and volumes. The convolution has one filter and keeps the size.

    Args:
        kernel_size: its taps, one integer or one per axis.
        use_bias: whether it has a bias.
        kernel_initializer: a name, an Initializer or its config.
        name: the layer's name.

    Attributes:
        parameters: ``conv.kernel (*kernel_size, 2, 1)`` and, where asked for, ``conv.bias``.

    Source:
        Woo, Park, Lee and Kweon, "CBAM: Convolutional Block Attention Module", ECCV 2018, section 3.2. The
        authors' published code normalises what the convolution gives; this is the formula of the paper.

    """

    def __init__(
        self,
        kernel_size: Ints = 7,
        *,
        use_bias: bool = False,
        kernel_initializer: InitializerLike = "he_normal",
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.kernel_size = frozen(kernel_size)
        sizes = self.kernel_size if isinstance(self.kernel_size, tuple) else (self.kernel_size,)
        for size in sizes:
            positive(self.name, "kernel_size", size)
        self.use_bias = bool(use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer, self.name)

    def build(
        self, input_shape: Shape, rng: np.random.Generator | None, dtype: DTypeLike = np.float32
    ) -> Shape:
        """Make the convolution for inputs ``(*spatial, channels)``."""
        shape = self._spatial(input_shape)
        make = _CONV[len(shape) - 2]
        sizes = per_axis(self.path, "kernel_size", self.kernel_size, make.rank)
        options: dict[str, Any] = {"use_bias": self.use_bias, "kernel_initializer": self.kernel_initializer}
        self._hold(make(1, sizes, padding="same", name="conv", **options), Sigmoid())
        within: Shape = (*shape[:-1], 2)
        for layer in self._within:
            within = layer.build(within, rng, dtype)
        self.input_shape = self.output_shape = shape
        return shape

    def forward(self, x: ArrayLike, training: Training = False) -> tuple[Tensor, Any]:
        """The input, each pixel times its gate."""
        self._require_built()
        x = as_tensor(x, name=self.path)
        pooled = functional.channel_pool_forward(x, name=self.path)
        gates, saved = self._run(pooled, training)
        y = functional.modulate_forward(x, gates, name=self.path)
        return y, ((x, pooled, gates, saved) if training else None)

    def backward(self, dy: ArrayLike, saved: Any, input_gradient: bool = True) -> Tensor | None:
        """``dg[p] = sum_c(x dy)`` through the convolution; dx is what comes from there and ``dy g``."""
        x, pooled, gates, kept = saved
        if not input_gradient and not self.trainable:
            return None
        slopes = functional.modulate_backward_scale(x, dy, gates.shape, name=self.path)
        within = self._run_back(slopes, kept, input_gradient)
        if within is None:
            return None
        straight = functional.modulate_forward(dy, gates, name=self.path)
        return functional.channel_pool_backward(within, x, pooled, straight, name=self.path)

    def window(self) -> ConvDims:
        """Geometry of the convolution of one example."""
        self._require_built()
        conv: Any = self._within[0]
        return conv.window()

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "kernel_size": self.kernel_size,
            "use_bias": self.use_bias,
            "kernel_initializer": self.kernel_initializer.config(),
            "name": self.name,
        }


def _activation(name: str, argument: str, given: ActivationLayer) -> dict[str, Any]:
    """The description of the layer that an argument names, describes or is."""
    if isinstance(given, Layer):
        return to_config(given)
    kinds = [kind for kind in Layer.registry.values() if issubclass(kind, _Activation)]
    known = {kind.__name__.lower(): kind for kind in kinds if not kind.__name__.startswith("_")}
    if isinstance(given, str) and given in known:
        return to_config(known[given]())
    if isinstance(given, Mapping) and set(given) == {"class", "config"}:
        return dict(given)
    expected = f"{argument} as a layer, or one of {', '.join(map(repr, sorted(known)))}"
    raise ArgumentError(message(name, expected, repr(given), "pass such as 'relu'"))

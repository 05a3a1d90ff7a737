"""Normalisation by statistics of single examples: layers, groups of channels, channels, and neighbours.

Receptive fields leave out what a pixel sees of others through the statistics alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from numbacnn import functional, initializers
from numbacnn.errors import ArgumentError, ShapeError, message
from numbacnn.functional import _affine
from numbacnn.functional._checks import number_within
from numbacnn.initializers import Initializer
from numbacnn.layers.base import Layer, Shape, Training, positive
from numbacnn.parameter import Parameter
from numbacnn.tensor import Tensor, as_tensor

InitializerLike = str | Mapping[str, Any] | Initializer


class _Affine(Layer):
    """What layers with a learned scale and shift after the normalisation share."""

    gamma: Parameter | None
    beta: Parameter | None

    def __init__(
        self,
        epsilon: float,
        scale: bool,
        shift: bool,
        gamma_initializer: InitializerLike,
        beta_initializer: InitializerLike,
        name: str | None,
    ) -> None:
        super().__init__(name)
        self.epsilon = _affine.stabiliser(self.name, epsilon)
        self.scale, self.shift = bool(scale), bool(shift)
        self.gamma_initializer = initializers.get(gamma_initializer, self.name)
        self.beta_initializer = initializers.get(beta_initializer, self.name)
        self.gamma = self.beta = None

    def _make(
        self,
        input_shape: Shape,
        shape: Shape,
        rng: np.random.Generator | None,
        dtype: DTypeLike,
    ) -> Shape:
        """Make the parameters; the output has the input's shape."""

        def make(kind: str, initializer: Initializer) -> Parameter:
            return self._parameter(kind, shape, initializer, rng, dtype, full_precision=True)

        if self.scale:
            self.gamma = make("gamma", self.gamma_initializer)
        if self.shift:
            self.beta = make("beta", self.beta_initializer)
        self.input_shape = self.output_shape = input_shape
        return input_shape

    def _learned(self) -> tuple[Tensor | None, Tensor | None]:
        gamma, beta = self.gamma, self.beta
        return None if gamma is None else gamma.value, None if beta is None else beta.value

    def _accumulate(self, gradients: tuple[Tensor, Tensor, Tensor], input_gradient: bool) -> Tensor | None:
        dx, dgamma, dbeta = gradients
        for parameter, gradient in ((self.gamma, dgamma), (self.beta, dbeta)):
            if parameter is not None and parameter.trainable:
                parameter.accumulate(gradient)
        return dx if input_gradient else None

    def reset(self) -> None:
        """Forget the parameters and the shapes, so that the layer may be built anew."""
        super().reset()
        self.gamma = self.beta = None

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "epsilon": self.epsilon,
            "scale": self.scale,
            "shift": self.shift,
            "gamma_initializer": self.gamma_initializer.config(),
            "beta_initializer": self.beta_initializer.config(),
            "name": self.name,
        }


class LayerNorm(_Affine):
    """``y = gamma (x - mean) / sqrt(variance + epsilon) + beta``, over the last axes of each example.

    Mean and variance are of each pixel's channels, or of more of the last axes; those of other examples and
    of other pixels do not matter, in training or afterwards.

    Args:
        axes: how many of the last axes are normalised together; 1 is the channels, None all but the batch.
        epsilon: added to the variance, above 0.
        scale: whether to multiply by a learned gamma, one per element of these axes.
        shift: whether to add a learned beta, likewise.
        gamma_initializer: a name, an Initializer or its config.
        beta_initializer: likewise.
        name: the layer's name.

    Attributes:
        gamma: parameter, from `build` on, of the shape of the normalised axes, or None.
        beta: likewise.

    Source:
        Ba, Kiros and Hinton, "Layer Normalization", 2016, section 3.

    """

    def __init__(
        self,
        axes: int | None = 1,
        epsilon: float = 1e-5,
        *,
        scale: bool = True,
        shift: bool = True,
        gamma_initializer: InitializerLike = "ones",
        beta_initializer: InitializerLike = "zeros",
        name: str | None = None,
    ) -> None:
        super().__init__(epsilon, scale, shift, gamma_initializer, beta_initializer, name)
        self.axes = None if axes is None else positive(self.name, "axes", axes)

    def build(
        self, input_shape: Shape, rng: np.random.Generator | None, dtype: DTypeLike = np.float32
    ) -> Shape:
        """Make scale and shift for inputs of so many axes or more."""
        input_shape = self._begin(input_shape)
        axes = self.axes or max(1, len(input_shape))
        if len(input_shape) < axes or min(input_shape) < 1:
            expected = f"inputs of positive shape and {axes} axes or more"
            raise ShapeError(message(self.path, expected, str(input_shape), "normalise fewer axes"))
        return self._make(input_shape, input_shape[-axes:], rng, dtype)

    def forward(self, x: ArrayLike, training: Training = False) -> tuple[Tensor, Any]:
        """``gamma (x - mean) / sqrt(variance + epsilon) + beta``."""
        axes, x = self.axes or len(self._require_built()), as_tensor(x, name=self.path)
        numbers: dict[str, Any] = {"axes": axes, "epsilon": self.epsilon, "name": self.path}
        y, statistics = functional.layer_norm_forward(x, *self._learned(), **numbers)
        return y, ((x, statistics) if training else None)

    def backward(self, dy: ArrayLike, saved: Any, input_gradient: bool = True) -> Tensor | None:
        """``dx = (g - mean(g) - z mean(g z)) / sqrt(variance + epsilon)``, and the parameters' gradients."""
        axes, gamma, (x, statistics) = self.axes or len(self._require_built()), self._learned()[0], saved
        gradients = functional.layer_norm_backward(dy, x, statistics, gamma, axes=axes, name=self.path)
        return self._accumulate(gradients, input_gradient)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"axes": self.axes, **super().config()}


class _ChannelNorm(_Affine):
    """What normalisations of groups of channels share."""

    def _groups(self, channels: int) -> int:
        raise NotImplementedError

    def build(
        self, input_shape: Shape, rng: np.random.Generator | None, dtype: DTypeLike = np.float32
    ) -> Shape:
        """Make scale and shift for inputs ``(*pixels, channels)`` of any rank."""
        input_shape = self._begin(input_shape)
        if not input_shape or min(input_shape) < 1:
            expected = "inputs of positive shape (..., channels)"
            raise ShapeError(message(self.path, expected, str(input_shape), "check the sizes"))
        self._groups(input_shape[-1])
        return self._make(input_shape, input_shape[-1:], rng, dtype)

    def forward(self, x: ArrayLike, training: Training = False) -> tuple[Tensor, Any]:
        """``gamma (x - mean) / sqrt(variance + epsilon) + beta``."""
        groups, x = self._groups(self._require_built()[-1]), as_tensor(x, name=self.path)
        numbers: dict[str, Any] = {"epsilon": self.epsilon, "name": self.path}
        y, statistics = functional.group_norm_forward(x, groups, *self._learned(), **numbers)
        return y, ((x, statistics) if training else None)

    def backward(self, dy: ArrayLike, saved: Any, input_gradient: bool = True) -> Tensor | None:
        """``dx = (g - mean(g) - z mean(g z)) / sqrt(variance + epsilon)``, and the parameters' gradients."""
        gamma, (x, statistics) = self._learned()[0], saved
        gradients = functional.group_norm_backward(dy, x, statistics, gamma, name=self.path)
        return self._accumulate(gradients, input_gradient)


class GroupNorm(_ChannelNorm):
    """``y = gamma (x - mean) / sqrt(variance + epsilon) + beta``, of each example's groups of channels.

    Mean and variance are over all pixels and a group's neighbouring channels, of one example.

    Args:
        groups: of channels, which divide them; 1 normalises each example as a whole.
        epsilon: added to the variance, above 0.
        scale: whether to multiply by a learned gamma per channel.
        shift: whether to add a learned beta per channel.
        gamma_initializer: a name, an Initializer or its config.
        beta_initializer: likewise.
        name: the layer's name.

    Attributes:
        gamma: parameter, from `build` on, ``(channels,)``, or None.
        beta: likewise.

    Source:
        Wu and He, "Group Normalization", ECCV 2018, section 3.

    """

    def __init__(
        self,
        groups: int,
        epsilon: float = 1e-5,
        *,
        scale: bool = True,
        shift: bool = True,
        gamma_initializer: InitializerLike = "ones",
        beta_initializer: InitializerLike = "zeros",
        name: str | None = None,
    ) -> None:
        super().__init__(epsilon, scale, shift, gamma_initializer, beta_initializer, name)
        self.groups = positive(self.name, "groups", groups)

    def _groups(self, channels: int) -> int:
        if channels % self.groups:
            expected, got = f"groups that divide {channels} channels", str(self.groups)
            raise ArgumentError(message(self.path, expected, got, "pass a divisor of the channels"))
        return self.groups

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"groups": self.groups, **super().config()}


class InstanceNorm(_ChannelNorm):
    """``y = (x - mean) / sqrt(variance + epsilon)``, of each example's channels, over all pixels.

    A `GroupNorm` of as many groups as channels, which by default learns nothing.

    Args:
        epsilon: added to the variance, above 0.
        scale: whether to multiply by a learned gamma per channel.
        shift: whether to add a learned beta per channel.
        gamma_initializer: a name, an Initializer or its config.
        beta_initializer: likewise.
        name: the layer's name.

    Attributes:
        gamma: parameter, from `build` on, ``(channels,)``, or None.
        beta: likewise.

    Source:
        Ulyanov, Vedaldi and Lempitsky, "Instance Normalization: The Missing Ingredient for Fast Stylization",
        2016, section 2.

    """

    def __init__(
        self,
        epsilon: float = 1e-5,
        *,
        scale: bool = False,
        shift: bool = False,
        gamma_initializer: InitializerLike = "ones",
        beta_initializer: InitializerLike = "zeros",
        name: str | None = None,
    ) -> None:
        super().__init__(epsilon, scale, shift, gamma_initializer, beta_initializer, name)

    def _groups(self, channels: int) -> int:
        return channels


class LocalResponseNorm(Layer):
    """``y[j] = x[j] / (k + alpha / size * sum of x[i]^2)^beta``, over ``size`` channels i around j.

    ``size // 2`` of them lie before j; those past the ends count as zeros. The paper's alpha is not divided
    by size: AlexNet's alpha of 1e-4 with 5 channels and k = 2 is ``LocalResponseNorm(5, alpha=5e-4, k=2)``.

    Args:
        size: channels of a window, 1 or more.
        alpha: weight of the mean square, 0 or more.
        beta: exponent, 0 or more; 0.5, 0.75 and 1 are fastest.
        k: what is added, above 0.
        name: the layer's name.

    Source:
        Krizhevsky, Sutskever and Hinton, "ImageNet Classification with Deep Convolutional Neural Networks",
        NIPS 2012, section 3.3.

    """

    def __init__(
        self,
        size: int = 5,
        alpha: float = 1e-4,
        beta: float = 0.75,
        k: float = 1.0,
        *,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.size = positive(self.name, "size", size)
        self.alpha = number_within(self.name, "alpha", alpha, np.inf)
        self.beta = number_within(self.name, "beta", beta, np.inf)
        self.k = number_within(self.name, "k", k, np.inf)
        if self.k == 0.0:
            raise ArgumentError(message(self.name, "k above 0", repr(k), "pass such as k=1.0"))

    def build(
        self, input_shape: Shape, rng: np.random.Generator | None, dtype: DTypeLike = np.float32
    ) -> Shape:
        """Take inputs ``(..., channels)``."""
        input_shape = self._begin(input_shape)
        if not input_shape or min(input_shape) < 1:
            expected = "inputs of positive shape (..., channels)"
            raise ShapeError(message(self.path, expected, str(input_shape), "check the sizes"))
        self.input_shape = self.output_shape = input_shape
        return input_shape

    @property
    def _numbers(self) -> dict[str, Any]:
        numbers = {"size": self.size, "alpha": self.alpha, "beta": self.beta, "k": self.k}
        return {**numbers, "name": self.path}

    def forward(self, x: ArrayLike, training: Training = False) -> tuple[Tensor, Any]:
        """``x / (k + alpha / size * sum of squares)^beta``."""
        x = as_tensor(x, name=self.path)
        return functional.local_response_norm_forward(x, **self._numbers), (x if training else None)

    def backward(self, dy: ArrayLike, saved: Any, input_gradient: bool = True) -> Tensor | None:
        """``dy s^-beta - 2 alpha beta / size x * sum of dy x s^(-beta - 1)``."""
        if not input_gradient:
            return None
        return functional.local_response_norm_backward(dy, saved, **self._numbers)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "size": self.size,
            "alpha": self.alpha,
            "beta": self.beta,
            "k": self.k,
            "name": self.name,
        }

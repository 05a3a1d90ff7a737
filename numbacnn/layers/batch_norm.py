"""Batch normalisation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from numbacnn import functional, initializers
from numbacnn.epilogue import Activation, ActivationLike
from numbacnn.errors import ArgumentError, ShapeError, message
from numbacnn.initializers import Initializer
from numbacnn.layers.base import Layer, Shape, Training, frozen
from numbacnn.parameter import Parameter
from numbacnn.tensor import Tensor, as_tensor


class BatchNorm(Layer):
    """``y = activation(gamma (x - mean) / sqrt(variance + epsilon) + beta)``, by channel.

    In training mean and variance are those of the batch, over all axes but the last, and the running
    statistics follow them: ``running = momentum running + (1 - momentum) new``, where the new variance is the
    unbiased one, as in PyTorch. To predict they are the running statistics. The activation belongs to the
    same pass over memory, forward and backward. A convolution before it needs no bias; `fold` makes one
    convolution of both for inference.

    Frozen by ``trainable = False``, it uses its running statistics in training too and leaves them as they
    are, as fine-tuning needs. (Setting ``frozen`` of `mean` or `variance` alone does the same and leaves
    gamma and beta to be trained.)

    Predicting changes nothing, and many threads may do it. Training updates the running statistics in
    `forward`: of several threads that train one layer at once, some updates may be lost.

    Args:
        momentum: share of the running statistics that a step keeps, 0 to 1. PyTorch's ``momentum`` is the
            other share: its 0.1 is 0.9 here.
        epsilon: added to the variance, 0 or more.
        scale: whether to learn gamma.
        shift: whether to learn beta.
        activation: None, ``"relu"``, ``"relu6"``, ``"silu"``, ``("leaky_relu", slope)`` or
            ``("clip", low, high)``.
        gamma_initializer: a name, an Initializer or its config.
        beta_initializer: likewise.
        name: the layer's name.

    Attributes:
        gamma: parameter ``(channels,)``, or None.
        beta: parameter ``(channels,)``, or None.
        mean: running mean ``(channels,)``, a parameter that is not learned.
        variance: running variance, likewise.

    Source:
        Ioffe and Szegedy, "Batch Normalization: Accelerating Deep Network Training by Reducing Internal
        Covariate Shift", ICML 2015, section 3.

    """

    mean: Parameter
    variance: Parameter

    def __init__(
        self,
        momentum: float = 0.9,
        epsilon: float = 1e-5,
        *,
        scale: bool = True,
        shift: bool = True,
        activation: ActivationLike = None,
        gamma_initializer: str | Mapping[str, Any] | Initializer = "ones",
        beta_initializer: str | Mapping[str, Any] | Initializer = "zeros",
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.momentum = _between(self.name, "momentum", momentum, 1.0)
        self.epsilon = _between(self.name, "epsilon", epsilon, math.inf)
        self.scale, self.shift = bool(scale), bool(shift)
        self.activation: ActivationLike = frozen(activation)
        Activation.of(self.activation, self.name)
        self.gamma_initializer = initializers.get(gamma_initializer, self.name)
        self.beta_initializer = initializers.get(beta_initializer, self.name)
        self.gamma: Parameter | None = None
        self.beta: Parameter | None = None

    def build(
        self, input_shape: Shape, rng: np.random.Generator | None, dtype: DTypeLike = np.float32
    ) -> Shape:
        """Make the parameters and the running statistics for inputs ``(..., channels)``."""
        input_shape = self._begin(input_shape)
        if not input_shape or min(input_shape) < 1:
            expected = "inputs of positive shape (..., channels)"
            raise ShapeError(message(self.path, expected, str(input_shape), "add the channel axis"))

        def make(kind: str, initializer: Initializer, learned: bool = True) -> Parameter:
            shape = input_shape[-1:]
            return self._parameter(kind, shape, initializer, rng, dtype, learned=learned, full_precision=True)

        if self.scale:
            self.gamma = make("gamma", self.gamma_initializer)
        if self.shift:
            self.beta = make("beta", self.beta_initializer)
        self.mean = make("mean", initializers.get("zeros"), learned=False)
        self.variance = make("variance", initializers.get("ones"), learned=False)
        self.input_shape = self.output_shape = input_shape
        return input_shape

    def forward(self, x: ArrayLike, training: Training = False) -> tuple[Tensor, Any]:
        """Normalise, by the batch's statistics in training, and apply the activation.

        Raises:
            ShapeError: training on a single value per channel, which has no variance.

        """
        self._require_built()
        x = as_tensor(x, name=self.path)
        mean, variance = self.mean.value, self.variance.value
        constant = not training or self.constant
        if not constant:
            if x.size == x.shape[-1]:
                remedy = "train on larger batches, or set trainable = False"
                raise ShapeError(message(self.path, "two values per channel or more", str(x.shape), remedy))
            mean, variance = functional.batch_norm_statistics(
                x, running_mean=mean, running_variance=variance, momentum=self.momentum, name=self.path
            )
        y = functional.batch_norm_forward(x, mean, variance, *self._learned(), **self._options())
        return y, ((x, mean, variance, constant) if training else None)

    def backward(self, dy: ArrayLike, saved: Any, input_gradient: bool = True) -> Tensor | None:
        """``g = dy activation'``, ``dbeta = sum(g)``, ``dgamma = sum(g n)``, n the normalised x; and dx."""
        x, mean, variance, constant = saved
        dx, _, dgamma, dbeta = functional.batch_norm_backward(
            dy,
            x,
            mean,
            variance,
            *self._learned(),
            constant=constant,
            input_gradient=input_gradient,
            parameter_gradients=self.trainable,
            **self._options(),
        )
        for p, gradient in ((self.gamma, dgamma), (self.beta, dbeta)):
            if p is not None and p.trainable and gradient is not None:
                p.accumulate(gradient)
        return dx

    @property
    def constant(self) -> bool:
        """Whether training uses the running statistics too, and leaves them as they are."""
        return self.mean.frozen or self.variance.frozen

    def _learned(self) -> tuple[Tensor | None, Tensor | None]:
        gamma, beta = self.gamma, self.beta
        return None if gamma is None else gamma.value, None if beta is None else beta.value

    def _options(self) -> dict[str, Any]:
        return {"epsilon": self.epsilon, "activation": self.activation, "name": self.path}

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "scale": self.scale,
            "shift": self.shift,
            "activation": self.activation,
            "gamma_initializer": self.gamma_initializer.config(),
            "beta_initializer": self.beta_initializer.config(),
            "name": self.name,
        }


def _between(name: str, argument: str, value: Any, high: float) -> float:
    """The value as a float; ArgumentError where it is no finite number from 0 to `high`."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if number and 0 <= value <= high and value < math.inf:
        return float(value)
    expected = f"{argument} from 0 to 1" if high == 1 else f"{argument} as a finite number of 0 or more"
    raise ArgumentError(message(name, expected, repr(value), "check its value"))

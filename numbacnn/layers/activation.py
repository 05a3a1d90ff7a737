"""Activation layers: elementwise functions, and softmax over the channels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from numbacnn import functional, initializers
from numbacnn.errors import ArgumentError, ShapeError, message
from numbacnn.initializers import Constant, Initializer
from numbacnn.layers.base import Layer, Shape, Training
from numbacnn.parameter import Parameter
from numbacnn.tensor import Tensor, as_tensor

_QUARTER = Constant(0.25)  # the slopes that the paper begins with


class _Activation(Layer):
    """What the activations share: no parameters, and the input's shape."""

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


class LeakyReLU(_Activation):
    """``y = x where x > 0, else slope x``; ``dx = dy where y > 0, else slope dy``.

    Args:
        slope: of the negative side, finite and 0 or more.
        name: the layer's name.

    Source:
        Maas, Hannun and Ng, "Rectifier Nonlinearities Improve Neural Network Acoustic Models", ICML 2013,
        section 2.

    """

    def __init__(self, slope: float = 0.01, *, name: str | None = None) -> None:
        super().__init__(name)
        if isinstance(slope, bool) or not isinstance(slope, (int, float)) or not 0 <= slope < math.inf:
            expected = "slope as a finite number of 0 or more"
            raise ArgumentError(message(self.name, expected, repr(slope), "pass such as slope=0.01"))
        self.slope = float(slope)

    def forward(self, x: ArrayLike, training: Training = False) -> tuple[Tensor, Any]:
        """``x where x > 0, else slope x``."""
        y = functional.leaky_relu_forward(x, slope=self.slope, name=self.path)
        return y, (y if training else None)

    def backward(self, dy: ArrayLike, saved: Any, input_gradient: bool = True) -> Tensor | None:
        """``dy where y > 0, else slope dy``."""
        if not input_gradient:
            return None
        return functional.leaky_relu_backward(dy, saved, slope=self.slope, name=self.path)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"slope": self.slope, "name": self.name}


class PReLU(Layer):
    """``y = x where x > 0, else slope x``, with learned slopes.

    ``dx = dy where x > 0, else slope dy``; ``dslope = sum of x dy where x <= 0``. Weight decay would pull the
    slopes towards 0, as of a ReLU; the paper leaves it out.

    Args:
        shared: learn one slope for all channels; otherwise one for each.
        slope_initializer: a name, an Initializer or its config.
        name: the layer's name.

    Attributes:
        slope: parameter, from `build` on, ``(channels,)`` or, shared, ``(1,)``.

    Source:
        He, Zhang, Ren and Sun, "Delving Deep into Rectifiers", ICCV 2015, section 2.1.

    """

    slope: Parameter

    def __init__(
        self,
        shared: bool = False,
        *,
        slope_initializer: str | Mapping[str, Any] | Initializer = _QUARTER,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.shared = bool(shared)
        self.slope_initializer = initializers.get(slope_initializer, self.name)

    def build(
        self, input_shape: Shape, rng: np.random.Generator | None, dtype: DTypeLike = np.float32
    ) -> Shape:
        """Make the slopes, for inputs ``(..., channels)``."""
        input_shape = self._begin(input_shape)
        if not input_shape or input_shape[-1] < 1:
            expected = "inputs of shape (..., channels)"
            raise ShapeError(message(self.path, expected, str(input_shape), "add the channel axis"))
        shape = (1,) if self.shared else input_shape[-1:]
        self.slope = self._parameter("slope", shape, self.slope_initializer, rng, dtype)
        self.input_shape = self.output_shape = input_shape
        return input_shape

    def forward(self, x: ArrayLike, training: Training = False) -> tuple[Tensor, Any]:
        """``x where x > 0, else slope x``."""
        self._require_built()
        x = as_tensor(x, name=self.path)
        y = functional.prelu_forward(x, self.slope.operand, name=self.path)
        return y, (x if training else None)

    def backward(self, dy: ArrayLike, saved: Any, input_gradient: bool = True) -> Tensor | None:
        """``dy where x > 0, else slope dy``; adds the sums of ``x dy where x <= 0``."""
        if not input_gradient and not self.slope.trainable:
            return None
        dx, dslope = functional.prelu_backward(dy, saved, self.slope.operand, name=self.path)
        if self.slope.trainable:
            self.slope.accumulate(dslope)
        return dx if input_gradient else None

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "shared": self.shared,
            "slope_initializer": self.slope_initializer.config(),
            "name": self.name,
        }


class Clip(_Activation):
    """``y = min(max(x, low), high)``; ``dx = dy where low < y < high, else 0``.

    Args:
        low: the least result, or None for none.
        high: the largest result, not below low, or None for none.
        name: the layer's name.

    """

    def __init__(
        self, low: float | None = None, high: float | None = None, *, name: str | None = None
    ) -> None:
        super().__init__(name)
        self.low, self.high = low, high
        given = [limit for limit in (low, high) if limit is not None]
        numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in given)
        if not numbers or not all(map(math.isfinite, given)) or given != sorted(given):
            expected = "finite numbers low and high, low <= high, or None"
            raise ArgumentError(message(self.name, expected, f"{low!r} and {high!r}", "check the limits"))

    @property
    def _limits(self) -> tuple[float, float]:
        return -math.inf if self.low is None else self.low, math.inf if self.high is None else self.high

    def forward(self, x: ArrayLike, training: Training = False) -> tuple[Tensor, Any]:
        """``min(max(x, low), high)``."""
        y = functional.clip_forward(x, *self._limits, name=self.path)
        return y, (y if training else None)

    def backward(self, dy: ArrayLike, saved: Any, input_gradient: bool = True) -> Tensor | None:
        """``dy where low < y < high, else 0``."""
        return functional.clip_backward(dy, saved, *self._limits, name=self.path) if input_gradient else None

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"low": self.low, "high": self.high, "name": self.name}


class ReLU6(Clip):
    """``y = min(max(x, 0), 6)``; ``dx = dy where 0 < y < 6, else 0``.

    Source:
        Krizhevsky, "Convolutional Deep Belief Networks on CIFAR-10", 2010, section 2.1.

    """

    def __init__(self, *, name: str | None = None) -> None:
        super().__init__(0.0, 6.0, name=name)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"name": self.name}


class SiLU(_Activation):
    """``y = x s`` with ``s = 1 / (1 + exp(-x))``; ``dx = dy s (1 + x (1 - s))``. Also called swish.

    Source:
        Elfwing, Uchibe and Doya, "Sigmoid-Weighted Linear Units for Neural Network Function Approximation in
        Reinforcement Learning", Neural Networks 107, 2018, section 2.

    """

    def forward(self, x: ArrayLike, training: Training = False) -> tuple[Tensor, Any]:
        """``x / (1 + exp(-x))``."""
        x = as_tensor(x, name=self.path)
        return functional.silu_forward(x, name=self.path), (x if training else None)

    def backward(self, dy: ArrayLike, saved: Any, input_gradient: bool = True) -> Tensor | None:
        """``dy s (1 + x (1 - s))``, from the input: two inputs can have one output."""
        return functional.silu_backward(dy, saved, name=self.path) if input_gradient else None


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


class LogSoftmax(_Activation):
    """``y = x - log(sum(exp(x)))`` over the last axis; ``dx = dy - exp(y) * sum(dy)``.

    To train a classifier, end the model before it and use `SoftmaxCrossEntropy`, which takes the logits.
    """

    def forward(self, x: ArrayLike, training: Training = False) -> tuple[Tensor, Any]:
        """``x - log(sum(exp(x)))`` over the last axis."""
        y = functional.log_softmax_forward(x, name=self.path)
        return y, (y if training else None)

    def backward(self, dy: ArrayLike, saved: Any, input_gradient: bool = True) -> Tensor | None:
        """``dy - exp(y) * sum(dy)``."""
        return functional.log_softmax_backward(dy, saved, name=self.path) if input_gradient else None

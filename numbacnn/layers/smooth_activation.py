"""Activation layers without learned parameters beyond those of ``activation``."""

from __future__ import annotations

import math
from typing import Any

from numpy.typing import ArrayLike

from numbacnn import functional
from numbacnn.errors import ArgumentError, message
from numbacnn.layers.activation import _Activation
from numbacnn.layers.base import Training
from numbacnn.tensor import Tensor, as_tensor


class ELU(_Activation):
    """``y = x where x > 0, else alpha (exp(x) - 1)``; ``dx = dy where y > 0, else (y + alpha) dy``.

    Args:
        alpha: finite and 0 or more.
        name: the layer's name.

    Source:
        Clevert, Unterthiner and Hochreiter, "Fast and Accurate Deep Network Learning by Exponential Linear
        Units", ICLR 2016, equation 15.

    """

    def __init__(self, alpha: float = 1.0, *, name: str | None = None) -> None:
        super().__init__(name)
        self.alpha = _number(self.name, "alpha", alpha)

    def forward(self, x: ArrayLike, training: Training = False) -> tuple[Tensor, Any]:
        """``x where x > 0, else alpha (exp(x) - 1)``."""
        y = functional.elu_forward(x, alpha=self.alpha, name=self.path)
        return y, (y if training else None)

    def backward(self, dy: ArrayLike, saved: Any, input_gradient: bool = True) -> Tensor | None:
        """``dy where y > 0, else (y + alpha) dy``."""
        if not input_gradient:
            return None
        return functional.elu_backward(dy, saved, alpha=self.alpha, name=self.path)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"alpha": self.alpha, "name": self.name}


class SELU(_Activation):
    """``y = scale x where x > 0, else scale alpha (exp(x) - 1)``; alpha 1.6733 and scale 1.0507.

    Outputs tend to mean 0 and variance 1 where weights have the variance 1 / fan_in (``"lecun_normal"``).

    Source:
        Klambauer, Unterthiner, Mayr and Hochreiter, "Self-Normalizing Neural Networks", NeurIPS 2017,
        equations 2 and 14.

    """

    def forward(self, x: ArrayLike, training: Training = False) -> tuple[Tensor, Any]:
        """``scale x where x > 0, else scale alpha (exp(x) - 1)``."""
        y = functional.selu_forward(x, name=self.path)
        return y, (y if training else None)

    def backward(self, dy: ArrayLike, saved: Any, input_gradient: bool = True) -> Tensor | None:
        """``scale dy where y > 0, else (y + scale alpha) dy``."""
        return functional.selu_backward(dy, saved, name=self.path) if input_gradient else None


class GELU(_Activation):
    """``y = x P(x)``, P the normal distribution's share below x; ``dx = dy (P(x) + x P'(x))``.

    Args:
        approximate: compute ``x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))`` instead, which differs by
            up to 0.0005, for weights that were trained with it.
        name: the layer's name.

    Source:
        Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016, section 2.

    """

    def __init__(self, approximate: bool = False, *, name: str | None = None) -> None:
        super().__init__(name)
        if not isinstance(approximate, bool):
            expected, remedy = "approximate as True or False", "pass True for the tanh form"
            raise ArgumentError(message(self.name, expected, repr(approximate), remedy))
        self.approximate = approximate

    def forward(self, x: ArrayLike, training: Training = False) -> tuple[Tensor, Any]:
        """``x P(x)``, or the tanh form."""
        x = as_tensor(x, name=self.path)
        y = functional.gelu_forward(x, approximate=self.approximate, name=self.path)
        return y, (x if training else None)

    def backward(self, dy: ArrayLike, saved: Any, input_gradient: bool = True) -> Tensor | None:
        """``dy (P(x) + x P'(x))``, from the input: two inputs can have one output."""
        if not input_gradient:
            return None
        return functional.gelu_backward(dy, saved, approximate=self.approximate, name=self.path)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"approximate": self.approximate, "name": self.name}


class Hardsigmoid(_Activation):
    """``y = min(max(x + 3, 0), 6) / 6``; ``dx = dy / 6 where 0 < y < 1, else 0``.

    Source:
        Howard et al., "Searching for MobileNetV3", ICCV 2019, section 5.2.

    """

    def forward(self, x: ArrayLike, training: Training = False) -> tuple[Tensor, Any]:
        """``min(max(x + 3, 0), 6) / 6``."""
        y = functional.hardsigmoid_forward(x, name=self.path)
        return y, (y if training else None)

    def backward(self, dy: ArrayLike, saved: Any, input_gradient: bool = True) -> Tensor | None:
        """``dy / 6 where 0 < y < 1, else 0``."""
        return functional.hardsigmoid_backward(dy, saved, name=self.path) if input_gradient else None


class Hardswish(_Activation):
    """``y = x min(max(x + 3, 0), 6) / 6``; ``dx = dy (2 x + 3) / 6 where -3 < x < 3, 0 below, dy above``.

    Source:
        Howard et al., "Searching for MobileNetV3", ICCV 2019, section 5.2.

    """

    def forward(self, x: ArrayLike, training: Training = False) -> tuple[Tensor, Any]:
        """``x min(max(x + 3, 0), 6) / 6``."""
        x = as_tensor(x, name=self.path)
        return functional.hardswish_forward(x, name=self.path), (x if training else None)

    def backward(self, dy: ArrayLike, saved: Any, input_gradient: bool = True) -> Tensor | None:
        """``dy (2 x + 3) / 6 where -3 < x < 3``, from the input: two inputs can have one output."""
        return functional.hardswish_backward(dy, saved, name=self.path) if input_gradient else None


class Mish(_Activation):
    """``y = x t`` with ``t = tanh(log(1 + exp(x)))``; ``dx = dy (t + x (1 - t^2) / (1 + exp(-x)))``.

    Source:
        Misra, "Mish: A Self Regularized Non-Monotonic Activation Function", BMVC 2020 (arXiv 1908.08681),
        section 2.

    """

    def forward(self, x: ArrayLike, training: Training = False) -> tuple[Tensor, Any]:
        """``x tanh(log(1 + exp(x)))``."""
        x = as_tensor(x, name=self.path)
        return functional.mish_forward(x, name=self.path), (x if training else None)

    def backward(self, dy: ArrayLike, saved: Any, input_gradient: bool = True) -> Tensor | None:
        """``dy (t + x (1 - t^2) / (1 + exp(-x)))``, from the input: two inputs can have one output."""
        return functional.mish_backward(dy, saved, name=self.path) if input_gradient else None


class Softplus(_Activation):
    """``y = log(1 + exp(beta x)) / beta``; ``dx = dy (1 - exp(-beta y))``.

    Args:
        beta: finite and above 0: how sharp the bend is.
        name: the layer's name.

    Source:
        Dugas, Bengio, Bélisle, Nadeau and Garcia, "Incorporating Second-Order Functional Knowledge for Better
        Option Pricing", NeurIPS 2000, section 3.

    """

    def __init__(self, beta: float = 1.0, *, name: str | None = None) -> None:
        super().__init__(name)
        self.beta = _number(self.name, "beta", beta)
        if self.beta == 0.0:
            raise ArgumentError(message(self.name, "beta above 0", repr(beta), "pass such as beta=1.0"))

    def forward(self, x: ArrayLike, training: Training = False) -> tuple[Tensor, Any]:
        """``log(1 + exp(beta x)) / beta``."""
        y = functional.softplus_forward(x, beta=self.beta, name=self.path)
        return y, (y if training else None)

    def backward(self, dy: ArrayLike, saved: Any, input_gradient: bool = True) -> Tensor | None:
        """``dy (1 - exp(-beta y))``."""
        if not input_gradient:
            return None
        return functional.softplus_backward(dy, saved, beta=self.beta, name=self.path)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"beta": self.beta, "name": self.name}


def _number(name: str, argument: str, value: Any) -> float:
    """The value as a float; ArgumentError where it is no finite number of 0 or more."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        expected = f"{argument} as a finite number of 0 or more"
        raise ArgumentError(message(name, expected, repr(value), f"pass such as {argument}=1.0"))
    return float(value)

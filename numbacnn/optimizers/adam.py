"""Adam and those made of it."""

from __future__ import annotations

from typing import Any, ClassVar

from ._checks import above_zero, within
from .base import Optimizer


class Moments(Optimizer):
    """The base of optimizers that keep the first and the second moment of the gradients."""

    _told: ClassVar = {"beta1": "beta1", "beta2": "beta2", "eps": "eps"}

    def __init__(self, lr: float, beta1: float, beta2: float, eps: float, **shared: Any) -> None:
        super().__init__(lr, **shared)
        self.beta1 = within(self, "beta1", beta1, 0.0, 1.0)
        self.beta2 = within(self, "beta2", beta2, 0.0, 1.0)
        self.eps = above_zero(self, "eps", eps)


class Adam(Moments):
    """``w -= lr * m' / (sqrt(v') + eps)``, with the moments m of g and v of g^2 freed of their start at 0.

    ``m = beta1 * m + (1 - beta1) * g``; ``v = beta2 * v + (1 - beta2) * g^2``; ``m' = m / (1 - beta1^t)``;
    ``v' = v / (1 - beta2^t)``; t counts the parameter's steps from 1.

    Args:
        lr: learning rate.
        beta1: share of the first moment that a step keeps, in [0, 1).
        beta2: share of the second moment that a step keeps, in [0, 1).
        eps: keeps the division finite, above 0.
        amsgrad: divide by the largest v so far.
        shared: settings of every `Optimizer`; weight decay is coupled.

    Source:
        Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, algorithm 1; Reddi, Kale and
        Kumar, "On the Convergence of Adam and Beyond", ICLR 2018, algorithm 2, in the form of PyTorch.

    """

    def __init__(
        self,
        lr: float = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        *,
        amsgrad: bool = False,
        **shared: Any,
    ) -> None:
        super().__init__(lr, beta1, beta2, eps, **shared)
        self.amsgrad = bool(amsgrad)

    @property
    def _rule(self) -> str:  # type: ignore[override]
        return "amsgrad" if self.amsgrad else "adam"


class AdamW(Adam):
    """``w *= 1 - lr * weight_decay``, then the step of `Adam`: decay apart from the adaptive step.

    The decay acts on every parameter given to `step`, biases included, unless
    ``decay_norms_and_biases=False``.

    Args:
        lr: learning rate.
        beta1: share of the first moment that a step keeps, in [0, 1).
        beta2: share of the second moment that a step keeps, in [0, 1).
        eps: keeps the division finite, above 0.
        weight_decay: 0 or more.
        amsgrad: divide by the largest v so far.
        shared: settings of every `Optimizer`.

    Source:
        Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019, algorithm 2, with the decay
        scaled by the learning rate as in PyTorch.

    """

    _coupled = False

    def __init__(
        self,
        lr: float = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        *,
        amsgrad: bool = False,
        **shared: Any,
    ) -> None:
        super().__init__(lr, beta1, beta2, eps, amsgrad=amsgrad, weight_decay=weight_decay, **shared)


class RAdam(Moments):
    """`Adam` whose first steps, before v says enough, are ``w -= lr * m'``; later ones are r times as long.

    ``r^2 = (k - 4) (k - 2) K / ((K - 4) (K - 2) k)`` with ``K = 2 / (1 - beta2) - 1`` and
    ``k = K - 2 t beta2^t / (1 - beta2^t)``; v says enough where k is above 5.

    Args:
        lr: learning rate.
        beta1: share of the first moment that a step keeps, in [0, 1).
        beta2: share of the second moment that a step keeps, in [0, 1).
        eps: keeps the division finite, above 0; added to sqrt(v), as PyTorch does.
        shared: settings of every `Optimizer`; weight decay is coupled.

    Source:
        Liu et al., "On the Variance of the Adaptive Learning Rate and Beyond", ICLR 2020, algorithm 2.

    """

    _rule = "radam"

    def __init__(
        self,
        lr: float = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        **shared: Any,
    ) -> None:
        super().__init__(lr, beta1, beta2, eps, **shared)

"""Optimizers that divide by the root of the squares of past gradients."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from ._checks import above_zero, within
from .base import Optimizer


class RMSprop(Optimizer):
    """``s = rho * s + (1 - rho) * g^2``; ``w -= lr * g / (sqrt(s) + eps)``.

    With momentum ``v = momentum * v + g / (sqrt(s) + eps)``; ``w -= lr * v``. Centered, s less the square of
    the gradients' mean, ``mean = rho * mean + (1 - rho) * g``, is what the root is taken of.

    Args:
        lr: learning rate.
        rho: share of the mean square that a step keeps, in [0, 1).
        eps: keeps the division finite, above 0.
        momentum: share of the velocity that a step keeps, in [0, 1).
        centered: divide by the deviation rather than the root of the mean square.
        shared: settings of every `Optimizer`; weight decay is coupled.

    Source:
        Hinton, "Neural Networks for Machine Learning", lecture 6e, 2012; Graves, "Generating Sequences With
        Recurrent Neural Networks", 2013, section 4, in the form of PyTorch.

    """

    _told: ClassVar = {"beta1": "momentum", "beta2": "rho", "eps": "eps"}

    def __init__(
        self,
        lr: float = 1e-3,
        rho: float = 0.99,
        eps: float = 1e-8,
        *,
        momentum: float = 0.0,
        centered: bool = False,
        **shared: Any,
    ) -> None:
        super().__init__(lr, **shared)
        self.rho = within(self, "rho", rho, 0.0, 1.0)
        self.eps = above_zero(self, "eps", eps)
        self.momentum = within(self, "momentum", momentum, 0.0, 1.0)
        self.centered = bool(centered)

    @property
    def _rule(self) -> str:  # type: ignore[override]
        if self.centered:
            return "rmsprop_centered"
        return "rmsprop_momentum" if self.momentum else "rmsprop"


class Adagrad(Optimizer):
    """``s = s + g^2``; ``w -= lr / (1 + (t - 1) * lr_decay) * g / (sqrt(s) + eps)``; t counts from 1.

    Args:
        lr: learning rate.
        lr_decay: 0 or more.
        initial: of s, 0 or more.
        eps: keeps the division finite, above 0.
        shared: settings of every `Optimizer`; weight decay is coupled.

    Source:
        Duchi, Hazan and Singer, "Adaptive Subgradient Methods for Online Learning and Stochastic
        Optimization", JMLR 12, 2011, section 1.3, in the form of PyTorch.

    """

    _rule = "adagrad"
    _told: ClassVar = {"lr_decay": "lr_decay", "eps": "eps"}

    def __init__(
        self,
        lr: float = 0.01,
        lr_decay: float = 0.0,
        initial: float = 0.0,
        eps: float = 1e-10,
        **shared: Any,
    ) -> None:
        super().__init__(lr, **shared)
        self.lr_decay = within(self, "lr_decay", lr_decay, 0.0, math.inf)
        self.initial = within(self, "initial", initial, 0.0, math.inf)
        self.eps = above_zero(self, "eps", eps)

    @property
    def _start(self) -> float:  # type: ignore[override]
        return self.initial


class Adadelta(Optimizer):
    """``s = rho * s + (1 - rho) * g^2``; ``d = sqrt(u + eps) / sqrt(s + eps) * g``; ``w -= lr * d``.

    ``u = rho * u + (1 - rho) * d^2`` follows, so that a step has the weights' unit.

    Args:
        lr: learning rate; 1 in the paper.
        rho: share of the mean squares that a step keeps, in [0, 1).
        eps: above 0; sets the first steps' size.
        shared: settings of every `Optimizer`; weight decay is coupled.

    Source:
        Zeiler, "ADADELTA: An Adaptive Learning Rate Method", 2012, algorithm 1.

    """

    _rule = "adadelta"
    _told: ClassVar = {"beta2": "rho", "eps": "eps"}

    def __init__(self, lr: float = 1.0, rho: float = 0.9, eps: float = 1e-6, **shared: Any) -> None:
        super().__init__(lr, **shared)
        self.rho = within(self, "rho", rho, 0.0, 1.0)
        self.eps = above_zero(self, "eps", eps)

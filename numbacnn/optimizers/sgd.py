"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any, ClassVar

from numbacnn.errors import ArgumentError, message

from ._checks import within
from .base import Optimizer


class SGD(Optimizer):
    """``v = momentum * v + g``; ``w -= lr * v``, or with Nesterov ``w -= lr * (g + momentum * v)``.

    Args:
        lr: learning rate.
        momentum: share of the velocity that a step keeps, in [0, 1).
        nesterov: look ahead along the velocity; needs momentum.
        dampening: ``(1 - dampening) * g`` goes into the velocity, after a parameter's first step; in [0, 1).
        shared: settings of every `Optimizer`; weight decay is coupled.

    Source:
        Sutskever, Martens, Dahl and Hinton, "On the importance of initialization and momentum in deep
        learning", ICML 2013, section 2, in the form of PyTorch, whose velocity leaves out the learning rate.

    """

    _told: ClassVar = {"beta1": "momentum", "ahead": "nesterov", "dampening": "dampening"}

    def __init__(
        self,
        lr: float = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        *,
        dampening: float = 0.0,
        **shared: Any,
    ) -> None:
        super().__init__(lr, **shared)
        self.momentum = within(self, "momentum", momentum, 0.0, 1.0)
        self.nesterov = bool(nesterov)
        self.dampening = within(self, "dampening", dampening, 0.0, 1.0)
        if self.nesterov and self.momentum == 0.0:
            raise ArgumentError(
                message("SGD", "momentum above 0 with nesterov", "0.0", "pass such as momentum=0.9")
            )
        if self.nesterov and self.dampening:
            got = repr(dampening)
            raise ArgumentError(message("SGD", "no dampening with nesterov", got, "leave out one of them"))

    @property
    def _rule(self) -> str:  # type: ignore[override]
        return "sgd" if self.momentum else "descent"

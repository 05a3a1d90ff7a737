"""Lion: steps of one size, by the sign of a momentum."""

from __future__ import annotations

from typing import Any, ClassVar

from ._checks import within
from .base import Optimizer


class Lion(Optimizer):
    """``w *= 1 - lr * weight_decay``; ``w -= lr * sign(beta1 * m + (1 - beta1) * g)``.

    ``m = beta2 * m + (1 - beta2) * g`` follows. Learning rates are three to ten times smaller than those of
    AdamW, weight decay as many times larger.

    Args:
        lr: learning rate.
        beta1: share of the momentum in a step's direction, in [0, 1).
        beta2: share of the momentum that a step keeps, in [0, 1).
        weight_decay: 0 or more, decoupled.
        shared: settings of every `Optimizer`.

    Source:
        Chen et al., "Symbolic Discovery of Optimization Algorithms", NeurIPS 2023, algorithm 2.

    """

    _rule = "lion"
    _told: ClassVar = {"beta1": "beta1", "beta2": "beta2"}
    _coupled = False

    def __init__(
        self,
        lr: float = 1e-4,
        beta1: float = 0.9,
        beta2: float = 0.99,
        weight_decay: float = 0.0,
        **shared: Any,
    ) -> None:
        super().__init__(lr, weight_decay=weight_decay, **shared)
        self.beta1 = within(self, "beta1", beta1, 0.0, 1.0)
        self.beta2 = within(self, "beta2", beta2, 0.0, 1.0)

"""LAMB: Adam for large batches, with a step for each parameter in proportion to its weights."""

from __future__ import annotations

from typing import Any

from .adam import Moments


class LAMB(Moments):
    """``w -= lr * |w| / |u| * u``, with ``u = m' / (sqrt(v') + eps) + weight_decay * w`` and Adam's moments.

    The norms are those of a parameter, summed in float64 in a fixed order. Where one of them is 0,
    ``w -= lr * u``. The step is two passes over memory.

    Args:
        lr: learning rate.
        beta1: share of the first moment that a step keeps, in [0, 1).
        beta2: share of the second moment that a step keeps, in [0, 1).
        eps: keeps the division finite, above 0.
        weight_decay: 0 or more.
        shared: settings of every `Optimizer`.

    Source:
        You et al., "Large Batch Optimization for Deep Learning: Training BERT in 76 minutes", ICLR 2020,
        algorithm 2, with the identity for phi.

    """

    _rule = "lamb"
    _coupled = False

    def __init__(
        self,
        lr: float = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-6,
        weight_decay: float = 0.01,
        **shared: Any,
    ) -> None:
        super().__init__(lr, beta1, beta2, eps, weight_decay=weight_decay, **shared)

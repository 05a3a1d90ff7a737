"""L1 and L2 penalties: what layers take as `kernel_regularizer`.

Their gradients are added by the optimizers, at each step; their value is added to the loss by
`penalty_value`.
"""

from __future__ import annotations

from collections.abc import Iterable

from numbacnn.functional import add
from numbacnn.functional._checks import operands
from numbacnn.functional._twins import Twins
from numbacnn.kernels.cpu import update as _cpu
from numbacnn.parameter import Parameter, Penalty
from numbacnn.tensor import Tensor

_update = Twins(_cpu)


class L1L2(Penalty):
    """``l1 * sum(|w|) + l2 / 2 * sum(w^2)``."""


class ElasticNet(L1L2):
    """``l1 * sum(|w|) + l2 / 2 * sum(w^2)``: both pulls at once (Zou and Hastie 2005)."""

    def __init__(self, l1: float = 1e-5, l2: float = 1e-4) -> None:
        super().__init__(l1=l1, l2=l2)


class L1(Penalty):
    """``l1 * sum(|w|)``: pulls weights to zero at a constant rate (Tibshirani 1996)."""

    def __init__(self, l1: float = 1e-5) -> None:
        super().__init__(l1=l1)


class L2(Penalty):
    """``l2 / 2 * sum(w^2)``: pulls weights to zero at a rate in proportion to them (ridge, weight decay)."""

    def __init__(self, l2: float = 1e-4) -> None:
        super().__init__(l2=l2)


def penalty_value(parameters: Iterable[Parameter]) -> float | Tensor:
    """Sum of the penalties of the parameters that have one, trainable or not.

    Args:
        parameters: of a model.

    Returns:
        What the penalties add to the loss; 0.0 where there are none. Of parameters on a GPU a tensor ().

    """
    total: float | Tensor = 0.0
    for p in parameters:
        if p.penalty:
            (w,) = operands(p.name, ("the parameter",), p.value)
            value = _update.on(w).penalty_value(w.reshape(-1), p.penalty.l1, p.penalty.l2)
            if isinstance(total, Tensor):
                total = add(total, Tensor(value))
            else:
                total = total + value if isinstance(value, float) else Tensor(value)
    return total

"""Optimizer steps and penalties: one pass over the parameters, their gradients and their states, in place.

Arrays of a call are flat and of one size; the states may be of another float type than the gradients.
"""

from __future__ import annotations

import math

import numpy as np

from ...update_rules import Numbers
from .each import apply
from .held import Rows
from .memory import DeviceArray, empty
from .reduce import row_sums
from .rules import run, square_sums

__all__ = ["average_step", "optimizer_step", "penalty_value", "square_sum"]


def optimizer_step(
    rule: str,  # of update_rules.RULES
    w: DeviceArray,  # updated
    g: DeviceArray,  # read
    a: DeviceArray | None,  # updated, from 0, where the rule has a state
    b: DeviceArray | None,  # a second one
    c: DeviceArray | None,  # and a third
    average: DeviceArray | None,  # moved to the new weights
    numbers: Numbers,
) -> None:
    """One step of a rule, as the reference states it; `held` serves many parameters and steps."""
    rows = Rows(rule, [w], [0])
    rows.write([numbers])
    rows.settle()
    states = [x for x in (a, b, c) if x is not None]
    limited, penalty = numbers.limit < math.inf, numbers.l1 != 0.0 or numbers.l2 != 0.0
    run(rule, w, g, states, rows.settled[0], limited=limited, penalty=penalty, average=average)


def average_step(
    w: DeviceArray,  # read
    average: DeviceArray,  # updated
    share: float,
) -> None:
    """``average = average + share (w - average)``."""
    apply("approach", w, average, average, share)


def penalty_value(w: DeviceArray, l1: float, l2: float) -> DeviceArray:
    """``l1 sum(|w|) + l2 / 2 sum(w^2)``: an array () on the GPU, which the host need not wait for.

    It is float64 for float64 weights, else float32, and summed in that type, in a fixed order.
    """
    value = empty((), np.float64 if w.dtype == np.float64 else np.float32)
    row_sums("penalty", w, None, 1, value, 1.0, l1, l2 / 2.0)
    return value


def square_sum(g: DeviceArray) -> DeviceArray:
    """``sum(g^2)``, summed in float64: an array () on the GPU, which the host need not wait for."""
    return square_sums([g])

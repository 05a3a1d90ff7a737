"""What optimizers check of their arguments."""

from __future__ import annotations

import math

import numpy as np

from numbacnn.errors import ArgumentError, message


def within(owner: object, argument: str, value: float, low: float, high: float) -> float:
    """The value as a float in [low, high), or ArgumentError."""
    if isinstance(value, (int, float, np.number)) and low <= value < high:
        return float(value)
    expected = f"{argument} in [{low:g}, {high:g})"
    remedy = f"pass a number of this range as {argument}"
    raise ArgumentError(message(type(owner).__name__, expected, repr(value), remedy))


def above_zero(owner: object, argument: str, value: float, such: str = "1e-8") -> float:
    """The value as a finite float above 0, or ArgumentError."""
    if isinstance(value, (int, float, np.number)) and 0.0 < value < math.inf:
        return float(value)
    expected = f"a finite {argument} above 0"
    raise ArgumentError(message(type(owner).__name__, expected, repr(value), f"pass such as {such}"))

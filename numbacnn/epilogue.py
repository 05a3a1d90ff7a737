"""What a convolution may be followed by in one pass over its output: the activations."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from numbacnn.errors import ArgumentError, message

ActivationLike = str | tuple[Any, ...] | None


class Activation(NamedTuple):
    """An activation with its numbers.

    Attributes:
        kind: ``"relu"`` max(y, 0), ``"leaky_relu"`` y where y > 0 else low y, ``"clip"`` min(max(y, low),
            high), ``"silu"`` y / (1 + exp(-y)).
        low: the slope of a leaky ReLU, or the least value.
        high: the largest value.

    """

    kind: str
    low: float = 0.0
    high: float = math.inf

    @classmethod
    def of(cls, activation: ActivationLike, name: str) -> Activation | None:
        """The activation of a name, or of a name with numbers.

        Args:
            activation: None, ``"relu"``, ``"relu6"``, ``"silu"``, ``("leaky_relu", slope)`` or
                ``("clip", low, high)``.
            name: the layer or operation that errors name.

        Raises:
            ArgumentError: another value; a slope below 0; low above high.

        """
        if activation is None:
            return None
        kind, *numbers = (activation,) if isinstance(activation, str) else tuple(activation)
        finite = all(isinstance(v, (int, float)) and not math.isnan(v) for v in numbers)
        if not numbers and kind in ("relu", "silu"):
            return cls(kind)
        if not numbers and kind == "relu6":
            return cls("clip", 0.0, 6.0)
        if kind == "leaky_relu" and finite and len(numbers) == 1 and 0 <= numbers[0] < math.inf:
            return cls(kind, float(numbers[0]))
        if kind == "clip" and finite and len(numbers) == 2 and numbers[0] <= numbers[1]:
            return cls(kind, *map(float, numbers))
        expected = 'activation None, "relu", "relu6", "silu", ("leaky_relu", slope) or ("clip", low, high)'
        raise ArgumentError(message(name, expected, repr(activation), "choose one, or apply yours after it"))

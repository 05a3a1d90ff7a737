"""Parameters of a model as large as in its paper, counted without making them."""

import math

import numpy as np
import pytest

from numbacnn.layers import Layer
from numbacnn.parameter import Parameter


def count(model: Layer, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> int:
    """Build the model with one number in the place of each parameter, and count what it is to learn."""
    sizes = []

    def stub(self, kind, shape, *rest, learned=True, **options):
        sizes.append(math.prod(shape) if learned else 0)
        return Parameter(np.zeros(1, np.float32), f"{self.path}.{kind}")

    with monkeypatch.context() as patched:
        patched.setattr(Layer, "_parameter", stub)
        model.build(shape, None)
    return sum(sizes)

"""What may follow a convolution or a normalisation in one pass: the activations and their slopes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from numbacnn.epilogue import Activation


def activated(z: NDArray[np.float64], activation: Activation | None) -> NDArray[np.float64]:
    """``activation(z)``."""
    if activation is None:
        return z
    kind, low, high = activation
    if kind == "leaky_relu":
        return np.where(z > 0.0, z, low * z)
    if kind == "silu":
        return z / (1.0 + np.exp(-z))
    return np.clip(z, low, high)


def slope(z: NDArray[np.float64], activation: Activation | None) -> NDArray[np.float64]:
    """The derivative of ``activation(z)`` by z; at a kink that of the side that is cut off."""
    if activation is None:
        return np.ones_like(z)
    kind, low, high = activation
    if kind == "leaky_relu":
        return np.where(z > 0.0, 1.0, low)
    if kind == "silu":
        s = 1.0 / (1.0 + np.exp(-z))
        return s * (1.0 + z * (1.0 - s))
    return np.where((z <= low) | (z >= high), 0.0, 1.0)

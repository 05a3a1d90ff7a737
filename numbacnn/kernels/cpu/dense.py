"""The dense layer's three products on the CPU.

Of few samples they read or write the weights once, in their own order (``small_product``); of more they go
through the register tile (``product``).
"""

from __future__ import annotations

import numpy as np

from .finish import as_it_is
from .product import product_backward_data, product_backward_weights, product_forward
from .small_product import (
    is_small,
    small_product_backward_data,
    small_product_backward_weights,
    small_product_forward,
)


def dense_forward(
    x: np.ndarray,  # (n, inputs) read
    w: np.ndarray,  # (inputs, outputs) read
    b: np.ndarray | None,  # (outputs,) read, or None
    y: np.ndarray,  # (n, outputs) written
) -> None:
    """``y = x w + b``."""
    if is_small(x.shape[0], w.size):
        small_product_forward(x, w, b, as_it_is(x), y)
    elif x.shape[0]:
        product_forward(x, w, b, y)


def dense_backward_data(
    dy: np.ndarray,  # (n, outputs) read
    w: np.ndarray,  # (inputs, outputs) read
    dx: np.ndarray,  # (n, inputs) written
) -> None:
    """``dx = dy w'``."""
    if is_small(dy.shape[0], w.size):
        small_product_backward_data(dy, w, dx)
    elif dy.shape[0]:
        product_backward_data(dy, w, dx)


def dense_backward_weights(
    x: np.ndarray,  # (n, inputs) read
    dy: np.ndarray,  # (n, outputs) read
    dw: np.ndarray,  # (inputs, outputs) written
) -> None:
    """``dw = x' dy``."""
    if is_small(x.shape[0], dw.size):
        small_product_backward_weights(x, dy, dw)
    elif x.shape[0]:
        product_backward_weights(x, dy, dw)
    else:
        dw.fill(0)

"""The dense layer's three products on the CPU.

Of few samples they read or write the weights once, in their own order; of more they are convolutions of
images of one pixel, through the register tile.
"""

from __future__ import annotations

import functools

import numpy as np

from ...dims import ConvDims
from .conv import conv_backward_data, conv_backward_weights, conv_forward
from .small_product import (
    MOST_SAMPLES,
    small_product_backward_data,
    small_product_backward_weights,
    small_product_forward,
)


@functools.lru_cache(maxsize=512)
def _dims(samples: int, inputs: int, outputs: int) -> ConvDims:
    return ConvDims(samples, inputs, outputs, (1, 1), (1, 1), (1, 1), (1, 1), (0, 0), (0, 0), 1)


def dense_forward(
    x: np.ndarray,  # (n, inputs) read
    w: np.ndarray,  # (inputs, outputs) read
    b: np.ndarray | None,  # (outputs,) read, or None
    y: np.ndarray,  # (n, outputs) written
) -> None:
    """``y = x w + b``."""
    if 0 < x.shape[0] <= MOST_SAMPLES:
        small_product_forward(x, w, b, y)
    else:
        conv_forward(_dims(x.shape[0], *w.shape), x, w, b, y)


def dense_backward_data(
    dy: np.ndarray,  # (n, outputs) read
    w: np.ndarray,  # (inputs, outputs) read
    dx: np.ndarray,  # (n, inputs) written
) -> None:
    """``dx = dy w'``."""
    if 0 < dy.shape[0] <= MOST_SAMPLES:
        small_product_backward_data(dy, w, dx)
    else:
        conv_backward_data(_dims(dy.shape[0], *w.shape), dy, w, dx)


def dense_backward_weights(
    x: np.ndarray,  # (n, inputs) read
    dy: np.ndarray,  # (n, outputs) read
    dw: np.ndarray,  # (inputs, outputs) written
) -> None:
    """``dw = x' dy``."""
    if 0 < x.shape[0] <= MOST_SAMPLES:
        small_product_backward_weights(x, dy, dw)
    else:
        conv_backward_weights(_dims(x.shape[0], *dw.shape), x, dy, dw)

"""Dropout of whole examples, or of whole channels of an example."""

from __future__ import annotations

from numpy.typing import NDArray

from .window import Array, double


def group_dropout_forward(
    x: Array,  # (n, ..., c) read
    mask: NDArray,  # uint8, 0 or 1: (n,) for examples, (n, c) for their channels
    scale: float,
    y: Array,  # (n, ..., c) written
) -> None:
    """``y[n, ..., c] = x[n, ..., c] mask[n, c] scale``, or ``mask[n]`` of whole examples."""
    ones = (1,) * (x.ndim - mask.ndim)
    wide = mask.reshape(len(x), *ones, *mask.shape[1:])
    y[...] = double(x) * wide * scale


def group_dropout_backward(
    dy: Array,  # (n, ..., c) read
    mask: NDArray,  # as in the forward pass
    scale: float,
    dx: Array,  # (n, ..., c) written
) -> None:
    """``dx[n, ..., c] = dy[n, ..., c] mask[n, c] scale``, or ``mask[n]`` of whole examples."""
    group_dropout_forward(dy, mask, scale, dx)

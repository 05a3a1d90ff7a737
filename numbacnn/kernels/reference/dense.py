"""The dense layer's three products."""

from __future__ import annotations

from .window import Array, double


def dense_forward(
    x: Array,  # (n, f) read
    w: Array,  # (f, k) read
    b: Array | None,  # (k,) read, or None for no bias
    y: Array,  # (n, k) written
) -> None:
    """``y = x w + b``."""
    product = double(x) @ double(w)
    y[...] = product if b is None else product + b


def dense_backward_data(
    dy: Array,  # (n, k) read
    w: Array,  # (f, k) read
    dx: Array,  # (n, f) written
) -> None:
    """``dx = dy w^T``."""
    dx[...] = double(dy) @ double(w).T


def dense_backward_weights(
    x: Array,  # (n, f) read
    dy: Array,  # (n, k) read
    dw: Array,  # (f, k) written
) -> None:
    """``dw = x^T dy``."""
    dw[...] = double(x).T @ double(dy)

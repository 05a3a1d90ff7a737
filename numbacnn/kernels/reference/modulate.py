"""Products with a factor that is repeated along an axis, such as a gate per channel or per pixel."""

from __future__ import annotations

from .window import Array, double


def modulate_forward(
    x: Array,  # (a, m, b) read
    scale: Array,  # (a, b) read
    shift: Array | None,  # (a, b) read, or None for 0
    y: Array,  # (a, m, b) written
) -> None:
    """``y[a, m, b] = x[a, m, b] scale[a, b] + shift[a, b]``; of dy it is the gradient by x."""
    product = double(x) * double(scale)[:, None]
    y[...] = product if shift is None else product + double(shift)[:, None]


def modulate_backward_scale(
    x: Array,  # (a, m, b) read
    dy: Array,  # (a, m, b) read
    dscale: Array,  # (a, b) written
) -> None:
    """``dscale[a, b] = sum of x[a, m, b] dy[a, m, b] over m``."""
    dscale[...] = (double(x) * double(dy)).sum(axis=1)

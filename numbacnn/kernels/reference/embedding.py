"""Rows of a table, chosen by integers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .window import Array, double


def embedding_forward(
    x: NDArray,  # (...) integers from 0 to v - 1, read
    w: Array,  # (v, d) read
    padding: int,  # the index that gives zeros; -1 for none
    y: Array,  # (..., d) written
) -> None:
    """``y[i, :] = w[x[i], :]``, zeros where ``x[i]`` is the padding."""
    y[...] = np.where((x == padding)[..., None], 0.0, double(w)[x])


def embedding_backward(
    x: NDArray,  # (...) integers from 0 to v - 1, read
    dy: Array,  # (..., d) read
    padding: int,
    dw: Array,  # (v, d) written
) -> None:
    """``dw[k, :] = sum of dy[i, :] over the i with x[i] = k``; zeros for the padding."""
    total = np.zeros(dw.shape)
    np.add.at(total, x, double(dy))
    if padding >= 0:
        total[padding] = 0.0
    dw[...] = total

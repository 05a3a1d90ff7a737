"""Copies between strided parts of arrays."""

from __future__ import annotations

from itertools import product

from .window import Array


def strided_copy(
    x: Array,  # read
    x_start: int,
    x_strides: tuple[int, ...],  # in elements, one per axis of the part
    extents: tuple[int, ...],  # of the part
    y_start: int,
    y_strides: tuple[int, ...],
    y: Array,  # written in the part only
) -> None:
    """``y[y_start + sum(i y_strides)] = x[x_start + sum(i x_strides)]``, flat, for all i in the extents."""
    source, target = x.reshape(-1), y.reshape(-1)
    for index in product(*map(range, extents)):
        at_x = sum(i * s for i, s in zip(index, x_strides, strict=True))
        at_y = sum(i * s for i, s in zip(index, y_strides, strict=True))
        target[y_start + at_y] = source[x_start + at_x]

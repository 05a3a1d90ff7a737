"""Operations whose results have the shape of what they are given: check, allocate, call the kernel."""

from __future__ import annotations

from typing import Any

from numbacnn.functional._checks import Operand, fresh, operands, require_shape
from numbacnn.functional._twins import Twins
from numbacnn.tensor import Tensor


def forward(kernels: Twins, kernel: str, x: Operand, name: str, *options: Any) -> Tensor:
    """``y`` of the kernel ``(x, *options, y)``."""
    (x,) = operands(name, ("the input",), x)
    y = fresh(x.shape, x)
    getattr(kernels.on(x), kernel)(x, *options, y)
    return Tensor(y)


def by_output(kernels: Twins, kernel: str, dy: Operand, y: Operand, name: str, *options: Any) -> Tensor:
    """``dx`` of the kernel ``(y, dy, *options, dx)``, from what the forward pass returned."""
    dy, y = operands(name, ("the output gradient", "the output"), dy, y)
    require_shape(name, "an output", y, dy.shape, "pass what the forward pass returned")
    return _gradient(kernels, kernel, dy, y, *options)


def by_input(kernels: Twins, kernel: str, dy: Operand, x: Operand, name: str, *options: Any) -> Tensor:
    """``dx`` of the kernel ``(x, dy, *options, dx)``, from what the forward pass was given."""
    dy, x = operands(name, ("the output gradient", "the input"), dy, x)
    require_shape(name, "an input", x, dy.shape, "pass what the forward pass was given")
    return _gradient(kernels, kernel, dy, x, *options)


def _gradient(kernels: Twins, kernel: str, dy: Any, kept: Any, *options: Any) -> Tensor:
    dx = fresh(dy.shape, dy)
    getattr(kernels.on(dy), kernel)(kept, dy, *options, dx)
    return Tensor(dx)

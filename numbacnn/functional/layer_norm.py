"""Layer normalisation: of each example's, or each pixel's, last axes."""

from __future__ import annotations

import math
from typing import Any

from numbacnn.errors import ArgumentError, ShapeError, message
from numbacnn.functional._affine import exact_dtype, factor, gradients, kept, stabiliser, tensors
from numbacnn.functional._checks import Operand, fresh, operands, require_shape
from numbacnn.functional._twins import Twins
from numbacnn.kernels.cpu import layer_norm as _cpu
from numbacnn.tensor import Tensor

kernels = Twins(_cpu)


def layer_norm_forward(
    x: Operand,  # (n, ..., *inner)
    gamma: Operand | None = None,  # (*inner,)
    beta: Operand | None = None,  # (*inner,)
    *,
    axes: int = 1,
    epsilon: float = 1e-5,
    name: str = "layer_norm_forward",
) -> tuple[Tensor, Tensor]:
    """``y = gamma (x - mean) / sqrt(variance + epsilon) + beta``, of the elements of the last axes.

    Args:
        x: float32 or float64, of more axes than are normalised.
        gamma: scale of each element, of the shape of the last axes; None for 1.
        beta: shift of each element, likewise; None for 0.
        axes: how many of the last axes are normalised together. 1: each pixel's channels.
        epsilon: added to the variance, above 0.
        name: the layer or operation that errors name.

    Returns:
        y, of the shape and type of x, and the statistics that the gradient needs, ``(n, ..., 2)``: the mean
        and ``1 / sqrt(variance + epsilon)``. Those of 16-bit floats are float32.

    Raises:
        ShapeError: x has too few axes, or one without elements; gamma or beta is of another shape.
        DTypeError: another type than float32 and float64, or a mix of them.
        ArgumentError: axes is no integer of 1 or more, or epsilon no finite number above 0.

    Source:
        Ba, Kiros and Hinton, "Layer Normalization", 2016, section 3.

    """
    (x,) = operands(name, ("the input",), x)
    lead, inner = _split(name, x, axes)
    arrays = factor(name, "a scale", gamma, x, inner), factor(name, "a shift", beta, x, inner)
    epsilon = stabiliser(name, epsilon)
    y, statistics = fresh(x.shape, x), fresh((*lead, 2), x, exact_dtype(x))
    if x.size:
        kernels.on(x).layer_norm_forward(x, *arrays, epsilon, y, statistics)
    return Tensor(y), Tensor(statistics)


def layer_norm_backward(
    dy: Operand,  # (n, ..., *inner)
    x: Operand,  # (n, ..., *inner)
    statistics: Operand,  # (n, ..., 2)
    gamma: Operand | None = None,  # (*inner,)
    *,
    axes: int = 1,
    name: str = "layer_norm_backward",
) -> tuple[Tensor, Tensor, Tensor]:
    """``dx = (g - mean(g) - z mean(g z)) / sqrt(variance + epsilon)``, ``g = gamma dy``, z the normalised x.

    Args:
        dy: gradient by the output, float32 or float64.
        x: input of the forward pass, of the shape and type of dy.
        statistics: what the forward pass returned beside its output.
        gamma: as in the forward pass.
        axes: as in the forward pass.
        name: the layer or operation that errors name.

    Returns:
        Gradients by the input, by the scale (the sums of ``dy z``) and by the shift (the sums of dy). The
        last two are float32 where x is a 16-bit float.

    Raises:
        ShapeError, DTypeError, ArgumentError: as the forward pass.

    """
    dy, x = operands(name, ("the output gradient", "the input"), dy, x)
    require_shape(name, "an input", x, dy.shape, "pass the input of the forward pass")
    lead, inner = _split(name, x, axes)
    given = kept(name, statistics, x, (*lead, 2)), factor(name, "a scale", gamma, x, inner)
    results = gradients(x, inner)
    kernels.on(x).layer_norm_backward(x, *given, dy, *results)
    return tensors(*results)


def _split(name: str, x: Any, axes: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The extents before the normalised axes, and theirs."""
    if isinstance(axes, bool) or not isinstance(axes, int) or axes < 1:
        expected = "axes as an integer of 1 or more"
        raise ArgumentError(message(name, expected, repr(axes), "pass how many of the last are normalised"))
    if x.ndim <= axes or math.prod(x.shape[-axes:]) == 0:
        expected = f"an input of more than {axes} axes, the last without 0"
        raise ShapeError(message(name, expected, str(x.shape), "give it a batch axis, or check axes"))
    return x.shape[:-axes], x.shape[-axes:]

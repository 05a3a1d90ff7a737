"""Group normalisation: of each example's groups of channels, over all pixels."""

from __future__ import annotations

from numbacnn.errors import ArgumentError, ShapeError, message
from numbacnn.functional._affine import (
    exact_dtype,
    factor,
    gradients,
    kept,
    require_elements,
    stabiliser,
    tensors,
)
from numbacnn.functional._checks import Operand, companion, fresh, operands, require_shape
from numbacnn.functional._twins import Twins
from numbacnn.kernels.cpu import group_norm as _cpu
from numbacnn.tensor import Tensor

kernels = Twins(_cpu)
_LAYOUT = "(n, ..., channels)"


def group_norm_forward(
    x: Operand,  # (n, *pixels, c)
    groups: int,
    gamma: Operand | None = None,  # (c,)
    beta: Operand | None = None,  # (c,)
    *,
    epsilon: float = 1e-5,
    name: str = "group_norm_forward",
) -> tuple[Tensor, Tensor]:
    """``y = gamma (x - mean) / sqrt(variance + epsilon) + beta``, of an example's group of channels.

    Mean and variance are over all pixels and the group's neighbouring channels. One group normalises each
    example as a whole; as many groups as channels, each channel by itself (instance normalisation).

    Args:
        x: ``(n, *pixels, c)``, any number of spatial axes, float32 or float64.
        groups: of channels; divides c.
        gamma: scale of each channel, ``(c,)``; None for 1.
        beta: shift of each channel, ``(c,)``; None for 0.
        epsilon: added to the variance, above 0.
        name: the layer or operation that errors name.

    Returns:
        y, of the shape and type of x, and the statistics that the gradient needs, ``(n, groups, 2)``: the
        mean and ``1 / sqrt(variance + epsilon)``. Those of 16-bit floats are float32.

    Raises:
        ShapeError: x has no batch or no channel axis, or an empty one; gamma or beta is of another shape.
        DTypeError: another type than float32 and float64, or a mix of them.
        ArgumentError: groups do not divide the channels, or epsilon is no finite number above 0.

    Source:
        Wu and He, "Group Normalization", ECCV 2018, section 3; Ulyanov, Vedaldi and Lempitsky, "Instance
        Normalization: The Missing Ingredient for Fast Stylization", 2016, section 2.

    """
    (x,) = operands(name, ("the input",), x)
    require_elements(name, x, 2, _LAYOUT)
    c = x.shape[-1]
    if isinstance(groups, bool) or not isinstance(groups, int) or groups < 1 or c % groups:
        expected = f"groups that divide {c} channels"
        raise ArgumentError(message(name, expected, repr(groups), "pass a divisor of the channels"))
    arrays = factor(name, "a scale", gamma, x, (c,)), factor(name, "a shift", beta, x, (c,))
    epsilon = stabiliser(name, epsilon)
    y, statistics = fresh(x.shape, x), fresh((x.shape[0], groups, 2), x, exact_dtype(x))
    if x.size:
        kernels.on(x).group_norm_forward(x, *arrays, epsilon, y, statistics)
    return Tensor(y), Tensor(statistics)


def group_norm_backward(
    dy: Operand,  # (n, *pixels, c)
    x: Operand,  # (n, *pixels, c)
    statistics: Operand,  # (n, groups, 2)
    gamma: Operand | None = None,  # (c,)
    *,
    name: str = "group_norm_backward",
) -> tuple[Tensor, Tensor, Tensor]:
    """``dx = (g - mean(g) - z mean(g z)) / sqrt(variance + epsilon)``, ``g = gamma dy``, z the normalised x.

    Args:
        dy: gradient by the output, ``(n, *pixels, c)``, float32 or float64.
        x: input of the forward pass, of the shape and type of dy.
        statistics: what the forward pass returned beside its output.
        gamma: as in the forward pass.
        name: the layer or operation that errors name.

    Returns:
        Gradients by the input, by the scale (the sums of ``dy z``) and by the shift (the sums of dy). The
        last two are float32 where x is a 16-bit float.

    Raises:
        ShapeError, DTypeError: as the forward pass.

    """
    dy, x = operands(name, ("the output gradient", "the input"), dy, x)
    require_shape(name, "an input", x, dy.shape, "pass the input of the forward pass")
    require_elements(name, x, 2, _LAYOUT)
    c, shape = x.shape[-1], companion(name, "statistics", statistics, x).shape
    if len(shape) != 3 or not shape[1] or c % shape[1]:
        expected, remedy = f"statistics ({x.shape[0]}, groups, 2)", "pass what the forward pass returned"
        raise ShapeError(message(name, expected, str(shape), remedy))
    given = kept(name, statistics, x, (x.shape[0], shape[1], 2)), factor(name, "a scale", gamma, x, (c,))
    results = gradients(x, (c,))
    kernels.on(x).group_norm_backward(x, *given, dy, *results)
    return tensors(*results)

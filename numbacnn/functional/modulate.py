"""Products with a factor that is repeated along some axes, such as a gate per channel or per pixel."""

from __future__ import annotations

import math
from collections.abc import Sequence

from numbacnn.errors import ShapeError, message
from numbacnn.functional._checks import Operand, fresh, operands, require_shape
from numbacnn.functional._twins import Twins
from numbacnn.kernels.cpu import modulate as _cpu
from numbacnn.tensor import Tensor

kernels = Twins(_cpu)


def modulate_forward(
    x: Operand, scale: Operand, shift: Operand | None = None, *, name: str = "modulate_forward"
) -> Tensor:
    """``y = x scale + shift``, with scale and shift repeated along the axes of which they have one element.

    Of dy it is the gradient by x. The shift may then be what else is to be added, such as a mean's gradient.

    Args:
        x: any shape, float32 or float64.
        scale: as many axes, each of the extent of x or 1; those that are repeated are neighbours. Of images
            ``(n, 1, 1, c)`` is a factor per channel and ``(n, h, w, 1)`` one per pixel.
        shift: of the shape of scale, or None for 0.
        name: the layer or operation that errors name.

    Returns:
        The shape and type of x.

    Raises:
        ShapeError: the shapes do not fit.
        DTypeError: other types than float32 and float64, or a mix of them.

    """
    x, scale, shift = operands(name, ("the input", "the scale", "the shift"), x, scale, shift)
    a, m, b = _folded(name, x.shape, scale.shape)
    if shift is not None:
        require_shape(name, "a shift", shift, scale.shape, "give scale and shift one shape")
        shift = shift.reshape((a, b))
    y = fresh(x.shape, x)
    kernels.on(x).modulate_forward(x.reshape((a, m, b)), scale.reshape((a, b)), shift, y.reshape((a, m, b)))
    return Tensor(y)


def modulate_backward_scale(
    x: Operand, dy: Operand, scale_shape: Sequence[int], *, name: str = "modulate_backward_scale"
) -> Tensor:
    """``dscale = sum of x dy`` over the axes along which the scale was repeated.

    Args:
        x: input of the forward pass, float32 or float64.
        dy: gradient by the output, of the shape and type of x.
        scale_shape: of the scale, see `modulate_forward`.
        name: the layer or operation that errors name.

    Returns:
        Gradient by the scale, of that shape.

    Raises:
        ShapeError: the shapes do not fit.
        DTypeError: other types than float32 and float64, or a mix of them.

    """
    x, dy = operands(name, ("the input", "the output gradient"), x, dy)
    require_shape(name, "an output gradient", dy, x.shape, "pass the gradient of what the forward pass gave")
    shape = tuple(int(v) for v in scale_shape)
    a, m, b = _folded(name, x.shape, shape)
    dscale = fresh(shape, x)
    folded = x.reshape((a, m, b)), dy.reshape((a, m, b))
    kernels.on(x).modulate_backward_scale(*folded, dscale.reshape((a, b)))
    return Tensor(dscale)


def _folded(name: str, shape: tuple[int, ...], scale: tuple[int, ...]) -> tuple[int, int, int]:
    """The extents before, of and after the axes along which the scale is repeated."""
    pairs = list(zip(shape, scale, strict=False))
    if len(shape) != len(scale) or any(v not in (u, 1) for u, v in pairs):
        expected = f"a scale of as many axes as {shape}, of its extents or 1"
        raise ShapeError(message(name, expected, str(scale), "reshape it, with ones where it is repeated"))
    repeated = [axis for axis, (u, v) in enumerate(pairs) if u != v]
    if not repeated:
        return math.prod(shape[:1]), 1, math.prod(shape[1:])
    first, end = repeated[0], repeated[-1] + 1
    if any(v != 1 for _, v in pairs[first:end]):
        expected = f"a scale of {shape} that is repeated along axes side by side"
        raise ShapeError(message(name, expected, str(scale), "multiply along one of them after the other"))
    return math.prod(shape[:first]), math.prod(shape[first:end]), math.prod(shape[end:])

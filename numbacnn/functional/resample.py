"""Resizing of images ``(n, *spatial, c)``, 1 to 3 spatial axes, by nearest or linear interpolation."""

from __future__ import annotations

import math
import numbers
import operator
from collections.abc import Sequence
from typing import Any

from numbacnn.dims import spatial_shape
from numbacnn.errors import ArgumentError, message
from numbacnn.functional._checks import Operand, fresh, operands, require_shape
from numbacnn.functional._twins import Twins
from numbacnn.kernels.cpu import resample as _cpu
from numbacnn.tensor import Tensor

kernels = Twins(_cpu)

Sizes = int | Sequence[int]
Scales = float | Sequence[float]

_RANKS = {"linear": None, "bilinear": 2, "trilinear": 3}  # names of one mode, and for which rank


Options = tuple[str, bool, tuple[float, ...] | None]  # as the kernels take them


def resize_forward(
    x: Operand,  # (n, *in, c)
    size: Sizes | None = None,
    *,
    scale: Scales | None = None,
    mode: str = "nearest",
    align_corners: bool = False,
    recompute_scale_factor: bool = True,
    name: str = "resize_forward",
) -> Tensor:
    """``y[n, o, c] = x[n, floor(o r), c]``, or linearly between the pixels around ``(o + 0.5) r - 0.5``.

    The ratio r of an axis is ``in / out``, input pixels per output pixel. Linear interpolation repeats the
    first and the last pixel outwards. With `align_corners` it is at ``o (in - 1) / (out - 1)`` instead.

    Args:
        x: ``(n, *in, c)`` with 1 to 3 spatial axes, float32 or float64; n may be 0.
        size: output pixels, one for all axes or one per axis; or give `scale`.
        scale: output pixels per input pixel, one for all axes or one per axis: ``out = floor(in scale)``.
        mode: ``"nearest"`` or ``"linear"``; for two axes also ``"bilinear"``, for three ``"trilinear"``.
        align_corners: the centres of the corner pixels stay where they are; for linear modes.
        recompute_scale_factor: with `scale`, take r from the sizes; where False, ``r = 1 / scale``, which is
            what PyTorch's ``interpolate`` does by default. They differ where ``in scale`` is no whole number.
        name: the layer or operation that errors name.

    Returns:
        ``(n, *out, c)``.

    Raises:
        ShapeError: the rank does not fit.
        DTypeError: another type than float32 and float64.
        ArgumentError: size, scale, mode or align_corners are outside their domain, or the output is empty.

    """
    (x,) = operands(name, ("the input",), x)
    out_, options = _geometry(name, x.shape, size, scale, mode, align_corners, recompute_scale_factor)
    y = fresh((x.shape[0], *out_, x.shape[-1]), x)
    kernels.on(x).resize_forward(x, *options, y)
    return Tensor(y)


def resize_backward(
    dy: Operand,  # (n, *out, c)
    input_shape: Sequence[int],
    *,
    scale: Scales | None = None,
    mode: str = "nearest",
    align_corners: bool = False,
    recompute_scale_factor: bool = True,
    name: str = "resize_backward",
) -> Tensor:
    """``dx[n, p, c] = sum over outputs o of dy[n, o, c] times the weight with which o takes p``.

    Args:
        dy: gradient by the output, ``(n, *out, c)``, float32 or float64.
        input_shape: ``(n, *in, c)`` of the forward pass's input.
        scale: as in `resize_forward` where `recompute_scale_factor` is False; else it need not be given.
        mode: as in `resize_forward`.
        align_corners: as in `resize_forward`.
        recompute_scale_factor: as in `resize_forward`.
        name: the layer or operation that errors name.

    Returns:
        Gradient by the input, ``(n, *in, c)``.

    Raises:
        ShapeError, DTypeError, ArgumentError: as `resize_forward`, and where dy has another shape than its
            output.

    """
    (dy,) = operands(name, ("the output gradient",), dy)
    shape = spatial_shape(input_shape, name)
    size = dy.shape[1:-1] if scale is None else None
    out_, options = _geometry(name, shape, size, scale, mode, align_corners, recompute_scale_factor)
    remedy = "pass the gradient by what the forward pass returned"
    require_shape(name, "an output gradient", dy, (shape[0], *out_, shape[-1]), remedy)
    dx = fresh(shape, dy)
    kernels.on(dy).resize_backward(dy, *options, dx)
    return Tensor(dx)


def _each(value: Any, rank: int) -> tuple:
    """One per axis, from one for all or one for each."""
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else (value,) * rank


def _sizes(name: str, size: Any, rank: int) -> tuple[int, ...]:
    each = _each(size, rank)
    whole = tuple(operator.index(v) for v in each if hasattr(v, "__index__"))
    if not len(whole) == len(each) == rank or min(whole) < 1:
        expected = f"size as one integer or {rank}, each 1 or more"
        raise ArgumentError(message(name, expected, repr(size), "or give scale instead"))
    return whole


def _scales(name: str, scale: Any, in_: Sequence[int]) -> tuple[float, ...]:
    each = _each(scale, len(in_))
    factors = tuple(float(v) for v in each if isinstance(v, numbers.Real) and math.isfinite(v))
    if not len(factors) == len(each) == len(in_) or any(i * f < 1 for i, f in zip(in_, factors, strict=True)):
        expected = f"scale as one positive number or {len(in_)}, by which {tuple(in_)} pixels leave 1 or more"
        raise ArgumentError(message(name, expected, repr(scale), "or give size instead"))
    return factors


def _geometry(
    name: str,
    shape: tuple[int, ...],
    size: Sizes | None,
    scale: Scales | None,
    mode: str,
    align_corners: bool,
    recompute_scale_factor: bool,
) -> tuple[tuple[int, ...], Options]:
    """The output's spatial sizes, and the options."""
    _, *in_, _ = spatial_shape(shape, name)
    rank = len(in_)
    linear = mode in _RANKS and _RANKS[mode] in (None, rank)
    if not linear and mode != "nearest":
        names = ["nearest", *(m for m, r in _RANKS.items() if r in (None, rank))]
        expected = f"mode {' or '.join(map(repr, names))} for {rank} spatial axes"
        raise ArgumentError(message(name, expected, repr(mode), "pass one of these"))
    if align_corners and not linear:
        got = f"align_corners and mode {mode!r}"
        raise ArgumentError(message(name, "align_corners with a linear mode only", got, "leave it out"))
    if (size is None) == (scale is None):
        raise ArgumentError(message(name, "size or scale", "both or neither", "give one of them"))
    kind = "linear" if linear else "nearest"
    if scale is None:
        return _sizes(name, size, rank), (kind, bool(align_corners), None)
    factors = _scales(name, scale, in_)
    out_ = tuple(math.floor(i * f) for i, f in zip(in_, factors, strict=True))
    ratios = None if recompute_scale_factor else tuple(1.0 / f for f in factors)
    return out_, (kind, bool(align_corners), ratios)

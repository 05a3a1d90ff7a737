"""Padding of images ``(n, *spatial, c)``, 1 to 3 spatial axes, and its gradient."""

from __future__ import annotations

import numbers
from collections.abc import Sequence

from numbacnn.dims import Pairs, pad_pairs, spatial_shape
from numbacnn.errors import ArgumentError, ShapeError, message
from numbacnn.functional._checks import Operand, fresh, operands, require_shape
from numbacnn.functional._twins import Twins
from numbacnn.kernels.cpu import pad as _cpu
from numbacnn.tensor import Tensor

kernels = Twins(_cpu)

Padding = int | Sequence[int] | Sequence[tuple[int, int]]

_MODES = ("zeros", "constant", "reflect", "replicate", "circular")


def pad_forward(
    x: Operand,  # (n, *in, c)
    padding: Padding,
    *,
    mode: str = "zeros",
    value: float = 0.0,
    name: str = "pad_forward",
) -> Tensor:
    """``y[n, p, c] = x[n, s(p - low), c]``, or `value` where s is no pixel.

    Args:
        x: ``(n, *in, c)`` with 1 to 3 spatial axes, float32 or float64; n may be 0.
        padding: pixels for all ends, pixels per axis, or a pair ``(low, high)`` per axis; none negative.
        mode: ``"zeros"`` or ``"constant"`` (s is no pixel outside the image), ``"reflect"`` (about the first
            and the last pixel, which are not repeated), ``"replicate"`` (the nearest pixel) or ``"circular"``
            (from the other end).
        value: what ``"constant"`` adds, any number; 0 for the other modes.
        name: the layer or operation that errors name.

    Returns:
        ``(n, *padded, c)`` with ``padded = low + in + high``.

    Raises:
        ShapeError: the rank does not fit, or there is more padding than the mode has pixels for: it must be
            less than the size for ``"reflect"``, and at most the size for ``"circular"``.
        DTypeError: another type than float32 and float64.
        ArgumentError: padding, mode or value are outside their domain.

    """
    (x,) = operands(name, ("the input",), x)
    pads, kind = pad_geometry(name, x.shape, padding, mode)
    if not isinstance(value, numbers.Real) or (mode != "constant" and value != 0):
        expected = "a number as value, 0 unless mode is 'constant'"
        raise ArgumentError(message(name, expected, f"{value!r} and {mode!r}", "choose one of both"))
    y = fresh(_padded(x.shape, pads), x)
    kernels.on(x).pad_forward(x, pads, kind, float(value), y)
    return Tensor(y)


def pad_backward(
    dy: Operand,  # (n, *padded, c)
    input_shape: Sequence[int],
    padding: Padding,
    *,
    mode: str = "zeros",
    name: str = "pad_backward",
) -> Tensor:
    """``dx[n, q, c] = sum of dy[n, p, c] over the p that show q``.

    Args:
        dy: gradient by the output, ``(n, *padded, c)``, float32 or float64.
        input_shape: ``(n, *in, c)`` of the forward pass's input.
        padding: as in `pad_forward`.
        mode: as in `pad_forward`.
        name: the layer or operation that errors name.

    Returns:
        Gradient by the input, ``(n, *in, c)``.

    Raises:
        ShapeError, DTypeError, ArgumentError: as `pad_forward`, and where dy has another shape than its
            output.

    """
    (dy,) = operands(name, ("the output gradient",), dy)
    shape = spatial_shape(input_shape, name)
    pads, kind = pad_geometry(name, shape, padding, mode)
    remedy = "pass the gradient by what the forward pass returned"
    require_shape(name, "an output gradient", dy, _padded(shape, pads), remedy)
    dx = fresh(shape, dy)
    kernels.on(dy).pad_backward(dy, pads, kind, dx)
    return Tensor(dx)


def _padded(shape: tuple[int, ...], pads: Pairs) -> tuple[int, ...]:
    n, *in_, c = shape
    return (n, *(low + size + high for size, (low, high) in zip(in_, pads, strict=True)), c)


def pad_geometry(name: str, shape: tuple[int, ...], padding: Padding, mode: str) -> tuple[Pairs, str]:
    """The pixels to add to each axis, and the mode as the kernel names it."""
    _, *in_, _ = spatial_shape(shape, name)
    pads = pad_pairs(padding, len(in_), name)
    if mode not in _MODES:
        expected = "mode " + ", ".join(map(repr, _MODES[:-1])) + f" or {_MODES[-1]!r}"
        raise ArgumentError(message(name, expected, repr(mode), "pass one of these"))
    spare = {"reflect": 1, "circular": 0}.get(mode)
    if spare is not None and any(max(pair) > size - spare for size, pair in zip(in_, pads, strict=True)):
        most = tuple(size - spare for size in in_)
        expected = f"padding of at most {most} pixels at each end, for mode {mode!r}"
        raise ShapeError(message(name, expected, str(pads), "pad less, or use mode 'replicate'"))
    return pads, "constant" if mode == "zeros" else mode

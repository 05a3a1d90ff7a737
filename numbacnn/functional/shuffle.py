"""Pixel shuffle and unshuffle of images ``(n, *spatial, c)``, 1 to 3 spatial axes, and their gradients."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

from numbacnn.dims import spatial_shape
from numbacnn.errors import ArgumentError, ShapeError, message
from numbacnn.functional._checks import Operand, fresh, operands
from numbacnn.functional._twins import Twins
from numbacnn.kernels.cpu import shuffle as _cpu
from numbacnn.tensor import Tensor

kernels = Twins(_cpu)

Ints = int | Sequence[int]


def pixel_shuffle_forward(x: Operand, block: Ints, *, name: str = "pixel_shuffle_forward") -> Tensor:
    """``y[n, p block + q, j] = x[n, p, j r + q]``: channels to blocks of r pixels, also "depth to space".

    Args:
        x: ``(n, *in, c r)`` with 1 to 3 spatial axes, float32 or float64; n may be 0.
        block: pixels of a block, one for all axes or one per axis; r is their product. In the channel's
            number, the pixel q of the block counts in row-major order and fastest, as in PyTorch.
        name: the layer or operation that errors name.

    Returns:
        ``(n, *in block, c)``.

    Raises:
        ShapeError: the rank does not fit, or r does not divide the channels.
        DTypeError: another type than float32 and float64.
        ArgumentError: the block is not one positive integer or one per axis.

    Source:
        Shi et al., "Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel
        Convolutional Neural Network", CVPR 2016, section 3.2.

    """
    return _spread("pixel_shuffle_forward", x, "the input", block, name)


def pixel_shuffle_backward(dy: Operand, block: Ints, *, name: str = "pixel_shuffle_backward") -> Tensor:
    """``dx[n, p, j r + q] = dy[n, p block + q, j]``.

    Args:
        dy: gradient by the output, ``(n, *in block, c)``, float32 or float64.
        block: as in `pixel_shuffle_forward`.
        name: the layer or operation that errors name.

    Returns:
        Gradient by the input, ``(n, *in, c r)``.

    Raises:
        ShapeError: the rank does not fit, or the block does not divide the spatial sizes.
        DTypeError, ArgumentError: as `pixel_shuffle_forward`.

    """
    return _collect("pixel_shuffle_backward", dy, "the output gradient", block, name)


def pixel_unshuffle_forward(x: Operand, block: Ints, *, name: str = "pixel_unshuffle_forward") -> Tensor:
    """``y[n, p, j r + q] = x[n, p block + q, j]``: blocks of r pixels to channels, also "space to depth".

    Args:
        x: ``(n, *out block, c)`` with 1 to 3 spatial axes, float32 or float64; n may be 0.
        block: as in `pixel_shuffle_forward`, which is the inverse.
        name: the layer or operation that errors name.

    Returns:
        ``(n, *out, c r)``.

    Raises:
        ShapeError, DTypeError, ArgumentError: as `pixel_shuffle_backward`.

    """
    return _collect("pixel_unshuffle_forward", x, "the input", block, name)


def pixel_unshuffle_backward(dy: Operand, block: Ints, *, name: str = "pixel_unshuffle_backward") -> Tensor:
    """``dx[n, p block + q, j] = dy[n, p, j r + q]``.

    Args:
        dy: gradient by the output, ``(n, *out, c r)``, float32 or float64.
        block: as in `pixel_shuffle_forward`.
        name: the layer or operation that errors name.

    Returns:
        Gradient by the input, ``(n, *out block, c)``.

    Raises:
        ShapeError, DTypeError, ArgumentError: as `pixel_shuffle_forward`.

    """
    return _spread("pixel_unshuffle_backward", dy, "the output gradient", block, name)


def _spread(kernel: str, x: Operand, label: str, block: Ints, name: str) -> Tensor:
    """Channels to blocks of pixels."""
    (x,) = operands(name, (label,), x)
    n, *in_, wide = spatial_shape(x.shape, name)
    sizes = _block(name, block, len(in_))
    taps = math.prod(sizes)
    if wide % taps:
        expected = f"channels in multiples of {taps}, the pixels of a block {sizes}"
        raise ShapeError(message(name, expected, f"{wide} in {x.shape}", "choose another block"))
    y = fresh((n, *map(operator.mul, in_, sizes), wide // taps), x)
    getattr(kernels.on(x), kernel)(x, sizes, y)
    return Tensor(y)


def _collect(kernel: str, x: Operand, label: str, block: Ints, name: str) -> Tensor:
    """Blocks of pixels to channels."""
    (x,) = operands(name, (label,), x)
    n, *fine, c = spatial_shape(x.shape, name)
    sizes = _block(name, block, len(fine))
    if any(map(operator.mod, fine, sizes)):
        expected = f"spatial sizes in multiples of the block {sizes}"
        raise ShapeError(message(name, expected, str(tuple(fine)), "choose another block, or pad or crop"))
    y = fresh((n, *map(operator.floordiv, fine, sizes), c * math.prod(sizes)), x)
    getattr(kernels.on(x), kernel)(x, sizes, y)
    return Tensor(y)


def _block(name: str, block: Any, rank: int) -> tuple[int, ...]:
    each = tuple(block) if isinstance(block, Sequence) else (block,) * rank
    sizes = tuple(operator.index(v) for v in each if hasattr(v, "__index__"))
    if not len(sizes) == len(each) == rank or min(sizes) < 1:
        expected = f"block as one integer or {rank}, each 1 or more"
        raise ArgumentError(message(name, expected, repr(block), f"pass such as {(2,) * rank}"))
    return sizes

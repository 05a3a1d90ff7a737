"""Fractional max pooling over one to three spatial axes, and its gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, overload

import numpy as np

from numbacnn.dims import Ints
from numbacnn.errors import ArgumentError, message
from numbacnn.functional._checks import Operand, operands
from numbacnn.functional.pool import max_pool_gradient, max_pooled
from numbacnn.pool_dims import WindowDims, scaled_size
from numbacnn.tensor import Tensor


def _dims(
    name: str,
    shape: tuple[int, ...],
    kernel: Any,
    output_size: Any,
    output_ratio: Any,
    samples: Any,
    seed: Any,
) -> WindowDims:
    """The windows; ArgumentError where not one of two options is given, twice."""
    if (output_size is None) == (output_ratio is None):
        got = f"output_size={output_size!r}, output_ratio={output_ratio!r}"
        raise ArgumentError(message(name, "either output_size or output_ratio", got, "pass one of them"))
    if (samples is None) == (seed is None):
        got = f"samples={samples!r}, seed={seed!r}"
        raise ArgumentError(message(name, "either samples or a seed", got, "pass one of them"))
    rank = len(shape) - 2
    if output_size is None:
        output_size = scaled_size(name, shape[1:-1], output_ratio)
    if samples is None:
        try:
            samples = np.random.default_rng(seed).random(max(rank, 0)).tolist()
        except (TypeError, ValueError) as error:
            expected = "a seed as an integer of 0 or more"
            raise ArgumentError(message(name, expected, repr(seed), "pass such as seed=0")) from error
    return WindowDims.fractional(shape, output_size, samples, kernel, name)


@overload
def fractional_max_pool_forward(
    x: Operand,
    kernel: Ints | None = ...,
    *,
    output_size: Ints | None = ...,
    output_ratio: float | Sequence[float] | None = ...,
    samples: Sequence[float] | None = ...,
    seed: int | None = ...,
    return_indices: Literal[False] = ...,
    name: str = ...,
) -> Tensor: ...


@overload
def fractional_max_pool_forward(
    x: Operand,
    kernel: Ints | None = ...,
    *,
    output_size: Ints | None = ...,
    output_ratio: float | Sequence[float] | None = ...,
    samples: Sequence[float] | None = ...,
    seed: int | None = ...,
    return_indices: Literal[True],
    name: str = ...,
) -> tuple[Tensor, Tensor]: ...


def fractional_max_pool_forward(
    x: Operand,  # (n, *in, c)
    kernel: Ints | None = None,
    *,
    output_size: Ints | None = None,
    output_ratio: float | Sequence[float] | None = None,
    samples: Sequence[float] | None = None,
    seed: int | None = None,
    return_indices: bool = False,
    name: str = "fractional_max_pool_forward",
) -> Tensor | tuple[Tensor, Tensor]:
    """``y[n, i, c] = max of x[n, p, c], p from s_i on, with s_i = floor((i + u) a) - floor(u a) per axis``.

    With a kernel of k pixels ``a = (in - k) / (out - 1)``, windows are k pixels and the last ends at the
    input's end, as in PyTorch. Without one ``a = in / out`` and window i ends where the next begins: disjoint
    windows that tile the input. All images and channels of a call share the windows.

    Args:
        x: batch ``(n, *in, c)`` with 1 to 3 spatial axes, float32 or float64; n may be 0. A NaN in a window
            is its maximum.
        kernel: pixels of a window, one number for all axes or one per axis; None for disjoint windows.
        output_size: outputs, one number for all axes or one per axis.
        output_ratio: in the place of output_size: outputs per pixel, above 0 and at most 1, one number for
            all axes or one per axis; ``out = floor(in ratio)``, at least 1.
        samples: u per axis, from 0 to below 1.
        seed: in the place of samples: they are drawn from ``numpy.random.default_rng(seed)``, so that equal
            seeds give equal windows, in the gradient too.
        return_indices: return the places of the maxima too, as `max_pool_forward` does.
        name: the layer or operation that errors name.

    Returns:
        y, ``(n, *out, c)``; with indices ``(y, indices)``, int64 of y's shape.

    Raises:
        ShapeError: the rank does not fit, or there are more outputs than places for windows.
        DTypeError: another type than float32 and float64.
        ArgumentError: sizes, ratios, samples or the seed are outside their domain, or not one of each pair is
            given.

    Source:
        Graham, "Fractional Max-Pooling", arXiv:1412.6071, section 2, the pseudo-random sequence.

    """
    (x,) = operands(name, ("the input",), x)
    dims = _dims(name, x.shape, kernel, output_size, output_ratio, samples, seed)
    return max_pooled(dims, x, return_indices)


def fractional_max_pool_backward(
    dy: Operand,  # (n, *out, c)
    x: Operand,  # (n, *in, c)
    y: Operand,  # (n, *out, c)
    kernel: Ints | None = None,
    *,
    output_size: Ints | None = None,
    output_ratio: float | Sequence[float] | None = None,
    samples: Sequence[float] | None = None,
    seed: int | None = None,
    name: str = "fractional_max_pool_backward",
) -> Tensor:
    """``dx[n, p, c] = sum of dy[n, i, c] over the windows i whose first maximal pixel is p``.

    Args:
        dy: gradient by the output, ``(n, *out, c)``, float32 or float64.
        x: input of the forward pass, ``(n, *in, c)``, of the type of dy.
        y: output of the forward pass.
        kernel: as in `fractional_max_pool_forward`.
        output_size: as in `fractional_max_pool_forward`.
        output_ratio: as in `fractional_max_pool_forward`.
        samples: those of the forward pass.
        seed: that of the forward pass.
        name: the layer or operation that errors name.

    Returns:
        Gradient by the input, ``(n, *in, c)``. Of equal maxima the first in row-major order receives it.

    Raises:
        ShapeError, DTypeError, ArgumentError: as `fractional_max_pool_forward`, and where dy or y has another
            shape than its output.

    """
    x, y, dy = operands(name, ("the input", "the output", "the output gradient"), x, y, dy)
    dims = _dims(name, x.shape, kernel, output_size, output_ratio, samples, seed)
    return max_pool_gradient(name, dims, x, y, dy)

"""How a convolution would be computed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike

from numbacnn._jit import get_num_threads
from numbacnn.dims import ConvDims, Ints, Padding
from numbacnn.errors import ArgumentError, DTypeError, message
from numbacnn.kernels.cpu.choice import PASSES
from numbacnn.kernels.cpu.explain import Explanation, explain_pass


def explain(
    input_shape: Sequence[int],
    kernel_shape: Sequence[int],
    *,
    pass_: str = "forward",
    stride: Ints = 1,
    padding: Padding = "valid",
    dilation: Ints = 1,
    groups: int = 1,
    dtype: DTypeLike = np.float32,
    threads: int | None = None,
    kept: bool = False,
    name: str = "explain",
) -> Explanation:
    """Say how a pass of a convolution is computed: algorithm, tile, blocking, workspace, predicted speed.

    Args:
        input_shape: ``(n, *in, c_in)``.
        kernel_shape: ``(*k, c_in / groups, c_out)``.
        pass_: ``"forward"``, ``"data"`` (the gradient by the input) or ``"weights"``.
        stride: as in `conv_forward`.
        padding: as in `conv_forward`.
        dilation: as in `conv_forward`.
        groups: as in `conv_forward`.
        dtype: float32 or float64.
        threads: how many take part; None for as many as kernels use now.
        kept: the kernel is a read-only array, whose packed form is kept between calls.
        name: the operation that errors name.

    Returns:
        The explanation, which prints as a small table.

    Raises:
        ShapeError, ArgumentError: as `conv_forward`; another pass; threads below 1.
        DTypeError: another type than float32 and float64.

    """
    if pass_ not in PASSES:
        expected = f"a pass of {', '.join(PASSES)}"
        raise ArgumentError(message(name, expected, repr(pass_), "choose one of these"))
    if np.dtype(dtype) not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise DTypeError(message(name, "float32 or float64", str(np.dtype(dtype)), "choose one of these"))
    if threads is not None and (not isinstance(threads, int) or threads < 1):
        raise ArgumentError(message(name, "threads of 1 or more", repr(threads), "pass None for the default"))
    dims = ConvDims.of(input_shape, kernel_shape, stride, padding, dilation, groups, name)
    return explain_pass(dims, pass_, np.dtype(dtype), threads or get_num_threads(), kept)

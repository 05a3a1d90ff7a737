"""Convolution on the CPU: forward, transposed, and the gradients by data and by weights.

Arrays are C-contiguous and channels last, of one dtype, float32 or float64, as ``ConvDims`` states them;
nothing is checked here, and what is written is written whole.
"""

from __future__ import annotations

import numpy as np

from ...config import config
from ...dims import ConvDims
from ...epilogue import Activation
from ...memory import buffer_pool
from . import dense, depthwise, passes, small_product
from .choice import Choice, choose, product_rows, sampled, turned
from .finish import Finish, as_it_is, finish_of
from .kept import constant, kept_kernels


def _choose(dims: ConvDims, pass_: str, x: np.ndarray, kept: bool = False) -> Choice:
    """Winograd's method loses digits: those who choose float64 want them."""
    return choose(dims, pass_, passes.lanes_of(x), config.winograd and x.itemsize == 4, kept)


def _products(dims: ConvDims, x: np.ndarray, w: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, ...]:
    """The arrays of a convolution that is a plain product, as matrices."""
    rows = product_rows(dims)
    return x.reshape(rows, -1), w.reshape(-1, dims.c_out), y.reshape(rows, -1)


def _sample(dims: ConvDims, x: np.ndarray) -> np.ndarray:
    """Return the pixels that a strided kernel of one pixel reads, side by side."""
    steps = tuple(slice(0, (o - 1) * s + 1, s) for o, s in zip(dims.out_, dims.stride_, strict=True))
    pixels = buffer_pool.array((dims.n, *dims.out_, dims.c_in), x.dtype)
    np.copyto(pixels, x[(slice(None), *steps)])
    return pixels


def _correlate(
    dims: ConvDims, backward: bool, x: np.ndarray, w: np.ndarray, b: np.ndarray | None, y: np.ndarray,
    finish: Finish | None = None,
) -> None:  # fmt: skip
    """Write the forward pass or the data gradient, finished where there is something after it."""
    if dims.n == 0:
        return  # nothing to write
    kept = constant(w)
    if not kept and kept_kernels.bytes:
        kept_kernels.forget(w)  # it was read-only once, and changes
    choice = _choose(dims, "data" if backward else "forward", x, kept)
    finish = finish or as_it_is(x)
    if choice.algorithm == "winograd":
        passes.winograd_correlation(dims, backward, choice.m, kept, x, w, b, finish, y)
    elif choice.algorithm == "direct" or (backward and b is not None):
        passes.direct_correlation(dims, backward, kept, x, w, b, finish, y)
    elif choice.algorithm == "depthwise":
        depthwise.depthwise_correlation(dims, backward, x, w, b, finish, y)
    elif backward:
        dense.dense_backward_data(*_products(dims, x, w, y))
    else:
        x, w, y = _products(dims, x, w, y)  # of few samples, or it were direct
        small_product.small_product_forward(x, w, b, finish, y)


def conv_forward(
    dims: ConvDims,
    x: np.ndarray,  # (n, *in, c_in) read
    w: np.ndarray,  # (*k, c_in / groups, c_out) read
    b: np.ndarray | None,  # (c_out,) read, or None
    y: np.ndarray,  # (n, *out, c_out) written
) -> None:
    """``y[o, c] = b[c] + sum over taps t and inputs i of x[o*stride - pad + t*dilation, i] * w[t, i, c]``."""
    _correlate(dims, False, x, w, b, y)


def conv_forward_fused(
    dims: ConvDims,
    x: np.ndarray,  # (n, *in, c_in) read
    w: np.ndarray,  # (*k, c_in / groups, c_out) read
    b: np.ndarray | None,  # (c_out,) read, or None
    scale: np.ndarray | None,  # (c_out,) read, or None
    residual: np.ndarray | None,  # (n, *out, c_out) read, or None
    activation: Activation | None,
    y: np.ndarray,  # (n, *out, c_out) written
) -> None:
    """``y = activation(scale conv(x, w) + b + residual)``, while results are in the cache."""
    finish = finish_of(x, scale, b, residual, activation)
    _correlate(dims, False, x, w, b if scale is None else None, y, finish)


def conv_backward_data(
    dims: ConvDims,
    dy: np.ndarray,  # (n, *out, c_out) read
    w: np.ndarray,  # (*k, c_in / groups, c_out) read
    dx: np.ndarray,  # (n, *in, c_in) written
) -> None:
    """``dx[p, i] = sum over c, o and t with o*stride - pad + t*dilation = p of dy[o, c] * w[t, i, c]``."""
    _correlate(dims, True, dy, w, None, dx)


def conv_transpose_forward(
    dims: ConvDims,  # of the convolution whose data gradient it is
    x: np.ndarray,  # (n, *out, c_out) of the dims, read
    w: np.ndarray,  # (*k, c_in / groups, c_out) read
    b: np.ndarray | None,  # (c_in,) read, or None
    y: np.ndarray,  # (n, *in, c_in) written
) -> None:
    """``y[p, i] = b[i] + sum of x[o, c] * w[t, i, c] over c, o and t with o*stride - pad + t*dilation = p``.

    The data gradient of a convolution, with a bias.
    """
    _correlate(dims, True, x, w, b, y)


def conv_backward_weights(
    dims: ConvDims,
    x: np.ndarray,  # (n, *in, c_in) read
    dy: np.ndarray,  # (n, *out, c_out) read
    dw: np.ndarray,  # (*k, c_in / groups, c_out) written
) -> None:
    """``dw[t, i, c] = sum over outputs o of x[o * stride - pad + t * dilation, i] * dy[o, c]``."""
    if dims.n == 0:
        dw.fill(0)
        return
    if product := sampled(dims):
        x, dims = _sample(dims, x), product
    choice = _choose(dims, "weights", x)
    if choice.algorithm == "winograd":
        passes.winograd_weights(dims, choice.m, x, dy, dw)
    elif choice.algorithm == "depthwise":
        depthwise.depthwise_backward_weights(dims, x, dy, dw)
    elif choice.algorithm == "product":
        x, dw, dy = _products(dims, x, dw, dy)
        dense.dense_backward_weights(x, dy, dw)
    elif across := turned(dims, passes.lanes_of(x)):
        columns = buffer_pool.array(across.kernel_shape, x.dtype)
        passes.direct_weights(across, dy, x, columns)
        np.copyto(dw.reshape(dims.c_in, dims.c_out), columns.reshape(dims.c_out, dims.c_in).T)
    else:
        passes.direct_weights(dims, x, dy, dw)

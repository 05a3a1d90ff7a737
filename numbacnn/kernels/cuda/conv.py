"""Convolution on the GPU: forward, transposed, and the gradients by data and by weights.

Device arrays are C-contiguous and channels last, of one dtype: float32, float64, float16 or bfloat16;
nothing is checked here, and what is written is written whole.  Sums are of float32, of float64 for float64.
Whether float32 operands are rounded to TF32 is `config.precision`'s choice.
"""

from __future__ import annotations

from ...config import config
from ...dims import ConvDims
from ...epilogue import Activation
from .memory import DeviceArray
from .pass_ import correlate, correlate_weights


def _tf32() -> bool:
    return config.precision != "exact"


def conv_forward(
    dims: ConvDims,
    x: DeviceArray,  # (n, *in, c_in) read
    w: DeviceArray,  # (*k, c_in / groups, c_out) read
    b: DeviceArray | None,  # (c_out,) read, or None
    y: DeviceArray,  # (n, *out, c_out) written
) -> None:
    """``y[o, c] = b[c] + sum over taps t and inputs i of x[o*stride - pad + t*dilation, i] * w[t, i, c]``."""
    correlate(dims, False, _tf32(), x, w, b, None, None, None, y)


def conv_forward_fused(
    dims: ConvDims,
    x: DeviceArray,  # (n, *in, c_in) read
    w: DeviceArray,  # (*k, c_in / groups, c_out) read
    b: DeviceArray | None,  # (c_out,) read, or None
    scale: DeviceArray | None,  # (c_out,) read, or None
    residual: DeviceArray | None,  # (n, *out, c_out) read, or None
    activation: Activation | None,
    y: DeviceArray,  # (n, *out, c_out) written
) -> None:
    """``y = activation(scale conv(x, w) + b + residual)``, while results are in registers."""
    correlate(dims, False, _tf32(), x, w, b, scale, residual, activation, y)


def conv_backward_data(
    dims: ConvDims,
    dy: DeviceArray,  # (n, *out, c_out) read
    w: DeviceArray,  # (*k, c_in / groups, c_out) read
    dx: DeviceArray,  # (n, *in, c_in) written
) -> None:
    """``dx[p, i] = sum over c, o and t with o*stride - pad + t*dilation = p of dy[o, c] * w[t, i, c]``."""
    correlate(dims, True, _tf32(), dy, w, None, None, None, None, dx)


def conv_transpose_forward(
    dims: ConvDims,  # of the convolution whose data gradient it is
    x: DeviceArray,  # (n, *out, c_out) of the dims, read
    w: DeviceArray,  # (*k, c_in / groups, c_out) read
    b: DeviceArray | None,  # (c_in,) read, or None
    y: DeviceArray,  # (n, *in, c_in) written
) -> None:
    """``y[p, i] = b[i] + sum of x[o, c] * w[t, i, c] over c, o and t with o*stride - pad + t*dilation = p``.

    The data gradient of a convolution, with a bias.
    """
    correlate(dims, True, _tf32(), x, w, b, None, None, None, y)


def conv_backward_weights(
    dims: ConvDims,
    x: DeviceArray,  # (n, *in, c_in) read
    dy: DeviceArray,  # (n, *out, c_out) read
    dw: DeviceArray,  # (*k, c_in / groups, c_out) written
) -> None:
    """``dw[t, i, c] = sum over outputs o of x[o * stride - pad + t * dilation, i] * dy[o, c]``."""
    correlate_weights(dims, _tf32(), x, dy, dw)

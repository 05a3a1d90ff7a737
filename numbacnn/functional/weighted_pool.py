"""Average pooling under a Gaussian window, over one to three spatial axes, and its gradient."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from numbacnn.dims import Ints, Padding, PoolDims
from numbacnn.errors import ArgumentError, message
from numbacnn.functional._checks import Operand, fresh, operands, require_shape
from numbacnn.functional._twins import Twins
from numbacnn.kernels.cpu import weighted_pool as _cpu
from numbacnn.tensor import Tensor

kernels = Twins(_cpu)

_FROM_FORWARD = "pass the gradient by what the forward pass returned"


def gaussian_weights(
    name: str, dims: PoolDims, sigma: float | Sequence[float]
) -> tuple[tuple[float, ...], ...]:
    """Weights ``exp(-d^2 / (2 sigma^2))`` per axis, of taps d pixels from the window's centre."""
    each = [sigma] * dims.rank if isinstance(sigma, (int, float, np.integer, np.floating)) else list(sigma)
    real = all(isinstance(s, (int, float, np.integer, np.floating)) and 0 < s < math.inf for s in each)
    if len(each) != dims.rank or not real:
        expected = f"sigma as one number of pixels or {dims.rank}, each above 0"
        raise ArgumentError(message(name, expected, repr(sigma), "pass such as sigma=1.0"))
    weights = tuple(
        tuple(math.exp(-(((t - (k - 1) / 2) * d / s) ** 2) / 2) for t in range(k))
        for k, d, s in zip(dims.k_, dims.dilation_, each, strict=True)
    )
    if min(map(min, weights)) < np.finfo(np.float32).tiny:
        expected = f"a sigma that gives every tap of {dims.k_} a weight"
        raise ArgumentError(message(name, expected, repr(sigma), "use a smaller kernel or a larger sigma"))
    return weights


def gaussian_pool_forward(
    x: Operand,  # (n, *in, c)
    kernel: Ints,
    *,
    sigma: float | Sequence[float],
    stride: Ints | None = None,
    padding: Padding = "valid",
    dilation: Ints = 1,
    ceil_mode: bool = False,
    name: str = "gaussian_pool_forward",
) -> Tensor:
    """``y[n, o, c] = sum of w_t x[n, o stride - pad + t dilation, c] / sum of w_t``, t over taps at pixels.

    ``w_t = exp(-d_t^2 / (2 sigma^2))`` with d_t the distance of the tap from the window's centre.

    Args:
        x: batch ``(n, *in, c)`` with 1 to 3 spatial axes, float32 or float64; n may be 0.
        kernel: as in `max_pool_forward`.
        sigma: width in pixels, above 0, one number for all axes or one per axis.
        stride: as in `max_pool_forward`.
        padding: as in `conv_forward`; weights in the padding do not count, so that the average of ones is 1.
        dilation: as in `max_pool_forward`.
        ceil_mode: as in `max_pool_forward`.
        name: the layer or operation that errors name.

    Returns:
        ``(n, *out, c)``, of the size of `max_pool_forward`.

    Raises:
        ShapeError, DTypeError: as `max_pool_forward`.
        ArgumentError: as `max_pool_forward`, and where sigma is outside its domain or so small that the
            weight of a tap vanishes.

    """
    (x,) = operands(name, ("the input",), x)
    dims = PoolDims.of(x.shape, kernel, stride, padding, dilation, name, ceil_mode)
    weights = gaussian_weights(name, dims, sigma)
    y = fresh(dims.output_shape, x)
    kernels.on(x).weighted_pool_forward(dims, x, y, weights)
    return Tensor(y)


def gaussian_pool_backward(
    dy: Operand,  # (n, *out, c)
    input_shape: Sequence[int],
    kernel: Ints,
    *,
    sigma: float | Sequence[float],
    stride: Ints | None = None,
    padding: Padding = "valid",
    dilation: Ints = 1,
    ceil_mode: bool = False,
    name: str = "gaussian_pool_backward",
) -> Tensor:
    """``dx[n, p, c] = sum of w_t dy[n, o, c] / sum of w over the windows o whose tap t meets p``.

    Args:
        dy: gradient by the output, ``(n, *out, c)``, float32 or float64.
        input_shape: ``(n, *in, c)`` of the forward pass's input.
        kernel: as in `max_pool_forward`.
        sigma: as in `gaussian_pool_forward`.
        stride: as in `max_pool_forward`.
        padding: as in `conv_forward`.
        dilation: as in `max_pool_forward`.
        ceil_mode: as in `max_pool_forward`.
        name: the layer or operation that errors name.

    Returns:
        Gradient by the input, ``(n, *in, c)``.

    Raises:
        ShapeError, DTypeError, ArgumentError: as `gaussian_pool_forward`, and where dy has another shape than
            the output.

    """
    (dy,) = operands(name, ("the output gradient",), dy)
    dims = PoolDims.of(input_shape, kernel, stride, padding, dilation, name, ceil_mode)
    weights = gaussian_weights(name, dims, sigma)
    require_shape(name, "an output gradient", dy, dims.output_shape, _FROM_FORWARD)
    dx = fresh(dims.input_shape, dy)
    kernels.on(dy).weighted_pool_backward(dims, dy, dx, weights)
    return Tensor(dx)

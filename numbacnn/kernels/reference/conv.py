"""Convolution and its gradients, tap by tap."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from numbacnn.dims import ConvDims
from numbacnn.epilogue import Activation

from .activated import activated
from .window import Array, crop, double, pad, padded_zeros, taps


def _groups(dims: ConvDims) -> Iterator[tuple[slice, slice]]:
    """The input and the output channels of each group."""
    ins, outs = dims.c_in // dims.groups, dims.c_out // dims.groups
    for g in range(dims.groups):
        yield slice(g * ins, (g + 1) * ins), slice(g * outs, (g + 1) * outs)


def conv_forward(
    dims: ConvDims,
    x: Array,  # (n, *in, c_in) read
    w: Array,  # (*k, c_in / groups, c_out) read
    b: Array | None,  # (c_out,) read, or None for no bias
    y: Array,  # (n, *out, c_out) written
) -> None:
    """``y[n, o, j] = b[j] + sum over taps t, channels i of x[n, o stride - pad + t dilation, i] w[t, i, j]``.

    Cross-correlation, which neural networks call convolution. Channels i and j are of one group.
    """
    padded = pad(dims, x)
    total = np.zeros(dims.output_shape)
    for tap, pixels in taps(dims):
        for ins, outs in _groups(dims):
            total[..., outs] += padded[pixels][..., ins] @ double(w[tap][:, outs])
    y[...] = total if b is None else total + b


def conv_forward_fused(
    dims: ConvDims,
    x: Array,  # (n, *in, c_in) read
    w: Array,  # (*k, c_in / groups, c_out) read
    b: Array | None,  # (c_out,) read, or None for no bias
    scale: Array | None,  # (c_out,) read, or None for 1
    residual: Array | None,  # (n, *out, c_out) read, or None for 0
    activation: Activation | None,
    y: Array,  # (n, *out, c_out) written
) -> None:
    """``y = activation(scale conv(x, w) + b + residual)``."""
    total = np.zeros(dims.output_shape)
    conv_forward(dims, x, w, None, total)
    if scale is not None:
        total *= scale
    for more in (b, residual):
        if more is not None:
            total += more
    y[...] = activated(total, activation)


def conv_backward_data(
    dims: ConvDims,
    dy: Array,  # (n, *out, c_out) read
    w: Array,  # (*k, c_in / groups, c_out) read
    dx: Array,  # (n, *in, c_in) written
) -> None:
    """``dx[n, p, i] = sum of dy[n, o, j] w[t, i, j] over j, o, t with o stride - pad + t dilation = p``."""
    padded = padded_zeros(dims)
    for tap, pixels in taps(dims):
        for ins, outs in _groups(dims):
            padded[pixels][..., ins] += double(dy[..., outs]) @ double(w[tap][:, outs]).T
    dx[...] = crop(dims, padded)


def conv_transpose_forward(
    dims: ConvDims,  # of the convolution whose data gradient it is
    x: Array,  # (n, *out, c_out) of the dims, read
    w: Array,  # (*k, c_in / groups, c_out) read
    b: Array | None,  # (c_in,) read, or None for no bias
    y: Array,  # (n, *in, c_in) written
) -> None:
    """``y[n, p, i] = b[i] + sum of x[n, o, j] w[t, i, j] over j, o, t with o stride - pad + t dilation = p``.

    The data gradient of a convolution, with a bias.
    """
    conv_backward_data(dims, x, w, y)
    if b is not None:
        y += b


def conv_backward_weights(
    dims: ConvDims,
    x: Array,  # (n, *in, c_in) read
    dy: Array,  # (n, *out, c_out) read
    dw: Array,  # (*k, c_in / groups, c_out) written
) -> None:
    """``dw[t, i, j] = sum over n and o of x[n, o stride - pad + t dilation, i] dy[n, o, j]``."""
    padded = pad(dims, x)
    for tap, pixels in taps(dims):
        for ins, outs in _groups(dims):
            met = padded[pixels][..., ins].reshape(-1, ins.stop - ins.start)
            dw[tap][:, outs] = met.T @ double(dy[..., outs]).reshape(-1, outs.stop - outs.start)

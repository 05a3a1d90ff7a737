"""The oracle: every kernel in plain NumPy and float64, as slow and as obvious as its formula.

Arrays are C-contiguous and channels last; all of a call have one element type, float32 or float64, but for
integer targets and masks. Each function writes its last array arguments, computes in float64 whatever the
element type, and validates nothing. The kernels in ``kernels/cpu`` have the same names and parameters.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from numbacnn.dims import ConvDims, PoolDims

Array = NDArray[np.floating]


# --- windows


def _double(x: NDArray) -> NDArray[np.float64]:
    return np.asarray(x, dtype=np.float64)


def _taps(dims: ConvDims | PoolDims) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...]]]:
    """Each tap of the window, in row-major order, with the pixels of the padded input that it meets."""
    for tap in np.ndindex(*dims.k_):
        starts = [t * d for t, d in zip(tap, dims.dilation_, strict=True)]
        ends = [a + (o - 1) * s + 1 for a, o, s in zip(starts, dims.out_, dims.stride_, strict=True)]
        pixels = (slice(a, b, s) for a, b, s in zip(starts, ends, dims.stride_, strict=True))
        yield tap, (slice(None), *pixels)


def _pad(dims: ConvDims | PoolDims, x: NDArray, fill: float = 0.0) -> NDArray[np.float64]:
    """The input as float64 with its padding around it."""
    ends = zip(dims.pad_lo_, dims.pad_hi_, strict=True)
    return np.pad(_double(x), [(0, 0), *ends, (0, 0)], constant_values=fill)


def _crop(dims: ConvDims | PoolDims, padded: NDArray) -> NDArray:
    """The input without its padding."""
    inside = (slice(lo, lo + size) for lo, size in zip(dims.pad_lo_, dims.in_, strict=True))
    return padded[(slice(None), *inside)]


def _padded_zeros(dims: ConvDims | PoolDims) -> NDArray[np.float64]:
    return _pad(dims, np.zeros(dims.input_shape))


# --- convolution


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
    padded = _pad(dims, x)
    total = np.zeros(dims.output_shape)
    for tap, pixels in _taps(dims):
        for ins, outs in _groups(dims):
            total[..., outs] += padded[pixels][..., ins] @ _double(w[tap][:, outs])
    y[...] = total if b is None else total + b


def conv_backward_data(
    dims: ConvDims,
    dy: Array,  # (n, *out, c_out) read
    w: Array,  # (*k, c_in / groups, c_out) read
    dx: Array,  # (n, *in, c_in) written
) -> None:
    """``dx[n, p, i] = sum of dy[n, o, j] w[t, i, j] over j, o, t with o stride - pad + t dilation = p``."""
    padded = _padded_zeros(dims)
    for tap, pixels in _taps(dims):
        for ins, outs in _groups(dims):
            padded[pixels][..., ins] += _double(dy[..., outs]) @ _double(w[tap][:, outs]).T
    dx[...] = _crop(dims, padded)


def conv_backward_weights(
    dims: ConvDims,
    x: Array,  # (n, *in, c_in) read
    dy: Array,  # (n, *out, c_out) read
    dw: Array,  # (*k, c_in / groups, c_out) written
) -> None:
    """``dw[t, i, j] = sum over n and o of x[n, o stride - pad + t dilation, i] dy[n, o, j]``."""
    padded = _pad(dims, x)
    for tap, pixels in _taps(dims):
        for ins, outs in _groups(dims):
            met = padded[pixels][..., ins].reshape(-1, ins.stop - ins.start)
            dw[tap][:, outs] = met.T @ _double(dy[..., outs]).reshape(-1, outs.stop - outs.start)


def bias_backward(
    dy: Array,  # (..., c) read
    db: Array,  # (c,) written
) -> None:
    """``db[j] = sum of dy[..., j]``, over all axes but the last."""
    db[...] = _double(dy).sum(axis=tuple(range(dy.ndim - 1)))


# --- dense


def dense_forward(
    x: Array,  # (n, f) read
    w: Array,  # (f, k) read
    b: Array | None,  # (k,) read, or None for no bias
    y: Array,  # (n, k) written
) -> None:
    """``y = x w + b``."""
    product = _double(x) @ _double(w)
    y[...] = product if b is None else product + b


def dense_backward_data(
    dy: Array,  # (n, k) read
    w: Array,  # (f, k) read
    dx: Array,  # (n, f) written
) -> None:
    """``dx = dy w^T``."""
    dx[...] = _double(dy) @ _double(w).T


def dense_backward_weights(
    x: Array,  # (n, f) read
    dy: Array,  # (n, k) read
    dw: Array,  # (f, k) written
) -> None:
    """``dw = x^T dy``."""
    dw[...] = _double(x).T @ _double(dy)


# --- pooling


def _windows(dims: PoolDims, x: NDArray, fill: float) -> NDArray[np.float64]:
    """What each tap meets: (taps, n, *out, c), with `fill` in the padding."""
    padded = _pad(dims, x, fill)
    return np.stack([padded[pixels] for _, pixels in _taps(dims)])


def _is_pixel(dims: PoolDims) -> NDArray[np.bool_]:
    """Whether each tap meets a pixel, and not padding: (taps, n, *out, c)."""
    return _windows(dims, np.ones(dims.input_shape), 0.0) == 1.0


def _counts(dims: PoolDims, count_include_pad: bool) -> NDArray[np.float64]:
    """By what each window's sum is divided: (n, *out, c)."""
    pixels = _is_pixel(dims)
    return (
        np.full(dims.output_shape, len(pixels), float)
        if count_include_pad
        else pixels.sum(axis=0, dtype=float)
    )


def max_pool_forward(
    dims: PoolDims,
    x: Array,  # (n, *in, c) read
    y: Array,  # (n, *out, c) written
) -> None:
    """``y[n, o, c] = max over the window of o``; padding never wins, NaN wins as in ``np.max``."""
    y[...] = _windows(dims, x, -np.inf).max(axis=0)


def max_pool_backward(
    dims: PoolDims,
    x: Array,  # (n, *in, c) read
    y: Array,  # (n, *out, c) read: what the forward pass wrote
    dy: Array,  # (n, *out, c) read
    dx: Array,  # (n, *in, c) written
) -> None:
    """``dx[n, p, c] = sum of dy[n, o, c] over the windows o whose first maximal pixel is p``.

    First in row-major order. Where the maximum is NaN, the first NaN counts as the maximal pixel.
    """
    values, top = _windows(dims, x, -np.inf), _double(y)
    maximal = ((values == top) | (np.isnan(values) & np.isnan(top))) & _is_pixel(dims)
    winner = maximal.argmax(axis=0)
    padded = _padded_zeros(dims)
    for index, (_, pixels) in enumerate(_taps(dims)):
        padded[pixels] += np.where(winner == index, _double(dy), 0.0)
    dx[...] = _crop(dims, padded)


def avg_pool_forward(
    dims: PoolDims,
    x: Array,  # (n, *in, c) read
    y: Array,  # (n, *out, c) written
    count_include_pad: bool,
) -> None:
    """``y[n, o, c] = sum of the window of o / count``: count of its taps, or of those that meet a pixel."""
    y[...] = _windows(dims, x, 0.0).sum(axis=0) / _counts(dims, count_include_pad)


def avg_pool_backward(
    dims: PoolDims,
    dy: Array,  # (n, *out, c) read
    dx: Array,  # (n, *in, c) written
    count_include_pad: bool,
) -> None:
    """``dx[n, p, c] = sum of dy[n, o, c] / count over the windows o that hold p``."""
    share = _double(dy) / _counts(dims, count_include_pad)
    padded = _padded_zeros(dims)
    for _, pixels in _taps(dims):
        padded[pixels] += share
    dx[...] = _crop(dims, padded)


# --- elementwise: any shape, one shape


def relu_forward(x: Array, y: Array) -> None:
    """``y = max(x, 0)``; NaN stays NaN."""
    y[...] = np.maximum(x, 0.0)


def relu_backward(y: Array, dy: Array, dx: Array) -> None:
    """``dx = dy where y > 0, else 0``."""
    dx[...] = np.where(y > 0.0, dy, 0.0)


def sigmoid_forward(x: Array, y: Array) -> None:
    """``y = 1 / (1 + exp(-x))``, written so that no exponential overflows."""
    small = np.exp(-np.abs(_double(x)))
    y[...] = np.where(x >= 0.0, 1.0, small) / (1.0 + small)


def sigmoid_backward(y: Array, dy: Array, dx: Array) -> None:
    """``dx = dy y (1 - y)``."""
    dx[...] = _double(dy) * y * (1.0 - _double(y))


def tanh_forward(x: Array, y: Array) -> None:
    """``y = tanh(x)``."""
    y[...] = np.tanh(_double(x))


def tanh_backward(y: Array, dy: Array, dx: Array) -> None:
    """``dx = dy (1 - y^2)``."""
    dx[...] = _double(dy) * (1.0 - _double(y) ** 2)


def dropout_forward(x: Array, mask: NDArray[np.uint8], scale: float, y: Array) -> None:
    """``y = x mask scale``, with 0 or 1 in the mask."""
    y[...] = _double(x) * mask * scale


def dropout_backward(dy: Array, mask: NDArray[np.uint8], scale: float, dx: Array) -> None:
    """``dx = dy mask scale``."""
    dx[...] = _double(dy) * mask * scale


def add(x: Array, y: Array, out: Array) -> None:
    """``out = x + y``."""
    out[...] = _double(x) + _double(y)


# --- softmax and losses


def _log_softmax(x: NDArray) -> NDArray[np.float64]:
    shifted = _double(x) - _double(x).max(axis=-1, keepdims=True)  # so that no exponential overflows
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def _smoothed(target: NDArray, classes: int, smoothing: float) -> NDArray[np.float64]:
    """Targets as probabilities, (n, k), with the share `smoothing` spread over all classes."""
    probabilities = np.eye(classes)[target] if target.ndim == 1 else _double(target)
    return (1.0 - smoothing) * probabilities + smoothing / classes


def softmax_forward(
    x: Array,  # (..., k) read
    y: Array,  # (..., k) written
) -> None:
    """``y[..., j] = exp(x[..., j]) / sum over l of exp(x[..., l])``."""
    y[...] = np.exp(_log_softmax(x))


def softmax_backward(
    y: Array,  # (..., k) read: what the forward pass wrote
    dy: Array,  # (..., k) read
    dx: Array,  # (..., k) written
) -> None:
    """``dx[..., j] = y[..., j] (dy[..., j] - sum over l of dy[..., l] y[..., l])``."""
    weighted = _double(dy) * _double(y)
    dx[...] = weighted - _double(y) * weighted.sum(axis=-1, keepdims=True)


def softmax_cross_entropy_forward(
    x: Array,  # (n, k) read
    target: NDArray,  # (n,) int64 classes, or (n, k) probabilities of the element type of x; read
    smoothing: float,
    loss: Array,  # (n,) written
    p: Array,  # (n, k) written
) -> None:
    """``p = softmax(x)``, ``loss[n] = -sum over j of t[n, j] log p[n, j]``, ``t = (1-s) target + s / k``."""
    log_p = _log_softmax(x)
    loss[...] = -(_smoothed(target, x.shape[1], smoothing) * log_p).sum(axis=1)
    p[...] = np.exp(log_p)


def softmax_cross_entropy_backward(
    p: Array,  # (n, k) read: what the forward pass wrote
    target: NDArray,  # (n,) or (n, k) read
    smoothing: float,
    scale: float,
    dx: Array,  # (n, k) written
) -> None:
    """``dx = scale (p - t)``: the gradient of ``scale sum(loss)`` for targets that sum to 1."""
    dx[...] = scale * (_double(p) - _smoothed(target, p.shape[1], smoothing))


def mean_squared_error_forward(
    x: Array,  # (n, ...) read
    target: Array,  # (n, ...) read
    loss: Array,  # (n,) written
) -> None:
    """``loss[n] = mean of (x[n, ...] - target[n, ...])^2``."""
    loss[...] = ((_double(x) - _double(target)) ** 2).mean(axis=tuple(range(1, x.ndim)))


def mean_squared_error_backward(
    x: Array,  # (n, ...) read
    target: Array,  # (n, ...) read
    scale: float,
    dx: Array,  # (n, ...) written
) -> None:
    """``dx[n, ...] = 2 scale (x - target) / m``, m values per item: the gradient of ``scale sum(loss)``."""
    per_item = np.prod(x.shape[1:])
    dx[...] = 2.0 * scale * (_double(x) - _double(target)) / per_item


# --- optimizers: flat arrays of one size; w, its state and a penalised g are updated in place, from state 0


def sgd_update(w: Array, g: Array, velocity: Array, lr: float, momentum: float, nesterov: bool) -> None:
    """``v = momentum v + g``, ``w = w - lr v``; with Nesterov, ``w = w - lr (g + momentum v)``."""
    v = momentum * _double(velocity) + g
    w[...] = w - lr * (g + momentum * v if nesterov else v)
    velocity[...] = v


def rmsprop_update(w: Array, g: Array, square: Array, lr: float, rho: float, eps: float) -> None:
    """``s = rho s + (1 - rho) g^2``, ``w = w - lr g / (sqrt(s) + eps)``. Hinton's lecture 6e, 2012."""
    s = rho * _double(square) + (1.0 - rho) * _double(g) ** 2
    w[...] = w - lr * _double(g) / (np.sqrt(s) + eps)
    square[...] = s


def adam_update(
    w: Array,
    g: Array,
    m: Array,
    v: Array,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    decay: float,
    step: int,
) -> None:
    """``w = (1 - lr decay) w - lr m' / (sqrt(v') + eps)``: the moments, freed of their start at 0.

    ``m = beta1 m + (1 - beta1) g``, ``m' = m / (1 - beta1^step)``; v alike of ``g^2``. step counts from 1.
    Kingma and Ba, "Adam", ICLR 2015, algorithm 1; the decay is Loshchilov and Hutter's, ICLR 2019.
    """
    mean = beta1 * _double(m) + (1.0 - beta1) * _double(g)
    square = beta2 * _double(v) + (1.0 - beta2) * _double(g) ** 2
    unbiased_mean, unbiased_square = mean / (1.0 - beta1**step), square / (1.0 - beta2**step)
    w[...] = (1.0 - lr * decay) * _double(w) - lr * unbiased_mean / (np.sqrt(unbiased_square) + eps)
    m[...], v[...] = mean, square


def add_penalty(w: Array, g: Array, l1: float, l2: float) -> None:
    """``g = g + l1 sign(w) + l2 w``: the gradient of `penalty_value`."""
    g[...] = g + l1 * np.sign(_double(w)) + l2 * _double(w)


def penalty_value(w: Array, l1: float, l2: float) -> float:
    """``l1 sum(|w|) + l2 / 2 sum(w^2)``."""
    return float(l1 * np.abs(_double(w)).sum() + l2 / 2.0 * (_double(w) ** 2).sum())

"""The outside truth: SciPy's correlations and filters in float64, one channel at a time."""

from collections.abc import Iterator
from functools import reduce
from itertools import product

import numpy as np
from scipy import ndimage, signal

from numbacnn.dims import ConvDims, PoolDims


def padded(dims: ConvDims | PoolDims, x: np.ndarray, fill: float = 0.0) -> np.ndarray:
    """The input in float64 with `fill` around it."""
    ends = [(0, 0), *zip(dims.pad_lo_, dims.pad_hi_, strict=True), (0, 0)]
    return np.pad(x.astype(np.float64), ends, constant_values=fill)


def spread(x: np.ndarray, steps: tuple[int, ...]) -> np.ndarray:
    """The values `steps` apart, zeros between them."""
    out = np.zeros([(size - 1) * step + 1 for size, step in zip(x.shape, steps, strict=True)])
    out[tuple(slice(None, None, step) for step in steps)] = x
    return out


def every(steps: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(slice(None, None, step) for step in steps)


def first(sizes: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(slice(size) for size in sizes)


def inside(dims: ConvDims | PoolDims) -> tuple[slice, ...]:
    return tuple(slice(lo, lo + size) for lo, size in zip(dims.pad_lo_, dims.in_, strict=True))


def channel_pairs(dims: ConvDims) -> Iterator[tuple[int, int, int, int]]:
    """Item, input channel, its index within its group, output channel: each pair that is connected."""
    ins, outs = dims.c_in // dims.groups, dims.c_out // dims.groups
    for n, g, i, j in product(range(dims.n), range(dims.groups), range(ins), range(outs)):
        yield n, g * ins + i, i, g * outs + j


def conv_forward(dims: ConvDims, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """A valid correlation with the dilated kernel, of which every stride-th pixel is kept."""
    y, source = np.zeros(dims.output_shape), padded(dims, x)
    for n, i, i_group, j in channel_pairs(dims):
        taps = spread(w[..., i_group, j], dims.dilation_)
        full = signal.correlate(source[n, ..., i], taps, mode="valid", method="direct")
        y[n, ..., j] += full[every(dims.stride_)]
    return y


def conv_backward_data(dims: ConvDims, dy: np.ndarray, w: np.ndarray) -> np.ndarray:
    """A full convolution of the spread gradient with the dilated kernel, cropped to the input."""
    dx = np.zeros(dims.input_shape)
    for n, i, i_group, j in channel_pairs(dims):
        taps = spread(w[..., i_group, j], dims.dilation_)
        full = signal.convolve(spread(dy[n, ..., j], dims.stride_), taps, mode="full", method="direct")
        canvas = np.zeros(padded(dims, dx).shape[1:-1])
        canvas[first(full.shape)] = full
        dx[n, ..., i] += canvas[inside(dims)]
    return dx


def conv_backward_weights(dims: ConvDims, x: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """A valid correlation of the input with the spread gradient, of which every dilation-th tap is kept."""
    dw, source = np.zeros(dims.kernel_shape), padded(dims, x)
    for n, i, i_group, j in channel_pairs(dims):
        gradient = spread(dy[n, ..., j], dims.stride_)
        full = signal.correlate(source[n, ..., i], gradient, mode="valid", method="direct")
        dw[..., i_group, j] += full[every(dims.dilation_)][first(dims.k_)]
    return dw


def windowed(dims: PoolDims, x: np.ndarray, fill: float = 0.0, past: float | None = None) -> np.ndarray:
    """The padded input, with `past` (or `fill`) where windows reach past it in ceil mode."""
    source = padded(dims, x, fill)
    reach = [(o - 1) * s + span for o, s, span in zip(dims.out_, dims.stride_, dims.span_, strict=True)]
    more = [(0, max(0, end - size)) for end, size in zip(reach, source.shape[1:-1], strict=True)]
    return np.pad(source, [(0, 0), *more, (0, 0)], constant_values=fill if past is None else past)


def _at_windows(dims: PoolDims, filtered: np.ndarray) -> np.ndarray:
    """Of a filter's result, centred on span // 2, the values where the windows lie."""
    starts = [span // 2 for span in dims.span_]
    ends = [a + (o - 1) * s + 1 for a, o, s in zip(starts, dims.out_, dims.stride_, strict=True)]
    return filtered[tuple(map(slice, starts, ends, dims.stride_))]


def _filtered(dims: PoolDims, source: np.ndarray, filter_image) -> np.ndarray:
    y = np.zeros(dims.output_shape)
    for n, c in product(range(dims.n), range(dims.c)):
        y[n, ..., c] = _at_windows(dims, filter_image(source[n, ..., c]))
    return y


def max_pool_forward(dims: PoolDims, x: np.ndarray) -> np.ndarray:
    window = spread(np.ones(dims.k_), dims.dilation_) > 0
    return _filtered(
        dims,
        windowed(dims, x, -np.inf),
        lambda image: ndimage.maximum_filter(image, footprint=window, mode="constant", cval=-np.inf),
    )


def avg_pool_forward(dims: PoolDims, x: np.ndarray, count_include_pad: bool) -> np.ndarray:
    window = spread(np.ones(dims.k_), dims.dilation_)
    pixels = windowed(dims, np.ones(dims.input_shape), float(count_include_pad), past=0.0)

    def total(image: np.ndarray) -> np.ndarray:
        return ndimage.correlate(image, window, mode="constant")

    return _filtered(dims, windowed(dims, x), total) / _filtered(dims, pixels, total)


def weighted_pool_forward(
    dims: PoolDims, x: np.ndarray, weights: tuple[tuple[float, ...], ...]
) -> np.ndarray:
    window = spread(reduce(np.multiply.outer, [np.array(w) for w in weights]), dims.dilation_)

    def total(image: np.ndarray) -> np.ndarray:
        return ndimage.correlate(image, window, mode="constant")

    pixels = windowed(dims, np.ones(dims.input_shape))
    return _filtered(dims, windowed(dims, x), total) / _filtered(dims, pixels, total)


def lp_pool_forward(dims: PoolDims, x: np.ndarray, p: float) -> np.ndarray:
    window = spread(np.ones(dims.k_), dims.dilation_)
    powers = np.abs(windowed(dims, x)) ** p
    return _filtered(dims, powers, lambda image: ndimage.correlate(image, window, mode="constant")) ** (1 / p)

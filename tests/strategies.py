"""Hypothesis strategies for geometry, with every field away from its default, and random arrays."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from numbacnn.dims import ConvDims, PoolDims
from numbacnn.pool_dims import WindowDims

_MARGIN = 64  # elements: more than a vector register holds

seeds = st.integers(0, 2**32 - 1)
dtypes = st.sampled_from([np.float32, np.float64])


@dataclass(frozen=True)
class ConvCase:
    """Dims, and the options that give them from the two shapes."""

    dims: ConvDims
    options: dict[str, Any]
    seed: int


@dataclass(frozen=True)
class PoolCase:
    """Dims, and the options that give them from the input's shape."""

    dims: PoolDims
    options: dict[str, Any]
    seed: int


def arrays(seed: int, *shapes: tuple[int, ...], dtype: Any = np.float64) -> list[np.ndarray]:
    """Independent standard normal arrays, with NaN before and after them in memory: a read beside is seen."""
    rng = np.random.default_rng(seed)
    results = []
    for shape in shapes:
        size = math.prod(shape)
        memory = np.full(size + 2 * _MARGIN, np.nan, dtype)
        array = memory[_MARGIN : _MARGIN + size].reshape(shape)
        array[...] = rng.standard_normal(shape)
        results.append(array)
    return results


def _window(draw: Any, rank: int, most_pad: int) -> tuple[tuple[int, ...], dict[str, Any], tuple[int, ...]]:
    """Taps, options and an input size that the taps fit in."""

    def per_axis(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.integers(low, high)) for _ in range(rank))

    k_, stride, dilation = per_axis(1, 4), per_axis(1, 3), per_axis(1, 3)
    low, high = per_axis(0, most_pad), per_axis(0, most_pad)
    pairs = tuple(zip(low, high, strict=True))
    padding = draw(st.sampled_from([pairs, pairs, pairs, "same", "valid"]))
    pads = (0,) * rank if padding == "valid" else tuple(map(sum, pairs))
    spans = [(k - 1) * d + 1 for k, d in zip(k_, dilation, strict=True)]
    least = [1 if padding == "same" else max(1, span - p) for span, p in zip(spans, pads, strict=True)]
    in_ = tuple(size + draw(st.integers(0, 6)) for size in least)
    return k_, {"stride": stride, "padding": padding, "dilation": dilation}, in_


@st.composite
def conv_cases(draw: Any, ranks: tuple[int, ...] = (1, 2, 3), most_channels: int = 7) -> ConvCase:
    """Convolutions that fit: uneven strides and pads, dilation with groups, sizes of 1, empty batches."""
    rank = draw(st.sampled_from(ranks))
    k_, options, in_ = _window(draw, rank, most_pad=3)
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    per_group = max(1, most_channels // groups)
    ins, outs = (draw(st.integers(1, per_group)) for _ in range(2))
    options["groups"] = groups
    x_shape = (draw(st.integers(0, 3)), *in_, groups * ins)
    dims = ConvDims.of(x_shape, (*k_, ins, groups * outs), **options)
    return ConvCase(dims, options, draw(seeds))


@st.composite
def pool_cases(draw: Any, ranks: tuple[int, ...] = (1, 2, 3), most_channels: int = 7) -> PoolCase:
    """Poolings whose windows each hold a pixel."""
    rank = draw(st.sampled_from(ranks))
    k_, options, in_ = _window(draw, rank, most_pad=0)
    if options["padding"] not in ("same", "valid"):  # pads below the kernel's size: no window is all padding
        options["dilation"] = (1,) * rank
        options["padding"] = tuple(tuple(draw(st.integers(0, k - 1)) for _ in range(2)) for k in k_)
    elif options["padding"] == "same":
        in_ = tuple(max(size, d + 1) for size, d in zip(in_, options["dilation"], strict=True))
    options["kernel"] = k_
    options["ceil_mode"] = draw(st.booleans())
    dims = PoolDims.of((draw(st.integers(0, 3)), *in_, draw(st.integers(1, most_channels))), **options)
    return PoolCase(dims, options, draw(seeds))


@dataclass(frozen=True)
class PadCase:
    """The input's shape, a pair per spatial axis, and the mode, as kernels name it."""

    shape: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]
    mode: str
    seed: int

    @property
    def padded(self) -> tuple[int, ...]:
        n, *in_, c = self.shape
        return (n, *(a + size + b for size, (a, b) in zip(in_, self.pads, strict=True)), c)


@st.composite
def pad_cases(draw: Any, most_channels: int = 70) -> PadCase:
    """Paddings that fit: uneven ends up to the most that the mode bears, and past it where it bears all."""
    mode = draw(st.sampled_from(["constant", "reflect", "replicate", "circular"]))
    in_ = tuple(draw(st.lists(st.integers(1, 7), min_size=1, max_size=3)))
    spare = {"reflect": 1, "circular": 0}.get(mode, -3)
    pads = tuple(tuple(draw(st.integers(0, size - spare)) for _ in range(2)) for size in in_)
    shape = (draw(st.integers(0, 3)), *in_, draw(st.integers(1, most_channels)))
    return PadCase(shape, pads, mode, draw(seeds))


@st.composite
def conv_transpose_cases(draw: Any, ranks: tuple[int, ...] = (1, 2, 3), most_channels: int = 7) -> ConvCase:
    """Transposed convolutions: output padding also past the stride, uneven pads, given outputs."""
    rank = draw(st.sampled_from(ranks))

    def per_axis(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.integers(low, high)) for _ in range(rank))

    k_, stride, dilation, in_ = per_axis(1, 4), per_axis(1, 3), per_axis(1, 3), per_axis(1, 5)
    options: dict[str, Any] = {"stride": stride, "dilation": dilation}
    full = [(i - 1) * s + (k - 1) * d + 1 for i, k, s, d in zip(in_, k_, stride, dilation, strict=True)]
    options["padding"] = draw(st.sampled_from(["pairs", "pairs", "valid", "same"]))
    if options["padding"] == "pairs":
        low = tuple(draw(st.integers(0, min(3, size - 1))) for size in full)
        high = tuple(draw(st.integers(0, min(3, f - 1 - a))) for f, a in zip(full, low, strict=True))
        options["padding"] = tuple(zip(low, high, strict=True))
    if options["padding"] != "same":
        options["output_padding"] = tuple(
            draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True)
        )
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    per_group = max(1, most_channels // groups)
    ins, outs = (draw(st.integers(1, per_group)) for _ in range(2))
    options["groups"] = groups
    x_shape = (draw(st.integers(0, 3)), *in_, groups * outs)
    w_shape = (*k_, ins, groups * outs)
    dims = ConvDims.transposed(x_shape, w_shape, **options)
    if draw(st.booleans()):
        options.pop("output_padding", None)
        options["output_shape"] = dims.in_
    return ConvCase(dims, options, draw(seeds))


@dataclass(frozen=True)
class ResizeCase:
    """Shapes, and the options as kernels take them."""

    shape: tuple[int, ...]
    resized: tuple[int, ...]
    mode: str
    align_corners: bool
    ratios: tuple[float, ...] | None
    seed: int

    @property
    def options(self) -> tuple[Any, ...]:
        return self.mode, self.align_corners, self.ratios


@st.composite
def resize_cases(draw: Any, most_channels: int = 70) -> ResizeCase:
    """Resizings up and down, other along each axis, with ratios from the sizes or near those."""
    in_ = tuple(draw(st.lists(st.integers(1, 8), min_size=1, max_size=3)))
    out_ = tuple(draw(st.integers(1, 12)) for _ in in_)
    mode, align_corners = draw(st.sampled_from([("nearest", False), ("linear", False), ("linear", True)]))
    near = st.sampled_from([0.8, 1.0, 1.3])
    drawn = tuple(size / out * draw(near) for size, out in zip(in_, out_, strict=True))
    ratios = draw(st.sampled_from([None, None, drawn]))
    n, c = draw(st.integers(0, 3)), draw(st.integers(1, most_channels))
    return ResizeCase((n, *in_, c), (n, *out_, c), mode, align_corners, ratios, draw(seeds))


@dataclass(frozen=True)
class ShuffleCase:
    """Shapes with many channels and with many pixels, and the block."""

    coarse: tuple[int, ...]
    fine: tuple[int, ...]
    block: tuple[int, ...]
    seed: int


@st.composite
def shuffle_cases(draw: Any, most_channels: int = 20) -> ShuffleCase:
    """Pixel shuffles with another block size along each axis."""
    in_ = tuple(draw(st.lists(st.integers(1, 5), min_size=1, max_size=3)))
    block = tuple(draw(st.integers(1, 4)) for _ in in_)
    n, c = draw(st.integers(0, 3)), draw(st.integers(1, most_channels))
    fine = tuple(size * b for size, b in zip(in_, block, strict=True))
    return ShuffleCase((n, *in_, c * math.prod(block)), (n, *fine, c), block, draw(seeds))


@st.composite
def window_dims(draw: Any, ranks: tuple[int, ...] = (1, 2, 3), most_channels: int = 7) -> WindowDims:
    """Adaptive and fractional windows: more outputs than pixels, overlaps, sizes of 1, empty batches."""
    rank = draw(st.sampled_from(ranks))
    kind = draw(st.sampled_from(["adaptive", "overlapping", "disjoint"]))
    in_ = tuple(draw(st.integers(1, 9)) for _ in range(rank))
    shape = (draw(st.integers(0, 3)), *in_, draw(st.integers(1, most_channels)))
    if kind == "adaptive":
        return WindowDims.adaptive(shape, tuple(draw(st.integers(1, 11)) for _ in range(rank)))
    kernel = tuple(draw(st.integers(1, min(3, size))) for size in in_) if kind == "overlapping" else None
    most = in_ if kernel is None else tuple(size - k + 1 for size, k in zip(in_, kernel, strict=True))
    out = tuple(draw(st.integers(1, size)) for size in most)
    samples = tuple(draw(st.floats(0, 1, exclude_max=True)) for _ in range(rank))
    return WindowDims.fractional(shape, out, samples, kernel)

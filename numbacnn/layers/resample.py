"""Layers that change the resolution without parameters, channels last: resizing and pixel shuffle."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from numbacnn import functional
from numbacnn.dims import Ints
from numbacnn.errors import ArgumentError, ShapeError, message
from numbacnn.layers.base import Layer, Shape, Training, frozen, per_axis, require_spatial
from numbacnn.receptive import ReceptiveField
from numbacnn.tensor import Tensor, as_tensor


class _Upsample(Layer):
    """What resizing shares: all but the number of axes."""

    rank: ClassVar[int]

    def __init__(
        self,
        scale: float | Sequence[float] | None = None,
        *,
        size: Ints | None = None,
        mode: str = "nearest",
        align_corners: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        if (scale is None) == (size is None):
            got = "neither" if scale is None else "both"
            raise ArgumentError(message(self.name, "scale or size", got, "pass one, such as scale=2"))
        if mode not in ("nearest", "linear"):
            expected = "mode 'nearest' or 'linear'"
            raise ArgumentError(message(self.name, expected, repr(mode), "choose one of them"))
        self.scale = None if scale is None else self._factors(scale)
        self.size = None if size is None else per_axis(self.name, "size", size, self.rank)
        self.mode = mode
        self.align_corners = bool(align_corners)
        if self.align_corners and mode == "nearest":
            expected = "align_corners with mode 'linear' only"
            raise ArgumentError(message(self.name, expected, "mode 'nearest'", "leave it out"))
        self._size: tuple[int, ...] = ()

    def _factors(self, scale: float | Sequence[float]) -> tuple[float, ...]:
        each: tuple[Any, ...] = frozen(scale) if isinstance(scale, (tuple, list)) else (scale,) * self.rank
        numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in each)
        if len(each) != self.rank or not numbers or not all(0 < v < math.inf for v in each):
            expected = f"scale as one finite number above 0 or {self.rank}"
            raise ArgumentError(message(self.name, expected, repr(scale), "pass such as scale=2"))
        return each

    def build(
        self, input_shape: Shape, rng: np.random.Generator | None, dtype: DTypeLike = np.float32
    ) -> Shape:
        """Infer the shapes for inputs ``(*in, channels)``."""
        input_shape = self._begin(input_shape)
        require_spatial(self.path, input_shape, self.rank)
        if self.size is None:
            factors = self.scale or ()
            self._size = tuple(math.floor(i * f) for i, f in zip(input_shape, factors, strict=False))
        else:
            self._size = self.size
        if min(self._size) < 1:
            expected = f"inputs that a scale of {self.scale} leaves a pixel"
            raise ShapeError(message(self.path, expected, str(input_shape), "scale less"))
        self.input_shape, self.output_shape = input_shape, (*self._size, input_shape[-1])
        return self.output_shape

    @property
    def _options(self) -> dict[str, Any]:
        return {"mode": self.mode, "align_corners": self.align_corners, "name": self.path}

    def forward(self, x: ArrayLike, training: Training = False) -> tuple[Tensor, Any]:
        """The resized input."""
        self._require_built()
        x = as_tensor(x, name=self.path)
        return functional.resize_forward(x, self._size, **self._options), (x.shape if training else None)

    def backward(self, dy: ArrayLike, saved: Any, input_gradient: bool = True) -> Tensor | None:
        """The gradient of each output, at the pixels it was taken from, by their weights."""
        return functional.resize_backward(dy, saved, **self._options) if input_gradient else None

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "scale": self.scale,
            "size": self.size,
            "mode": self.mode,
            "align_corners": self.align_corners,
            "name": self.name,
        }

    def window(self) -> ReceptiveField:
        """The outermost pixels that an output is taken from."""
        each = [self._reach(i, o) for i, o in zip(self._require_built(), self._size, strict=False)]
        return ReceptiveField(
            tuple(size for size, _, _ in each),
            tuple(ratio for _, ratio, _ in each),
            tuple(offset for _, _, offset in each),
        )

    def _reach(self, in_: int, out: int) -> tuple[Fraction, Fraction, Fraction]:
        """Size, ratio and offset along an axis."""
        ratio = Fraction(in_, out)
        if self.mode == "nearest":  # floor(o r) is at most this much below o r
            below = 1 - Fraction(1, ratio.denominator)
            return 1 + below, ratio, -below
        place = (ratio - 1) / 2
        if self.align_corners:
            ratio, place = Fraction(in_ - 1, max(1, out - 1)), Fraction(0)
        # places are multiples of a fraction, and a whole one sees its own pixel alone
        away = 1 - Fraction(1, math.lcm(ratio.denominator, place.denominator))
        return 1 + 2 * away, ratio, place - away


class Upsample2D(_Upsample):
    """``y[n, o, c] = x[n, floor(o r), c]``, or linearly between the pixels around ``(o + 0.5) r - 0.5``.

    Along each axis, with ``r = in / out``. A scale below 1, or a size below the input's, makes it smaller.

    Args:
        scale: output pixels per input pixel, one number or two; ``out = floor(in scale)``.
        size: output pixels instead, one integer or ``(height, width)``.
        mode: ``"nearest"`` or ``"linear"``, here bilinear.
        align_corners: the centres of the corner pixels stay where they are; for ``"linear"``.
        name: the layer's name.

    """

    rank = 2


class Upsample1D(_Upsample):
    """As `Upsample2D`, on signals ``(N, length, channels)``."""

    rank = 1


class Upsample3D(_Upsample):
    """As `Upsample2D`, on volumes ``(N, depth, height, width, channels)``; ``"linear"`` is trilinear."""

    rank = 3


class PixelShuffle(Layer):
    """``y[n, p block + q, j] = x[n, p, j r + q]``: channels to blocks of r pixels, for 1 to 3 spatial axes.

    Args:
        block: pixels of a block, one integer for all axes or one per axis; r is their product.
        name: the layer's name.

    Source:
        Shi et al., "Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel
        Convolutional Neural Network", CVPR 2016, section 3.2.

    """

    def __init__(self, block: Ints, *, name: str | None = None) -> None:
        super().__init__(name)
        self.block = _block(self.name, block)

    def build(
        self, input_shape: Shape, rng: np.random.Generator | None, dtype: DTypeLike = np.float32
    ) -> Shape:
        """Infer the shapes for inputs ``(*in, c r)``."""
        input_shape = self._begin(input_shape)
        sizes = _sizes(self.path, self.block, input_shape)
        r = math.prod(sizes)
        if input_shape[-1] % r:
            expected = f"channels in multiples of {r}, the pixels of a block {sizes}"
            raise ShapeError(message(self.path, expected, str(input_shape), "choose another block"))
        fine = (i * b for i, b in zip(input_shape, sizes, strict=False))
        self.input_shape, self.output_shape = input_shape, (*fine, input_shape[-1] // r)
        return self.output_shape

    def forward(self, x: ArrayLike, training: Training = False) -> tuple[Tensor, Any]:
        """Channels to blocks of pixels."""
        self._require_built()
        return functional.pixel_shuffle_forward(x, self.block, name=self.path), None

    def backward(self, dy: ArrayLike, saved: Any, input_gradient: bool = True) -> Tensor | None:
        """Blocks of pixels to channels."""
        return functional.pixel_shuffle_backward(dy, self.block, name=self.path) if input_gradient else None

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"block": self.block, "name": self.name}

    def window(self) -> ReceptiveField:
        """Output o sees the pixel ``floor(o / block)``."""
        sizes = _sizes(self.path, self.block, self._require_built())
        below = tuple(1 - Fraction(1, b) for b in sizes)
        ratios = tuple(Fraction(1, b) for b in sizes)
        return ReceptiveField(tuple(1 + v for v in below), ratios, tuple(-v for v in below))


class PixelUnshuffle(Layer):
    """``y[n, p, j r + q] = x[n, p block + q, j]``: blocks of r pixels to channels, for 1 to 3 spatial axes.

    The inverse of `PixelShuffle`.

    Args:
        block: pixels of a block, one integer for all axes or one per axis; r is their product.
        name: the layer's name.

    """

    def __init__(self, block: Ints, *, name: str | None = None) -> None:
        super().__init__(name)
        self.block = _block(self.name, block)

    def build(
        self, input_shape: Shape, rng: np.random.Generator | None, dtype: DTypeLike = np.float32
    ) -> Shape:
        """Infer the shapes for inputs ``(*out block, c)``."""
        input_shape = self._begin(input_shape)
        sizes = _sizes(self.path, self.block, input_shape)
        if any(i % b for i, b in zip(input_shape, sizes, strict=False)):
            expected = f"spatial sizes in multiples of the block {sizes}"
            raise ShapeError(message(self.path, expected, str(input_shape), "pad or crop before it"))
        coarse = (i // b for i, b in zip(input_shape, sizes, strict=False))
        self.input_shape, self.output_shape = input_shape, (*coarse, input_shape[-1] * math.prod(sizes))
        return self.output_shape

    def forward(self, x: ArrayLike, training: Training = False) -> tuple[Tensor, Any]:
        """Blocks of pixels to channels."""
        self._require_built()
        return functional.pixel_unshuffle_forward(x, self.block, name=self.path), None

    def backward(self, dy: ArrayLike, saved: Any, input_gradient: bool = True) -> Tensor | None:
        """Channels to blocks of pixels."""
        return functional.pixel_unshuffle_backward(dy, self.block, name=self.path) if input_gradient else None

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"block": self.block, "name": self.name}

    def window(self) -> ReceptiveField:
        """An output sees a block."""
        sizes = _sizes(self.path, self.block, self._require_built())
        return ReceptiveField(sizes, sizes, (0,) * len(sizes))


def _block(name: str, block: Ints) -> int | tuple[int, ...]:
    """One integer, or one per axis."""
    each = per_axis(name, "block", block, len(block) if isinstance(block, (tuple, list)) else 1)
    return each if isinstance(block, (tuple, list)) else each[0]


def _sizes(name: str, block: int | tuple[int, ...], input_shape: Shape) -> tuple[int, ...]:
    """Of a block per axis, after the check that the shape has as many axes."""
    rank = len(input_shape) - 1
    if not 1 <= rank <= 3 or not isinstance(block, int):
        rank = 2 if isinstance(block, int) else len(block)
    require_spatial(name, input_shape, rank)
    return (block,) * rank if isinstance(block, int) else block

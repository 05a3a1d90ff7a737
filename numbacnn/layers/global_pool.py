"""Pooling layers to a given size, channels last: global and adaptive."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from numbacnn import functional
from numbacnn.dims import Ints
from numbacnn.layers.base import Layer, Shape, Training, per_axis, require_spatial
from numbacnn.receptive import ReceptiveField
from numbacnn.tensor import Tensor, as_tensor


class _Adaptive(Layer):
    """What pooling to a size shares: the shapes, and the two ways to pool."""

    rank: ClassVar[int]
    output_size: tuple[int, ...]

    def build(
        self, input_shape: Shape, rng: np.random.Generator | None, dtype: DTypeLike = np.float32
    ) -> Shape:
        """Infer the shapes for inputs ``(*in, channels)``."""
        input_shape = self._begin(input_shape)
        require_spatial(self.path, input_shape, self.rank)
        self.input_shape, self.output_shape = input_shape, (*self.output_size, input_shape[-1])
        return self.output_shape

    def window(self) -> ReceptiveField:
        """The outermost pixels from ``floor(i r)`` to ``ceil((i + 1) r) - 1`` with ``r = in / out``."""
        ratios = [Fraction(i, o) for i, o in zip(self._require_built(), self.output_size, strict=False)]
        rounded = [1 - Fraction(1, r.denominator) for r in ratios]
        size = tuple(r + 2 * part for r, part in zip(ratios, rounded, strict=True))
        return ReceptiveField(size, tuple(ratios), tuple(-part for part in rounded))

    def _max(self, x: ArrayLike, training: Training) -> tuple[Tensor, Any]:
        self._require_built()
        x = as_tensor(x, name=self.path)
        y = functional.adaptive_max_pool_forward(x, self.output_size, name=self.path)
        return y, ((x, y) if training else None)

    def _max_gradient(self, dy: ArrayLike, saved: Any) -> Tensor:
        x, y = saved
        return functional.adaptive_max_pool_backward(dy, x, y, name=self.path)

    def _mean(self, x: ArrayLike, training: Training) -> tuple[Tensor, Any]:
        self._require_built()
        x = as_tensor(x, name=self.path)
        y = functional.adaptive_avg_pool_forward(x, self.output_size, name=self.path)
        return y, (x.shape if training else None)

    def _mean_gradient(self, dy: ArrayLike, saved: Any) -> Tensor:
        return functional.adaptive_avg_pool_backward(dy, saved, name=self.path)


class _AdaptivePool(_Adaptive):
    """What the adaptive pools share: the argument."""

    def __init__(self, output_size: Ints, *, name: str | None = None) -> None:
        super().__init__(name)
        self.output_size = per_axis(self.name, "output_size", output_size, self.rank)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"output_size": self.output_size, "name": self.name}


class _AdaptiveMaxPool(_AdaptivePool):
    def forward(self, x: ArrayLike, training: Training = False) -> tuple[Tensor, Any]:
        """Largest element of each window."""
        return self._max(x, training)

    def backward(self, dy: ArrayLike, saved: Any, input_gradient: bool = True) -> Tensor | None:
        """The gradient of each window, at its first largest element."""
        return self._max_gradient(dy, saved) if input_gradient else None


class AdaptiveMaxPool2D(_AdaptiveMaxPool):
    """``y[n, i, j, c] = max(x[n, p, q, c])``, p from ``floor(i in / out)`` to ``ceil((i + 1) in / out) - 1``.

    Likewise q. The output has one size whatever the input's.

    Args:
        output_size: outputs, one integer or ``(height, width)``; more than pixels are allowed.
        name: the layer's name.

    Source:
        He, Zhang, Ren and Sun, "Spatial Pyramid Pooling in Deep Convolutional Networks for Visual
        Recognition", ECCV 2014, section 2.2.

    """

    rank = 2


class AdaptiveMaxPool1D(_AdaptiveMaxPool):
    """As `AdaptiveMaxPool2D`, on signals ``(N, length, channels)``."""

    rank = 1


class AdaptiveMaxPool3D(_AdaptiveMaxPool):
    """As `AdaptiveMaxPool2D`, on volumes ``(N, depth, height, width, channels)``."""

    rank = 3


class _AdaptiveAvgPool(_AdaptivePool):
    def forward(self, x: ArrayLike, training: Training = False) -> tuple[Tensor, Any]:
        """Mean of each window."""
        return self._mean(x, training)

    def backward(self, dy: ArrayLike, saved: Any, input_gradient: bool = True) -> Tensor | None:
        """The gradient of each window, in equal parts at its pixels."""
        return self._mean_gradient(dy, saved) if input_gradient else None


class AdaptiveAvgPool2D(_AdaptiveAvgPool):
    """``y[n, i, j, c] = mean(x[n, p, q, c])`` over the windows of `AdaptiveMaxPool2D`.

    Args:
        output_size: outputs, one integer or ``(height, width)``; more than pixels are allowed.
        name: the layer's name.

    """

    rank = 2


class AdaptiveAvgPool1D(_AdaptiveAvgPool):
    """As `AdaptiveAvgPool2D`, on signals ``(N, length, channels)``."""

    rank = 1


class AdaptiveAvgPool3D(_AdaptiveAvgPool):
    """As `AdaptiveAvgPool2D`, on volumes ``(N, depth, height, width, channels)``."""

    rank = 3


class _GlobalPool(_Adaptive):
    """What the global pools share: one window, and whether its axes are kept."""

    def __init__(self, *, keepdims: bool = False, name: str | None = None) -> None:
        super().__init__(name)
        self.output_size = (1,) * self.rank
        self.keepdims = bool(keepdims)

    def build(
        self, input_shape: Shape, rng: np.random.Generator | None, dtype: DTypeLike = np.float32
    ) -> Shape:
        """Infer the shapes for inputs ``(*in, channels)``."""
        shape = super().build(input_shape, rng, dtype)
        self.output_shape = shape if self.keepdims else shape[-1:]
        return self.output_shape

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"keepdims": self.keepdims, "name": self.name}

    def _shaped(self, y: Tensor) -> Tensor:
        return y if self.keepdims else y.reshape((y.shape[0], y.shape[-1]))

    def _widened(self, dy: ArrayLike) -> Tensor:
        dy = as_tensor(dy, name=self.path)
        return dy.reshape((dy.shape[0], *self.output_size, dy.shape[-1]))


class _GlobalMaxPool(_GlobalPool):
    def forward(self, x: ArrayLike, training: Training = False) -> tuple[Tensor, Any]:
        """Largest element of each channel."""
        y, saved = self._max(x, training)
        return self._shaped(y), saved

    def backward(self, dy: ArrayLike, saved: Any, input_gradient: bool = True) -> Tensor | None:
        """The gradient of each channel, at its first largest element."""
        return self._max_gradient(self._widened(dy), saved) if input_gradient else None


class GlobalMaxPool2D(_GlobalMaxPool):
    """``y[n, c] = max(x[n, i, j, c] for i, j)``.

    The gradient goes to the first of equal maxima in row-major order. A NaN is a maximum.

    Args:
        keepdims: give ``(N, 1, 1, C)`` instead of ``(N, C)``.
        name: the layer's name.

    """

    rank = 2


class GlobalMaxPool1D(_GlobalMaxPool):
    """As `GlobalMaxPool2D`, on signals ``(N, length, channels)``."""

    rank = 1


class GlobalMaxPool3D(_GlobalMaxPool):
    """As `GlobalMaxPool2D`, on volumes ``(N, depth, height, width, channels)``."""

    rank = 3


class _GlobalAvgPool(_GlobalPool):
    def forward(self, x: ArrayLike, training: Training = False) -> tuple[Tensor, Any]:
        """Mean of each channel."""
        y, saved = self._mean(x, training)
        return self._shaped(y), saved

    def backward(self, dy: ArrayLike, saved: Any, input_gradient: bool = True) -> Tensor | None:
        """The gradient of each channel, in equal parts at its pixels."""
        return self._mean_gradient(self._widened(dy), saved) if input_gradient else None


class GlobalAvgPool2D(_GlobalAvgPool):
    """``y[n, c] = mean(x[n, i, j, c] for i, j)``.

    Args:
        keepdims: give ``(N, 1, 1, C)`` instead of ``(N, C)``.
        name: the layer's name.

    Source:
        Lin, Chen and Yan, "Network In Network", ICLR 2014, section 3.2.

    """

    rank = 2


class GlobalAvgPool1D(_GlobalAvgPool):
    """As `GlobalAvgPool2D`, on signals ``(N, length, channels)``."""

    rank = 1


class GlobalAvgPool3D(_GlobalAvgPool):
    """As `GlobalAvgPool2D`, on volumes ``(N, depth, height, width, channels)``."""

    rank = 3

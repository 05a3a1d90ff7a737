"""Pooling layers, channels last."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from numbacnn import functional
from numbacnn.dims import Ints, Padding, PoolDims
from numbacnn.layers.base import Layer, Shape, Training, frozen, pair, require_image
from numbacnn.tensor import Tensor, as_tensor


class _Pool2D(Layer):
    """What the pooling layers share: the window and the shapes."""

    _dims: PoolDims

    def __init__(
        self, pool_size: Ints, strides: Ints | None, padding: Padding, dilation: Ints, name: str | None
    ) -> None:
        super().__init__(name)
        self.pool_size = pair(self.name, "pool_size", pool_size)
        self.strides = self.pool_size if strides is None else pair(self.name, "strides", strides)
        self.padding = frozen(padding)
        self.dilation = pair(self.name, "dilation", dilation)
        self._geometry: dict[str, Any] = {}

    def build(
        self, input_shape: Shape, rng: np.random.Generator | None, dtype: DTypeLike = np.float32
    ) -> Shape:
        """Infer the shapes for images ``(height, width, channels)``."""
        input_shape = self._begin(input_shape)
        require_image(self.path, input_shape)
        self._dims = PoolDims.of(
            (1, *input_shape), self.pool_size, self.strides, self.padding, self.dilation, self.path
        )
        self._geometry = {
            "stride": self.strides,
            "padding": self.padding,
            "dilation": self.dilation,
            "name": self.path,
        }
        self.input_shape, self.output_shape = input_shape, self._dims.output_shape[1:]
        return self.output_shape

    def window(self) -> PoolDims:
        """Geometry of the pooling of one image."""
        self._require_built()
        return self._dims


class MaxPool2D(_Pool2D):
    """``y[n, i, j, c] = max(x[n, i*s - p + a*d, j*s - p + b*d, c] for a, b)``.

    The gradient goes to the first of equal maxima in row-major order. Padding never wins; a NaN does.

    Args:
        pool_size: window in pixels, one integer or ``(height, width)``.
        strides: pixels between windows, one integer or two; None for the window's size.
        padding: as for `Conv2D`.
        dilation: pixels between the taps of a window, one integer or two.
        name: the layer's name.

    """

    def __init__(
        self,
        pool_size: Ints = 2,
        *,
        strides: Ints | None = None,
        padding: Padding = "valid",
        dilation: Ints = 1,
        name: str | None = None,
    ) -> None:
        super().__init__(pool_size, strides, padding, dilation, name)

    def forward(self, x: ArrayLike, training: Training = False) -> tuple[Tensor, Any]:
        """Largest element of each window."""
        self._require_built()
        x = as_tensor(x, name=self.path)
        y = functional.max_pool_forward(x, self.pool_size, **self._geometry)
        return y, ((x, y) if training else None)

    def backward(self, dy: ArrayLike, saved: Any, input_gradient: bool = True) -> Tensor | None:
        """The gradient of each window, at its first largest element."""
        if not input_gradient:
            return None
        x, y = saved
        return functional.max_pool_backward(dy, x, y, self.pool_size, **self._geometry)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "pool_size": self.pool_size,
            "strides": self.strides,
            "padding": self.padding,
            "dilation": self.dilation,
            "name": self.name,
        }


class AvgPool2D(_Pool2D):
    """``y[n, i, j, c] = sum(x[n, i*s - p + a*d, j*s - p + b*d, c] for a, b) / count``.

    Args:
        pool_size: window in pixels, one integer or ``(height, width)``.
        strides: pixels between windows, one integer or two; None for the window's size.
        padding: as for `Conv2D`.
        dilation: pixels between the taps of a window, one integer or two.
        count_include_pad: whether `count` is the window's size, or only its pixels that are not padding.
        name: the layer's name.

    """

    def __init__(
        self,
        pool_size: Ints = 2,
        *,
        strides: Ints | None = None,
        padding: Padding = "valid",
        dilation: Ints = 1,
        count_include_pad: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(pool_size, strides, padding, dilation, name)
        self.count_include_pad = bool(count_include_pad)

    def forward(self, x: ArrayLike, training: Training = False) -> tuple[Tensor, Any]:
        """Mean of each window."""
        self._require_built()
        x = as_tensor(x, name=self.path)
        y = functional.avg_pool_forward(
            x, self.pool_size, count_include_pad=self.count_include_pad, **self._geometry
        )
        return y, (x.shape if training else None)

    def backward(self, dy: ArrayLike, saved: Any, input_gradient: bool = True) -> Tensor | None:
        """The gradient of each window, in equal parts at its pixels."""
        if not input_gradient:
            return None
        return functional.avg_pool_backward(
            dy, saved, self.pool_size, count_include_pad=self.count_include_pad, **self._geometry
        )

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "pool_size": self.pool_size,
            "strides": self.strides,
            "padding": self.padding,
            "dilation": self.dilation,
            "count_include_pad": self.count_include_pad,
            "name": self.name,
        }

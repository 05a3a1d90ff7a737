"""Pooling layers with a window that moves, channels last."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from numbacnn import functional
from numbacnn.dims import Ints, Padding, PoolDims
from numbacnn.errors import ArgumentError, message
from numbacnn.functional.weighted_pool import gaussian_weights
from numbacnn.layers.base import Layer, Shape, Training, frozen, per_axis, require_spatial
from numbacnn.tensor import Tensor, as_tensor


class _Pool(Layer):
    """What the pooling layers share: the window and the shapes."""

    rank: ClassVar[int]
    _dims: PoolDims

    def __init__(
        self,
        pool_size: Ints,
        strides: Ints | None,
        padding: Padding,
        dilation: Ints,
        ceil_mode: bool,
        name: str | None,
    ) -> None:
        super().__init__(name)
        self.pool_size = per_axis(self.name, "pool_size", pool_size, self.rank)
        self.strides = (
            self.pool_size if strides is None else per_axis(self.name, "strides", strides, self.rank)
        )
        self.padding = frozen(padding)
        self.dilation = per_axis(self.name, "dilation", dilation, self.rank)
        self.ceil_mode = bool(ceil_mode)
        self._options: dict[str, Any] = {}

    def build(
        self, input_shape: Shape, rng: np.random.Generator | None, dtype: DTypeLike = np.float32
    ) -> Shape:
        """Infer the shapes for inputs ``(*in, channels)``."""
        input_shape = self._begin(input_shape)
        require_spatial(self.path, input_shape, self.rank)
        geometry = self.pool_size, self.strides, self.padding, self.dilation
        self._dims = PoolDims.of((1, *input_shape), *geometry, self.path, self.ceil_mode)
        self._options = {
            "stride": self.strides,
            "padding": self.padding,
            "dilation": self.dilation,
            "ceil_mode": self.ceil_mode,
            "name": self.path,
        }
        self.input_shape, self.output_shape = input_shape, self._dims.output_shape[1:]
        return self.output_shape

    def window(self) -> PoolDims:
        """Geometry of the pooling of one example."""
        self._require_built()
        return self._dims

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "pool_size": self.pool_size,
            "strides": self.strides,
            "padding": self.padding,
            "dilation": self.dilation,
            "ceil_mode": self.ceil_mode,
            "name": self.name,
        }


class _MaxPool(_Pool):
    """What the max pools share: all but the number of axes."""

    def __init__(
        self,
        pool_size: Ints = 2,
        *,
        strides: Ints | None = None,
        padding: Padding = "valid",
        dilation: Ints = 1,
        ceil_mode: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(pool_size, strides, padding, dilation, ceil_mode, name)

    def forward(self, x: ArrayLike, training: Training = False) -> tuple[Tensor, Any]:
        """Largest element of each window."""
        self._require_built()
        x = as_tensor(x, name=self.path)
        y = functional.max_pool_forward(x, self.pool_size, **self._options)
        return y, ((x, y) if training else None)

    def backward(self, dy: ArrayLike, saved: Any, input_gradient: bool = True) -> Tensor | None:
        """The gradient of each window, at its first largest element."""
        if not input_gradient:
            return None
        x, y = saved
        return functional.max_pool_backward(dy, x, y, self.pool_size, **self._options)


class MaxPool2D(_MaxPool):
    """``y[n, i, j, c] = max(x[n, i*s - p + a*d, j*s - p + b*d, c] for a, b)``.

    The gradient goes to the first of equal maxima in row-major order. Padding never wins; a NaN does.

    Args:
        pool_size: window in pixels, one integer or ``(height, width)``.
        strides: pixels between windows, one integer or two; None for the window's size.
        padding: as for `Conv2D`.
        dilation: pixels between the taps of a window, one integer or two.
        ceil_mode: keep a last window that reaches past the bottom or right padding, if it starts before it.
        name: the layer's name.

    """

    rank = 2


class MaxPool1D(_MaxPool):
    """As `MaxPool2D`, on signals ``(N, length, channels)``."""

    rank = 1


class MaxPool3D(_MaxPool):
    """As `MaxPool2D`, on volumes ``(N, depth, height, width, channels)``."""

    rank = 3


class _AvgPool(_Pool):
    """What the average pools share: all but the number of axes."""

    def __init__(
        self,
        pool_size: Ints = 2,
        *,
        strides: Ints | None = None,
        padding: Padding = "valid",
        dilation: Ints = 1,
        ceil_mode: bool = False,
        count_include_pad: bool = False,
        divisor_override: float | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(pool_size, strides, padding, dilation, ceil_mode, name)
        self.count_include_pad = bool(count_include_pad)
        if divisor_override is not None:
            above_zero(self.name, "divisor_override", divisor_override)
        self.divisor_override = divisor_override

    @property
    def _counting(self) -> dict[str, Any]:
        return {"count_include_pad": self.count_include_pad, "divisor_override": self.divisor_override}

    def forward(self, x: ArrayLike, training: Training = False) -> tuple[Tensor, Any]:
        """Mean of each window."""
        self._require_built()
        x = as_tensor(x, name=self.path)
        y = functional.avg_pool_forward(x, self.pool_size, **self._counting, **self._options)
        return y, (x.shape if training else None)

    def backward(self, dy: ArrayLike, saved: Any, input_gradient: bool = True) -> Tensor | None:
        """The gradient of each window, in equal parts at its pixels."""
        if not input_gradient:
            return None
        return functional.avg_pool_backward(dy, saved, self.pool_size, **self._counting, **self._options)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().config(), **self._counting}


class AvgPool2D(_AvgPool):
    """``y[n, i, j, c] = sum(x[n, i*s - p + a*d, j*s - p + b*d, c] for a, b) / count``.

    Args:
        pool_size, strides, padding, dilation, ceil_mode: as for `MaxPool2D`.
        count_include_pad: whether `count` takes in the pixels that are padding, or only the others.
        divisor_override: a number above 0 in the place of `count`, or None.
        name: the layer's name.

    """

    rank = 2


class AvgPool1D(_AvgPool):
    """As `AvgPool2D`, on signals ``(N, length, channels)``."""

    rank = 1


class AvgPool3D(_AvgPool):
    """As `AvgPool2D`, on volumes ``(N, depth, height, width, channels)``."""

    rank = 3


class _LpPool(_Pool):
    """What the p-norm pools share: all but the number of axes."""

    def __init__(
        self,
        pool_size: Ints = 2,
        *,
        p: float = 2.0,
        strides: Ints | None = None,
        padding: Padding = "valid",
        dilation: Ints = 1,
        ceil_mode: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(pool_size, strides, padding, dilation, ceil_mode, name)
        if isinstance(p, bool) or not isinstance(p, (int, float)) or not 1 <= p < math.inf:
            expected = "a finite p of 1 or more"
            raise ArgumentError(message(self.name, expected, repr(p), "for the maximum use a max pool"))
        self.p = float(p)

    def forward(self, x: ArrayLike, training: Training = False) -> tuple[Tensor, Any]:
        """Norm of each window."""
        self._require_built()
        x = as_tensor(x, name=self.path)
        y = functional.lp_pool_forward(x, self.pool_size, p=self.p, **self._options)
        return y, ((x, y) if training else None)

    def backward(self, dy: ArrayLike, saved: Any, input_gradient: bool = True) -> Tensor | None:
        """The gradient of each window times ``sign(x) (|x| / y)^(p - 1)``; of a window of zeros, 0."""
        if not input_gradient:
            return None
        x, y = saved
        return functional.lp_pool_backward(dy, x, y, self.pool_size, p=self.p, **self._options)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().config(), "p": self.p}


class LpPool2D(_LpPool):
    """``y[n, i, j, c] = sum(|x[n, i*s - p + a*d, j*s - p + b*d, c]|^p for a, b)^(1 / p)``.

    Args:
        pool_size, strides, padding, dilation, ceil_mode: as for `MaxPool2D`.
        p: exponent, finite and 1 or more.
        name: the layer's name.

    Source:
        Sermanet, Chintala and LeCun, "Convolutional Neural Networks Applied to House Numbers Digit
        Classification", 2012, section 2.2.

    """

    rank = 2


class LpPool1D(_LpPool):
    """As `LpPool2D`, on signals ``(N, length, channels)``."""

    rank = 1


class LpPool3D(_LpPool):
    """As `LpPool2D`, on volumes ``(N, depth, height, width, channels)``."""

    rank = 3


class _GaussianPool(_Pool):
    """What the Gaussian pools share: all but the number of axes."""

    def __init__(
        self,
        pool_size: Ints = 3,
        *,
        sigma: float | Sequence[float],
        strides: Ints | None = None,
        padding: Padding = "valid",
        dilation: Ints = 1,
        ceil_mode: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(pool_size, strides, padding, dilation, ceil_mode, name)
        self.sigma = frozen(sigma)
        each = self.sigma if isinstance(self.sigma, tuple) else (self.sigma,)
        for value in each:
            above_zero(self.name, "sigma", value)

    def build(
        self, input_shape: Shape, rng: np.random.Generator | None, dtype: DTypeLike = np.float32
    ) -> Shape:
        """Infer the shapes, and refuse a sigma that gives a tap no weight."""
        shape = super().build(input_shape, rng, dtype)
        try:
            gaussian_weights(self.path, self._dims, self.sigma)
        except ArgumentError:
            self.reset()
            raise
        return shape

    def forward(self, x: ArrayLike, training: Training = False) -> tuple[Tensor, Any]:
        """Weighted mean of each window."""
        self._require_built()
        x = as_tensor(x, name=self.path)
        y = functional.gaussian_pool_forward(x, self.pool_size, sigma=self.sigma, **self._options)
        return y, (x.shape if training else None)

    def backward(self, dy: ArrayLike, saved: Any, input_gradient: bool = True) -> Tensor | None:
        """The gradient of each window, in parts by the weights."""
        if not input_gradient:
            return None
        return functional.gaussian_pool_backward(dy, saved, self.pool_size, sigma=self.sigma, **self._options)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().config(), "sigma": self.sigma}


class GaussianPool2D(_GaussianPool):
    """``y = sum(w_t x_t) / sum(w_t)`` over the taps at pixels, ``w_t = exp(-d_t^2 / (2 sigma^2))``.

    ``d_t`` is the distance of a tap from the window's centre. With a stride it is a blur before sampling.

    Args:
        pool_size, strides, padding, dilation, ceil_mode: as for `MaxPool2D`.
        sigma: width in pixels, above 0, one number for all axes or one per axis.
        name: the layer's name.

    """

    rank = 2


class GaussianPool1D(_GaussianPool):
    """As `GaussianPool2D`, on signals ``(N, length, channels)``."""

    rank = 1


class GaussianPool3D(_GaussianPool):
    """As `GaussianPool2D`, on volumes ``(N, depth, height, width, channels)``."""

    rank = 3


def above_zero(name: str, argument: str, value: Any) -> None:
    """ArgumentError unless the value is a finite number above 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        expected = f"{argument} as a finite number above 0"
        raise ArgumentError(message(name, expected, repr(value), f"pass such as {argument}=1.0"))

"""Dropout of elements, of channels and of whole branches."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from numbacnn import functional
from numbacnn.errors import ArgumentError, ShapeError, message
from numbacnn.layers.base import Layer, Shape, Training
from numbacnn.tensor import Tensor, as_tensor, empty


class Dropout(Layer):
    """``y = x * mask / (1 - rate)``, ``mask ~ Bernoulli(1 - rate)`` in training; ``y = x`` when predicting.

    The randomness comes from the generator given to ``forward(x, training=generator)`` and from nowhere else:
    one float32 draw an element, in row-major order, on the calling thread; on a GPU one integer a mask, which
    seeds a generator there (Philox4x32-10), so that its masks differ from the CPU's. A generator in the same
    state therefore gives the same bits, whatever the number of kernel threads, and the layer holds no state.
    `fit` makes its generators from its seed and hands them to every step. ``training=True`` brings no
    generator and is refused, since such a mask could not be reproduced.

    Args:
        rate: share of the elements set to zero, in [0, 1). 0 makes the layer the identity.
        name: the layer's name.

    Source:
        Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov, "Dropout", JMLR 15, 2014, section 4, in
        the inverted form of section 10.

    """

    _forward, _backward = staticmethod(functional.dropout_forward), staticmethod(functional.dropout_backward)

    def __init__(self, rate: float, *, name: str | None = None) -> None:
        super().__init__(name)
        if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0.0 <= rate < 1.0:
            raise ArgumentError(message(self.name, "rate in [0, 1)", repr(rate), "pass such as rate=0.5"))
        self.rate = float(rate)

    def build(
        self, input_shape: Shape, rng: np.random.Generator | None, dtype: DTypeLike = np.float32
    ) -> Shape:
        """Take any shape."""
        self.input_shape = self.output_shape = self._begin(input_shape)
        return self.output_shape

    def forward(self, x: ArrayLike, training: Training = False) -> tuple[Tensor, Any]:
        """``x * mask / (1 - rate)`` in training, else ``x`` itself."""
        x = as_tensor(x, name=self.path)
        if not training or self.rate == 0.0:
            return x, None
        if not isinstance(training, np.random.Generator):
            remedy = "pass training=numpy.random.default_rng(seed), one generator for the whole run"
            raise ArgumentError(message(self.path, "a random generator to train", repr(training), remedy))
        shape = self._groups(x.shape)
        mask = empty(shape, np.uint8, x.device)
        if x.device == "cpu":
            draws = empty(shape, np.float32).numpy()
            training.random(dtype=np.float32, out=draws)
            np.greater_equal(draws, np.float32(self.rate), out=mask.numpy().view(np.bool_))
        else:
            from numbacnn.functional.device import dropout_mask

            dropout_mask(int(training.integers(1 << 63)), self.rate, mask)
        return self._forward(x, mask, 1.0 / (1.0 - self.rate), name=self.path), mask

    def backward(self, dy: ArrayLike, saved: Any, input_gradient: bool = True) -> Tensor | None:
        """``dy * mask / (1 - rate)``."""
        if not input_gradient:
            return None
        dy = as_tensor(dy, name=self.path)
        return dy if saved is None else self._backward(dy, saved, 1.0 / (1.0 - self.rate), name=self.path)

    def _groups(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of the mask for an input's shape."""
        return shape

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"rate": self.rate, "name": self.name}


class SpatialDropout(Dropout):
    """``y[n, ..., c] = x[n, ..., c] * mask[n, c] / (1 - rate)`` in training: whole channels of an example.

    Neighbouring pixels are alike, so that of single ones dropped little is lost. Inputs have any number of
    spatial axes; the randomness is that of `Dropout`, with one draw a channel.

    Args:
        rate: share of the channels set to zero, in [0, 1). 0 makes the layer the identity.
        name: the layer's name.

    Source:
        Tompson, Goroshin, Jain, LeCun and Bregler, "Efficient Object Localization Using Convolutional
        Networks", CVPR 2015, section 3.2.

    """

    _forward = staticmethod(functional.group_dropout_forward)
    _backward = staticmethod(functional.group_dropout_backward)

    def build(
        self, input_shape: Shape, rng: np.random.Generator | None, dtype: DTypeLike = np.float32
    ) -> Shape:
        """Take any shape with channels."""
        if not input_shape:
            expected = "inputs of shape (..., channels)"
            raise ShapeError(message(self.path, expected, "()", "add the channel axis"))
        return super().build(input_shape, rng, dtype)

    def _groups(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape[0], shape[-1]


class DropPath(Dropout):
    """``y[n] = x[n] * mask[n] / (1 - rate)`` in training: whole examples, also called stochastic depth.

    At the end of a residual branch it drops the branch, so that each example trains a network of another
    depth: ``Residual([*layers, DropPath(0.1)])``. The randomness is that of `Dropout`, one draw an example.

    Args:
        rate: share of the examples set to zero, in [0, 1). 0 makes the layer the identity.
        name: the layer's name.

    Source:
        Huang, Sun, Liu, Sedra and Weinberger, "Deep Networks with Stochastic Depth", ECCV 2016, section 3, in
        the inverted form; Larsson, Maire and Shakhnarovich, "FractalNet", ICLR 2017, section 3.

    """

    _forward = staticmethod(functional.group_dropout_forward)
    _backward = staticmethod(functional.group_dropout_backward)

    def _groups(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape[:1]

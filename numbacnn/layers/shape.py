"""Layers that rearrange, cut and pad; they hold no parameters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from numbacnn import functional
from numbacnn.dims import Ints, pad_pairs
from numbacnn.errors import ArgumentError, ShapeError, message
from numbacnn.functional.pad import pad_geometry
from numbacnn.layers.base import Layer, Shape, Training, frozen, require_spatial
from numbacnn.receptive import ReceptiveField
from numbacnn.tensor import Tensor, as_tensor

PAD_MODES = ("zeros", "constant", "reflect", "replicate", "circular")


class Flatten(Layer):
    """``y = x.reshape(N, -1)``: pixels in row-major order, channels fastest."""

    def build(
        self, input_shape: Shape, rng: np.random.Generator | None, dtype: DTypeLike = np.float32
    ) -> Shape:
        """Take any shape."""
        self.input_shape = self._begin(input_shape)
        self.output_shape = (math.prod(self.input_shape),)
        return self.output_shape

    def forward(self, x: ArrayLike, training: Training = False) -> tuple[Tensor, Any]:
        """A view of the input with one axis after the batch."""
        x = as_tensor(x, name=self.path)
        shape = x.shape
        y = x.reshape((shape[0], math.prod(shape[1:])))
        return y, (shape if training else None)

    def backward(self, dy: ArrayLike, saved: Any, input_gradient: bool = True) -> Tensor | None:
        """A view of the gradient in the input's shape."""
        return as_tensor(dy, name=self.path).reshape(saved) if input_gradient else None

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"name": self.name}


class Reshape(Layer):
    """``y = x.reshape(N, *shape)``: the same values in row-major order, in a view.

    Args:
        shape: of an output without the batch axis; one extent may be -1, which takes what is left.
        name: the layer's name.

    """

    def __init__(self, shape: Sequence[int], *, name: str | None = None) -> None:
        super().__init__(name)
        self.shape = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
        whole = all(isinstance(v, (int, np.integer)) and not isinstance(v, bool) for v in self.shape)
        if (
            not self.shape
            or not whole
            or any(v < 1 and v != -1 for v in self.shape)
            or self.shape.count(-1) > 1
        ):
            expected = "a shape of positive integers, one of them -1 at most"
            raise ArgumentError(message(self.name, expected, repr(shape), "pass such as shape=(7, 7, -1)"))
        self.shape = tuple(map(int, self.shape))

    def build(
        self, input_shape: Shape, rng: np.random.Generator | None, dtype: DTypeLike = np.float32
    ) -> Shape:
        """Take any shape of as many elements."""
        input_shape = self._begin(input_shape)
        size, known = math.prod(input_shape), math.prod(v for v in self.shape if v != -1)
        left, rest = divmod(size, known)
        if rest or (left != 1 and -1 not in self.shape):
            expected = f"inputs of {'a multiple of ' * (-1 in self.shape)}{known} elements"
            got = f"{input_shape} of {size}"
            raise ShapeError(message(self.path, expected, got, "change the shape"))
        self.input_shape = input_shape
        self.output_shape = tuple(left if v == -1 else v for v in self.shape)
        return self.output_shape

    def forward(self, x: ArrayLike, training: Training = False) -> tuple[Tensor, Any]:
        """A view of the input in the shape."""
        self._require_built()
        x = as_tensor(x, name=self.path)
        return x.reshape((x.shape[0], *(self.output_shape or ()))), (x.shape if training else None)

    def backward(self, dy: ArrayLike, saved: Any, input_gradient: bool = True) -> Tensor | None:
        """A view of the gradient in the input's shape."""
        return as_tensor(dy, name=self.path).reshape(saved) if input_gradient else None

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"shape": self.shape, "name": self.name}

    def window(self) -> None:
        """None where nothing changes; else pixels have no place any more."""
        return None if self.output_shape == self._require_built() else _refuse_field(self)


class Permute(Layer):
    """``y[n, i_axes[0], i_axes[1], ..] = x[n, i_1, i_2, ..]``: the axes in another order.

    Args:
        axes: all axes but the batch in their new order, counted from 1, or from the last by negative numbers.
        name: the layer's name.

    """

    def __init__(self, axes: Sequence[int], *, name: str | None = None) -> None:
        super().__init__(name)
        self.axes = frozen(axes)
        whole = isinstance(self.axes, tuple) and all(type(a) is int and a for a in self.axes)
        if not whole or not 1 <= len(self.axes) <= 4:
            expected = "1 to 4 axes, counted from 1 or -1"
            raise ArgumentError(message(self.name, expected, repr(axes), "pass such as axes=(3, 1, 2)"))

    def build(
        self, input_shape: Shape, rng: np.random.Generator | None, dtype: DTypeLike = np.float32
    ) -> Shape:
        """Take any shape of as many axes."""
        input_shape = self._begin(input_shape)
        rank = len(input_shape)
        order = tuple(a - 1 if a > 0 else a + rank for a in self.axes)
        if sorted(order) != list(range(rank)):
            expected = f"inputs whose axes 1 to {len(self.axes)} are each named once"
            got = f"{input_shape} and axes {self.axes}"
            raise ShapeError(message(self.path, expected, got, "name all axes but the batch"))
        self._order = (0, *(a + 1 for a in order))
        self.input_shape, self.output_shape = input_shape, tuple(input_shape[a] for a in order)
        return self.output_shape

    def forward(self, x: ArrayLike, training: Training = False) -> tuple[Tensor, Any]:
        """A copy with the axes in their new order."""
        self._require_built()
        return functional.permute_forward(x, self._order, name=self.path), None

    def backward(self, dy: ArrayLike, saved: Any, input_gradient: bool = True) -> Tensor | None:
        """A copy with the axes in their old order."""
        return functional.permute_backward(dy, self._order, name=self.path) if input_gradient else None

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"axes": self.axes, "name": self.name}

    def window(self) -> None:
        """None where no axis moves; else pixels have no place any more."""
        self._require_built()
        return None if list(self._order) == sorted(self._order) else _refuse_field(self)


class Pad(Layer):
    """``y[n, p, c] = x[n, s(p - low), c]``, or `value` where s, which the mode gives, is no pixel.

    For 1 to 3 spatial axes.

    Args:
        padding: pixels for all ends, pixels per axis, or a pair ``(low, high)`` per axis.
        mode: ``"zeros"``, ``"constant"``, ``"reflect"`` (about the first and the last pixel, not repeated),
            ``"replicate"`` (the nearest pixel) or ``"circular"`` (from the other end).
        value: what ``"constant"`` adds.
        name: the layer's name.

    """

    def __init__(
        self,
        padding: Ints | Sequence[tuple[int, int]],
        *,
        mode: str = "zeros",
        value: float = 0.0,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.padding = frozen(padding)
        rank = len(self.padding) if isinstance(self.padding, tuple) else 1
        pad_pairs(self.padding, rank, self.name)
        if mode not in PAD_MODES:
            expected = "mode as one of " + ", ".join(map(repr, PAD_MODES))
            raise ArgumentError(message(self.name, expected, repr(mode), "choose one of them"))
        if (
            isinstance(value, bool)
            or not isinstance(value, (int, float))
            or (mode != "constant" and value != 0)
        ):
            expected = "a number as value, 0 unless mode is 'constant'"
            raise ArgumentError(message(self.name, expected, f"{value!r} and {mode!r}", "choose one of both"))
        self.mode = mode
        self.value = float(value)
        self._pads: tuple[tuple[int, int], ...] = ()

    def build(
        self, input_shape: Shape, rng: np.random.Generator | None, dtype: DTypeLike = np.float32
    ) -> Shape:
        """Infer the shapes for inputs ``(*in, channels)``."""
        input_shape = self._begin(input_shape)
        self._pads, _ = pad_geometry(self.path, (1, *input_shape), self.padding, self.mode)
        sizes = (low + i + high for i, (low, high) in zip(input_shape, self._pads, strict=False))
        self.input_shape, self.output_shape = input_shape, (*sizes, input_shape[-1])
        return self.output_shape

    def forward(self, x: ArrayLike, training: Training = False) -> tuple[Tensor, Any]:
        """The padded input."""
        self._require_built()
        x = as_tensor(x, name=self.path)
        y = functional.pad_forward(x, self._pads, mode=self.mode, value=self.value, name=self.path)
        return y, (x.shape if training else None)

    def backward(self, dy: ArrayLike, saved: Any, input_gradient: bool = True) -> Tensor | None:
        """The gradient of each pixel, summed over the places that show it."""
        if not input_gradient:
            return None
        return functional.pad_backward(dy, saved, self._pads, mode=self.mode, name=self.path)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"padding": self.padding, "mode": self.mode, "value": self.value, "name": self.name}

    def window(self) -> ReceptiveField:
        """An output sees the pixel `low` before it; what padding shows of others does not count."""
        self._require_built()
        ones = (1,) * len(self._pads)
        return ReceptiveField(ones, ones, tuple(-low for low, _ in self._pads))


class _Part(Layer):
    """What layers share that take a part: its first element, step and size per axis after the batch."""

    _starts: tuple[int, ...]
    _steps: tuple[int, ...]

    def forward(self, x: ArrayLike, training: Training = False) -> tuple[Tensor, Any]:
        """A copy of the part."""
        self._require_built()
        x = as_tensor(x, name=self.path)
        sizes = (x.shape[0], *(self.output_shape or ()))
        y = functional.slice_forward(x, (0, *self._starts), sizes, (1, *self._steps), name=self.path)
        return y, (x.shape if training else None)

    def backward(self, dy: ArrayLike, saved: Any, input_gradient: bool = True) -> Tensor | None:
        """The gradient at the part, 0 elsewhere."""
        if not input_gradient:
            return None
        return functional.slice_backward(dy, saved, (0, *self._starts), (1, *self._steps), name=self.path)

    def window(self) -> ReceptiveField | None:
        """An output sees one pixel."""
        rank = len(self._require_built()) - 1
        return ReceptiveField((1,) * rank, self._steps[:rank], self._starts[:rank]) if rank else None


class Crop(_Part):
    """``y[n, p, c] = x[n, p + low, c]``: without so many pixels at the ends of 1 to 3 spatial axes.

    Args:
        cropping: pixels for all ends, pixels per axis, or a pair ``(low, high)`` per axis.
        name: the layer's name.

    """

    def __init__(self, cropping: Ints | Sequence[tuple[int, int]], *, name: str | None = None) -> None:
        super().__init__(name)
        self.cropping = frozen(cropping)
        pad_pairs(self.cropping, len(self.cropping) if isinstance(self.cropping, tuple) else 1, self.name)

    def build(
        self, input_shape: Shape, rng: np.random.Generator | None, dtype: DTypeLike = np.float32
    ) -> Shape:
        """Infer the shapes for inputs ``(*in, channels)``."""
        input_shape = self._begin(input_shape)
        rank = len(input_shape) - 1
        if not 1 <= rank <= 3:
            require_spatial(self.path, input_shape, 2)
        ends = pad_pairs(self.cropping, rank, self.path)
        sizes = tuple(i - low - high for i, (low, high) in zip(input_shape, ends, strict=False))
        if min(sizes) < 1:
            expected = f"inputs of more pixels than {ends} crops"
            raise ShapeError(message(self.path, expected, str(input_shape), "crop less"))
        self._starts, self._steps = (*(low for low, _ in ends), 0), (1,) * (rank + 1)
        self.input_shape, self.output_shape = input_shape, (*sizes, input_shape[-1])
        return self.output_shape

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"cropping": self.cropping, "name": self.name}


class Slice(_Part):
    """``y[n, i, j, ..] = x[n, start_1 + i step_1, start_2 + j step_2, ..]``, as ``x[:, a:b:step, ..]``.

    Args:
        slices: per axis after the batch ``(start, stop)`` or ``(start, stop, step)``, as Python counts them:
            negative ones from the end, None for an end; steps are 1 or more. None takes a whole axis. Axes
            not named are taken whole.
        name: the layer's name.

    """

    def __init__(self, slices: Sequence[Sequence[int | None] | None], *, name: str | None = None) -> None:
        super().__init__(name)
        self.slices = frozen(slices)
        for given in self.slices if isinstance(self.slices, tuple) else (False,):
            fits = isinstance(given, tuple) and 2 <= len(given) <= 3
            if given is not None and not (fits and all(v is None or type(v) is int for v in given)):
                expected = "slices (start, stop) or (start, stop, step) of integers or None, one per axis"
                raise ArgumentError(
                    message(self.name, expected, repr(slices), "pass such as [(0, 8), (2, None)]")
                )
            if given is not None and len(given) == 3 and given[2] is not None and given[2] < 1:
                expected = "steps of 1 or more"
                raise ArgumentError(message(self.name, expected, repr(given[2]), "take them in order"))

    def build(
        self, input_shape: Shape, rng: np.random.Generator | None, dtype: DTypeLike = np.float32
    ) -> Shape:
        """Infer the shapes for inputs of as many axes as slices, or more."""
        input_shape = self._begin(input_shape)
        if not len(self.slices) <= len(input_shape) <= 4:
            expected = f"inputs of {max(1, len(self.slices))} to 4 axes after the batch"
            raise ShapeError(message(self.path, expected, str(input_shape), "give a slice per axis at most"))
        rest = len(input_shape) - len(self.slices)
        wanted = [slice(None) if s is None else slice(*s) for s in (*self.slices, *(None,) * rest)]
        taken = [range(size)[s] for size, s in zip(input_shape, wanted, strict=True)]
        sizes = tuple(map(len, taken))
        if min(sizes) < 1:
            expected = f"inputs of which {self.slices} takes something"
            raise ShapeError(message(self.path, expected, str(input_shape), "widen the slices"))
        self._starts, self._steps = tuple(r.start for r in taken), tuple(r.step for r in taken)
        self.input_shape, self.output_shape = input_shape, sizes
        return sizes

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"slices": self.slices, "name": self.name}


def _refuse_field(layer: Layer) -> None:
    got = f"{type(layer).__name__} from {layer.input_shape} to {layer.output_shape}"
    remedy = "ask for that of the layers before it"
    raise ArgumentError(
        message(layer.path, "layers that keep pixels in place, for a receptive field", got, remedy)
    )

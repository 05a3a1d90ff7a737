"""Layers of several inputs or outputs: sums, products, joining and splitting."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from numbacnn import functional, initializers
from numbacnn.errors import ArgumentError, ShapeError, message
from numbacnn.initializers import Initializer
from numbacnn.layers.base import Layer, Shape, Training, frozen, positive, several
from numbacnn.parameter import Parameter
from numbacnn.receptive import ReceptiveField, Seen
from numbacnn.tensor import Tensor, as_tensor


class Merge(Layer):
    """What layers of several inputs share: they take sequences of shapes, arrays and fields."""

    def _begin(self, input_shape: Sequence[Any]) -> Shape:
        if not several(tuple(input_shape)) or len(input_shape) < 2:
            expected = "the shapes of two inputs or more"
            remedy = "use it in a Graph, with a list of inputs"
            raise ShapeError(message(self.path, expected, str(tuple(input_shape)), remedy))
        super()._begin(())
        return tuple(tuple(int(v) for v in shape) for shape in input_shape)

    def _inputs(self, x: Sequence[ArrayLike]) -> list[Tensor]:
        shapes = self._require_built()
        if len(x) != len(shapes):
            got = f"{len(x)}"
            raise ShapeError(
                message(self.path, f"{len(shapes)} inputs", got, "pass as many as it was built for")
            )
        return [as_tensor(each, name=self.path) for each in x]

    def trace(self, *inputs: Seen | None) -> tuple[Seen | None, ...]:
        """What the inputs see together."""
        return (joined(self.path, inputs),)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"name": self.name}


class _Elementwise(Merge):
    """What sums and products share: inputs of one shape, which is the output's."""

    def build(
        self, input_shape: Shape, rng: np.random.Generator | None, dtype: DTypeLike = np.float32
    ) -> Shape:
        """Take two or more inputs of one shape."""
        shapes = self._begin(input_shape)
        if odd := [shape for shape in shapes if shape != shapes[0]]:
            expected = f"inputs of one shape, {shapes[0]}"
            remedy = "project, crop or pad one of them"
            raise ShapeError(message(self.path, expected, str(odd[0]), remedy))
        self.input_shape, self.output_shape = shapes, shapes[0]
        return shapes[0]


class Add(_Elementwise):
    """``y = x_1 + x_2 + ..``; ``dx_i = dy``.

    Source:
        He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition", CVPR 2016, section 3.2.

    """

    def forward(self, x: Sequence[ArrayLike], training: Training = False) -> tuple[Tensor, Any]:
        """The sum, from the first on."""
        inputs = self._inputs(x)
        return reduce(lambda a, b: functional.add(a, b, name=self.path), inputs), (
            len(inputs) if training else None
        )

    def backward(self, dy: ArrayLike, saved: Any, input_gradient: bool = True) -> list[Tensor] | None:
        """Dy itself, for each."""
        return [as_tensor(dy, name=self.path)] * saved if input_gradient else None


class Multiply(Merge):
    """``y = x_1 x_2 ..``, element by element; ``dx_i = dy prod(x_j for j != i)``, summed where repeated.

    At least one input has the output's shape. Others may have axes of one element, along which they are
    repeated, if those are side by side: ``(1, 1, channels)`` multiplies channels, ``(height, width, 1)``
    pixels. Axes that an input lacks at its front count as such, so ``(channels,)`` will do too.
    """

    def build(
        self, input_shape: Shape, rng: np.random.Generator | None, dtype: DTypeLike = np.float32
    ) -> Shape:
        """Take two or more inputs of one shape, but for axes of one element."""
        shapes = self._begin(input_shape)
        rank = max(map(len, shapes))
        wide = [(1,) * (rank - len(shape)) + shape for shape in shapes]
        output = tuple(max(sizes) for sizes in zip(*wide, strict=True))
        for shape, each in zip(shapes, wide, strict=True):
            ones = [axis for axis, (size, out) in enumerate(zip(each, output, strict=True)) if size != out]
            between = each[ones[0] : ones[-1] + 1] if ones else ()
            if output not in wide or any(size != 1 for size in between):
                expected = f"inputs of shape {output}, or of ones in axes side by side"
                remedy = "project, crop or pad one of them"
                raise ShapeError(message(self.path, expected, str(shape), remedy))
        self._wide, self._whole = wide, [each == output for each in wide]
        self.input_shape, self.output_shape = shapes, output
        return output

    def forward(self, x: Sequence[ArrayLike], training: Training = False) -> tuple[Tensor, Any]:
        """The product, those of the output's shape first."""
        inputs = self._inputs(x)
        inputs = [each.reshape((each.shape[0], *wide)) for each, wide in zip(inputs, self._wide, strict=True)]
        return self._product(inputs, self._whole), (inputs if training else None)

    def backward(self, dy: ArrayLike, saved: Any, input_gradient: bool = True) -> list[Tensor] | None:
        """Dy times the other inputs."""
        if not input_gradient:
            return None
        dy = as_tensor(dy, name=self.path)
        return [self._gradient(k, dy, saved).reshape((len(dy), *shape)) for k, shape in self._numbered()]

    def _numbered(self) -> list[tuple[int, Shape]]:
        return list(enumerate(self._require_built()))

    def _gradient(self, k: int, dy: Tensor, inputs: Sequence[Tensor]) -> Tensor:
        others, whole = [*inputs[:k], *inputs[k + 1 :]], [*self._whole[:k], *self._whole[k + 1 :]]
        if self._whole[k]:
            return self._product([dy, *others], [True, *whole])
        product = self._product(others, whole)
        return functional.modulate_backward_scale(product, dy, inputs[k].shape, name=self.path)

    def _product(self, factors: Sequence[Tensor], whole: Sequence[bool]) -> Tensor:
        """The product of those of the output's shape, times those that are repeated."""
        full = [each for each, is_whole in zip(factors, whole, strict=True) if is_whole]
        y = reduce(lambda a, b: functional.multiply(a, b, name=self.path), full)
        for each, is_whole in zip(factors, whole, strict=True):
            y = y if is_whole else functional.modulate_forward(y, each, name=self.path)
        return y


class WeightedSum(_Elementwise):
    """``y = n_1 x_1 + n_2 x_2 + ..`` with learned weights; ``dx_k = n_k dy``, ``dn_k = sum(x_k dy)``.

    ``n = w``, or normalised, ``n_k = relu(w_k) / (epsilon + relu(w_1) + relu(w_2) + ..)``, which lie between
    0 and 1. A weight that has become negative then adds nothing and is not learned any more.

    Args:
        normalise: whether the weights are normalised: "fast normalised fusion".
        epsilon: of the formula, above 0.
        weights_initializer: a name, an Initializer or its config.
        name: the layer's name.

    Attributes:
        factors: parameter ``weights``, from `build` on, ``(inputs,)``.

    Source:
        Tan, Pang and Le, "EfficientDet: Scalable and Efficient Object Detection", CVPR 2020, section 3.3.

    """

    factors: Parameter

    def __init__(
        self,
        *,
        normalise: bool = False,
        epsilon: float = 1e-4,
        weights_initializer: str | Mapping[str, Any] | Initializer = "ones",
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.normalise = bool(normalise)
        if isinstance(epsilon, bool) or not isinstance(epsilon, (int, float)) or not 0 < epsilon < math.inf:
            expected = "epsilon as a finite number above 0"
            raise ArgumentError(message(self.name, expected, repr(epsilon), "pass such as epsilon=1e-4"))
        self.epsilon = float(epsilon)
        self.weights_initializer = initializers.get(weights_initializer, self.name)

    def build(
        self, input_shape: Shape, rng: np.random.Generator | None, dtype: DTypeLike = np.float32
    ) -> Shape:
        """Make a weight for each input; all have one shape."""
        shape = super().build(input_shape, rng, dtype)
        count = len(self.input_shape or ())
        self.factors = self._parameter("weights", (count,), self.weights_initializer, rng, dtype)
        return shape

    def forward(self, x: Sequence[ArrayLike], training: Training = False) -> tuple[Tensor, Any]:
        """The weighted sum, in one pass."""
        inputs = self._inputs(x)
        y = functional.weighted_sum_forward(inputs, self.factors.operand, **self._options())
        return y, (inputs if training else None)

    def backward(self, dy: ArrayLike, saved: Any, input_gradient: bool = True) -> list[Tensor] | None:
        """``dn_k = sum(x_k dy)`` and, where asked for, ``dx_k = n_k dy``."""
        weights, options = self.factors, self._options()
        if weights.trainable:
            dw = functional.weighted_sum_backward_weights(saved, dy, weights.operand, **options)
            weights.accumulate(dw)
        return functional.weighted_sum_backward(dy, weights.operand, **options) if input_gradient else None

    def _options(self) -> dict[str, Any]:
        return {"epsilon": self.epsilon if self.normalise else None, "name": self.path}

    def macs(self) -> int:
        """A multiply-add for each element of each input, of one example."""
        return sum(math.prod(shape) for shape in self._require_built())

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "normalise": self.normalise,
            "epsilon": self.epsilon,
            "weights_initializer": self.weights_initializer.config(),
            "name": self.name,
        }


class Concat(Merge):
    """``y = [x_1, x_2, ..]`` along an axis; ``[dx_1, dx_2, ..] = dy``.

    Args:
        axis: the axis, of which 0 is the batch: 1 or more, or negative from the last; -1 are the channels.
        name: the layer's name.

    Source:
        Szegedy et al., "Going Deeper with Convolutions", CVPR 2015, section 4.

    """

    def __init__(self, axis: int = -1, *, name: str | None = None) -> None:
        super().__init__(name)
        self.axis = _axis(self.name, axis)

    def build(
        self, input_shape: Shape, rng: np.random.Generator | None, dtype: DTypeLike = np.float32
    ) -> Shape:
        """Take inputs of one shape but for the axis."""
        shapes = self._begin(input_shape)
        at = _place(self.path, self.axis, shapes[0])
        others = [shape[:at] + shape[at + 1 :] for shape in shapes]
        for shape, rest in zip(shapes, others, strict=True):
            if rest != others[0] or len(shape) != len(shapes[0]):
                expected = f"inputs that differ from {shapes[0]} in axis {at + 1} only"
                raise ShapeError(message(self.path, expected, str(shape), "crop, pad or resize one of them"))
        self._at, self._sizes = at, tuple(shape[at] for shape in shapes)
        self.input_shape = shapes
        self.output_shape = (*shapes[0][:at], sum(self._sizes), *shapes[0][at + 1 :])
        return self.output_shape

    def forward(self, x: Sequence[ArrayLike], training: Training = False) -> tuple[Tensor, Any]:
        """A copy of all inputs, end to end."""
        return functional.concat(self._inputs(x), axis=self._at + 1, name=self.path), None

    def backward(self, dy: ArrayLike, saved: Any, input_gradient: bool = True) -> list[Tensor] | None:
        """The parts of dy."""
        if not input_gradient:
            return None
        return list(functional.split(dy, self._sizes, axis=self._at + 1, name=self.path))

    def trace(self, *inputs: Seen | None) -> tuple[Seen | None, ...]:
        """What the inputs see together, where they lie channel by channel."""
        seen = joined(self.path, inputs)
        if seen is not None and seen.spatial and self._at < seen.field.rank:
            got, remedy = f"axis {self._at + 1}", "ask for that of the layers before it"
            raise ArgumentError(message(self.path, "channels joined, for a receptive field", got, remedy))
        return (seen,)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"axis": self.axis, "name": self.name}


class Split(Layer):
    """``[y_1, y_2, ..] = x`` along an axis; ``dx = [dy_1, dy_2, ..]``.

    In a `Graph` its outputs are ``"node:0"``, ``"node:1"`` and so on.

    Args:
        parts: how many equal parts, or the size of each.
        axis: the axis, of which 0 is the batch: 1 or more, or negative from the last; -1 are the channels.
        name: the layer's name.

    """

    def __init__(self, parts: int | Sequence[int], *, axis: int = -1, name: str | None = None) -> None:
        super().__init__(name)
        self.parts = frozen(parts)
        for size in self.parts if isinstance(self.parts, tuple) else (self.parts,):
            positive(self.name, "parts", size)
        if (len(self.parts) if isinstance(self.parts, tuple) else self.parts) < 2:
            raise ArgumentError(message(self.name, "two parts or more", repr(parts), "pass such as parts=2"))
        self.axis = _axis(self.name, axis)

    def build(
        self, input_shape: Shape, rng: np.random.Generator | None, dtype: DTypeLike = np.float32
    ) -> Shape:
        """Take inputs that the parts fill along the axis."""
        input_shape = self._begin(input_shape)
        at = self._at = _place(self.path, self.axis, input_shape)
        size, parts = input_shape[at], self.parts
        sizes = parts if isinstance(parts, tuple) else (size // parts,) * parts
        if sum(sizes) != size:
            expected = f"inputs that {parts} parts fill along axis {at + 1}"
            raise ShapeError(message(self.path, expected, str(input_shape), "change the parts"))
        self._sizes = sizes
        self.input_shape = input_shape
        self.output_shape = tuple((*input_shape[:at], each, *input_shape[at + 1 :]) for each in sizes)
        return self.output_shape

    def forward(self, x: ArrayLike, training: Training = False) -> tuple[tuple[Tensor, ...], Any]:
        """Copies of the parts."""
        self._require_built()
        return functional.split(x, self._sizes, axis=self._at + 1, name=self.path), None

    def backward(self, dy: Sequence[ArrayLike], saved: Any, input_gradient: bool = True) -> Tensor | None:
        """The gradients of all parts, end to end."""
        return functional.concat(dy, axis=self._at + 1, name=self.path) if input_gradient else None

    def trace(self, *inputs: Seen | None) -> tuple[Seen | None, ...]:
        """What the input sees; along a spatial axis, from the part's first pixel on."""
        (seen,) = inputs
        if seen is None or not seen.spatial or self._at >= seen.field.rank:
            return (seen,) * len(self._sizes)
        fields, ones = [], (1,) * seen.field.rank
        for k in range(len(self._sizes)):
            start = sum(self._sizes[:k])
            offset = tuple(start if axis == self._at else 0 for axis in range(seen.field.rank))
            fields.append(Seen(seen.field.then(ReceptiveField(ones, ones, offset))))
        return tuple(fields)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"parts": self.parts, "axis": self.axis, "name": self.name}


def joined(name: str, inputs: Sequence[Seen | None]) -> Seen | None:
    """What all of them see; ArgumentError where that is nothing regular."""
    given = [seen for seen in inputs if seen is not None]
    if not given:
        return None
    if len({seen.spatial for seen in given}) > 1:
        got = "one with and one without"
        remedy = "ask for that of a part where they do not meet"
        raise ArgumentError(message(name, "inputs all with or all without spatial axes", got, remedy))
    fields = [seen.field for seen in given]
    return Seen(reduce(lambda a, b: a.joined(b, name), fields), given[0].spatial)


def _axis(name: str, axis: int) -> int:
    if isinstance(axis, bool) or not isinstance(axis, (int, np.integer)) or axis == 0:
        expected = "axis as an integer other than 0, the batch"
        raise ArgumentError(message(name, expected, repr(axis), "pass such as axis=-1, the channels"))
    return int(axis)


def _place(name: str, axis: int, shape: Shape) -> int:
    """The place of an axis in a shape without the batch."""
    place = axis - 1 if axis > 0 else axis + len(shape)
    if not 0 <= place < len(shape) or len(shape) > 4:
        expected = f"inputs of 1 to 4 axes after the batch, axis {axis} among them"
        raise ShapeError(message(name, expected, str(shape), "choose another axis"))
    return place

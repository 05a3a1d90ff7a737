"""Layers one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from numbacnn.config import config
from numbacnn.errors import ArgumentError, ShapeError, message
from numbacnn.layers.base import Layer, Shape, Training, several
from numbacnn.layers.containers import Container, from_config, in_precision, require_finite, to_config
from numbacnn.receptive import Seen
from numbacnn.tensor import Tensor


class Sequential(Container):
    """``y = layers[-1](... layers[0](x))``.

    The model is made in two steps: the constructor takes the layers, and `build` infers the shapes from that
    of one example and makes the parameters. Layers without a name get one: that of their class, and a number
    counted from 1, such as ``"conv2d_1"``.

    Args:
        layers: from the input to the output; each layer once.
        name: the model's name.

    Attributes:
        layers: the layers, in order.
        metadata, dtype, compute_dtype, precision: as in `Container`.

    """

    def __init__(self, layers: Sequence[Layer], *, name: str | None = None) -> None:
        super().__init__(layers, name)

    def build(
        self,
        input_shape: Sequence[int],
        rng: int | np.random.Generator | None = 0,
        dtype: DTypeLike = np.float32,
    ) -> Shape:
        """Infer the shapes of all layers and make their parameters.

        Args:
            input_shape: of one example, without the batch axis, such as ``(28, 28, 1)``.
            rng: seed or generator of the initial values; equal seeds give equal bits. None leaves the
                parameters zero, to be loaded.
            dtype: float32 or float64, of inputs and parameters.

        Returns:
            Shape of the output, without the batch axis.

        Raises:
            ShapeError: a layer, named in the message, does not take what the one before it gives.
            ArgumentError: there are no layers, or the model is built already.
            DTypeError: the dtype is neither float32 nor float64.

        """
        if several(tuple(input_shape)):
            got = f"the shapes of {len(input_shape)}"
            raise ShapeError(message(self.path, "one input", got, "use a Graph"))
        shape = input_shape = self._begin(input_shape)
        if not self.layers:
            raise ArgumentError(message(self.path, "at least one layer", "none", "pass a list of layers"))
        generator = self._prepare(rng, dtype)
        try:
            for layer in self.layers:
                shape = layer.build(shape, generator, self.dtype)
            if several(shape):
                got = f"{len(shape)} of {self.layers[-1].path}"
                raise ShapeError(message(self.path, "one output", got, "merge them, or use a Graph"))
        except Exception:
            self.reset()  # half a model could neither run nor be built again
            raise
        self.input_shape, self.output_shape = input_shape, shape
        return shape

    @property
    def takes_integers(self) -> bool:
        """Whether its first layer's input is integers."""
        return bool(self.layers) and self.layers[0].takes_integers

    @in_precision
    def forward(self, x: ArrayLike, training: Training = False) -> tuple[Tensor, Any]:
        """Run the layers in order; see `Layer.forward`.

        Args:
            x: ``(N, *input_shape)`` of the model's dtype, or of integers where an `Embedding` takes them.
            training: False to predict; to train, True or the generator of the random layers.

        Returns:
            The output ``(N, *output_shape)``, and what each layer's `backward` needs, None when predicting.

        Raises:
            ShapeError: the input's shape is not the one the model was built for.
            DTypeError: the input's dtype is not the model's.
            NumericsError: `config.check_finite` is on, and the input or some layer's output is not finite.

        """
        y = self._checked(x, self._require_built(), self.takes_integers)
        check = config.check_finite
        if check:
            require_finite(self.path, "input", y)
        saved: list[Any] = []
        for layer in self.layers:
            y, kept = layer.forward(y, training)
            saved.append(kept)
            if check:
                require_finite(layer.path, "output", y)
        return y, (saved if training else None)

    @in_precision
    def backward(self, dy: ArrayLike, saved: Any, input_gradient: bool = False) -> Tensor | None:
        """Run the gradients of the layers in reverse, down to the first that has something to train.

        Args:
            dy: gradient of the output ``(N, *output_shape)``.
            saved: what `forward` returned in training. It is used up: what a layer kept is let go as soon as
                its gradients are there.
            input_gradient: True to go on to the input, which training does not need.

        Returns:
            Gradient of the input ``(N, *input_shape)``, or None where it is not asked for.

        Raises:
            ArgumentError: `saved` comes from a forward pass that did not train, or was used before.
            NumericsError: `config.check_finite` is on, and some gradient is not finite.

        """
        self._require_saved(saved, len(self.layers))
        first = 0 if input_gradient else self._first_trainable()
        check = config.check_finite
        dx: Any = self._checked(dy, self.output_shape or ())
        if check:
            require_finite(self.path, "gradient of the output", dx)
        for i in range(len(self.layers) - 1, first - 1, -1):
            layer = self.layers[i]
            dx = layer.backward(dx, saved.pop(), input_gradient or i > first)
            if check:
                for p in layer.parameters:
                    require_finite(p.name, "gradient", p.grad)
                require_finite(layer.path, "gradient of the input", dx)
        return dx if input_gradient else None

    def _first_trainable(self) -> int:
        """Index of the first layer with something to train; one past the last where there is none."""
        return next((i for i, layer in enumerate(self.layers) if layer.trainable), len(self.layers))

    def trace(self, *inputs: Seen | None) -> tuple[Seen | None, ...]:
        """What the output sees, layer by layer."""
        for layer in self.layers:
            inputs = layer.trace(*inputs)
        return inputs

    def config(self) -> dict[str, Any]:
        """The layers' classes and arguments, and the name."""
        return {"layers": [to_config(layer) for layer in self.layers], "name": self.name}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Sequential:
        """An unbuilt model with the layers that `config` gave."""
        return cls([from_config(layer) for layer in config["layers"]], name=config["name"])

    def __repr__(self) -> str:
        listed = "".join(f"    {layer!r},\n" for layer in self.layers)
        return f"{type(self).__name__}([\n{listed}], name={self.name!r})"

"""Containers: layers made of layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from numbacnn.config import config
from numbacnn.errors import ArgumentError, DTypeError, NumericsError, message
from numbacnn.layers.base import Layer, Shape, Training, checked_input
from numbacnn.parameter import Parameter
from numbacnn.receptive import ReceptiveField, receptive_field
from numbacnn.tensor import Tensor, as_tensor


class Sequential(Layer):
    """``y = layers[-1](... layers[0](x))``.

    The model is made in two steps: the constructor takes the layers, and `build` infers the shapes from that
    of one example and makes the parameters. Layers without a name get one: that of their class, and a number
    counted from 1, such as ``"conv2d_1"``.

    Args:
        layers: from the input to the output; each layer once.
        name: the model's name.

    Attributes:
        layers: the layers, in order.
        metadata: what is kept with the model in its file, in types that JSON knows: such as the names of the
            classes, or the mean and deviation that inputs were normalised with.
        dtype: element type of inputs and parameters, from `build`.
        compute_dtype: element type of activations: that of the parameters, or the one given to `to`. Inputs
            may be of either type, and outputs are of this one.

    """

    def __init__(self, layers: Sequence[Layer], *, name: str | None = None) -> None:
        super().__init__(name)
        self.layers = list(layers)
        self.metadata: dict[str, Any] = {}
        self.dtype: np.dtype[Any] = np.dtype(np.float32)
        self.compute_dtype = self.dtype
        for layer in self.layers:
            if not isinstance(layer, Layer):
                got = f"{type(layer).__name__} {layer!r}"
                raise ArgumentError(message(self.name, "layers", got, "pass instances such as ReLU()"))
        self._name_layers()
        for layer in self.layers:
            layer.place("")  # a model's own name is in no path; a nested one's is put there by `place`

    def _name_layers(self) -> None:
        """Name the layers without a name; refuse a layer or a name that comes twice."""
        taken = {layer.name for layer in self.layers if layer.named}
        counts: Counter[str] = Counter()
        for layer in self.layers:
            while not layer.named:
                stem = layer.default_name()
                counts[stem] += 1
                layer.name = f"{stem}_{counts[stem]}"
                layer.named = layer.name not in taken
        names = Counter(layer.name for layer in self.layers)
        if twice := [name for name, times in names.items() if times > 1]:
            remedy = "give each layer its own name, and make a new layer for each place"
            raise ArgumentError(
                message(self.name, "layers of different names", f"{twice[0]!r} twice", remedy)
            )

    def place(self, prefix: str) -> None:
        """Set the path, and those of the layers within, from the prefix of the containers around."""
        super().place(prefix)
        for layer in self.layers:
            layer.place(f"{self.path}.")

    @property
    def parameters(self) -> list[Parameter]:
        """The parameters of all layers, in order."""
        return [p for layer in self.layers for p in layer.parameters]

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
        shape = input_shape = self._begin(input_shape)
        if not self.layers:
            raise ArgumentError(message(self.path, "at least one layer", "none", "pass a list of layers"))
        self.dtype = self.compute_dtype = np.dtype(dtype)
        if self.dtype not in (np.float32, np.float64):
            remedy = "pass dtype='float32' or 'float64'"
            raise DTypeError(message(self.path, "float32 or float64", str(self.dtype), remedy))
        generator = np.random.default_rng(rng) if isinstance(rng, (int, np.integer)) else rng
        try:
            for layer in self.layers:
                shape = layer.build(shape, generator, self.dtype)
        except Exception:
            self.reset()  # half a model could neither run nor be built again
            raise
        self.input_shape, self.output_shape = input_shape, shape
        return shape

    def reset(self) -> None:
        """Forget the parameters and the shapes of all layers, so that the model may be built anew."""
        super().reset()
        for layer in self.layers:
            layer.reset()

    def forward(self, x: ArrayLike, training: Training = False) -> tuple[Tensor, Any]:
        """Run the layers in order; see `Layer.forward`.

        Args:
            x: ``(N, *input_shape)`` of the model's dtype.
            training: False to predict; to train, True or the generator of the random layers.

        Returns:
            The output ``(N, *output_shape)``, and what each layer's `backward` needs, None when predicting.

        Raises:
            ShapeError: the input's shape is not the one the model was built for.
            DTypeError: the input's dtype is not the model's.
            NumericsError: `config.check_finite` is on, and the input or some layer's output is not finite.

        """
        y = self._checked(x, self._require_built())
        check = config.check_finite
        if check:
            _require_finite(self.path, "input", y)
        saved: list[Any] = []
        for layer in self.layers:
            y, kept = layer.forward(y, training)
            saved.append(kept)
            if check:
                _require_finite(layer.path, "output", y)
        return y, (saved if training else None)

    def backward(self, dy: ArrayLike, saved: Any, input_gradient: bool = False) -> Tensor | None:
        """Run the gradients of the layers in reverse, down to the first that has something to train.

        Args:
            dy: gradient of the output ``(N, *output_shape)``.
            saved: what `forward` returned in training; it stays valid.
            input_gradient: True to go on to the input, which training does not need.

        Returns:
            Gradient of the input ``(N, *input_shape)``, or None where it is not asked for.

        Raises:
            ArgumentError: `saved` comes from a forward pass that did not train.
            NumericsError: `config.check_finite` is on, and some gradient is not finite.

        """
        if saved is None:
            remedy = "call forward(x, training=True) before it"
            raise ArgumentError(message(self.path, "what a training forward returned", "None", remedy))
        first = 0 if input_gradient else self._first_trainable()
        check = config.check_finite
        dx: Any = self._checked(dy, self.output_shape or ())
        if check:
            _require_finite(self.path, "gradient of the output", dx)
        for i in range(len(self.layers) - 1, first - 1, -1):
            layer = self.layers[i]
            dx = layer.backward(dx, saved[i], input_gradient or i > first)
            if check:
                for p in layer.parameters:
                    _require_finite(p.name, "gradient", p.grad)
                _require_finite(layer.path, "gradient of the input", dx)
        return dx if input_gradient else None

    def _checked(self, x: ArrayLike, shape: Shape) -> Tensor:
        """The tensor where the model is, in the type that it computes in."""
        if self.compute_dtype == self.dtype:
            return checked_input(self.path, x, shape, self.dtype, self.device)
        x = as_tensor(x, name=self.path)
        kind = self.compute_dtype if x.dtype == self.compute_dtype else self.dtype
        return checked_input(self.path, x, shape, kind, self.device).astype(self.compute_dtype)

    def to(self, device: str, compute_dtype: DTypeLike | None = None) -> Self:
        """Move the parameters to a device; see `Layer.to`."""
        super().to(device, compute_dtype)
        self._compute_in(self.dtype if compute_dtype is None else np.dtype(compute_dtype))
        return self

    def _compute_in(self, dtype: np.dtype[Any]) -> None:
        self.compute_dtype = dtype
        for layer in self.layers:
            if isinstance(layer, Sequential):
                layer._compute_in(dtype)

    def _first_trainable(self) -> int:
        """Index of the first layer with something to train; one past the last where there is none."""
        return next((i for i, layer in enumerate(self.layers) if layer.trainable), len(self.layers))

    def leaves(self) -> Iterator[Layer]:
        """The layers that are not containers, in order, those of nested models included."""
        for layer in self.layers:
            if isinstance(layer, Sequential):
                yield from layer.leaves()
            else:
                yield layer

    def macs(self) -> int:
        """Multiply-adds of one example, of a built model."""
        self._require_built()
        return sum(layer.macs() for layer in self.layers)

    def receptive_field(self) -> ReceptiveField:
        """What a pixel of the last feature map sees of the input; see `receptive.ReceptiveField`.

        Layers from the first that leaves the spatial axes, such as Flatten, on see all of it and do not
        count.

        Raises:
            ArgumentError: the model is not built, or its inputs have no spatial axes.

        """
        rank = len(self._require_built()) - 1
        if rank < 1:
            got = f"inputs of shape {self.input_shape}"
            raise ArgumentError(message(self.path, "inputs with spatial axes", got, "ask an image model"))
        ones = (1,) * rank
        windows: list[Any] = [(ones, ones, ones, (0,) * rank)]  # the input pixel itself, which sets the rank
        for layer in self.leaves():
            if len(layer.output_shape or ()) != rank + 1:
                break
            if (window := layer.window()) is not None:
                windows.append(window)
        return receptive_field(windows)

    def summary(self) -> str:
        """A table of the layers: type, output shape, parameters, and multiply-adds for one example."""
        self._require_built()
        rows = [("layer", "type", "output", "parameters", "multiply-adds")]
        for layer in self.leaves():
            count = sum(p.size for p in layer.parameters)
            shape = " x ".join(map(str, layer.output_shape or ()))
            rows.append((layer.path, type(layer).__name__, shape, f"{count:,}", f"{layer.macs():,}"))
        total = sum(p.size for p in self.parameters)
        rows.append(("total", "", "", f"{total:,}", f"{self.macs():,}"))
        return _table(self._title(total), rows)

    def _title(self, total: int) -> str:
        trained = sum(p.size for p in self.parameters if p.trainable)
        frozen = f", {total - trained:,} of them frozen" if trained != total else ""
        shape = " x ".join(map(str, self.input_shape or ()))
        size = total * self.dtype.itemsize / 1024
        return f"{self.name}: input {shape}, {self.dtype}, {size:,.1f} KiB of parameters{frozen}"

    def config(self) -> dict[str, Any]:
        """The layers' classes and arguments, and the name."""
        return {"layers": [to_config(layer) for layer in self.layers], "name": self.name}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Sequential:
        """An unbuilt model with the layers that `config` gave."""
        return cls([from_config(layer) for layer in config["layers"]], name=config["name"])

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def __getitem__(self, key: int | str) -> Layer:
        """A layer by its position or its name."""
        if isinstance(key, str):
            for layer in self.layers:
                if layer.name == key:
                    return layer
            raise KeyError(f"{self.path} has no layer {key!r}, only {[layer.name for layer in self.layers]}")
        return self.layers[key]

    def __repr__(self) -> str:
        listed = "".join(f"    {layer!r},\n" for layer in self.layers)
        return f"{type(self).__name__}([\n{listed}], name={self.name!r})"


def to_config(layer: Layer) -> dict[str, Any]:
    """``{"class": ..., "config": ...}``, from which `from_config` makes an equal unbuilt layer."""
    return {"class": type(layer).__name__, "config": layer.config()}


def from_config(description: Mapping[str, Any]) -> Layer:
    """The unbuilt layer that `to_config` describes.

    Raises:
        ArgumentError: no layer class of that name has been defined.

    """
    kind = description["class"]
    if kind not in Layer.registry:
        remedy = "import the module that defines it, or upgrade numbacnn"
        raise ArgumentError(message("from_config", "the name of a layer class", repr(kind), remedy))
    return Layer.registry[kind].from_config(description["config"])


def _require_finite(name: str, what: str, tensor: Tensor | None) -> None:
    """NumericsError where the tensor holds a NaN or an infinity."""
    if tensor is None:
        return
    values = tensor.numpy()
    finite = np.isfinite(values)
    if not finite.all():
        nans = int(np.isnan(values).sum())
        infinities = int(finite.size - finite.sum()) - nans
        got = f"{nans} NaN and {infinities} infinite of {values.size} values"
        remedy = "check the data, the learning rate and the parameters up to here"
        raise NumericsError(message(name, f"a finite {what}", got, remedy))


def _table(title: str, rows: Sequence[tuple[str, ...]]) -> str:
    """Lines of aligned columns between rules, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        left = [cell.ljust(width) for cell, width in zip(row[:3], widths[:3], strict=True)]
        right = [cell.rjust(width) for cell, width in zip(row[3:], widths[3:], strict=True)]
        lines.append("  ".join(left + right))
    rule = "-" * max(map(len, lines))
    return "\n".join([title, rule, lines[0], rule, *lines[1:-1], rule, lines[-1]])

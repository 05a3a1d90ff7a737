"""Containers: layers made of layers. What `Sequential`, `Graph` and those built on them share."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Self, TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from numbacnn.config import checked_precision, config
from numbacnn.errors import ArgumentError, DTypeError, NumericsError, message
from numbacnn.layers.base import Layer, Shape, checked_input, several
from numbacnn.parameter import Parameter
from numbacnn.receptive import ReceptiveField, Seen
from numbacnn.tensor import Tensor, as_tensor

_Method = TypeVar("_Method", bound=Callable)


class Container(Layer):
    """A layer made of layers: their names and paths, parameters, device, table and receptive field.

    Layers without a name get one. Subclasses define `build`, `forward`, `backward`, `trace` and `config`.

    Attributes:
        layers: the layers, each once, in the order in which they first run.
        metadata: what is kept with the model in its file, in types that JSON knows: such as the names of the
            classes, or the mean and deviation that inputs were normalised with.
        dtype: element type of inputs and parameters, from `build`.
        compute_dtype: element type of activations: that of the parameters, or the one given to `to`. Inputs
            may be of either type, and outputs are of this one.
        precision: how the model's products are computed on a GPU, as `config.precision` says: that of the
            process where it is None.

    """

    def __init__(self, layers: Sequence[Layer], name: str | None = None) -> None:
        super().__init__(name)
        self.layers = list(layers)
        self.metadata: dict[str, Any] = {}
        self.dtype: np.dtype[Any] = np.dtype(np.float32)
        self.compute_dtype = self.dtype
        self._device = "cpu"
        self._precision: str | None = None
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

    def _prepare(self, rng: int | np.random.Generator | None, dtype: DTypeLike) -> np.random.Generator | None:
        """Take the dtype, and make the generator of the initial values."""
        self.dtype = self.compute_dtype = np.dtype(dtype)
        if self.dtype not in (np.float32, np.float64):
            remedy = "pass dtype='float32' or 'float64'"
            raise DTypeError(message(self.path, "float32 or float64", str(self.dtype), remedy))
        return np.random.default_rng(rng) if isinstance(rng, (int, np.integer)) else rng

    def reset(self) -> None:
        """Forget the parameters and the shapes of all layers, so that the model may be built anew."""
        super().reset()
        self._device = "cpu"
        for layer in self.layers:
            layer.reset()

    def _require_saved(self, saved: Any, parts: int) -> None:
        """ArgumentError where a forward pass did not train, or its parts were used before."""
        if saved is None or len(saved) != parts:
            got = "None" if saved is None else "what another backward pass used up"
            remedy = "call forward(x, training=True) before each backward pass"
            raise ArgumentError(message(self.path, "what a training forward returned", got, remedy))

    def _checked(self, x: ArrayLike, shape: Shape, integers: bool = False) -> Tensor:
        """The tensor where the model is, in the type that it computes in, or of integers."""
        if integers:
            return checked_input(self.path, x, shape, None, self.device)
        if self.compute_dtype == self.dtype:
            return checked_input(self.path, x, shape, self.dtype, self.device)
        x = as_tensor(x, name=self.path)
        kind = self.compute_dtype if x.dtype == self.compute_dtype else self.dtype
        return checked_input(self.path, x, shape, kind, self.device).astype(self.compute_dtype)

    @property
    def precision(self) -> str | None:
        """``"default"``, ``"tf32"`` or ``"exact"``: how the model's passes run; None: the process's."""
        return self._precision

    @precision.setter
    def precision(self, value: str | None) -> None:
        self._precision = None if value is None else checked_precision(value)

    @property
    def device(self) -> str:
        """Where the parameters lie; without any, where the model was moved."""
        return next((p.value.device for p in self.parameters), self._device)

    def to(self, device: str, compute_dtype: DTypeLike | None = None) -> Self:
        """Move the parameters to a device; see `Layer.to`."""
        super().to(device, compute_dtype)
        self._compute_in(device, self.dtype if compute_dtype is None else np.dtype(compute_dtype))
        return self

    def _compute_in(self, device: str, dtype: np.dtype[Any]) -> None:
        self._device, self.compute_dtype = device, dtype
        for layer in self.layers:
            if isinstance(layer, Container):
                layer._compute_in(device, dtype)

    def _uses(self) -> Iterator[tuple[Layer, int]]:
        """The layers, and how often each runs in a forward pass."""
        return ((layer, 1) for layer in self.layers)

    def leaves(self) -> Iterator[Layer]:
        """The layers that are not containers, in order, those of nested models included."""
        return (layer for layer, _ in self._leaf_uses(1))

    def _leaf_uses(self, times: int) -> Iterator[tuple[Layer, int]]:
        for layer, uses in self._uses():
            if isinstance(layer, Container):
                yield from layer._leaf_uses(times * uses)
            else:
                yield layer, times * uses

    def macs(self) -> int:
        """Multiply-adds of one example, of a built model."""
        self._require_built()
        return sum(times * layer.macs() for layer, times in self._uses())

    def receptive_field(self) -> ReceptiveField:
        """What a pixel of the output, or else of the last feature map, sees of the input.

        Layers from the first that leaves the spatial axes, such as Flatten, on see all of it and do not
        count. Where paths meet, it is what they see together. See `receptive.ReceptiveField`.

        Raises:
            ArgumentError: the model is not built, its inputs have no spatial axes, or its outputs see the
                input in no regular way.

        """
        (seen,) = self.trace(self._itself(self._require_built(), self.takes_integers))
        assert seen is not None
        return seen.field.whole()

    def _itself(self, shape: Shape, integers: bool) -> Seen:
        """The input, as it sees itself; integers have no channels."""
        shape = (*shape, 1) if integers else shape
        if len(shape) < 2:
            got = f"inputs of shape {shape}"
            raise ArgumentError(message(self.path, "inputs with spatial axes", got, "ask an image model"))
        return Seen(ReceptiveField.identity(len(shape) - 1))

    def summary(self) -> str:
        """A table of the layers: type, output shape, parameters, and multiply-adds for one example.

        A layer that runs more than once in a pass has one line, with its multiply-adds of all times.
        """
        self._require_built()
        rows = [("layer", "type", "output", "parameters", "multiply-adds")]
        for layer, times in self._leaf_uses(1):
            count = sum(p.size for p in layer.parameters)
            kind = type(layer).__name__ + (f" ({times} times)" if times > 1 else "")
            macs = times * layer.macs()
            rows.append((layer.path, kind, extents(layer.output_shape), f"{count:,}", f"{macs:,}"))
        total = sum(p.size for p in self.parameters)
        rows.append(("total", "", "", f"{total:,}", f"{self.macs():,}"))
        return _table(self._title(total), rows)

    def _title(self, total: int) -> str:
        learned = [p for p in self.parameters if p.learned]
        state, still = total - sum(p.size for p in learned), sum(p.size for p in learned if p.frozen)
        parts = [f"{n:,} of them {what}" for n, what in ((state, "statistics"), (still, "frozen")) if n]
        size = total * self.dtype.itemsize / 1024
        shape = extents(self.input_shape)
        first = f"{self.name}: input {shape}, {self.dtype}, {size:,.1f} KiB of parameters"
        return ", ".join([first, *parts])

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


def in_precision(method: _Method) -> _Method:
    """Run a pass of a container in its own precision, where it has one."""

    @functools.wraps(method)
    def run(self: Container, *arguments: Any, **named: Any) -> Any:
        if self.precision is None:
            return method(self, *arguments, **named)
        with config.precision_as(self.precision):
            return method(self, *arguments, **named)

    return cast(_Method, run)


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


def require_finite(name: str, what: str, tensor: Any) -> None:
    """NumericsError where the tensor, or one of several, holds a NaN or an infinity."""
    if tensor is None:
        return
    if isinstance(tensor, (tuple, list)):
        for each in tensor:
            require_finite(name, what, each)
        return
    values = tensor.numpy()
    finite = np.isfinite(values)
    if not finite.all():
        nans = int(np.isnan(values).sum())
        infinities = int(finite.size - finite.sum()) - nans
        got = f"{nans} NaN and {infinities} infinite of {values.size} values"
        remedy = "check the data, the learning rate and the parameters up to here"
        raise NumericsError(message(name, f"a finite {what}", got, remedy))


def extents(shape: Shape | None) -> str:
    """``28 x 28 x 1``; of several shapes, each."""
    if several(shape):
        return ", ".join(map(extents, shape or ()))
    return " x ".join(map(str, shape or ()))


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

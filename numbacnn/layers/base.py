"""The layer: parameters, a forward pass that keeps nothing, and its gradients."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from numbacnn.dims import ConvDims, PoolDims
from numbacnn.errors import ArgumentError, DeviceError, DTypeError, ShapeError, message, require
from numbacnn.initializers import Initializer
from numbacnn.parameter import Parameter, Penalty
from numbacnn.receptive import ReceptiveField, Seen
from numbacnn.tensor import Tensor, as_tensor, empty

Shape = tuple[Any, ...]
"""Extents without the batch axis; of several inputs or outputs, a tuple with the shape of each."""
Training = bool | np.random.Generator
"""What `forward` takes as `training`: False to predict; True, or the generator of the random layers."""
_AXES = ("depth", "height", "width")


class Layer:
    """``y = forward(x)``; ``dx = backward(dy)``, which adds the gradients of the parameters to them.

    A layer keeps its parameters and nothing else: what `backward` needs is returned by `forward`, so many
    threads may run one model. Shapes given to and returned by `build` leave out the batch axis. A layer of
    several inputs, such as `Add`, takes a sequence of each where others take one: of shapes in `build`, of
    arrays in `forward`; its `backward` returns a list. Several outputs likewise come as a tuple.

    Subclasses define `build`, `forward`, `backward` and `config`. A subclass is known by its class name when
    a model is loaded, once its module is imported.

    Attributes:
        name: the layer's own name; a container gives one to layers without.
        path: the name with those of the containers around it, dotted; errors and parameters carry it.
        parameters: the layer's parameters, empty until it is built.
        input_shape: shape it was built for, without the batch axis; None until it is built.
        output_shape: shape of its output, without the batch axis; None until it is built.

    """

    registry: ClassVar[dict[str, type[Layer]]] = {}

    @property
    def takes_integers(self) -> bool:
        """Whether its input is integers, which have no gradient, as an `Embedding`'s is."""
        return False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        known = Layer.registry.get(cls.__name__, cls)
        if known.__module__ != cls.__module__ and known.__module__.startswith("numbacnn."):
            got = f"a second one in {cls.__module__}"
            remedy = "choose another name, as files name layers by their class"
            raise ArgumentError(message(cls.__name__, "one layer class of this name", got, remedy))
        Layer.registry[cls.__name__] = cls

    def __init__(self, name: str | None = None) -> None:
        if name is not None and not re.fullmatch(r"\w[\w-]*", name):
            expected = "a name of letters, digits, '_' and '-'"
            raise ArgumentError(message(type(self).__name__, expected, repr(name), "choose another name"))
        self.name = name or self.default_name()
        self.named = name is not None
        self.path = self.name
        self.input_shape: Shape | None = None
        self.output_shape: Shape | None = None
        self._parameters: list[Parameter] = []

    @classmethod
    def default_name(cls) -> str:
        """The class name in lower case, such as ``"conv2d"``."""
        return cls.__name__.lower()

    @property
    def parameters(self) -> list[Parameter]:
        """The layer's parameters, those of nested layers included, in the order of the forward pass."""
        return self._parameters

    @property
    def built(self) -> bool:
        """Whether the layer has been built."""
        return self.output_shape is not None

    @property
    def trainable(self) -> bool:
        """Whether some parameter is to be trained. Assigning sets it for all, and for running statistics.

        Such state is never trained; frozen, it is not updated either.
        """
        return any(p.trainable for p in self.parameters)

    @trainable.setter
    def trainable(self, value: bool) -> None:
        if not self.built:
            raise ArgumentError(
                message(self.path, "a built layer", "one without parameters", "call build first")
            )
        for p in self.parameters:
            p.trainable = bool(value)

    def build(
        self, input_shape: Shape, rng: np.random.Generator | None, dtype: DTypeLike = np.float32
    ) -> Shape:
        """Make the parameters for inputs of a shape.

        Args:
            input_shape: without the batch axis, such as ``(28, 28, 1)``.
            rng: source of the initial values; None leaves the parameters zero, to be loaded.
            dtype: float32 or float64, of the parameters and of the inputs.

        Returns:
            Shape of the output, without the batch axis.

        Raises:
            ShapeError: the layer does not take such inputs.
            ArgumentError: an argument of the layer does not fit such inputs.

        """
        raise NotImplementedError

    def forward(self, x: Any, training: Training = False) -> tuple[Any, Any]:
        """Compute the output.

        Args:
            x: ``(N, *input_shape)``, of the layer's dtype; not written, and to be left alone until
            `backward`.
            training: False to predict. To train, True, or a generator: random layers draw from it, in the
                order in which they run, and refuse True.

        Returns:
            The output ``(N, *output_shape)``, and what `backward` needs of this pass (None when predicting).

        """
        raise NotImplementedError

    def backward(self, dy: Any, saved: Any, input_gradient: bool = True) -> Any:
        """Add to the gradients of the parameters that are trainable, and compute that of the input.

        Args:
            dy: gradient of the output ``(N, *output_shape)``.
            saved: what `forward` returned in training; containers use it up.
            input_gradient: False where nothing below the layer is to be trained.

        Returns:
            Gradient of the input ``(N, *input_shape)``, or None where it is not asked for.

        """
        raise NotImplementedError

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, in types that JSON knows."""
        raise NotImplementedError

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Layer:
        """An unbuilt layer with the arguments that `config` gave."""
        return cls(**config)

    def macs(self) -> int:
        """Multiply-adds of a forward pass of one example, of a built layer."""
        return 0

    def window(self) -> ConvDims | PoolDims | ReceptiveField | None:
        """Geometry by which an output pixel sees the input, once built; None where it sees one pixel.

        Raises:
            ArgumentError: outputs see the input in no regular way.

        """
        return None

    def trace(self, *inputs: Seen | None) -> tuple[Seen | None, ...]:
        """What each output of the built layer sees of a model's input, from what each of its inputs sees.

        None is what sees nothing of that input, as another of the model's inputs does.

        Raises:
            ArgumentError: that is nothing regular.

        """
        (seen,) = inputs
        if seen is None or not seen.spatial:
            return (seen,)
        if len(self.output_shape or ()) != seen.field.rank + 1:
            return (Seen(seen.field, False),)
        window = self.window()
        return (seen if window is None else Seen(seen.field.then(ReceptiveField.of(window))),)

    @property
    def device(self) -> str:
        """Where the parameters lie; ``"cpu"`` where there are none."""
        return next((p.value.device for p in self.parameters), "cpu")

    def to(self, device: str, compute_dtype: DTypeLike | None = None) -> Self:
        """Move the parameters to a device.

        Args:
            device: ``"cpu"``, ``"cuda"`` or such as ``"cuda:1"``.
            compute_dtype: element type of the activations and of their gradients. None: that of the
                parameters. On a GPU float32 layers may compute in ``"float16"`` or ``"bfloat16"``: their
                parameters stay float32, and a copy of them in that type follows each step (Micikevicius et
                al., "Mixed Precision Training", ICLR 2018, section 3).

        Returns:
            The layer itself. Gradients, and what optimizers remember of another device, do not move.

        Raises:
            ArgumentError: the layer is not built.
            DeviceError: there is no such device, or what it takes is missing.
            DTypeError: it does not compute in such a type.

        """
        if not self.built:
            raise ArgumentError(message(self.path, "a built layer", "one not yet built", "call build first"))
        wanted = None if compute_dtype is None else _compute_dtype(self, device, compute_dtype)
        for p in self.parameters:
            p.to(device, wanted)
        return self

    def __call__(self, x: Any) -> Any:
        """Predict: the output of `forward`."""
        return self.forward(x)[0]

    def reset(self) -> None:
        """Forget the parameters and the shapes, so that the layer may be built anew."""
        self.input_shape = self.output_shape = None
        self._parameters = []

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for p in self.parameters:
            p.grad = None

    def weights(self) -> dict[str, np.ndarray]:
        """Copies of the parameters' values, by name."""
        return {p.name: p.value.numpy().copy() for p in self.parameters}

    def set_weights(self, weights: Mapping[str, ArrayLike]) -> None:
        """Copy values into the parameters, all or, on an error, none.

        Args:
            weights: an array for each parameter, by name, as `weights` returns.

        Raises:
            ArgumentError: names are missing or unknown.
            ShapeError: a shape differs from the parameter's.

        """
        named = {p.name: p for p in self.parameters}
        if set(named) != set(weights):
            missing, unknown = sorted(set(named) - set(weights)), sorted(set(weights) - set(named))
            got = f"missing {missing}, unknown {unknown}"
            raise ArgumentError(
                message(self.path, f"weights for {len(named)} parameters", got, "match the names")
            )
        arrays = {name: np.asarray(weights[name]) for name in named}
        for name, array in arrays.items():
            if array.shape != named[name].shape:
                expected = f"a shape of {named[name].shape}"
                raise ShapeError(message(name, expected, str(array.shape), "take weights of an equal model"))
        for name, array in arrays.items():
            named[name].assign(array)

    def __repr__(self) -> str:
        arguments = {key: value for key, value in self.config().items() if key != "name"}
        listed = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
        return f"{type(self).__name__}({listed}{', ' if listed else ''}name={self.name!r})"

    def place(self, prefix: str) -> None:
        """Set `path` from the dotted prefix of the containers around the layer, before it is built."""
        self.path = prefix + self.name

    def _begin(self, input_shape: Sequence[int]) -> Shape:
        """Refuse to build twice, which would lose what was learned."""
        if self.built:
            got = f"one built for {self.input_shape}"
            remedy = "make a new one, or call reset(), which forgets the parameters"
            raise ArgumentError(message(self.path, "a layer not yet built", got, remedy))
        return tuple(int(v) for v in input_shape)

    def _parameter(
        self,
        kind: str,
        shape: Shape,
        initializer: Initializer,
        rng: np.random.Generator | None,
        dtype: DTypeLike,
        penalty: Penalty | None = None,
        *,
        learned: bool = True,
        full_precision: bool = False,
    ) -> Parameter:
        """Make a parameter named after the layer, and keep it; see `Parameter`."""
        value = empty(shape, dtype)  # a block aligned for the kernels, where NumPy's would not be
        value.numpy()[...] = 0 if rng is None else initializer(shape, rng, dtype)
        parameter = Parameter(
            value, f"{self.path}.{kind}", penalty=penalty, learned=learned, full_precision=full_precision
        )
        self._parameters.append(parameter)
        return parameter

    def _require_built(self) -> Shape:
        """The input shape; ArgumentError before `build`."""
        if self.input_shape is None:
            remedy = "call build(input_shape) with the shape of one example, such as (28, 28, 1)"
            raise ArgumentError(message(self.path, "a built model or layer", "one not yet built", remedy))
        return self.input_shape


def _compute_dtype(layer: Layer, device: str, given: DTypeLike) -> np.dtype[Any]:
    """The type to compute in, or DTypeError where the parameters and the device do not allow it."""
    if given == "bfloat16":
        require("ml_dtypes", "cuda13", "bfloat16")
    wanted = np.dtype(given)
    kinds = {p.dtype for p in layer.parameters}
    half = wanted.name in ("float16", "bfloat16") and device != "cpu" and kinds <= {np.dtype(np.float32)}
    if half or kinds <= {wanted}:
        return wanted
    expected = "the parameters' type, or of float32 on a GPU float16 or bfloat16, as compute_dtype"
    raise DTypeError(message(layer.path, expected, f"{wanted} on {device!r}", "leave it out"))


def several(shape: Shape | None) -> bool:
    """Whether it is the shapes of several inputs or outputs."""
    return bool(shape) and isinstance(shape[0], (tuple, list))  # type: ignore[index]


def positive(name: str, argument: str, value: Any) -> int:
    """The value as an int of 1 or more, or ArgumentError naming the layer and the argument."""
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value >= 1:
        return int(value)
    expected = f"{argument} as an integer of 1 or more"
    raise ArgumentError(message(name, expected, repr(value), f"pass such as {argument}=8"))


def per_axis(name: str, argument: str, value: Any, rank: int) -> tuple[int, ...]:
    """Positive integers, from one for all axes or one for each, or ArgumentError."""
    each = tuple(value) if isinstance(value, (tuple, list)) else (value,) * rank
    if len(each) != rank:
        expected = f"{argument} as one integer" + (f" or {rank}" if rank > 1 else "")
        raise ArgumentError(message(name, expected, repr(value), f"pass such as {argument}={(2,) * rank}"))
    return tuple(positive(name, argument, v) for v in each)


def frozen(value: Any) -> Any:
    """The value with its lists, such as JSON's, as tuples."""
    return tuple(frozen(v) for v in value) if isinstance(value, (list, tuple)) else value


def require_spatial(name: str, input_shape: Shape, rank: int) -> None:
    """ShapeError unless the shape has so many spatial axes, and channels, all positive."""
    if len(input_shape) != rank + 1 or min(input_shape) < 1:
        expected = f"inputs of positive shape ({', '.join(_AXES[-rank:])}, channels)"
        raise ShapeError(
            message(name, expected, str(input_shape), "add the channel axis, or check the sizes")
        )


def checked_input(
    name: str, x: ArrayLike, shape: Shape, dtype: np.dtype[Any] | None, device: str = "cpu"
) -> Tensor:
    """The input as a Tensor of ``(N, *shape)`` and dtype on a device, or an error that names the model.

    Without a dtype it is to be of integers.
    """
    x = as_tensor(x, name=name)
    if x.device != device:
        expected, remedy = f"an input on {device!r}, where the model is", f"move one, as by .to({device!r})"
        raise DeviceError(message(name, expected, repr(x.device), remedy))
    if x.shape[1:] != shape or x.ndim == 0:
        expected = f"an input of shape (N, {', '.join(map(str, shape))})"
        remedy = "add a batch axis: x[None]" if x.shape == shape else "reshape or resize it, channels last"
        raise ShapeError(message(name, expected, str(x.shape), remedy))
    if dtype is None:
        if x.dtype.kind not in "iu":
            remedy = "number the words or categories from 0"
            raise DTypeError(message(name, "an input of integers", str(x.dtype), remedy))
    elif x.dtype != dtype:
        raise DTypeError(
            message(name, f"an input of {dtype}", str(x.dtype), f"convert it: x.astype({str(dtype)!r})")
        )
    return x

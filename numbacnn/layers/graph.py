"""Layers wired as any directed graph without cycles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from numbacnn import functional
from numbacnn.config import config
from numbacnn.errors import ArgumentError, ShapeError, message
from numbacnn.layers.base import Layer, Shape, Training, several
from numbacnn.layers.containers import Container, from_config, in_precision, require_finite, to_config
from numbacnn.layers.wiring import Names, Node, names, node_of, ordered, require_known, require_used
from numbacnn.receptive import ReceptiveField, Seen
from numbacnn.tensor import Tensor


class Graph(Container):
    """``y = output(..)``, each node computed by its layer from inputs and other nodes.

    Nodes may stand in any order; they run in one in which each comes after what it takes. The gradients of a
    value that several nodes take are summed, and so are those of a layer that several nodes use.

    Args:
        inputs: the name of the input, or those of several.
        nodes: by name, the layer and what it takes: a name, or a list of names for a layer of several inputs
            such as `Add`. ``"node:k"`` is output k of a node of several, such as `Split`. A layer that stands
            in several nodes is one with shared parameters; its inputs must be of one shape.
        outputs: the name of the node that is the output, or those of several.
        name: the model's name.

    Attributes:
        layers: the layers, each once, in the order in which they first run. One without a name has that of
            its first node.
        nodes: the nodes, in the order in which they run.
        inputs: names of the inputs.
        outputs: names of the outputs.
        metadata, dtype, compute_dtype, precision: as in `Container`.

    Raises:
        ArgumentError: names that come twice, that nothing has, or that nothing uses; nodes that take each
            other in a circle.

    """

    def __init__(
        self,
        inputs: Names,
        nodes: Mapping[str, tuple[Layer, Names]],
        outputs: Names,
        *,
        name: str | None = None,
    ) -> None:
        label = name or self.default_name()
        self.inputs, self.outputs = names(label, "inputs", inputs), names(label, "outputs", outputs)
        declared = [node_of(label, key, value) for key, value in nodes.items()]
        require_known(label, self.inputs, declared, self.outputs)
        self.nodes = ordered(label, self.inputs, declared)
        require_used(label, self.inputs, self.nodes, self.outputs)
        taken = [source for node in self.nodes for source in node.sources] + list(self.outputs)
        self._takers = Counter(taken)
        for node in self.nodes:
            if not node.layer.named:
                node.layer.name, node.layer.named = node.name, True
        super().__init__(list({id(node.layer): node.layer for node in self.nodes}.values()), name)

    def build(
        self,
        input_shape: Sequence[Any] | Mapping[str, Sequence[int]],
        rng: int | np.random.Generator | None = 0,
        dtype: DTypeLike = np.float32,
    ) -> Shape:
        """Infer the shapes of all nodes and make the parameters.

        Args:
            input_shape: of one example, without the batch axis, such as ``(28, 28, 1)``; of several inputs a
                sequence of shapes in their order, or shapes by name.
            rng: seed or generator of the initial values; None leaves the parameters zero, to be loaded.
            dtype: float32 or float64, of inputs and parameters.

        Returns:
            Shape of the output, without the batch axis; of several outputs those of all.

        Raises:
            ShapeError: a layer, named in the message, does not take what it is given.
            ArgumentError: the model is built already, or an output of a node is not used.
            DTypeError: the dtype is neither float32 nor float64.

        """
        self._begin(())
        generator = self._prepare(rng, dtype)
        given = self._given(input_shape, "shapes")
        shapes: dict[str, Any] = {
            key: tuple(int(v) for v in shape) for key, shape in zip(self.inputs, given, strict=True)
        }
        try:
            for node in self.nodes:
                each = tuple(self._found(shapes, source, node.name) for source in node.sources)
                self._build_node(node, each[0] if node.single else each, generator)
                self._keep(shapes, node, node.layer.output_shape)
            results = tuple(self._found(shapes, output, "outputs") for output in self.outputs)
            if unused := [key for key in shapes if not self._takers[key]]:
                remedy = "take it in some node, or make it no output"
                raise ArgumentError(message(self.path, "values that are used", repr(unused[0]), remedy))
        except Exception:
            self.reset()  # half a model could neither run nor be built again
            raise
        self.input_shape = (
            shapes[self.inputs[0]] if len(self.inputs) == 1 else tuple(map(shapes.get, self.inputs))
        )
        self.output_shape = results[0] if len(results) == 1 else results
        return self.output_shape

    def _build_node(self, node: Node, shape: Shape, rng: np.random.Generator | None) -> None:
        first = next(other for other in self.nodes if other.layer is node.layer)
        if first is node:
            node.layer.build(shape, rng, self.dtype)
        elif node.layer.input_shape != shape:
            expected = f"inputs of one shape in the nodes that share it, {node.layer.input_shape}"
            got = f"{shape} in {node.name!r}"
            raise ShapeError(message(node.layer.path, expected, got, "use a layer of its own there"))

    def _found(self, values: Mapping[str, Any], source: str, taker: str) -> Any:
        """The value of a name; ArgumentError where its node has other outputs."""
        if source not in values:
            stem = source.partition(":")[0]
            has = [key for key in values if key.partition(":")[0] == stem]
            remedy = f"take one of {', '.join(map(repr, has))}"
            raise ArgumentError(
                message(self.path, f"outputs that nodes have in {taker!r}", repr(source), remedy)
            )
        return values[source]

    def _keep(self, values: dict[str, Any], node: Node, result: Any) -> None:
        """Put a node's results under their names."""
        if several(node.layer.output_shape):
            values.update({f"{node.name}:{k}": each for k, each in enumerate(result)})
        else:
            values[node.name] = result

    def _given(self, x: Any, what: str) -> list[Any]:
        """What is given for the inputs, in their order."""
        if isinstance(x, Mapping):
            if set(x) != set(self.inputs):
                expected = f"{what} for the inputs {', '.join(self.inputs)}"
                got = ", ".join(map(str, x)) or "none"
                raise ArgumentError(message(self.path, expected, got, "match the names"))
            return [x[key] for key in self.inputs]
        if len(self.inputs) == 1:
            return [x]
        return self._counted(x, len(self.inputs), f"{what} for the inputs {', '.join(self.inputs)}")

    def _counted(self, values: Any, count: int, expected: str) -> list[Any]:
        each = list(values) if isinstance(values, (tuple, list)) else [values]
        if len(each) != count:
            remedy = "pass a list, one for each"
            raise ShapeError(message(self.path, f"{count} {expected}", str(len(each)), remedy))
        return each

    @property
    def takes_integers(self) -> bool:
        """Whether the input of its one is integers."""
        return len(self.inputs) == 1 and self._integers(self.inputs[0])

    def _integers(self, key: str) -> bool:
        """Whether an input is integers: what takes it says so."""
        return any(key in node.sources and node.layer.takes_integers for node in self.nodes)

    @in_precision
    def forward(self, x: ArrayLike | Mapping[str, ArrayLike], training: Training = False) -> tuple[Any, Any]:
        """Run the nodes in order; see `Layer.forward`.

        Args:
            x: ``(N, *input_shape)`` of the model's dtype, or of integers where an `Embedding` takes them; of
                several inputs a sequence in their order, or arrays by name.
            training: False to predict; to train, True or the generator of the random layers.

        Returns:
            The output ``(N, *output_shape)``, of several outputs a tuple; and what each node's gradient
            needs, None when predicting. A value is let go when the last node has taken it.

        Raises:
            ShapeError, DTypeError, NumericsError: as of a Sequential.

        """
        self._require_built()
        check = config.check_finite
        values: dict[str, Any] = {}
        for key, value, shape in zip(self.inputs, self._given(x, "arrays"), self._shapes(), strict=True):
            values[key] = self._checked(value, shape, self._integers(key))
            if check:
                require_finite(self.path, f"input {key}", values[key])
        left, saved = self._takers.copy(), {}
        for node in self.nodes:
            given = [values[source] for source in node.sources]
            y, saved[node.name] = node.layer.forward(given[0] if node.single else given, training)
            if check:
                require_finite(node.layer.path, "output", y)
            self._keep(values, node, y)
            for source in node.sources:
                left[source] -= 1
                if not left[source]:
                    del values[source]
        results = tuple(values[output] for output in self.outputs)
        return results[0] if len(results) == 1 else results, (saved if training else None)

    def _shapes(self) -> list[Shape]:
        """The inputs' shapes."""
        shape = self._require_built()
        return [shape] if len(self.inputs) == 1 else list(shape)

    @in_precision
    def backward(self, dy: Any, saved: Any, input_gradient: bool = False) -> Any:
        """Run the gradients of the nodes in reverse, where something before them is to be trained.

        Args:
            dy: gradient of the output ``(N, *output_shape)``; of several outputs a sequence, one for each.
            saved: what `forward` returned in training; it is used up, as in a Sequential.
            input_gradient: True to go on to the inputs, which training does not need.

        Returns:
            Gradient of the input ``(N, *input_shape)``, of several inputs a list; or None where it is not
            asked for.

        Raises:
            ArgumentError, NumericsError: as of a Sequential.

        """
        self._require_saved(saved, len(self.nodes))
        many = len(self.outputs) > 1
        given = self._counted(dy, len(self.outputs), "gradients of the outputs") if many else [dy]
        shapes = self.output_shape if many else (self.output_shape,)
        check, wanted = config.check_finite, self._wanted(input_gradient)
        sums: dict[str, Tensor] = {}
        for output, gradient, shape in zip(self.outputs, given, shapes or (), strict=True):
            sums[output] = self._checked(gradient, shape)
            if check:
                require_finite(self.path, f"gradient of the output {output}", sums[output])
        for node in reversed(self.nodes):
            if not wanted[node.name]:
                continue
            below = [wanted[source.partition(":")[0]] for source in node.sources]
            dx = node.layer.backward(self._taken(sums, node), saved.pop(node.name), any(below))
            if check:
                for p in node.layer.parameters:
                    require_finite(p.name, "gradient", p.grad)
                require_finite(node.layer.path, "gradient of the input", dx)
            if any(below):
                each = [dx] if node.single else dx
                for source, part, need in zip(node.sources, each, below, strict=True):
                    if need:
                        known = sums.get(source)
                        sums[source] = part if known is None else functional.add(known, part, name=self.path)
        if not input_gradient:
            return None
        return sums[self.inputs[0]] if len(self.inputs) == 1 else [sums[key] for key in self.inputs]

    def _wanted(self, input_gradient: bool) -> dict[str, bool]:
        """Of each input and node, whether its gradient leads to something to train."""
        wanted = dict.fromkeys(self.inputs, input_gradient)
        for node in self.nodes:
            below = (wanted[source.partition(":")[0]] for source in node.sources)
            wanted[node.name] = any(below) or node.layer.trainable
        return wanted

    def _taken(self, sums: dict[str, Tensor], node: Node) -> Any:
        """The gradient of a node's output, or those of its outputs, which nothing needs afterwards."""
        if not several(node.layer.output_shape):
            return sums.pop(node.name)
        return [sums.pop(f"{node.name}:{k}") for k in range(len(node.layer.output_shape or ()))]

    def _uses(self) -> Iterator[tuple[Layer, int]]:
        times = Counter(id(node.layer) for node in self.nodes)
        return ((layer, times[id(layer)]) for layer in self.layers)

    def trace(self, *inputs: Seen | None) -> tuple[Seen | None, ...]:
        """What the outputs see, node by node."""
        values: dict[str, Any] = dict(zip(self.inputs, inputs, strict=True))
        for node in self.nodes:
            seen = node.layer.trace(*(values[source] for source in node.sources))
            self._keep(values, node, seen if several(node.layer.output_shape) else seen[0])
        return tuple(values[output] for output in self.outputs)

    def receptive_field(self, input: str | None = None, output: str | None = None) -> ReceptiveField:
        """What a pixel of an output sees of an input; see `Container.receptive_field`.

        Args:
            input: name of the input; may be left out where there is one.
            output: name of the output; likewise.

        Raises:
            ArgumentError: as of a Sequential; and where the names are unknown or left open, the output sees
                nothing of the input, or paths meet that see it with different strides.

        """
        shapes = self._shapes()
        source = self._chosen("input", input, self.inputs)
        target = self._chosen("output", output, self.outputs)
        integers = self._integers(self.inputs[source])
        seen = [self._itself(s, integers) if k == source else None for k, s in enumerate(shapes)]
        found = self.trace(*seen)[target]
        if found is None:
            got = f"{self.inputs[source]!r} and {self.outputs[target]!r}"
            raise ArgumentError(message(self.path, "an output that sees the input", got, "name others"))
        return found.field.whole()

    def _chosen(self, what: str, given: str | None, known: tuple[str, ...]) -> int:
        if given in known:
            return known.index(given)
        if given is None and len(known) == 1:
            return 0
        expected = f"{what} as one of {', '.join(map(repr, known))}"
        raise ArgumentError(message(self.path, expected, repr(given), "name one of them"))

    def config(self) -> dict[str, Any]:
        """The layers' classes and arguments, the nodes by the numbers of their layers, and the names."""
        number = {id(layer): k for k, layer in enumerate(self.layers)}
        nodes = [(n.name, number[id(n.layer)], n.sources[0] if n.single else n.sources) for n in self.nodes]
        layers = [to_config(layer) for layer in self.layers]
        return {
            "inputs": self.inputs,
            "layers": layers,
            "nodes": nodes,
            "outputs": self.outputs,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Graph:
        """An unbuilt model with the layers and nodes that `config` gave."""
        layers = [from_config(layer) for layer in config["layers"]]
        nodes = {name: (layers[number], sources) for name, number, sources in config["nodes"]}
        return cls(config["inputs"], nodes, config["outputs"], name=config["name"])

    def __repr__(self) -> str:
        listed = "".join(
            f"    {n.name!r}: ({n.layer!r}, {n.sources[0] if n.single else list(n.sources)!r}),\n"
            for n in self.nodes
        )
        ends = f"{list(self.inputs)!r}, {{\n{listed}}}, {list(self.outputs)!r}"
        return f"{type(self).__name__}({ends}, name={self.name!r})"

"""Folding: a convolution and the batch normalisation behind it as one convolution, for inference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numbacnn.errors import ArgumentError, message
from numbacnn.layers.activated import Activated
from numbacnn.layers.base import Layer
from numbacnn.layers.batch_norm import BatchNorm
from numbacnn.layers.branches import Parallel, Residual
from numbacnn.layers.containers import Container, from_config, to_config
from numbacnn.layers.conv import ConvLayer
from numbacnn.layers.conv_transpose import _ConvTranspose
from numbacnn.layers.dense import Dense
from numbacnn.layers.depthwise import _SeparableConv
from numbacnn.layers.graph import Graph
from numbacnn.layers.sequential import Sequential
from numbacnn.layers.wiring import Node

Values = list[NDArray[Any]]


def fold(model: Container) -> Container:
    """A model for inference in which convolutions have taken up the batch normalisations behind them.

    ``gamma (conv(x, w) + b - mean) / sqrt(variance + epsilon) + beta`` is a convolution with the kernel
    ``s w`` and the bias ``beta + s (b - mean)``, ``s = gamma / sqrt(variance + epsilon)``; the
    normalisation's activation becomes the convolution's.

    Folded are convolutions of all kinds and dense layers directly followed by a `BatchNorm`, in a
    `Sequential`, `Graph`, `Residual` or `Parallel`, nested or not. Left as they are: layers with an
    activation in between, those whose output something else takes too, and those that are shared.

    Args:
        model: built; it stays as it is.

    Returns:
        A new model with parameters of its own, whose predictions are equal up to rounding. It may be saved.
        To train on, take the model itself: statistics of batches have no place in the folded one.

    Raises:
        ArgumentError: the model is no built container.

    Source:
        Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
        Inference", CVPR 2018, section 3.2.

    """
    if not isinstance(model, Container) or not model.built:
        got = f"{type(model).__name__}, {'built' if getattr(model, 'built', False) else 'not built'}"
        raise ArgumentError(
            message("fold", "a built container", got, "wrap it in a Sequential and call build")
        )
    folding = _Folding()
    folded = folding.layer(model)
    assert isinstance(folded, Container)
    folded.build(model.input_shape, None, model.dtype)  # type: ignore[arg-type]
    for layer, values in folding.values:
        for p, value in zip(layer.parameters, values, strict=True):
            p.assign(value)
    folded.metadata, folded.precision = dict(model.metadata), model.precision
    same = model.device == "cpu" and model.compute_dtype == model.dtype
    return folded if same else folded.to(model.device, model.compute_dtype)


class _Folding:
    """New layers for those of a model, unbuilt, and the values that their parameters are to have."""

    def __init__(self) -> None:
        self.values: list[tuple[Layer, Values]] = []
        self._new: dict[int, Layer] = {}

    def layer(self, layer: Layer) -> Layer:
        """The new layer in the place of one, the same wherever that one is."""
        if id(layer) not in self._new:
            self._new[id(layer)] = self._made(layer)
        return self._new[id(layer)]

    def _made(self, layer: Layer) -> Layer:
        if type(layer) is Sequential:
            return Sequential(self._row(layer.layers), name=layer.name)
        if type(layer) is Residual:
            shortcut, activation = layer._shortcut, layer._activation
            return Residual(
                self.layer(layer._branch),
                None if shortcut is None else self.layer(shortcut),
                None if activation is None else self.layer(activation),
                name=layer.name,
            )
        if type(layer) is Parallel:
            return Parallel([self.layer(branch) for branch in layer._branches], layer._merge, name=layer.name)
        if type(layer) is Graph:
            return self._graph(layer)
        return self._filled(from_config(to_config(layer)), [p.value.numpy() for p in layer.parameters])

    def _filled(self, layer: Layer, values: Values) -> Layer:
        self.values.append((layer, values))
        return layer

    def _row(self, layers: Sequence[Layer]) -> list[Layer]:
        """Layers one after the other."""
        row: list[Layer] = []
        left = list(layers)
        while left:
            layer = left.pop(0)
            pair = bool(left) and _foldable(layer, left[0])
            row.append(self._folded(layer, left.pop(0)) if pair else self.layer(layer))
        return row

    def _graph(self, graph: Graph) -> Graph:
        """The nodes, but for those whose layers others have taken up the convolutions of."""
        places = Counter(id(node.layer) for node in graph.nodes)
        by_name = {node.name: node for node in graph.nodes}
        pairs: dict[str, Node] = {}
        for node in graph.nodes:
            before = by_name.get(node.sources[0]) if node.single else None
            if before is None:
                continue
            alone = places[id(node.layer)] == places[id(before.layer)] == graph._takers[before.name] == 1
            if alone and before.single and _foldable(before.layer, node.layer):
                pairs[node.name] = before
        gone = {before.name for before in pairs.values()}
        nodes: dict[str, Any] = {}
        for node in graph.nodes:
            if node.name in pairs:
                before = pairs[node.name]
                nodes[node.name] = (self._folded(before.layer, node.layer), before.sources[0])
            elif node.name not in gone:
                nodes[node.name] = (self.layer(node.layer), node.sources[0] if node.single else node.sources)
        inputs, outputs = (names[0] if len(names) == 1 else names for names in (graph.inputs, graph.outputs))
        return Graph(inputs, nodes, outputs, name=graph.name)

    def _folded(self, layer: Layer, norm: Layer) -> Layer:
        """One layer in the place of both."""
        assert isinstance(layer, Activated) and isinstance(norm, BatchNorm)
        new = type(layer).from_config({**layer.config(), "use_bias": True, "activation": norm.activation})
        scale = 1.0 / np.sqrt(norm.variance.value.numpy().astype(np.float64) + norm.epsilon)
        if norm.gamma is not None:
            scale *= norm.gamma.value.numpy()
        *kernels, bias = _values(layer)
        bias = scale * (bias - norm.mean.value.numpy())
        if norm.beta is not None:
            bias += norm.beta.value.numpy()
        kernels[-1] = _scaled(layer, kernels[-1], scale)
        dtype = norm.mean.dtype
        return self._filled(new, [value.astype(dtype) for value in (*kernels, bias)])


def _foldable(layer: Layer, norm: Layer) -> bool:
    """Whether the second is a normalisation that the first can take up."""
    known = isinstance(layer, (ConvLayer, _ConvTranspose, Dense)) and layer.activation is None
    return known and isinstance(norm, BatchNorm)


def _values(layer: Any) -> Values:
    """The kernels and the bias, which may be 0, in float64."""
    kernels = [layer.kernel, *([layer.pointwise_kernel] if isinstance(layer, _SeparableConv) else [])]
    values = [p.value.numpy().astype(np.float64) for p in kernels]
    bias = np.zeros(1) if layer.bias is None else layer.bias.value.numpy().astype(np.float64)
    return [*values, bias]


def _scaled(layer: Any, kernel: NDArray[Any], scale: NDArray[Any]) -> NDArray[Any]:
    """The kernel, by whose last axis, or that of a transposed convolution before it, outputs are told."""
    if not isinstance(layer, _ConvTranspose):
        return kernel * scale
    *taps, outs, ins = kernel.shape
    groups = kernel.reshape(*taps, outs, layer.groups, ins // layer.groups)
    return (groups * scale.reshape(layer.groups, outs).T[..., None]).reshape(kernel.shape)

"""A PyTorch twin of a model: the same layers with the same parameters, for the peer of whole models."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.timing import require_torch
from numbacnn.layers import Container, Graph, Layer, Sequential
from numbacnn.layers.base import several
from numbacnn.parameter import Parameter

Arranged = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Pair:
    """A parameter of ours, its twin, and the rearrangement from our layout to PyTorch's."""

    ours: Parameter
    theirs: Any
    arranged: Arranged


def torch_twin(model: Container, plane: bool = False) -> tuple[Any, list[Pair]]:
    """The twin of a built model, with equal parameters, and the pairs of parameters.

    Knows the layers that the benchmarks' models have and their kin, and raises KeyError at another one.

    Args:
        model: with one input or several, which its twin takes as several arguments.
        plane: make layers of signals into layers of images of one row, which have a channels-last format in
            PyTorch; the twin then takes ``(N, C, 1, L)``.

    """
    torch = require_torch()
    translator, before = _Translator(torch, plane), torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, str(model.dtype)))  # converted later, statistics would be others
    try:
        twin = translator.translate(model, own=False)
    finally:
        torch.set_default_dtype(before)
    with torch.no_grad():
        for p in translator.pairs:
            p.theirs.copy_(torch.from_numpy(np.ascontiguousarray(p.arranged(p.ours.value.numpy()))))
    order = {id(p): k for k, p in enumerate(model.parameters)}
    return twin, sorted(translator.pairs, key=lambda pair: order[id(pair.ours)])


def channels_first(x: np.ndarray, plane: bool = False) -> np.ndarray:
    """``(N, *spatial, C)`` as ``(N, C, *spatial)``; a signal, where wanted, as an image of one row."""
    return np.ascontiguousarray(np.moveaxis(x[:, None] if plane and x.ndim == 3 else x, -1, 1))


#: Layers whose results PyTorch keeps no copy of, so that the next layer may overwrite them
_OVERWRITABLE = ("Conv", "Depthwise", "Separable", "Dense", "BatchNorm", "Add", "Concat")

_PLAIN = {"ReLU": "ReLU", "ReLU6": "ReLU6", "SiLU": "SiLU", "Sigmoid": "Sigmoid", "Tanh": "Tanh"}
_IN_PLACE = ("ReLU", "ReLU6", "LeakyReLU")
_PAD_MODES = {"zeros": "constant", "constant": "constant", "reflect": "reflect"}
_PAD_MODES |= {"replicate": "replicate", "circular": "circular"}


class _Translator:
    """Makes modules of layers, and pairs of their parameters.

    Attributes:
        pairs: the pairs made so far.
        image: shape that a Flatten not yet followed by a Dense saw: flattened images are channels first over
            there, so the rows of the next weights are in another order.

    """

    def __init__(self, torch: Any, plane: bool) -> None:
        from bench import twin_modules

        self.nn, self.own_modules, self.plane = torch.nn, twin_modules, plane
        self.pairs: list[Pair] = []
        self.image: tuple[int, ...] | None = None
        self._known: dict[int, Any] = {}

    def translate(self, layer: Layer, own: bool) -> Any:
        """The module of a layer, which may overwrite its input where that is its own."""
        if id(layer) not in self._known:
            self._known[id(layer)] = self._container(layer, own) or self._leaf(layer, own)
        return self._known[id(layer)]

    def _container(self, layer: Layer, own: bool) -> Any:
        if isinstance(layer, Sequential):
            modules = []
            for each in layer.layers:
                modules.append(self.translate(each, own))
                own = _overwritable(each)
            return self.nn.Sequential(*modules)
        if not isinstance(layer, Graph):
            return None
        layers = {node.name: node.layer for node in layer.nodes}
        shared = len(layer.nodes) > len(layer.layers)
        steps = []
        for node in layer.nodes:
            first = node.sources[0]
            alone = layer._takers[first] == 1 and not shared
            mine = _overwritable(layers[first]) if first in layers else own and first in layer.inputs
            module = self.translate(node.layer, alone and mine)
            outputs = len(node.layer.output_shape) if several(node.layer.output_shape) else 0
            steps.append((node.name, module, node.sources, node.single, outputs))
        return self.own_modules.Wired(layer.inputs, steps, layer.outputs)

    def _leaf(self, layer: Any, own: bool) -> Any:
        kind = type(layer).__name__
        stem = kind.rstrip("D").rstrip("123") if kind.endswith(("1D", "2D", "3D")) else kind
        make = getattr(self, f"_{stem.lower()}", None)
        if make is not None:
            return make(layer, own)
        return self._activation(kind, layer, own)

    def _activation(self, kind: str, layer: Any, own: bool) -> Any:
        options = {"inplace": True} if own and kind in _IN_PLACE else {}
        if kind == "LeakyReLU":
            return self.nn.LeakyReLU(layer.slope, **options)
        if kind == "Softmax":
            return self.nn.Softmax(1)
        return getattr(self.nn, _PLAIN[kind])(**options)

    # Geometry

    def _wide(self, sizes: tuple[int, ...], fill: int) -> tuple[int, ...]:
        """Sizes per axis, with one for the axis that a plane has more."""
        return (fill, *sizes) if self.plane and len(sizes) == 1 else tuple(sizes)

    def _of_rank(self, stem: str, sizes: tuple[int, ...]) -> Any:
        return getattr(self.nn, f"{stem}{len(self._wide(sizes, 1))}d")

    def _padded(self, low: Any, high: Any, mode: str = "zeros", value: float = 0.0) -> tuple[list[Any], Any]:
        """A module that pads where ends differ or the mode asks for it, and what is left to pad alike."""
        low, high = self._wide(low, 0), self._wide(high, 0)
        alike = tuple(map(min, low, high)) if mode == "zeros" else (0,) * len(low)
        rest = [(lo - a, hi - a) for lo, hi, a in zip(low, high, alike, strict=True)]
        if not any(map(any, rest)):
            return [], alike
        ends = [end for pair in reversed(rest) for end in pair]
        return [self.own_modules.Padded(ends, _PAD_MODES[mode], value)], alike

    def _in_row(self, modules: list[Any]) -> Any:
        return modules[0] if len(modules) == 1 else self.nn.Sequential(*modules)

    # Layers with parameters

    def _pair(self, ours: Parameter | None, theirs: Any, arranged: Arranged = lambda b: b) -> None:
        if ours is not None:
            self.pairs.append(Pair(ours, theirs, arranged))

    def _kernel(self, w: np.ndarray) -> np.ndarray:
        """``(*k, a, b)`` to ``(b, a, *k)``."""
        wide = w[None] if self.plane and w.ndim == 3 else w
        return wide.transpose(wide.ndim - 1, wide.ndim - 2, *range(wide.ndim - 2))

    def _conv(self, layer: Any, own: bool) -> Any:
        d = layer.window()
        before, pad = self._padded(d.pad_lo_, d.pad_hi_, layer.padding_mode)
        geometry = {"stride": self._wide(d.stride_, 1), "dilation": self._wide(d.dilation_, 1)}
        geometry |= {"padding": pad, "groups": d.groups}
        separable = hasattr(layer, "pointwise_kernel")
        make = self._of_rank("Conv", d.k_)
        bias = layer.bias is not None
        modules = [make(d.c_in, d.c_out, self._wide(d.k_, 1), bias=bias and not separable, **geometry)]
        self._pair(layer.kernel, modules[0].weight, self._kernel)
        if separable:
            modules.append(make(d.c_out, layer.filters, 1, bias=bias))
            self._pair(layer.pointwise_kernel, modules[1].weight, self._kernel)
        self._pair(layer.bias, modules[-1].bias)
        return self._in_row([*before, *modules])

    _depthwiseconv = _separableconv = _conv

    def _convtranspose(self, layer: Any, own: bool) -> Any:
        d = layer._dims
        sizes = zip(d.in_, d.out_, d.stride_, d.pad_lo_, d.span_, strict=True)
        more = tuple(big - ((small - 1) * s - 2 * lo + span) for big, small, s, lo, span in sizes)
        if any(extra < 0 for extra in more):
            raise KeyError(f"{layer.path}: more padding at the end than at the start")
        geometry = {"stride": self._wide(d.stride_, 1), "dilation": self._wide(d.dilation_, 1)}
        geometry |= {"padding": self._wide(d.pad_lo_, 0), "output_padding": self._wide(more, 0)}
        make = self._of_rank("ConvTranspose", d.k_)
        bias = layer.bias is not None
        module = make(d.c_out, d.c_in, self._wide(d.k_, 1), bias=bias, groups=d.groups, **geometry)
        self._pair(layer.kernel, module.weight, self._kernel)
        self._pair(layer.bias, module.bias)
        return module

    def _dense(self, layer: Any, own: bool) -> Any:
        image, self.image = self.image, None
        module = self.nn.Linear(*layer.kernel.shape, bias=layer.bias is not None)
        self._pair(layer.kernel, module.weight, lambda w: _dense_after(image, w))
        self._pair(layer.bias, module.bias)
        return module

    def _batchnorm(self, layer: Any, own: bool) -> Any:
        spatial = layer.input_shape[:-1] or (1,)
        affine = layer.scale or layer.shift
        options = {"eps": layer.epsilon, "momentum": 1 - layer.momentum, "affine": affine}
        module = self._of_rank("BatchNorm", spatial)(layer.input_shape[-1], **options)
        for ours, theirs in ((layer.gamma, module.weight), (layer.beta, module.bias)):
            self._pair(ours, theirs)
            if ours is None and affine:
                theirs.requires_grad_(False)
        self._pair(layer.mean, module.running_mean)
        self._pair(layer.variance, module.running_var)
        after = {None: None, "relu": self.nn.ReLU, "relu6": self.nn.ReLU6}[layer.activation]
        return module if after is None else self.nn.Sequential(module, after(inplace=True))

    # Layers without

    def _maxpool(self, layer: Any, own: bool) -> Any:
        d = layer.window()
        before, pad = self._padded(d.pad_lo_, d.pad_hi_, value=-math.inf)
        geometry = {"stride": self._wide(d.stride_, 1), "dilation": self._wide(d.dilation_, 1)}
        make = self._of_rank("MaxPool", d.k_)
        return self._in_row(
            [*before, make(self._wide(d.k_, 1), padding=pad, ceil_mode=layer.ceil_mode, **geometry)]
        )

    def _avgpool(self, layer: Any, own: bool) -> Any:
        d = layer.window()
        uneven = d.pad_lo_ != d.pad_hi_ and not layer.count_include_pad
        if uneven or any(step > 1 for step in d.dilation_) or layer.divisor_override is not None:
            raise KeyError(f"{layer.path}: an average pool that PyTorch has not")
        before, pad = self._padded(d.pad_lo_, d.pad_hi_)
        geometry = {"stride": self._wide(d.stride_, 1), "padding": pad, "ceil_mode": layer.ceil_mode}
        geometry["count_include_pad"] = layer.count_include_pad
        return self._in_row([*before, self._of_rank("AvgPool", d.k_)(self._wide(d.k_, 1), **geometry)])

    def _adaptive(self, stem: str, layer: Any) -> Any:
        return self._of_rank(stem, layer.output_size)(self._wide(layer.output_size, 1))

    def _adaptiveavgpool(self, layer: Any, own: bool) -> Any:
        return self._adaptive("AdaptiveAvgPool", layer)

    def _adaptivemaxpool(self, layer: Any, own: bool) -> Any:
        return self._adaptive("AdaptiveMaxPool", layer)

    def _globalavgpool(self, layer: Any, own: bool, stem: str = "AdaptiveAvgPool") -> Any:
        pool = self._adaptive(stem, layer)
        return pool if layer.keepdims else self.nn.Sequential(pool, self.nn.Flatten())

    def _globalmaxpool(self, layer: Any, own: bool) -> Any:
        return self._globalavgpool(layer, own, "AdaptiveMaxPool")

    def _upsample(self, layer: Any, own: bool) -> Any:
        size = self._wide(layer._size, 1)
        mode = layer.mode if layer.mode == "nearest" else ("linear", "bilinear", "trilinear")[len(size) - 1]
        corners = None if mode == "nearest" else layer.align_corners
        return self.nn.Upsample(size, mode=mode, align_corners=corners)

    def _pad(self, layer: Any, own: bool) -> Any:
        low, high = zip(*layer._pads, strict=True)
        ends = zip(reversed(self._wide(low, 0)), reversed(self._wide(high, 0)), strict=True)
        mode = _PAD_MODES[layer.mode]
        return self.own_modules.Padded([end for pair in ends for end in pair], mode, layer.value)

    def _crop(self, layer: Any, own: bool) -> Any:
        parts = zip(layer._starts, layer._steps, layer.output_shape, strict=True)
        *spatial, channels = [slice(at, at + (size - 1) * step + 1, step) for at, step, size in parts]
        more = [slice(None)] if self.plane and len(spatial) == 1 else []
        return self.own_modules.Part((slice(None), channels, *more, *spatial))

    _slice = _crop

    def _flatten(self, layer: Any, own: bool) -> Any:
        self.image = layer.input_shape
        return self.nn.Flatten()

    def _add(self, layer: Any, own: bool) -> Any:
        return self.own_modules.Sum(own)

    def _multiply(self, layer: Any, own: bool) -> Any:
        if not all(shape == layer.output_shape for shape in layer.input_shape):
            raise KeyError(f"{layer.path}: factors that are repeated")
        return self.own_modules.Product()

    def _axis(self, at: int, shape: tuple[int, ...]) -> int:
        """Where an axis, counted without the batch, lies over there."""
        last = len(shape) - 1
        return 1 if at == last else at + 2 + (self.plane and last == 1)

    def _concat(self, layer: Any, own: bool) -> Any:
        return self.own_modules.Joined(self._axis(layer._at, layer.output_shape))

    def _split(self, layer: Any, own: bool) -> Any:
        return self.own_modules.Parts(layer._sizes, self._axis(layer._at, layer.input_shape))


def _overwritable(layer: Layer) -> bool:
    """Whether nothing needs the layer's result but what takes it."""
    if isinstance(layer, Sequential):
        return _overwritable(layer.layers[-1])
    if isinstance(layer, Graph):
        ends = {node.name: node.layer for node in layer.nodes}
        return all(output in ends and _overwritable(ends[output]) for output in layer.outputs)
    kind = type(layer).__name__
    return kind.startswith(_OVERWRITABLE) and getattr(layer, "activation", None) is None


def _dense_after(image: tuple[int, ...] | None, w: np.ndarray) -> np.ndarray:
    """``(features, units)`` to ``(units, features)``; flattened images are channels first over there."""
    if image is None:
        return w.T
    return np.moveaxis(w.reshape(*image, -1), (-1, -2), (0, 1)).reshape(w.shape[1], -1)

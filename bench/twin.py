"""A PyTorch twin of a Sequential: the same layers with the same parameters, for the peer of whole models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.timing import require_torch
from numbacnn.layers import Sequential
from numbacnn.parameter import Parameter


@dataclass(frozen=True)
class Pair:
    """A parameter of ours, its twin, and the rearrangement from our layout to PyTorch's."""

    ours: Parameter
    theirs: Any
    arranged: Callable[[np.ndarray], np.ndarray]


def _kernel(w: np.ndarray) -> np.ndarray:
    """``(kh, kw, c_in / groups, c_out)`` to ``(c_out, c_in / groups, kh, kw)``."""
    return w.transpose(3, 2, 0, 1)


def _dense_after(image: tuple[int, ...] | None) -> Callable[[np.ndarray], np.ndarray]:
    """``(features, units)`` to ``(units, features)``; flattened images are channels-first over there."""
    if image is None:
        return lambda w: w.T
    return lambda w: w.reshape(*image, -1).transpose(3, 2, 0, 1).reshape(w.shape[1], -1)


def torch_twin(model: Sequential) -> tuple[Any, list[Pair]]:
    """The twin of a built model, with equal parameters, and the pairs of parameters.

    Knows the layers that the benchmarks' models have, and raises KeyError at another one.
    """
    torch = require_torch()
    nn, modules, pairs, image = torch.nn, [], [], None
    # In place where PyTorch allows it: it writes less memory so
    plain = {
        "ReLU": lambda: nn.ReLU(inplace=True),
        "Sigmoid": nn.Sigmoid,
        "Tanh": nn.Tanh,
        "Flatten": nn.Flatten,
    }
    pools = {"MaxPool2D": nn.MaxPool2d, "AvgPool2D": nn.AvgPool2d}
    for layer in model.leaves():
        kind = type(layer).__name__
        if kind == "Conv2D":
            d = layer.window()
            if d.pad_lo_ != d.pad_hi_:
                (top, left), (bottom, right) = d.pad_lo_, d.pad_hi_
                modules.append(nn.ZeroPad2d((left, right, top, bottom)))
            pad = d.pad_lo_ if d.pad_lo_ == d.pad_hi_ else 0
            geometry = {"stride": d.stride_, "padding": pad, "dilation": d.dilation_, "groups": d.groups}
            modules.append(nn.Conv2d(d.c_in, d.c_out, d.k_, bias=layer.bias is not None, **geometry))
            arranged = _kernel
        elif kind == "Dense":
            features, units = layer.kernel.shape
            modules.append(nn.Linear(features, units, bias=layer.bias is not None))
            arranged, image = _dense_after(image), None
        elif kind in pools:
            d = layer.window()
            if any(d.pad_lo_ + d.pad_hi_):
                raise KeyError(f"{layer.path}: a padded {kind}")
            modules.append(pools[kind](d.k_, d.stride_))
            continue
        else:
            image = layer.input_shape if kind == "Flatten" else image
            modules.append(plain[kind]())
            continue
        pairs.append(Pair(layer.kernel, modules[-1].weight, arranged))
        if layer.bias is not None:
            pairs.append(Pair(layer.bias, modules[-1].bias, lambda b: b))
    twin = nn.Sequential(*modules).to(getattr(torch, str(model.dtype)))
    with torch.no_grad():
        for p in pairs:
            p.theirs.copy_(torch.from_numpy(np.ascontiguousarray(p.arranged(p.ours.value.numpy()))))
    return twin, pairs

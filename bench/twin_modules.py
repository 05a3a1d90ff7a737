"""Modules that a twin of a model needs and PyTorch has not; imported where the peer is PyTorch only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import reduce
from typing import Any

import torch
from torch import nn


class Wired(nn.Module):
    """A graph's nodes in order; a value is let go when its last taker has run.

    Steps are ``(name, module, sources, single, outputs)``: whether the module takes its one source itself
    rather than a list, and how many outputs it has if they come as a list, else 0.
    """

    def __init__(
        self,
        inputs: Sequence[str],
        steps: Sequence[tuple[str, nn.Module, Sequence[str], bool, int]],
        outputs: Sequence[str],
    ) -> None:
        super().__init__()
        self.inputs, self.steps, self.outputs = tuple(inputs), list(steps), tuple(outputs)
        self.parts = nn.ModuleList([module for _, module, *_ in steps])
        self.takers = Counter([s for _, _, sources, *_ in steps for s in sources] + list(outputs))

    def forward(self, *inputs: Any) -> Any:
        values, left = dict(zip(self.inputs, inputs, strict=True)), self.takers.copy()
        for name, module, sources, single, outputs in self.steps:
            given = [values[source] for source in sources]
            for source in sources:
                left[source] -= 1
                if not left[source]:
                    del values[source]
            result = module(given[0] if single else given)
            values.update({f"{name}:{k}": result[k] for k in range(outputs)} if outputs else {name: result})
        results = tuple(values[output] for output in self.outputs)
        return results[0] if len(results) == 1 else results


class Sum(nn.Module):
    """The sum of the inputs, written over the first one where that is allowed."""

    def __init__(self, own: bool) -> None:
        super().__init__()
        self.own = own

    def forward(self, x: Sequence[Any]) -> Any:
        first, *others = x
        y = first.add_(others[0]) if self.own else first + others[0]
        return reduce(torch.Tensor.add_, others[1:], y)


class Product(nn.Module):
    """The product of the inputs."""

    def forward(self, x: Sequence[Any]) -> Any:
        return reduce(torch.mul, x)


class Joined(nn.Module):
    """The inputs end to end."""

    def __init__(self, axis: int) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, x: Sequence[Any]) -> Any:
        return torch.cat(list(x), self.axis)


class Parts(nn.Module):
    """Parts of given sizes."""

    def __init__(self, sizes: Sequence[int], axis: int) -> None:
        super().__init__()
        self.sizes, self.axis = list(sizes), axis

    def forward(self, x: Any) -> Any:
        return torch.split(x, self.sizes, self.axis)


class Part(nn.Module):
    """What slices take."""

    def __init__(self, slices: tuple[slice, ...]) -> None:
        super().__init__()
        self.slices = slices

    def forward(self, x: Any) -> Any:
        return x[self.slices]


class Padded(nn.Module):
    """The input with pixels around, ends from the last axis to the first."""

    def __init__(self, ends: Sequence[int], mode: str, value: float) -> None:
        super().__init__()
        self.ends, self.mode, self.value = list(ends), mode, value

    def forward(self, x: Any) -> Any:
        if self.mode != "constant":
            return nn.functional.pad(x, self.ends, self.mode)
        return nn.functional.pad(x, self.ends, value=self.value)

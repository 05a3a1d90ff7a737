"""Linear maps along one axis, each output of few inputs: what padding and resizing do, axis by axis.

A map is kept as lists (compressed rows); the gradient's map is its transpose.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["AxisMap", "copying", "identity", "linear", "nearest", "padding"]

Ints = NDArray[np.int64]


class AxisMap(NamedTuple):
    """``y[o] = sum of weights[t] x[sources[t]] for t = bounds[o] .. bounds[o + 1] - 1``, along one axis."""

    inputs: int
    bounds: Ints  # (outputs + 1,)
    sources: Ints
    weights: NDArray[np.float64]

    @property
    def outputs(self) -> int:
        """Size of the axis in y."""
        return len(self.bounds) - 1

    @classmethod
    def of(cls, inputs: int, outputs: int, targets: Ints, sources: Ints, weights: NDArray) -> AxisMap:
        """The map with these entries, in any order; those of one target stay in order."""
        order = np.argsort(targets, kind="stable")
        bounds = np.searchsorted(targets[order], np.arange(outputs + 1))
        return cls(inputs, bounds, sources[order], weights[order])

    @property
    def transposed(self) -> AxisMap:
        """The gradient's map: each input takes the gradients of the outputs that took it."""
        targets = np.repeat(np.arange(self.outputs), np.diff(self.bounds))
        return AxisMap.of(self.outputs, self.inputs, self.sources, targets, self.weights)


def copying(inputs: int, sources: Ints) -> AxisMap:
    """The map that copies to output o the input ``sources[o]``, or nothing where that is -1."""
    targets = np.flatnonzero(sources >= 0)
    return AxisMap.of(inputs, len(sources), targets, sources[targets], np.ones(len(targets)))


def identity(size: int) -> AxisMap:
    """The map that changes nothing."""
    return copying(size, np.arange(size))


def nearest(size: int, out: int, ratio: float | None) -> AxisMap:
    """``y[o] = x[floor(o ratio)]``; without a ratio it is ``size / out``.

    In float32, as PyTorch computes it: where the product is whole but for rounding, the choice is its.
    """
    step = np.float32(size) / np.float32(out) if ratio is None else np.float32(ratio)
    sources = np.floor(np.arange(out, dtype=np.float32) * step).astype(np.int64)
    return copying(size, np.minimum(sources, size - 1))


def linear(size: int, out: int, align_corners: bool, ratio: float | None) -> AxisMap:
    """``y[o]`` between the pixels around ``(o + 0.5) ratio - 0.5``, or with the first and last kept."""
    if align_corners:
        places = np.arange(out) * (size - 1) / max(1, out - 1)
    else:
        half = (np.arange(out) * 2 + 1) * (size / (2 * out) if ratio is None else ratio / 2)
        places = np.maximum(half - 0.5, 0.0)
    low = np.minimum(places.astype(np.int64), size - 1)
    high = np.minimum(low + 1, size - 1)
    share = np.minimum(places - low, 1.0)  # of the high one; past the last pixel both are that one
    share[low == high] = 0.0
    targets, sources = np.repeat(np.arange(out), 2), np.stack([low, high], 1).reshape(-1)
    weights = np.stack([1.0 - share, share], 1).reshape(-1)
    some = weights != 0.0
    return AxisMap.of(size, out, targets[some], sources[some], weights[some])


def padding(size: int, low: int, high: int, mode: str) -> AxisMap:
    """Copies the pixel that each padded pixel shows; nothing where that is none, in mode "constant"."""
    p = np.arange(-low, size + high)
    if mode == "constant":
        shown = np.where((p < 0) | (p >= size), -1, p)
    elif mode == "reflect":
        shown = size - 1 - np.abs(size - 1 - np.abs(p))
    else:
        shown = np.clip(p, 0, size - 1) if mode == "replicate" else p % size
    return copying(size, shown)

"""Where outputs find their inputs, axis by axis: tables on the device, made once per geometry.

Per axis a table lists the inputs of each output and their weights; a gradient's table is the transpose.  An
output's inputs are all combinations of those along the axes, its weights their products.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ...axis_maps import AxisMap, linear, nearest, padding
from ...dims import Pairs
from ...pool_dims import Axis, PoolGeometry, Span, axes
from . import _driver, memory

_PLANS = 1024  # kept, of each kind: more than the layers of a process times their sizes
_FLOATS: dict[bool, np.dtype[Any]] = {True: np.dtype(np.float64), False: np.dtype(np.float32)}

Sizes = tuple[int, ...]
Weights = tuple[float, ...]
Rule = str | float | Weights  # see `_weights`


class Plan(NamedTuple):
    """The tables of one geometry on a device.

    `table` holds the bounds of each output's entries and their end, axis after axis, then the entries: the
    inputs along an axis. Bounds are places in the table itself. `weights`, as long, holds the entries'
    weights and, at the bounds, by what an output's sum is to be divided.
    """

    ins: Sizes
    outs: Sizes
    table: Any
    weights: Any
    weighted: bool  # some weight is not 1
    taps: float  # inputs of an output, on average
    most: int  # inputs of an output

    @property
    def single(self) -> bool:
        """Each output is a copy of one input, or takes none."""
        return self.most <= 1 and not self.weighted


def device_of(x: Any) -> int:
    """The index of the device where an array is."""
    return x.device


def plan_of(maps: list[AxisMap], double: bool, divisors: list[np.ndarray] | None = None) -> Plan:
    """Put the tables of one to three axes on the current device; weights in float64 if `double`."""
    base = sum(map.outputs + 1 for map in maps)
    bounds, sources, weights, divided = [], [], [], []
    for axis, map in enumerate(maps):
        bounds.append(map.bounds + base)
        sources.append(map.sources)
        weights.append(map.weights)
        each = np.ones(map.outputs) if divisors is None else divisors[axis]
        divided.append(np.append(each, 1.0))
        base += len(map.sources)
    table = memory.from_numpy(np.concatenate([*bounds, *sources]).astype(np.int32))
    factors = memory.from_numpy(np.concatenate([*divided, *weights]).astype(_FLOATS[double]))
    if not _driver.simulated():
        _driver.current_stream().synchronize()  # once per plan, so that any stream may read them
    counts = [np.diff(map.bounds) for map in maps]
    return Plan(
        tuple(map.inputs for map in maps),
        tuple(map.outputs for map in maps),
        table,
        factors,
        any(bool((map.weights != 1.0).any()) for map in maps),
        math.prod(float(count.mean()) for count in counts),
        math.prod(int(count.max()) for count in counts),
    )


def _weights(span: Span, rule: Rule) -> list[float]:
    """Of an output's taps: a constant, 1 / the taps counted, or given weights over their sum."""
    if rule == "pixels":
        return [1.0 / span.taps] * span.taps
    if rule == "padded":
        return [1.0 / span.padded] * span.taps
    if isinstance(rule, tuple):
        met = rule[span.first : span.first + span.taps]
        return [w / sum(met) for w in met]
    assert isinstance(rule, float)
    return [rule] * span.taps


def _map(axis: Axis, weights: list[list[float]]) -> AxisMap:
    """The taps of an axis's windows, with weights per window."""
    starts = np.array([span.start for span in axis.spans])
    counts = np.array([span.taps for span in axis.spans])
    bounds = np.concatenate([[0], np.cumsum(counts)])
    within = np.arange(bounds[-1]) - np.repeat(bounds[:-1], counts)
    sources = np.repeat(starts, counts) + within * axis.dilation
    return AxisMap(axis.size, bounds, sources, np.concatenate(weights))


@lru_cache(_PLANS)
def windows(dims: PoolGeometry, rules: tuple[Rule, ...], transposed: bool, double: bool, device: int) -> Plan:
    """Windows' taps with the weights of a rule per axis; transposed, each pixel's windows."""
    pairs = zip(axes(dims), rules, strict=True)
    maps = [_map(axis, [_weights(s, rule) for s in axis.spans]) for axis, rule in pairs]
    return plan_of([map.transposed for map in maps] if transposed else maps, double)


@lru_cache(_PLANS)
def counted_windows(dims: PoolGeometry, padded: bool, divisor: float, double: bool, device: int) -> Plan:
    """Windows' taps, and by what their sums are divided: `divisor`, or where that is 0 the taps counted."""
    maps = [_map(axis, [[1.0] * s.taps for s in axis.spans]) for axis in axes(dims)]
    counts = [np.array([float(s.padded if padded else s.taps) for s in axis.spans]) for axis in axes(dims)]
    if divisor:
        counts = [np.ones(len(count)) for count in counts]
        counts[-1] *= divisor
    return plan_of(maps, double, counts)


@lru_cache(_PLANS)
def whole(size: int, double: bool, device: int) -> Plan:
    """One window that holds an axis."""
    return plan_of([AxisMap(size, np.array([0, size]), np.arange(size), np.ones(size))], double)


@lru_cache(_PLANS)
def padded(in_: Sizes, pads: Pairs, mode: str, transposed: bool, double: bool, device: int) -> Plan:
    """Which pixel each padded pixel shows; transposed, by which each pixel is shown."""
    maps = [padding(size, *pair, mode) for size, pair in zip(in_, pads, strict=True)]
    return plan_of([map.transposed for map in maps] if transposed else maps, double)


@lru_cache(_PLANS)
def resized(
    in_: Sizes,
    out_: Sizes,
    mode: str,
    align_corners: bool,
    ratios: Weights | None,
    transposed: bool,
    double: bool,
    device: int,
) -> Plan:
    """Which pixels each resized pixel takes; transposed, by which each pixel is taken."""
    maps = []
    for size, out, ratio in zip(in_, out_, ratios or (None,) * len(in_), strict=True):
        copied = mode == "nearest"
        maps.append(nearest(size, out, ratio) if copied else linear(size, out, align_corners, ratio))
    return plan_of([map.transposed for map in maps] if transposed else maps, double)

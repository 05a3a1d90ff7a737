"""What follows a convolution while its results are in the cache: scale and shift, a residual, an activation.

``y = activation(scale y + shift + residual)``, of which any part may be missing.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from ..._jit import jit
from ..._native import Flat
from ...epilogue import Activation
from . import math

LINEAR, LEAKY_RELU, CLIP, SILU = range(4)

_NONE = {np.dtype(t): np.zeros(0, t) for t in (np.float32, np.float64)}


@jit
def _scale(y, at, count, channel, scale, shift):
    """Scale and shift ``count`` neighbouring channels of a pixel."""
    out = y[at : at + count]
    factors, terms = scale[channel : channel + count], shift[channel : channel + count]
    for i in range(count):
        out[i] = out[i] * factors[i] + terms[i]


@jit
def _follow(y, at, count, residual, activation):
    """Add the residual to ``count`` neighbouring elements of y, and apply the activation."""
    kind, low, high = activation
    out = y[at : at + count]
    if residual.size:
        more = residual[at : at + count]
        for i in range(count):
            out[i] += more[i]
    if kind == LEAKY_RELU:
        for i in range(count):
            value = out[i]
            less = value * low
            out[i] = less if value <= 0 else value
    elif kind == CLIP:
        for i in range(count):
            value = out[i]
            value = low if value < low else value  # comparisons with NaN are false: it passes
            out[i] = high if value > high else value
    elif kind == SILU:
        for i in range(count):
            out[i] = out[i] * math.sigmoid(out[i])


@jit
def finish_pixels(y, at, pixels, pitch, count, channel, scale, shift, residual, activation):
    """Finish channels ``channel .. channel + count - 1`` of some pixels, ``pitch`` elements apart in y.

    scale and shift have all channels or none, the residual lies as y does or has no elements.
    """
    if scale.size:
        for p in range(pixels):
            _scale(y, at + p * pitch, count, channel, scale, shift)
    if pitch == count:  # nothing lies between them: one run
        pixels, count = 1, pixels * count
    for p in range(pixels):
        _follow(y, at + p * pitch, count, residual, activation)


class Finish(NamedTuple):
    """What follows the sums, as kernels take it; arrays of no elements stand for what is missing.

    Attributes:
        scale: factors by channel.
        shift: terms by channel, as many as factors.
        residual: flat.
        activation: kind, low and high: the bounds, or the slope.
        known: the argument, flattened, of what has no arrays.

    """

    scale: np.ndarray
    shift: np.ndarray
    residual: np.ndarray
    activation: tuple[int, Any, Any]
    known: Flat | None = None

    @property
    def nothing(self) -> bool:
        """Whether sums stay as they are."""
        return self.activation[0] == LINEAR and not self.scale.size and not self.residual.size

    def argument(self) -> Flat | tuple[Any, ...]:
        """Return whether to do anything, and the last four arguments of `finish_pixels`, as one tuple."""
        return self.known or (not self.nothing, self.scale, self.shift, self.residual, self.activation)

    def blocked(self, block: int) -> Finish:
        """Return the same for pixels of which ``block`` neighbours are taken as one."""
        if block == 1 or not self.scale.size:
            return self
        return self._replace(scale=np.tile(self.scale, block), shift=np.tile(self.shift, block))

    def without_scale(self) -> Finish:
        """Return what is left where the kernel and the bias have taken the scale and the shift."""
        none = self.scale[:0]
        return Finish(none, none, self.residual, self.activation)


@functools.lru_cache(256)
def _activated(dtype: np.dtype, activation: Activation | None) -> Finish:
    none = _NONE[dtype]
    kind, low, high = LINEAR, 0.0, 0.0
    if activation is not None:
        kind = {"leaky_relu": LEAKY_RELU, "silu": SILU}.get(activation.kind, CLIP)
        low, high = activation.low, activation.high
    finish = Finish(none, none, none, (kind, dtype.type(low), dtype.type(high)))
    return finish._replace(known=Flat((finish.argument(),)))


def as_it_is(x: np.ndarray) -> Finish:
    """Return what leaves sums as they are, for arrays of this dtype."""
    return _activated(x.dtype, None)


def finish_of(
    x: np.ndarray, scale: np.ndarray | None, shift: np.ndarray | None, residual: np.ndarray | None,
    activation: Activation | None,
) -> Finish:  # fmt: skip
    """Return what follows the sums of arrays of this dtype; without a scale the sums start at the shift."""
    finish = _activated(x.dtype, activation)
    if scale is None and residual is None:
        return finish
    factors = terms = more = _NONE[x.dtype]
    if scale is not None:
        factors, terms = scale, np.zeros_like(scale) if shift is None else shift
    if residual is not None:
        more = residual.reshape(-1)
    return Finish(factors, terms, more, finish.activation)

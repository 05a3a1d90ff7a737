"""Training in 16-bit floats: conversions, and a loss scale that is kept on the GPU.

The loss's gradient is multiplied by a scale, so that small gradients do not vanish in 16 bits.  Gradients
that overflow raise a flag on the GPU; then steps change nothing and the scale is halved.  No step needs the
host to know of it::

    scale, flag = new_loss_scale()
    scale_up(dx, scale, dx)              # the loss's gradient
    ...                                  # backward
    check_finite(g, flag)                # each parameter's gradient
    rows.settle(scale, flag)             # the steps' numbers, see `held`
    run(rule, w, g, states, ..., copy=copy, flag=flag)    # each parameter
    update_loss_scale(scale, flag, 2000)

Source: Micikevicius et al., "Mixed precision training", ICLR 2018, section 3.
"""

from __future__ import annotations

import math

import numpy as np

from .each import THREADS, apply
from .intrinsics import (
    abs_,
    block_x,
    f32,
    i32,
    i64,
    load,
    load4,
    real,
    static_range,
    store,
    thread,
)
from .launch import ceil_div, kernel
from .memory import DeviceArray, from_numpy

__all__ = [
    "cast",
    "cast_scaled",
    "check_finite",
    "new_loss_scale",
    "scale_down",
    "scale_up",
    "update_loss_scale",
]

_QUADS = 4  # vectors of four that a thread checks
_INFINITY = math.inf
_LEAST, _MOST = 2.0**-14, 2.0**24  # of the scale: powers of two, by which nothing is rounded
_SCALE, _INVERSE, _GOOD, _SKIPPED = 0, 1, 2, 3  # where the loss scale's state holds what


def cast(x: DeviceArray, y: DeviceArray) -> None:
    """``y = x``, in the element type of y, rounded to nearest."""
    apply("copy", x, None, y)


def cast_scaled(x: DeviceArray, scale: float, y: DeviceArray) -> None:
    """``y = scale x``, in the element type of y; y may be x."""
    apply("scaled", x, None, y, scale)


def new_loss_scale(scale: float = 65536.0) -> tuple[DeviceArray, DeviceArray]:
    """The state of a loss scale: ``[scale, 1 / scale, good steps, skipped steps]``, and the flag, not raised.

    Args:
        scale: to begin with, a power of two.

    Returns:
        State (4,) float32, and flag (1,) int32.

    """
    state = np.array([scale, 1.0 / scale, 0.0, 0.0], np.float32)
    return from_numpy(state), from_numpy(np.zeros(1, np.int32))


def scale_up(x: DeviceArray, state: DeviceArray, y: DeviceArray) -> None:
    """``y = x scale``, the scale being on the GPU; y may be x."""
    apply("by the scale", x, state, y)


def scale_down(x: DeviceArray, state: DeviceArray, y: DeviceArray) -> None:
    """``y = x / scale``, the scale being on the GPU; y may be x."""
    apply("by the inverse", x, state, y)


@kernel("x flag n:i64", threads=THREADS)
def _raise_flag(x, flag, n):
    """Threads that find something all write 1: whoever is last, it is the same."""
    first = i64(block_x()) * (4 * THREADS * _QUADS) + thread() * 4
    bad = False
    for quad in static_range(_QUADS):
        i = first + 4 * THREADS * quad
        if i + 4 <= n:
            values = load4(x, i)
            for k in static_range(4):
                bad = bad or not abs_(values[k]) < real(_INFINITY)
        else:
            for k in static_range(4):
                if i + k < n:
                    bad = bad or not abs_(load(x, i + k)) < real(_INFINITY)
    if bad:
        store(flag, 0, i32(1))


def check_finite(
    x: DeviceArray,  # read
    flag: DeviceArray,  # (1,) int32
) -> None:
    """``flag = 1 where x holds NaN or an infinity``, else the flag stays as it is."""
    _raise_flag(ceil_div(x.size, 4 * THREADS * _QUADS), x, flag, x.size)


@kernel("state flag interval:i32", threads=32)
def _adapt(state, flag, interval):
    if thread() == 0:
        scale, good = load(state, _SCALE), load(state, _GOOD)
        if load(flag, 0) != 0:
            scale, good = f32(scale * f32(0.5)), f32(0)
            store(state, _SKIPPED, load(state, _SKIPPED) + f32(1))
        else:
            good = good + f32(1)
            if good >= f32(interval):
                scale, good = scale * f32(2), f32(0)
        scale = f32(_LEAST) if scale < f32(_LEAST) else scale
        scale = f32(_MOST) if scale > f32(_MOST) else scale
        store(state, _SCALE, scale)
        store(state, _INVERSE, f32(1) / scale)
        store(state, _GOOD, good)
        store(flag, 0, i32(0))


def update_loss_scale(
    state: DeviceArray,  # updated
    flag: DeviceArray,  # read, then lowered
    interval: int,
) -> None:
    """After a step: halve the scale where the flag is up, else double it after ``interval`` good steps.

    The scale stays within 2^-14 and 2^24.
    """
    _adapt(1, state, flag, interval)

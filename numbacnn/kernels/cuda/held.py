"""Optimizer steps whose learning rate lies on the GPU: a graph of them serves every step.

What a step changes is a row of four float64: ``[rate, root, keep, learning rate]``, `rules.moved`'s numbers,
which the host writes before the step. Copy, state and flag are those of `mixed`, or None.
"""

from __future__ import annotations

from .intrinsics import f32, f64, i32, load, pow_, sqrt, store, thread
from .launch import kernel
from .memory import DeviceArray
from .rules import run

__all__ = ["adam_update_held", "rmsprop_update_held", "sgd_update_held"]


def sgd_update_held(
    w: DeviceArray,  # updated
    g: DeviceArray,  # read
    velocity: DeviceArray,  # updated, from 0
    row: DeviceArray,  # (4,) float64 read
    momentum: float,
    nesterov: bool,
    copy: DeviceArray | None,  # written: w in its element type
    state: DeviceArray | None,  # read
    flag: DeviceArray | None,  # read: where it is up nothing is written
) -> None:
    """`update.sgd_update` or `mixed.sgd_update_mixed`."""
    rule, factors = "nesterov" if nesterov else "sgd", {"beta1": momentum}
    run(rule, w, g, (velocity,), factors, copy=copy, scale=state, flag=flag, counted=row)


def rmsprop_update_held(
    w: DeviceArray,  # updated
    g: DeviceArray,  # read
    square: DeviceArray,  # updated, from 0
    row: DeviceArray,  # (4,) float64 read
    rho: float,
    eps: float,
    copy: DeviceArray | None,  # written: w in its element type
    state: DeviceArray | None,  # read
    flag: DeviceArray | None,  # read: where it is up nothing is written
) -> None:
    """`update.rmsprop_update` or `mixed.rmsprop_update_mixed`."""
    factors = {"beta2": rho, "rest2": 1.0 - rho, "eps": eps}
    run("rmsprop", w, g, (square,), factors, copy=copy, scale=state, flag=flag, counted=row)


@kernel("steps flag row beta1:f64 beta2:f64", threads=32)
def _count_held(steps, flag, row, beta1, beta2):
    """The numbers of `mixed._count_step`, from the learning rate in the row."""
    if thread() == 0 and load(flag, 0) == 0:
        made = i32(load(steps, 0) + 1)
        store(steps, 0, made)
        store(row, 0, f64(f32(load(row, 3) / (f64(1) - pow_(beta1, f64(made))))))
        store(row, 1, f64(f32(f64(1) / sqrt(f64(1) - pow_(beta2, f64(made))))))


def adam_update_held(
    w: DeviceArray,  # updated
    g: DeviceArray,  # read
    m: DeviceArray,  # updated, from 0
    v: DeviceArray,  # updated, from 0
    row: DeviceArray,  # (4,) float64 read; where there is a flag, rate and root are written
    beta1: float,
    beta2: float,
    eps: float,
    steps: DeviceArray | None,  # (1,) int32, updated, from 0: steps that were not skipped; with a flag
    copy: DeviceArray | None,  # written: w in its element type
    state: DeviceArray | None,  # read
    flag: DeviceArray | None,  # read: where it is up nothing is written
) -> None:
    """`update.adam_update` or `mixed.adam_update_mixed`."""
    if flag is not None:
        _count_held(1, steps, flag, row, beta1, beta2)
    factors = {"beta1": beta1, "rest1": 1.0 - beta1, "beta2": beta2, "rest2": 1.0 - beta2, "eps": eps}
    run("adam", w, g, (m, v), factors, copy=copy, scale=state, flag=flag, counted=row)

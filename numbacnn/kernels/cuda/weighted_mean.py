"""The mean of losses by their weights, on the GPU: the host waits for nothing."""

from __future__ import annotations

from .intrinsics import load, real, store, thread
from .launch import kernel
from .memory import DeviceArray
from .reduce import total

__all__ = ["weighted_mean"]


@kernel("value divisor", threads=32)
def _divide(value, divisor):
    if thread() == 0:
        by = load(divisor, 0)
        store(value, 0, load(value, 0) / by if by != real(0) else real(0))


def weighted_mean(
    loss: DeviceArray,  # (n,) read
    share: DeviceArray,  # (n,) read
    divisor: DeviceArray,  # () written
    value: DeviceArray,  # () written
) -> None:
    """``divisor = sum(share)``, ``value = sum(loss) / divisor``; 0 where nothing weighs."""
    if not loss.size:
        divisor.fill_zero()
        value.fill_zero()
        return
    total(share, 1.0, divisor)
    total(loss, 1.0, value)
    _divide(1, value, divisor)

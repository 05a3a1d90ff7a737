"""The dense layer's three products on the GPU: convolutions of one pixel by one tap.

Exact for float32 arrays unless `config.precision` is ``"tf32"``.
"""

from __future__ import annotations

from ...config import config
from .memory import DeviceArray
from .pass_ import correlate, correlate_weights
from .plan import dense_dims


def _tf32() -> bool:
    return config.precision == "tf32"


def dense_forward(
    x: DeviceArray,  # (n, inputs) read
    w: DeviceArray,  # (inputs, outputs) read
    b: DeviceArray | None,  # (outputs,) read, or None
    y: DeviceArray,  # (n, outputs) written
) -> None:
    """``y = x w + b``."""
    dims = dense_dims(x.shape[0], *w.shape)
    correlate(dims, False, _tf32(), x, w, b, None, None, None, y)


def dense_backward_data(
    dy: DeviceArray,  # (n, outputs) read
    w: DeviceArray,  # (inputs, outputs) read
    dx: DeviceArray,  # (n, inputs) written
) -> None:
    """``dx = dy w'``."""
    correlate(dense_dims(dy.shape[0], *w.shape), True, _tf32(), dy, w, None, None, None, None, dx)


def dense_backward_weights(
    x: DeviceArray,  # (n, inputs) read
    dy: DeviceArray,  # (n, outputs) read
    dw: DeviceArray,  # (inputs, outputs) written
) -> None:
    """``dw = x' dy``."""
    correlate_weights(dense_dims(x.shape[0], *dw.shape), _tf32(), x, dy, dw)

"""Pooling by the p-norm of a window, and its gradient.

Magnitudes (p = 1) and squares (p = 2) are summed as they are read.  Other powers are computed in float64,
whose range holds ``|x|^p`` for any x and p in use.  The gradient is the transposed sum of ``dy y^(1 - p)``,
computed once per output, times ``sign(x) |x|^(p - 1)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...pool_dims import PoolGeometry
from . import memory
from .axes import device_of, windows
from .gather import gather
from .intrinsics import block_x, f64, i64, load, pow_, real, store, thread
from .launch import ceil_div, kernel

__all__ = ["lp_pool_backward", "lp_pool_forward"]

if TYPE_CHECKING:
    SQUARES = False

_THREADS = 256


@kernel("y dy share size:i64 p:f64", threads=_THREADS)
def share_out(y, dy, share, size, p):
    """``dy y^(1 - p)``, 0 where y is; in float64 unless SQUARES, where p is 2."""
    i = i64(block_x()) * _THREADS + thread()
    if i < size:
        norm, slope = load(y, i), load(dy, i)
        if SQUARES:
            store(share, i, real(0) if norm == real(0) else slope / norm)
        else:
            power = f64(0)
            if norm != real(0):
                power = f64(slope) * pow_(f64(norm), f64(1) - p)
            store(share, i, power)


def lp_pool_forward(
    dims: PoolGeometry,
    x: Any,  # (n, *in, c) read
    y: Any,  # (n, *out, c) written
    p: float,
) -> None:
    """``y[n, o, c] = (sum of |x|^p over the window of o)^(1 / p)``."""
    plan = windows(dims, (1.0,) * dims.rank, False, x.dtype == np.float64, device_of(x))
    if p == 1.0:
        gather(plan, x, None, y, "magnitude")
    elif p == 2.0:
        gather(plan, x, None, y, "square", "root2")
    else:
        gather(plan, x, None, y, "power", "root", p=p)


def lp_pool_backward(
    dims: PoolGeometry,
    x: Any,  # (n, *in, c) read
    y: Any,  # (n, *out, c) read: what the forward pass wrote
    dy: Any,  # (n, *out, c) read
    dx: Any,  # (n, *in, c) written
    p: float,
) -> None:
    """``dx[n, q, c] = sum of dy y^(1 - p) sign(x) |x|^(p - 1) over the windows that hold q``; 0 if y is."""
    share, double = dy, dx.dtype == np.float64 or p not in (1.0, 2.0)
    if p != 1.0:
        share = memory.empty(dims.output_shape, np.float64 if double else np.float32)
        variant = share_out.of(SQUARES=p == 2.0)
        variant(ceil_div(y.size, _THREADS), y, dy, share, y.size, float(p))
    plan = windows(dims, (1.0,) * dims.rank, True, double, device_of(x))
    give = {1.0: "sign", 2.0: "slope"}.get(p, "power")
    gather(plan, share, x, dx, "value", give, p=p)

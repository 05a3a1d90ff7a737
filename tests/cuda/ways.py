"""What tests of gathering kernels share: types, bounds of errors, and each way that outputs are made."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any
from unittest import mock

import ml_dtypes
import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from numbacnn.kernels.cuda import gather
from numbacnn.pool_dims import PoolGeometry, axes
from tests.strategies import pool_cases, window_dims

TYPES = [np.dtype(t) for t in (np.float32, np.float64, np.float16, ml_dtypes.bfloat16)]
dtypes = st.sampled_from(TYPES)

#: Relative to the largest: rounding of sums over a window, and of 16-bit results.
TOLERANCE = dict(zip(TYPES, (2e-6, 4e-15, 6e-4, 4.5e-3), strict=True))

# A thread per output, in several launches, one for several images, a block per window, several blocks.
WAYS: dict[str, dict[str, Any]] = {
    "threads": {"_LARGE": math.inf},
    "launches": {"_LARGE": math.inf, "_UNITS": 7},
    "images": {"_BUSY": 0},
    "blocks": {"_LARGE": 0, "_SHARE": 1 << 20},
    "splits": {"_LARGE": 2, "_SHARE": 2**-9, "_BLOCKS": 12},
}
ways = st.sampled_from(["threads", "launches", "images"])


@contextlib.contextmanager
def made(way: str) -> Iterator[None]:
    """Outputs are made so, whatever their sizes, by blocks that are soon simulated."""
    with mock.patch.multiple(gather, _THREADS=32, **WAYS[way]):
        yield


def cost(dims: PoolGeometry) -> int:
    """What simulating a pooling takes, about."""
    taps = math.prod(sum(span.taps for span in axis.spans) for axis in axes(dims))
    return math.prod(dims.input_shape) + dims.n * dims.c * taps


def geometries(most_channels: int = 9, most: int = 1000) -> st.SearchStrategy[PoolGeometry]:
    """Windows of any kind, of sizes that are soon simulated."""
    regular = pool_cases(most_channels=most_channels).map(lambda case: case.dims)
    return (regular | window_dims(most_channels=most_channels)).filter(lambda dims: cost(dims) < most)


def close(got: NDArray, expected: NDArray, factor: float = 1.0) -> None:
    """Equal within the rounding of the type that was computed in."""
    size = np.abs(expected[np.isfinite(expected)]).max(initial=0)
    atol = factor * TOLERANCE[got.dtype] * size
    np.testing.assert_allclose(got.astype(np.float64), expected, rtol=0, atol=atol)

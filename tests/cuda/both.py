"""Results of a simulated kernel in either order of the threads, and element types with their rounding."""

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
from hypothesis import strategies as st

from numbacnn.kernels.cuda.simulator import descending_order

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
TYPES = [np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.float16), BFLOAT16]
ROUNDING = {TYPES[0]: 2.0**-24, TYPES[1]: 2.0**-53, TYPES[2]: 2.0**-11, BFLOAT16: 2.0**-8}
"""The largest relative error of rounding to nearest."""
TINY = {TYPES[0]: 2.0**-126, TYPES[1]: 2.0**-1022, TYPES[2]: 2.0**-25, BFLOAT16: 2.0**-126}
"""And the largest absolute one, below the smallest normal numbers (rounded to 0 where it does not matter)."""
types = st.sampled_from(TYPES)


def both(run: Callable[[], list[np.ndarray]]) -> list[np.ndarray]:
    """What `run` returns: the same bits whichever thread runs first, or two of them race."""
    results = run()
    with descending_order():
        again = run()
    for a, b in zip(results, again, strict=True):
        assert a.tobytes() == b.tobytes(), "threads race: the order in which they run matters"
    return results


def double(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float64) if array.dtype.kind not in "iub" else array


def normal(seed: int, shape: Any, dtype: np.dtype) -> np.ndarray:
    """Standard normal numbers, rounded to the type."""
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)

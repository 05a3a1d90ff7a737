"""Comparison of results with the reference, to rounding errors of their element type."""

import numpy as np

from numbacnn.tensor import Tensor

ULPS = 24  # of the largest sum of magnitudes: reductions here are short


def reference_of(function, *arguments, shape):
    """What a reference kernel writes, in float64."""
    out = np.full(shape, np.nan)
    function(*arguments, out)
    return out


def assert_matches(result, expected, dtype, magnitude=None):
    """The tensor is of that type, and equals to within rounding of terms as large as `magnitude`."""
    assert type(result) is Tensor
    array = result.numpy()
    assert array.dtype == dtype
    assert array.shape == expected.shape
    largest = np.abs(expected if magnitude is None else magnitude).max(initial=1.0)
    np.testing.assert_allclose(array, expected, rtol=0, atol=ULPS * np.finfo(dtype).eps * largest)

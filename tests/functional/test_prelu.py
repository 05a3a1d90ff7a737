"""Rectifiers with learned slopes on tensors against the reference, and what they refuse."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbacnn import functional
from numbacnn.errors import DTypeError, ShapeError
from numbacnn.kernels import reference
from tests.functional.comparing import assert_matches, reference_of
from tests.strategies import arrays, dtypes, seeds


@settings(max_examples=20)
@given(st.lists(st.integers(0, 9), max_size=2), st.integers(1, 9), st.booleans(), dtypes, seeds)
def test_it_and_its_gradients_are_the_references(leading, channels, shared, dtype, seed):
    shape, slopes = (*leading, channels), (1 if shared else channels,)
    x, dy, slope = arrays(seed, shape, shape, slopes, dtype=dtype)
    expected = reference_of(reference.prelu_forward, x, slope, shape=shape)
    assert_matches(functional.prelu_forward(x, slope), expected, dtype)
    dx, dslope = np.empty(shape), np.empty(slopes)
    reference.prelu_backward(x, slope, dy, dx, dslope)
    got = functional.prelu_backward(dy, x, slope)
    assert_matches(got[0], dx, dtype)
    assert_matches(got[1], dslope, dtype, abs(x * dy).reshape(-1, slopes[0]).sum(axis=0))


def test_it_refuses():
    x = np.ones((2, 3))
    with pytest.raises(ShapeError, match=r"^act: expected slopes of shape \(3,\), one for each channel, or"):
        functional.prelu_forward(x, np.ones(2), name="act")
    with pytest.raises(ShapeError, match=r"^prelu_backward: expected slopes of shape \(3,\)"):
        functional.prelu_backward(x, x, np.ones((1, 1)))
    with pytest.raises(ShapeError, match=r"expected an input of shape \(2, 3\), got \(3,\)"):
        functional.prelu_backward(x, np.ones(3), np.ones(3))
    with pytest.raises(ShapeError, match=r"expected an input \(\.\.\., channels\)"):
        functional.prelu_forward(1.5, np.ones(1))
    with pytest.raises(DTypeError, match="expected the slope of float64"):
        functional.prelu_forward(x, np.ones(3, np.float32))

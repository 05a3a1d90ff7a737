"""Mean and maximum of channels of tensors, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numbacnn import functional
from numbacnn.errors import ShapeError
from numbacnn.kernels import reference
from tests.functional.comparing import assert_matches
from tests.strategies import arrays, dtypes, seeds

shapes = st.tuples(st.integers(0, 3), st.integers(1, 4), st.integers(1, 4), st.integers(1, 9))


@given(shapes, seeds, dtypes, st.booleans())
def test_they_are_the_references(shape, seed, dtype, more):
    pairs = (*shape[:-1], 2)
    x, dy, others = arrays(seed, shape, pairs, shape, dtype=dtype)
    others = others if more else None
    y = functional.channel_pool_forward(x)
    reference.channel_pool_forward(x, expected := np.empty(pairs))
    assert_matches(y, expected, dtype)
    dx = functional.channel_pool_backward(dy, x, y, others)
    reference.channel_pool_backward(x, y.numpy(), dy, others, expected := np.empty(shape))
    assert_matches(dx, expected, dtype, 2 * np.abs(expected))


def test_shapes_refused():
    x, y = np.ones((2, 3, 4)), np.ones((2, 3, 2))
    with pytest.raises(ShapeError, match=r"spot: expected an input .* of 1 channel or more"):
        functional.channel_pool_forward(np.ones((2, 0)), name="spot")
    with pytest.raises(ShapeError, match="an output gradient of shape"):
        functional.channel_pool_backward(x, x, y)
    with pytest.raises(ShapeError, match="an output of shape"):
        functional.channel_pool_backward(y, x, x)
    with pytest.raises(ShapeError, match="other gradients of shape"):
        functional.channel_pool_backward(y, x, y, y)

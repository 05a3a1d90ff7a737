"""The logarithm of softmax on tensors against the reference, and what it refuses."""

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
@given(st.lists(st.integers(0, 9), max_size=2), st.integers(1, 20), dtypes, seeds)
def test_it_and_its_gradient_are_the_references(leading, classes, dtype, seed):
    shape = (*leading, classes)
    x, dy = arrays(seed, shape, shape, dtype=dtype)
    y = functional.log_softmax_forward(x)
    assert_matches(y, reference_of(reference.log_softmax_forward, x, shape=shape), dtype, 5.0)
    expected = reference_of(reference.log_softmax_backward, y.numpy(), dy, shape=shape)
    size = abs(dy) + abs(dy).sum(axis=-1, keepdims=True)
    assert_matches(functional.log_softmax_backward(dy, y), expected, dtype, size)


def test_it_refuses():
    with pytest.raises(ShapeError, match=r"^log_softmax_forward: expected an input \(\.\.\., classes\)"):
        functional.log_softmax_forward(np.ones((3, 0)))
    with pytest.raises(ShapeError, match=r"expected an output of shape \(3,\), got \(2,\)"):
        functional.log_softmax_backward(np.ones(3), np.ones(2))
    with pytest.raises(DTypeError, match="the input of float32 or float64, got int64"):
        functional.log_softmax_forward([1, 2])

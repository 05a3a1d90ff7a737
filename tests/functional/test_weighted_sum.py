"""Weighted sums of tensors, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numbacnn import functional
from numbacnn.errors import ArgumentError, DTypeError, ShapeError
from numbacnn.kernels import reference
from tests.functional.comparing import assert_matches
from tests.strategies import arrays, dtypes, seeds

shapes = st.lists(st.integers(0, 5), max_size=3).map(tuple)


@given(shapes, st.integers(1, 3), st.sampled_from([None, 0.1]), seeds, dtypes)
def test_they_are_the_references(shape, count, epsilon, seed, dtype):
    *inputs, dy, weights = arrays(seed, *[shape] * (count + 1), (count,), dtype=dtype)
    y = functional.weighted_sum_forward(inputs, weights, epsilon=epsilon)
    reference.weighted_sum_forward(tuple(inputs), weights, epsilon, expected := np.empty(shape))
    assert_matches(y, expected, dtype, 3 * np.abs(expected) + 20)
    wanted = tuple(np.empty(shape) for _ in inputs)
    reference.weighted_sum_backward(dy, weights, epsilon, wanted)
    gradients = functional.weighted_sum_backward(dy, weights, epsilon=epsilon)
    assert len(gradients) == count
    for dx, exact in zip(gradients, wanted, strict=True):
        assert_matches(dx, exact, dtype)
    dw = functional.weighted_sum_backward_weights(inputs, dy, weights, epsilon=epsilon)
    reference.weighted_sum_backward_weights(tuple(inputs), dy, weights, epsilon, expected := np.empty(count))
    largest = max((np.abs(x * dy).sum() for x in inputs), default=0.0) / (epsilon or 1.0)
    assert_matches(dw, expected, dtype, np.array([largest]))


def test_arguments_refused():
    x, w = np.ones((2, 3)), np.ones(2)
    with pytest.raises(ArgumentError, match="mix: expected one input or more, got none"):
        functional.weighted_sum_forward([], w, name="mix")
    with pytest.raises(ArgumentError, match="one input or more"):
        functional.weighted_sum_backward_weights([], x, w)
    with pytest.raises(ShapeError, match=r"weights of shape \(3,\)"):
        functional.weighted_sum_forward([x, x, x], w)
    with pytest.raises(ShapeError, match="inputs of shape"):
        functional.weighted_sum_forward([x, x.T], w)
    with pytest.raises(ShapeError, match="weights of shape"):
        functional.weighted_sum_backward(x, np.ones((2, 1)))
    with pytest.raises(DTypeError, match="the weights of float64"):
        functional.weighted_sum_forward([x, x], np.ones(2, np.float32))
    for epsilon in (0, -1.0, np.inf, True, "1"):
        with pytest.raises(ArgumentError, match="epsilon as a finite number above 0"):
            functional.weighted_sum_forward([x, x], w, epsilon=epsilon)

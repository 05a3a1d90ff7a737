"""Adaptive and global pooling of tensors against the reference, and what they refuse."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numbacnn import functional
from numbacnn.errors import ArgumentError, DTypeError, ShapeError
from numbacnn.kernels import reference
from numbacnn.pool_dims import WindowDims
from tests.functional.comparing import assert_matches, reference_of
from tests.strategies import arrays, dtypes, seeds


@st.composite
def cases(draw):
    rank = draw(st.integers(1, 3))
    shape = (
        draw(st.integers(0, 2)),
        *(draw(st.integers(1, 9)) for _ in range(rank)),
        draw(st.integers(1, 20)),
    )
    return shape, tuple(draw(st.integers(1, 9)) for _ in range(rank)), draw(seeds)


@given(cases(), dtypes)
def test_adaptive_pooling_and_its_gradients_are_the_references(case, dtype):
    shape, size, seed = case
    dims = WindowDims.adaptive(shape, size)
    x, dy = arrays(seed, dims.input_shape, dims.output_shape, dtype=dtype)
    y, indices = functional.adaptive_max_pool_forward(x, size, return_indices=True)
    expected = reference_of(reference.max_pool_forward, dims, x, shape=dims.output_shape)
    np.testing.assert_array_equal(y.numpy(), expected)
    np.testing.assert_array_equal(functional.adaptive_max_pool_forward(x, size).numpy(), expected)
    found = np.empty(dims.output_shape, np.int64)
    reference.max_pool_indices(dims, x, y.numpy(), found)
    np.testing.assert_array_equal(indices.numpy(), found)
    dx = functional.adaptive_max_pool_backward(dy, x, y)
    expected = reference_of(reference.max_pool_backward, dims, x, y.numpy(), dy, shape=dims.input_shape)
    assert_matches(dx, expected, dtype, np.abs(dy) * 30)
    mean = functional.adaptive_avg_pool_forward(x, size)
    expected = np.full(dims.output_shape, np.nan)
    reference.avg_pool_forward(dims, x, expected, False, 0.0)
    assert_matches(mean, expected, dtype, x)
    dx = functional.adaptive_avg_pool_backward(dy, x.shape)
    expected = np.full(dims.input_shape, np.nan)
    reference.avg_pool_backward(dims, dy, expected, False, 0.0)
    assert_matches(dx, expected, dtype, np.abs(dy) * 30)


@given(cases(), dtypes)
def test_global_pooling_is_the_maximum_or_mean_of_all_pixels(case, dtype):
    shape, _, seed = case
    (x,) = arrays(seed, shape, dtype=dtype)
    axes = tuple(range(1, len(shape) - 1))
    y, mean = functional.global_max_pool_forward(x), functional.global_avg_pool_forward(x)
    np.testing.assert_array_equal(y.numpy(), x.max(axis=axes, keepdims=True))
    assert_matches(mean, x.astype(float).mean(axis=axes, keepdims=True), dtype, x)
    (dy,) = arrays(seed + 1, y.shape, dtype=dtype)
    dx = functional.global_max_pool_backward(dy, x, y)
    np.testing.assert_array_equal(dx.numpy(), np.where(x == y.numpy(), dy, 0))
    share = functional.global_avg_pool_backward(dy, x.shape)
    assert_matches(share, np.broadcast_to(dy.astype(float) / np.prod(shape[1:-1]), shape), dtype)


def test_what_does_not_fit_is_refused():
    x, y = np.ones((1, 4, 4, 3)), np.ones((1, 2, 2, 3))
    with pytest.raises(ArgumentError, match="down: expected output_size"):
        functional.adaptive_avg_pool_forward(x, 0, name="down")
    with pytest.raises(ShapeError, match="1 to 3 spatial axes"):
        functional.adaptive_max_pool_forward(x[0, 0], 2)
    with pytest.raises(DTypeError, match="float32 or float64"):
        functional.global_avg_pool_forward(x.astype(int))
    with pytest.raises(ShapeError, match=r"expected an output gradient of shape \(1, 2, 2, 3\)"):
        functional.adaptive_max_pool_backward(x, x, y)
    for wrong in (y[0], y[..., :1], y[:, :0]):
        with pytest.raises(ShapeError, match="expected an output"):
            functional.adaptive_max_pool_backward(y, x, wrong)
        with pytest.raises(ShapeError, match="expected an output gradient of shape"):
            functional.adaptive_avg_pool_backward(wrong, x.shape)
    for wrong in (y, y[0]):
        with pytest.raises(ShapeError, match=r"expected an output of shape \(1, 1, 1, 3\)"):
            functional.global_max_pool_backward(x[:, :1, :1], x, wrong)
        with pytest.raises(ShapeError, match=r"expected an output gradient of shape \(1, 1, 1, 3\)"):
            functional.global_avg_pool_backward(wrong, x.shape)

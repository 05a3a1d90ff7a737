"""Max unpooling of tensors: what pooling took goes back, and what is refused."""

import numpy as np
import pytest
from hypothesis import given

from numbacnn import functional
from numbacnn.errors import ArgumentError, DTypeError, ShapeError
from numbacnn.kernels import reference
from tests.functional.comparing import reference_of
from tests.strategies import arrays, dtypes, pool_cases


@given(pool_cases(most_channels=20), dtypes)
def test_unpooling_puts_maxima_back_to_their_places(case, dtype):
    dims = case.dims
    x, dy = arrays(case.seed, dims.input_shape, dims.input_shape, dtype=dtype)
    pooled, indices = functional.max_pool_forward(x, **case.options, return_indices=True)
    y = functional.max_unpool_forward(pooled, indices, dims.in_)
    assert y.dtype == dtype
    placed = y.numpy() != 0
    np.testing.assert_array_equal(y.numpy()[placed], x[placed])
    expected = reference_of(
        reference.max_unpool_forward, pooled.numpy(), indices.numpy(), shape=dims.input_shape
    )
    np.testing.assert_array_equal(y.numpy(), expected)
    dx = functional.max_unpool_backward(dy, indices)
    expected = reference_of(reference.max_unpool_backward, dy, indices.numpy(), shape=dims.output_shape)
    np.testing.assert_array_equal(dx.numpy(), expected)


def test_of_equal_indices_the_last_wins_and_any_integers_will_do():
    x = np.array([1.0, 2.0, 3.0]).reshape(1, 3, 1)
    indices = np.array([4, 0, 4], np.uint8).reshape(1, 3, 1)
    assert functional.max_unpool_forward(x, indices, 5).numpy().ravel().tolist() == [2, 0, 0, 0, 3]
    dy = np.arange(5.0).reshape(1, 5, 1)
    assert functional.max_unpool_backward(dy, indices.astype(np.int32)).numpy().ravel().tolist() == [4, 0, 4]


@pytest.mark.parametrize("wrong", [-1, 16, 2**40])
def test_indices_outside_the_image_are_refused(wrong):
    x = np.ones((1, 2, 2, 3))
    indices = np.zeros(x.shape, np.int64)
    indices[0, 1, 0, 2] = wrong
    says = f"up: expected indices from 0 to 15, of the 16 pixels of an image, got {wrong}"
    with pytest.raises(ArgumentError, match=says):
        functional.max_unpool_forward(x, indices, (4, 4), name="up")
    with pytest.raises(ArgumentError, match=says):
        functional.max_unpool_backward(np.ones((1, 4, 4, 3)), indices, name="up")


def test_what_does_not_fit_is_refused():
    x, indices = np.ones((1, 2, 2, 3)), np.zeros((1, 2, 2, 3), np.int64)
    with pytest.raises(DTypeError, match="expected indices of an integer type, got float64"):
        functional.max_unpool_forward(x, x, 4)
    with pytest.raises(ShapeError, match=r"expected indices of shape \(1, 2, 2, 3\)"):
        functional.max_unpool_forward(x, indices[:, :1], 4)
    with pytest.raises(ShapeError, match="1 to 3 spatial axes"):
        functional.max_unpool_forward(x[0, 0], indices[0, 0], 4)
    with pytest.raises(ShapeError, match=r"expected indices \(1, \*in, 3\) with 2 spatial axes"):
        functional.max_unpool_backward(np.ones((1, 4, 4, 3)), indices[..., :2])
    for size in (0, (4,), (4, 4, 4), "44", 4.5, None):
        with pytest.raises(ArgumentError, match="expected output_size as one number of pixels or 2"):
            functional.max_unpool_forward(x, indices, size)

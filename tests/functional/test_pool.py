"""Pooling of tensors against the reference, and what it refuses."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numbacnn import functional
from numbacnn.errors import ArgumentError, DTypeError, ShapeError
from numbacnn.kernels import reference
from tests.functional.comparing import assert_matches, reference_of
from tests.strategies import arrays, dtypes, pool_cases

images = pool_cases(most_channels=40)


@given(images, dtypes, st.sampled_from(["random", "ties", "nan"]))
def test_max_pooling_and_its_gradient_are_the_references(case, dtype, values):
    dims = case.dims
    x, dy = arrays(case.seed, dims.input_shape, dims.output_shape, dtype=dtype)
    if values != "random":
        x = np.round(x)
    if values == "nan":
        x[x > 1] = np.nan
        x[x < -1] = -np.inf
    y = functional.max_pool_forward(x, **case.options)
    expected = reference_of(reference.max_pool_forward, dims, x, shape=dims.output_shape)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y.numpy(), expected)
    dx = functional.max_pool_backward(dy, x, y, **case.options)
    expected = reference_of(reference.max_pool_backward, dims, x, y.numpy(), dy, shape=dims.input_shape)
    assert_matches(dx, expected, dtype, np.abs(dy) * np.prod(dims.k_))


@given(images, dtypes, st.booleans())
def test_average_pooling_and_its_gradient_are_the_references(case, dtype, count_include_pad):
    dims = case.dims
    x, dy = arrays(case.seed, dims.input_shape, dims.output_shape, dtype=dtype)
    expected = np.full(dims.output_shape, np.nan)
    reference.avg_pool_forward(dims, x, expected, count_include_pad, 0.0)
    y = functional.avg_pool_forward(x, **case.options, count_include_pad=count_include_pad)
    assert_matches(y, expected, dtype, x)
    expected = np.full(dims.input_shape, np.nan)
    reference.avg_pool_backward(dims, dy, expected, count_include_pad, 0.0)
    dx = functional.avg_pool_backward(dy, x.shape, **case.options, count_include_pad=count_include_pad)
    assert_matches(dx, expected, dtype, np.abs(dy) * np.prod(dims.k_))


FORWARD = [functional.max_pool_forward, functional.avg_pool_forward]


@pytest.mark.parametrize("pool", FORWARD)
@pytest.mark.parametrize(
    ("error", "shape", "kernel", "options", "says"),
    [
        (
            ShapeError,
            (7, 4),
            2,
            {},
            "expected an input (n, *spatial, channels) with 1 to 3 spatial axes, got 2 axes",
        ),
        (ShapeError, (1, 7, 0, 4), 2, {}, "positive sizes, got (1, 7, 0, 4)"),
        (ShapeError, (1, 7, 7, 0), 2, {}, "positive sizes"),
        (ShapeError, (1, 7, 2, 4), 3, {}, "expected a padded input of at least (3, 3) pixels"),
        (ShapeError, (1, 7, 7, 4), 2, {"padding": 2}, "expected windows that each hold a pixel"),
        (ArgumentError, (1, 7, 7, 4), 0, {}, "expected kernel as one integer or 2"),
        (ArgumentError, (1, 7, 7, 4), (2, 2, 2), {}, "expected kernel as one integer or 2"),
        (ArgumentError, (1, 7, 7, 4), 2, {"stride": 0}, "expected stride as one integer or 2"),
        (ArgumentError, (1, 7, 7, 4), 2, {"stride": -1}, "got -1"),
        (ArgumentError, (1, 7, 7, 4), 2, {"dilation": 0}, "expected dilation as one integer or 2"),
        (ArgumentError, (1, 7, 7, 4), 2, {"padding": "full"}, "got 'full'"),
    ],
)
def test_forward_refuses(pool, error, shape, kernel, options, says):
    with pytest.raises(error) as caught:
        pool(np.ones(shape), kernel, name="down", **options)
    assert str(caught.value).startswith("down: ")
    assert says in str(caught.value)


@pytest.mark.parametrize("pool", FORWARD)
def test_other_types_are_refused(pool):
    with pytest.raises(DTypeError, match="expected the input of float32 or float64, got uint8"):
        pool(np.ones((1, 4, 4, 1), np.uint8), 2)


def test_gradients_refuse_what_the_forward_pass_cannot_have_returned():
    x, y = np.ones((1, 4, 4, 3)), np.ones((1, 2, 2, 3))
    for wrong in (x, y[0], np.ones((1, 2, 2, 1))):
        with pytest.raises(ShapeError, match=r"expected an output gradient of shape \(1, 2, 2, 3\)"):
            functional.max_pool_backward(wrong, x, y, 2)
        with pytest.raises(ShapeError, match=r"expected an output of shape \(1, 2, 2, 3\)"):
            functional.max_pool_backward(y, x, wrong, 2)
        with pytest.raises(ShapeError, match=r"expected an output gradient of shape \(1, 2, 2, 3\)"):
            functional.avg_pool_backward(wrong, x.shape, 2)
    half = y.astype(np.float32)
    with pytest.raises(DTypeError, match="expected the output gradient of float64"):
        functional.max_pool_backward(half, x, y, 2)
    with pytest.raises(DTypeError, match="expected the output of float64"):
        functional.max_pool_backward(y, x, half, 2)
    with pytest.raises(DTypeError, match="expected the output gradient of float32 or float64"):
        functional.avg_pool_backward(y.astype(int), x.shape, 2)
    with pytest.raises(ShapeError, match="1 to 3 spatial axes"):
        functional.avg_pool_backward(y, (4, 3), 2)

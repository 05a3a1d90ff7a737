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


@given(images, st.floats(0.5, 40))
def test_a_divisor_takes_the_place_of_the_count(case, divisor):
    x, dy = arrays(case.seed, case.dims.input_shape, case.dims.output_shape)
    expected = np.full(case.dims.output_shape, np.nan)
    reference.avg_pool_forward(case.dims, x, expected, True, divisor)
    y = functional.avg_pool_forward(x, **case.options, count_include_pad=True, divisor_override=divisor)
    assert_matches(y, expected, np.float64, x * 100)
    dx = functional.avg_pool_backward(dy, x.shape, **case.options, divisor_override=divisor)
    assert np.vdot(x, dx) == pytest.approx(np.vdot(y, dy), abs=1e-9)


@given(images, dtypes)
def test_indices_are_the_places_of_the_maxima(case, dtype):
    (x,) = arrays(case.seed, case.dims.input_shape, dtype=dtype)
    y, indices = functional.max_pool_forward(x, **case.options, return_indices=True)
    assert indices.dtype == np.int64
    assert indices.shape == y.shape
    pixels = x.reshape(len(x), int(np.prod(case.dims.in_)), x.shape[-1])
    flat = indices.numpy().reshape(len(x), int(np.prod(case.dims.out_)), x.shape[-1])
    found = np.take_along_axis(pixels, flat, axis=1)
    np.testing.assert_array_equal(found.reshape(y.shape), y.numpy())
    np.testing.assert_array_equal(y.numpy(), functional.max_pool_forward(x, **case.options).numpy())


@pytest.mark.parametrize("divisor", [0, -1, np.nan, np.inf, "2"])
def test_divisors_refused(divisor):
    with pytest.raises(ArgumentError, match="down: expected divisor_override as a finite number above 0"):
        functional.avg_pool_forward(np.ones((1, 4, 1)), 2, divisor_override=divisor, name="down")
    with pytest.raises(ArgumentError, match="expected divisor_override"):
        functional.avg_pool_backward(np.ones((1, 2, 1)), (1, 4, 1), 2, divisor_override=divisor)


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

"""Gaussian pooling of tensors against the reference, and what it refuses."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numbacnn import functional
from numbacnn.errors import ArgumentError, ShapeError
from numbacnn.kernels import reference
from tests.functional.comparing import assert_matches
from tests.strategies import arrays, dtypes, pool_cases


@given(pool_cases(most_channels=20), dtypes, st.data())
def test_gaussian_averages_and_their_gradient_are_the_references(case, dtype, data):
    dims = case.dims
    sigma = tuple(data.draw(st.floats(0.7, 5)) for _ in range(dims.rank))
    weights = tuple(
        tuple(np.exp(-(((np.arange(k) - (k - 1) / 2) * d) ** 2) / (2 * s * s)).tolist())
        for k, d, s in zip(dims.k_, dims.dilation_, sigma, strict=True)
    )
    x, dy = arrays(case.seed, dims.input_shape, dims.output_shape, dtype=dtype)
    expected, slope = np.full(dims.output_shape, np.nan), np.full(dims.input_shape, np.nan)
    reference.weighted_pool_forward(dims, x, expected, weights)
    y = functional.gaussian_pool_forward(x, **case.options, sigma=sigma)
    assert_matches(y, expected, dtype, x)
    reference.weighted_pool_backward(dims, dy, slope, weights)
    dx = functional.gaussian_pool_backward(dy, x.shape, **case.options, sigma=sigma)
    assert_matches(dx, slope, dtype, np.abs(dy) * np.prod(dims.k_))


@given(pool_cases())
def test_the_average_of_ones_is_one_and_a_wide_window_averages_evenly(case):
    x = np.ones(case.dims.input_shape)
    y = functional.gaussian_pool_forward(x, **case.options, sigma=1.3)
    np.testing.assert_allclose(y.numpy(), 1.0, rtol=1e-14)
    (x,) = arrays(case.seed, case.dims.input_shape)
    wide = functional.gaussian_pool_forward(x, **case.options, sigma=1e8)
    np.testing.assert_allclose(
        wide.numpy(), functional.avg_pool_forward(x, **case.options).numpy(), atol=1e-12
    )


@pytest.mark.parametrize("sigma", [0, -1.0, np.inf, np.nan, (1.0,), (1.0, 0), "12", (1.0, "1")])
def test_widths_refused(sigma):
    with pytest.raises(ArgumentError, match="down: expected sigma as one number of pixels or 2"):
        functional.gaussian_pool_forward(np.ones((1, 4, 4, 1)), 2, sigma=sigma, name="down")


def test_a_width_under_which_taps_vanish_is_refused():
    with pytest.raises(ArgumentError, match=r"a sigma that gives every tap of \(9,\) a weight"):
        functional.gaussian_pool_forward(np.ones((1, 9, 1)), 9, sigma=0.2)


def test_the_gradient_refuses_another_shape():
    with pytest.raises(ShapeError, match=r"expected an output gradient of shape \(1, 2, 1\)"):
        functional.gaussian_pool_backward(np.ones((1, 4, 1)), (1, 4, 1), 2, sigma=1.0)

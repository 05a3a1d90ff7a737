"""Pooling by p-norms of tensors against the reference, and what it refuses."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numbacnn import functional
from numbacnn.errors import ArgumentError, ShapeError
from numbacnn.kernels import reference
from tests.functional.comparing import assert_matches
from tests.strategies import arrays, dtypes, pool_cases


@given(pool_cases(most_channels=20), dtypes, st.sampled_from([1, 2, 3, 2.5]))
def test_norms_and_their_gradient_are_the_references(case, dtype, p):
    dims = case.dims
    x, dy = arrays(case.seed, dims.input_shape, dims.output_shape, dtype=dtype)
    expected, slope = np.full(dims.output_shape, np.nan), np.full(dims.input_shape, np.nan)
    reference.lp_pool_forward(dims, x, expected, p)
    y = functional.lp_pool_forward(x, **case.options, p=p)
    assert_matches(y, expected, dtype, np.abs(x) * np.prod(dims.k_))
    reference.lp_pool_backward(dims, x, y.numpy(), dy, slope, p)
    dx = functional.lp_pool_backward(dy, x, y, **case.options, p=p)
    assert_matches(dx, slope, dtype, np.abs(dy) * np.prod(dims.k_))


@pytest.mark.parametrize("p", [0.5, 0, -1, np.inf, np.nan, "2", None])
def test_exponents_refused(p):
    x, y = np.ones((1, 4, 1)), np.ones((1, 2, 1))
    with pytest.raises(ArgumentError, match="down: expected a finite p of 1 or more"):
        functional.lp_pool_forward(x, 2, p=p, name="down")
    with pytest.raises(ArgumentError, match="expected a finite p of 1 or more"):
        functional.lp_pool_backward(y, x, y, 2, p=p)


def test_gradients_refuse_what_the_forward_pass_cannot_have_returned():
    x, y = np.ones((1, 4, 3)), np.ones((1, 2, 3))
    with pytest.raises(ShapeError, match=r"expected an output gradient of shape \(1, 2, 3\)"):
        functional.lp_pool_backward(x, x, y, 2)
    with pytest.raises(ShapeError, match=r"expected an output of shape \(1, 2, 3\)"):
        functional.lp_pool_backward(y, x, x, 2)

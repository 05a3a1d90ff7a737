"""Dropout of examples and channels on tensors against the reference, and what it refuses."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbacnn import functional
from numbacnn.errors import ArgumentError, DTypeError, ShapeError
from numbacnn.kernels import reference
from tests.functional.comparing import assert_matches, reference_of
from tests.strategies import arrays, dtypes, seeds


@settings(max_examples=30)
@given(
    st.lists(st.integers(0, 9), min_size=2, max_size=4).map(tuple),
    st.booleans(),
    st.booleans(),
    dtypes,
    seeds,
)
def test_it_and_its_gradient_are_the_references(shape, channels, boolean, dtype, seed):
    (x,) = arrays(seed, shape, dtype=dtype)
    groups = (shape[0], shape[-1]) if channels else shape[:1]
    mask = np.random.default_rng(seed).integers(0, 2, groups, np.uint8)
    expected = reference_of(reference.group_dropout_forward, x, mask, 1.25, shape=shape)
    given_mask = mask.astype(bool) if boolean else mask
    for operation in (functional.group_dropout_forward, functional.group_dropout_backward):
        assert_matches(operation(x, given_mask, 1.25), expected, dtype)


@pytest.mark.parametrize("name", ["group_dropout_forward", "group_dropout_backward"])
def test_it_refuses(name):
    dropout, x = getattr(functional, name), np.ones((2, 5, 3))
    with pytest.raises(
        ShapeError, match=rf"^{name}: expected a mask of shape \(2,\) or \(2, 3\), got \(5,\)"
    ):
        dropout(x, np.ones(5, np.uint8), 2.0)
    with pytest.raises(ShapeError, match=r"an input \(n, \.\.\.\)"):
        dropout(1.0, np.ones(1, np.uint8), 2.0)
    with pytest.raises(DTypeError, match="a mask of uint8 or bool, got float64"):
        dropout(x, np.ones(2), 2.0)
    with pytest.raises(ArgumentError, match="a finite scale of 0 or more"):
        dropout(x, np.ones(2, bool), -1.0)

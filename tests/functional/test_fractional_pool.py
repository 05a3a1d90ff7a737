"""Fractional max pooling of tensors against the reference, and what it refuses."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numbacnn import functional
from numbacnn.errors import ArgumentError, ShapeError
from numbacnn.kernels import reference
from numbacnn.pool_dims import WindowDims
from tests.functional.comparing import assert_matches, reference_of
from tests.strategies import arrays, dtypes, seeds


@given(st.data(), st.integers(1, 3), seeds, dtypes, st.booleans())
def test_fractional_pooling_and_its_gradient_are_the_references(data, rank, seed, dtype, disjoint):
    in_ = tuple(data.draw(st.integers(2, 9)) for _ in range(rank))
    kernel = None if disjoint else tuple(data.draw(st.integers(1, 2)) for _ in range(rank))
    ratio = tuple(data.draw(st.floats(0.2, 0.5)) for _ in range(rank))
    samples = np.random.default_rng(seed).random(rank).tolist()
    shape = (data.draw(st.integers(0, 2)), *in_, data.draw(st.integers(1, 20)))
    size = tuple(max(1, int(i * r)) for i, r in zip(in_, ratio, strict=True))
    dims = WindowDims.fractional(shape, size, samples, kernel)
    x, dy = arrays(seed, dims.input_shape, dims.output_shape, dtype=dtype)
    options = {"output_size": size, "samples": samples}
    y, indices = functional.fractional_max_pool_forward(x, kernel, **options, return_indices=True)
    expected = reference_of(reference.max_pool_forward, dims, x, shape=dims.output_shape)
    np.testing.assert_array_equal(y.numpy(), expected)
    found = np.empty(dims.output_shape, np.int64)
    reference.max_pool_indices(dims, x, y.numpy(), found)
    np.testing.assert_array_equal(indices.numpy(), found)
    by_seed = functional.fractional_max_pool_forward(x, kernel, output_ratio=ratio, seed=seed)
    np.testing.assert_array_equal(by_seed.numpy(), expected)
    dx = functional.fractional_max_pool_backward(dy, x, y, kernel, output_ratio=ratio, seed=seed)
    expected = reference_of(reference.max_pool_backward, dims, x, y.numpy(), dy, shape=dims.input_shape)
    assert_matches(dx, expected, dtype, np.abs(dy) * 10)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"seed": 0}, "either output_size or output_ratio"),
        ({"output_size": 2, "output_ratio": 0.5, "seed": 0}, "either output_size or output_ratio"),
        ({"output_size": 2}, "either samples or a seed"),
        ({"output_size": 2, "samples": (0.1, 0.2), "seed": 1}, "either samples or a seed"),
        ({"output_size": 0, "seed": 0}, "output_size as one integer or 2"),
        ({"output_ratio": 2, "seed": 0}, "output_ratio as one number or 2"),
        ({"output_size": 2, "samples": (0.5,)}, "samples as 2 numbers"),
        ({"output_size": 2, "seed": -1}, "a seed as an integer of 0 or more"),
        ({"output_size": 2, "seed": "x"}, "a seed as an integer of 0 or more"),
        ({"kernel": 0, "output_size": 2, "seed": 0}, "kernel as one integer or 2"),
    ],
)
def test_options_refused(options, says):
    with pytest.raises(ArgumentError) as caught:
        functional.fractional_max_pool_forward(np.ones((1, 4, 4, 1)), name="down", **options)
    assert str(caught.value).startswith("down: expected ")
    assert says in str(caught.value)


def test_what_does_not_fit_is_refused():
    x, y = np.ones((1, 4, 4, 1)), np.ones((1, 2, 2, 1))
    with pytest.raises(ShapeError, match="at most one output per place"):
        functional.fractional_max_pool_forward(x, 2, output_size=4, seed=0)
    with pytest.raises(ShapeError, match=r"1 to 3 spatial axes"):
        functional.fractional_max_pool_forward(x[0, 0], output_ratio=0.5, seed=0)
    with pytest.raises(ShapeError, match=r"expected an output of shape \(1, 3, 3, 1\)"):
        functional.fractional_max_pool_backward(y, x, y, output_size=3, seed=0)

"""Rows of a table on tensors against the reference, and what they refuse."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbacnn import functional
from numbacnn.errors import ArgumentError, DTypeError, IndexRangeError, ShapeError
from numbacnn.kernels import reference
from tests.functional.comparing import assert_matches
from tests.strategies import arrays, dtypes, seeds

KINDS = [np.int8, np.uint8, np.int32, np.int64, np.uint64]


@settings(max_examples=30)
@given(
    st.lists(st.integers(0, 5), max_size=3).map(tuple),
    st.integers(1, 12),
    st.integers(1, 9),
    st.booleans(),
    st.sampled_from(KINDS),
    dtypes,
    seeds,
)
def test_it_and_its_gradient_are_the_references(shape, rows, d, padded, kind, dtype, seed):
    w, dy = arrays(seed, (rows, d), (*shape, d), dtype=dtype)
    rng = np.random.default_rng(seed)
    x, padding = np.asarray(rng.integers(0, rows, shape), kind), int(rng.integers(rows)) if padded else None
    y, dw = np.empty(dy.shape), np.empty(w.shape)
    reference.embedding_forward(x, w, -1 if padding is None else padding, y)
    got = functional.embedding_forward(x, w, padding_index=padding)
    np.testing.assert_array_equal(got.numpy(), y)
    assert got.dtype == dtype
    reference.embedding_backward(x, dy, -1 if padding is None else padding, dw)
    assert_matches(functional.embedding_backward(dy, x, rows, padding_index=padding), dw, dtype, 100.0)


@pytest.mark.parametrize("outside", [-1, 4, 2**40, -(2**62)])
def test_integers_out_of_range_are_refused(outside):
    x = np.array([[0, 3], [outside, 1]])
    expected = rf"^words: expected integers from 0 to 3, got {outside} at index \(1, 0\)"
    with pytest.raises(IndexRangeError, match=expected):
        functional.embedding_forward(x, np.ones((4, 2)), name="words")
    with pytest.raises(IndexError, match=expected):
        functional.embedding_backward(np.ones((2, 2, 2)), x, 4, name="words")


def test_it_refuses():
    w = np.ones((4, 2))
    with pytest.raises(DTypeError, match=r"^embedding_forward: expected an input of integers, got float64"):
        functional.embedding_forward(np.ones(3), w)
    with pytest.raises(DTypeError, match="an input of integers, got bool"):
        functional.embedding_forward(np.ones(3, bool), w)
    with pytest.raises(ShapeError, match=r"a table \(rows, columns\)"):
        functional.embedding_forward([1], np.ones(4))
    with pytest.raises(ShapeError, match="a row and a column or more"):
        functional.embedding_forward([1], np.ones((4, 0)))
    with pytest.raises(ShapeError, match=r"an output gradient of shape \(1, 2\), got \(2, 2\)"):
        functional.embedding_backward(np.ones((2, 2)), [1], 4)
    for index in (-1, 4, 1.0, True):
        with pytest.raises(ArgumentError, match="padding_index as an integer from 0 to 3, or None"):
            functional.embedding_forward([1], w, padding_index=index)

"""Rows of a table and the sums of their gradients on a simulated GPU, against the reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbacnn.kernels import reference
from numbacnn.kernels.cuda import embedding
from tests.strategies import seeds

from .arrays import computed
from .both import ROUNDING, TINY, TYPES, double, normal, types


def forward(x, w, padding, shape):
    def run(x, w, y):
        embedding.embedding_forward(x, w, padding, y)

    return computed(run, (x, w), shape, w.dtype)


def backward(x, dy, padding, shape):
    def run(x, dy, dw):
        embedding.embedding_backward(x, dy, padding, dw)

    return computed(run, (x, dy), shape, dy.dtype)


@settings(max_examples=25)
@given(
    st.lists(st.integers(0, 5), max_size=2).map(tuple),
    st.integers(1, 6),
    st.integers(1, 9),
    st.booleans(),
    st.sampled_from([np.int32, np.int64]),
    seeds,
    types,
)
def test_any_shape_gives_the_references_results(shape, rows, d, padded, kind, seed, dtype):
    w, dy = normal(seed, (rows, d), dtype), normal(seed + 1, (*shape, d), dtype)
    rng = np.random.default_rng(seed)
    x, padding = rng.integers(0, rows, shape).astype(kind), int(rng.integers(rows)) if padded else -1
    y, dw = np.empty(dy.shape), np.empty(w.shape)
    reference.embedding_forward(x, double(w), padding, y)
    got = forward(x, w, padding, dy.shape)
    np.testing.assert_array_equal(double(got), y)
    reference.embedding_backward(x, double(dy), padding, dw)
    got = backward(x, dy, padding, w.shape)
    single = 64 * min(ROUNDING[dtype], ROUNDING[TYPES[0]])
    np.testing.assert_allclose(double(got), dw, rtol=1.01 * ROUNDING[dtype], atol=single * 25 + TINY[dtype])


def test_several_blocks():
    rng = np.random.default_rng(0)
    x, w = rng.integers(0, 5, 300), normal(0, (5, 3), TYPES[0])
    dy, dw = normal(1, (300, 3), TYPES[0]), np.empty((5, 3))
    reference.embedding_backward(x, dy, 2, dw)
    got = backward(x, dy, 2, (5, 3))
    np.testing.assert_allclose(got, dw, atol=1e-5)
    got = forward(x, w, -1, (300, 3))
    np.testing.assert_array_equal(got, w[x])


@pytest.mark.parametrize("outside", [-1, 5])
def test_integers_outside_give_nan_and_no_gradient(outside):
    x, w, dy = np.array([1, outside, 4]), normal(0, (5, 3), TYPES[0]), np.ones((3, 3), np.float32)
    got = forward(x, w, -1, (3, 3))
    assert np.isnan(got).all(axis=1).tolist() == [False, True, False]
    got = backward(x, dy, -1, (5, 3))
    assert got.sum(axis=1).tolist() == [0, 3, 0, 0, 3]

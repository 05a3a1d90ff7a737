"""Rows of a table and the sums of their gradients against the reference; bits over threads."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbacnn.kernels import reference
from numbacnn.kernels.cpu import embedding
from tests.kernels.guard import assert_same_bits, written
from tests.strategies import arrays, dtypes, seeds


@settings(max_examples=50)
@given(
    st.lists(st.integers(0, 9), max_size=3).map(tuple),
    st.integers(1, 12),
    st.integers(1, 40),
    st.booleans(),
    seeds,
    dtypes,
)
def test_any_shape_gives_the_references_results(shape, rows, d, padded, seed, dtype):
    w, dy = arrays(seed, (rows, d), (*shape, d), dtype=dtype)
    rng = np.random.default_rng(seed)
    x, padding = rng.integers(0, rows, shape), int(rng.integers(rows)) if padded else -1
    y, dw = np.empty((*shape, d)), np.empty((rows, d))
    reference.embedding_forward(x, w, padding, y)
    got = written(embedding.embedding_forward, x, w, padding, shapes=y.shape, dtype=dtype)
    np.testing.assert_array_equal(got, y)
    reference.embedding_backward(x, dy, padding, dw)
    got = written(embedding.embedding_backward, x, dy, padding, shapes=dw.shape, dtype=dtype)
    np.testing.assert_allclose(got, dw, rtol=0, atol=1000 * np.finfo(dtype).eps)
    if padded:
        assert not got[padding].any()


@pytest.mark.parametrize("skewed", [False, True])
def test_bits_do_not_depend_on_the_threads(skewed):
    """Nor where nearly all integers are the same, and its row's sum has one order."""
    rng = np.random.default_rng(0)
    x = np.where(rng.random(20_000) < 0.9 * skewed, 7, rng.integers(0, 501, 20_000))
    w, dy = arrays(1, (501, 33), (20_000, 33), dtype=np.float32)

    def results():
        y, dw = np.empty_like(dy), np.empty_like(w)
        embedding.embedding_forward(x, w, 3, y)
        embedding.embedding_backward(x, dy, 3, dw)
        return [y, dw]

    assert_same_bits(results)
    dw = np.empty(w.shape)
    reference.embedding_backward(x, dy, 3, dw)
    np.testing.assert_allclose(results()[1], dw, atol=2e-3 if skewed else 2e-5)

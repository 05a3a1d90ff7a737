"""Losses of vectors against the reference; bits over threads."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbacnn.kernels import reference
from numbacnn.kernels.cpu import similarity
from tests.kernels.guard import assert_same_bits, threads, written
from tests.strategies import arrays, dtypes, seeds

RELATIVE = {np.dtype(np.float32): 4e-6, np.dtype(np.float64): 2e-14}


def check(name, vectors, options):
    dtype, shape = vectors[0].dtype, vectors[0].shape
    loss = written(getattr(similarity, f"{name}_forward"), *vectors, *options, shapes=shape[:1], dtype=dtype)
    exact, close = np.empty(shape[0]), RELATIVE[dtype]
    getattr(reference, f"{name}_forward")(*vectors, *options, exact)
    np.testing.assert_allclose(loss, exact, rtol=close, atol=close)
    shapes = [shape] * len(vectors)
    args = *vectors, *options, 0.75
    found = written(getattr(similarity, f"{name}_backward"), *args, shapes=shapes, dtype=dtype)
    slopes = [np.empty(shape) for _ in vectors]
    getattr(reference, f"{name}_backward")(*args, *slopes)
    for dx, slope in zip(found, slopes, strict=True):
        np.testing.assert_allclose(dx, slope, rtol=close, atol=close)


def signs_of(n, seed):
    return np.where(np.random.default_rng(seed).random(n) < 0.5, 1, -1)


@settings(max_examples=30)
@given(st.integers(0, 6), st.integers(2, 40), seeds, dtypes)
def test_cosines_of_any_shape_are_the_references(n, d, seed, dtype):
    vectors = arrays(seed, (n, d), (n, d), dtype=dtype)
    check("cosine_embedding", vectors, (signs_of(n, seed), 0.1))


@settings(max_examples=30)
@given(st.integers(0, 6), st.integers(1, 40), st.booleans(), seeds, dtypes)
def test_triplets_of_any_shape_are_the_references(n, d, squared, seed, dtype):
    check("triplet", arrays(seed, *[(n, d)] * 3, dtype=dtype), (0.8, squared))


@pytest.mark.parametrize("count", [1, 2])
def test_many_parts_give_the_references_results(count):
    with threads(count):
        check("cosine_embedding", arrays(1, (300, 65), (300, 65), dtype=np.float32), (signs_of(300, 1), 0.1))
        check("triplet", arrays(1, *[(300, 65)] * 3, dtype=np.float32), (0.8, False))


def test_bits_do_not_depend_on_the_threads_or_the_run():
    a, p, n = arrays(2, *[(501, 37)] * 3, dtype=np.float32)
    signs = signs_of(501, 2)

    def results():
        outs = [np.empty_like(a) for _ in range(5)]
        losses = [np.empty(501, np.float32) for _ in range(2)]
        similarity.cosine_embedding_forward(a, p, signs, 0.1, losses[0])
        similarity.cosine_embedding_backward(a, p, signs, 0.1, 0.5, *outs[:2])
        similarity.triplet_forward(a, p, n, 0.5, True, losses[1])
        similarity.triplet_backward(a, p, n, 0.5, True, 0.5, *outs[2:])
        return losses + outs

    assert_same_bits(results)

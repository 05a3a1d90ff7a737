"""Losses of vectors on a simulated GPU, against the reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbacnn.kernels import reference
from numbacnn.kernels.cuda import memory, similarity
from tests.strategies import seeds

from .arrays import computed, put
from .both import ROUNDING, TYPES, both, double, normal, types

F32, F64 = TYPES[:2]
RELATIVE = {kind: max(1.01 * ROUNDING[kind], 6e-6 if kind != F64 else 2e-14) for kind in TYPES}


def check(name, arrays, options, dtype):
    shape, kept = arrays[0].shape, F64 if dtype == F64 else F32
    count = 2 if name == "cosine_embedding" else 3
    loss = computed(getattr(similarity, f"{name}_forward"), (*arrays, *options), shape[:1], kept)
    exact = np.empty(shape[0])
    wide = [double(a) for a in arrays]
    getattr(reference, f"{name}_forward")(*wide, *options, exact)
    np.testing.assert_allclose(loss, exact, rtol=RELATIVE[kept], atol=4 * RELATIVE[kept])

    def backward():
        outs = [memory.empty(shape, dtype) for _ in range(count)]
        getattr(similarity, f"{name}_backward")(*map(put, arrays), *options, 0.75, *outs)
        return [out.numpy() for out in outs]

    slopes = [np.empty(shape) for _ in range(count)]
    getattr(reference, f"{name}_backward")(*wide, *options, 0.75, *slopes)
    for dx, slope in zip(both(backward), slopes, strict=True):
        np.testing.assert_allclose(double(dx), slope, rtol=RELATIVE[dtype], atol=4 * RELATIVE[dtype])


def cosine(n, d, seed, dtype):
    signs = np.where(np.random.default_rng(seed).random(n) < 0.5, 1, -1)
    check(
        "cosine_embedding",
        [normal(seed, (n, d), dtype), normal(seed + 1, (n, d), dtype), signs],
        (0.1,),
        dtype,
    )


def triplet(n, d, squared, seed, dtype):
    check("triplet", [normal(seed + i, (n, d), dtype) for i in range(3)], (0.8, squared), dtype)


@settings(max_examples=10)
@given(st.integers(1, 5), st.integers(2, 40), seeds, types)
def test_cosines_are_the_references(n, d, seed, dtype):
    cosine(n, d, seed, dtype)


@settings(max_examples=10)
@given(st.integers(1, 5), st.integers(1, 40), st.booleans(), seeds, types)
def test_triplets_are_the_references(n, d, squared, seed, dtype):
    triplet(n, d, squared, seed, dtype)


@pytest.mark.parametrize("dtype", TYPES[:2], ids=str)
def test_long_vectors_take_a_block(dtype):
    cosine(2, 1100, 0, dtype)
    triplet(2, 1100, False, 0, dtype)

"""Max unpooling in the simulator against the reference: any indices, repeated ones among them."""

import math
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbacnn.kernels import reference
from numbacnn.kernels.cuda import unpool
from tests.cuda.arrays import computed
from tests.cuda.ways import TYPES, dtypes
from tests.kernels.test_unpool import cases
from tests.strategies import arrays, seeds

small = cases().filter(lambda case: math.prod(case[0]) + math.prod(case[1]) < 1500)


def check(pooled, whole, indices, seed, dtype, **bounds):
    x, dy = arrays(seed, pooled, whole, dtype=dtype)
    expected, slope = np.empty_like(dy), np.empty_like(x)
    reference.max_unpool_forward(x, indices, expected)
    reference.max_unpool_backward(dy, indices, slope)
    with mock.patch.dict(vars(unpool), bounds):
        y = computed(unpool.max_unpool_forward, (x, indices), whole, dtype)
        dx = computed(unpool.max_unpool_backward, (dy, indices), pooled, dtype)
    assert y.tobytes() == expected.tobytes()
    assert dx.tobytes() == slope.tobytes()


@settings(max_examples=20)
@given(small, dtypes)
def test_unpooling_and_its_gradient_are_the_references(case, dtype):
    check(*case, dtype)


@settings(max_examples=20)
@given(small, st.integers(1, 12), st.integers(1, 12))
def test_bands_and_stretches_of_any_size_give_the_same(case, stretch, band):
    check(*case, TYPES[0], _STRETCH=stretch, _BAND=band, _STRETCHES=0, _UNITS=50)


@settings(max_examples=10)
@given(seeds)
def test_indices_of_pooling_and_stretches_longer_than_reads_at_once(seed):
    """In order of the windows, as pooling gives them, each index near those before."""
    rng = np.random.default_rng(seed)
    indices = (np.arange(40) * 3 + rng.integers(0, 5, (2, 3, 40))).transpose(0, 2, 1)
    check(
        (2, 40, 3),
        (2, 125, 3),
        np.ascontiguousarray(indices),
        seed,
        TYPES[0],
        _STRETCH=9,
        _BAND=16,
        _STRETCHES=0,
    )


@pytest.mark.parametrize("stretch", [1, 2, 5, 30])
def test_values_in_no_order_are_found_from_every_band(stretch):
    rng = np.random.default_rng(stretch)
    indices = rng.permuted(np.tile(np.arange(30), (2, 3, 1)), axis=-1).transpose(0, 2, 1).copy()
    bounds = {"_STRETCH": stretch, "_BAND": 2, "_STRETCHES": 0}
    check((2, 30, 3), (2, 31, 3), indices, 0, TYPES[0], **bounds)


def test_without_repeated_indices_it_is_adjoint_to_its_gradient():
    rng = np.random.default_rng(0)
    places = rng.permuted(np.tile(np.arange(20), (2, 5, 1)), axis=-1)[..., :8]
    indices = np.ascontiguousarray(np.moveaxis(places, 1, -1)).reshape(2, 4, 2, 5)
    x, dy = arrays(1, indices.shape, (2, 5, 4, 5))
    y = computed(unpool.max_unpool_forward, (x, indices), dy.shape, x.dtype)
    dx = computed(unpool.max_unpool_backward, (dy, indices), x.shape, x.dtype)
    assert np.vdot(x, dx) == pytest.approx(np.vdot(y, dy), abs=1e-9)

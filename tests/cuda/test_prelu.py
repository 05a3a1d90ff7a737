"""Rectifiers with learned slopes on a simulated GPU, against the reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbacnn.kernels import reference
from numbacnn.kernels.cuda import memory, prelu
from tests.strategies import seeds

from .arrays import computed, put
from .both import ROUNDING, TINY, TYPES, both, double, normal, types


def check(shape, slopes, seed, dtype):
    x, dy, slope = normal(seed, shape, dtype), normal(seed + 1, shape, dtype), normal(seed + 2, slopes, dtype)
    y, dx, dslope = np.empty(shape), np.empty(shape), np.empty(slopes)
    reference.prelu_forward(double(x), double(slope), y)
    reference.prelu_backward(double(x), double(slope), double(dy), dx, dslope)
    places = {"rtol": 1.01 * ROUNDING[dtype] + 1e-300, "atol": TINY[dtype]}
    np.testing.assert_allclose(double(computed(prelu.prelu_forward, (x, slope), shape, dtype)), y, **places)

    def run():
        given = [memory.empty(shape, dtype), memory.empty((slopes,), dtype)]
        prelu.prelu_backward(put(x), put(slope), put(dy), *given)
        return [each.numpy() for each in given]

    got, sums = map(double, both(run))
    np.testing.assert_allclose(got, dx, **places)
    size = abs(double(x) * double(dy)).reshape(-1, slopes).sum(axis=0)
    single = 64 * min(ROUNDING[dtype], ROUNDING[TYPES[0]])  # of the sums, before they are rounded
    assert (abs(sums - dslope) <= 1.01 * ROUNDING[dtype] * abs(dslope) + single * size + TINY[dtype]).all()


@settings(max_examples=20)
@given(st.lists(st.integers(0, 5), max_size=2), st.integers(1, 9), st.booleans(), seeds, types)
def test_any_shape_gives_the_references_results(leading, channels, shared, seed, dtype):
    check((*leading, channels), 1 if shared else channels, seed, dtype)


@pytest.mark.parametrize("shape", [(347, 3), (16, 64)])
def test_blocks_meet_without_a_gap(shape):
    check(shape, shape[1], 1, TYPES[0])


def test_places_past_31_bits_are_divided_as_such():
    x, slope = normal(1, (5, 7), TYPES[0]), normal(2, 7, TYPES[0])
    variant = prelu._prelu.of(SHARED=False, WIDE=True, BACKWARD=False)
    got = computed(
        lambda x, slope, y: variant(1, x, slope, None, y, None, 7, 35), (x, slope), (5, 7), x.dtype
    )
    np.testing.assert_array_equal(got, np.where(x > 0, x, slope * x))

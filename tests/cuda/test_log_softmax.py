"""The logarithm of softmax on a simulated GPU, against the reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbacnn.kernels import reference
from numbacnn.kernels.cuda import log_softmax
from tests.strategies import seeds

from .arrays import computed
from .both import ROUNDING, TYPES, double, normal, types


def check(shape, seed, dtype):
    x, dy = normal(seed, shape, dtype), normal(seed + 1, shape, dtype)
    y, dx = np.empty(shape), np.empty(shape)
    reference.log_softmax_forward(double(x), y)
    got = computed(log_softmax.log_softmax_forward, (x,), shape, dtype)
    places = 1.01 * ROUNDING[dtype] + 16 * min(ROUNDING[dtype], ROUNDING[TYPES[0]])
    np.testing.assert_allclose(double(got), y, rtol=places, atol=places)
    reference.log_softmax_backward(double(got), double(dy), dx)
    slope = computed(log_softmax.log_softmax_backward, (got, dy), shape, dtype)
    most = 64 * min(ROUNDING[dtype], ROUNDING[TYPES[0]]) * shape[-1] ** 0.5
    np.testing.assert_allclose(double(slope), dx, rtol=places, atol=most + 2.0**-25)


@settings(max_examples=12)
@given(st.lists(st.integers(0, 4), max_size=2), st.integers(1, 40), seeds, types)
def test_any_shape_gives_the_references_results(leading, k, seed, dtype):
    check((*leading, k), seed, dtype)


@pytest.mark.parametrize("n, k", [(130, 2), (2, 1025), (1, 8193)])
def test_each_layout_gives_the_references_results(n, k):
    check((n, k), k, TYPES[0])


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_extremes(dtype):
    x = np.array([[1e4, 0, -1e4], [-1e4, -1e4, -np.inf], [0, np.nan, 1]], dtype)
    y = double(computed(log_softmax.log_softmax_forward, (x,), x.shape, dtype))
    wanted = [[0, -1e4, -2e4], [np.log(0.5), np.log(0.5), -np.inf], [np.nan] * 3]
    np.testing.assert_allclose(y, wanted, rtol=3 * ROUNDING[dtype])

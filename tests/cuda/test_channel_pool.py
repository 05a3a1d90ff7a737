"""Mean and maximum of channels, and their gradient, on a simulated GPU, against the reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbacnn.kernels import reference
from numbacnn.kernels.cuda import channel_pool
from tests.strategies import seeds

from .arrays import computed
from .both import ROUNDING, TYPES, double, normal, types

shapes = st.tuples(st.integers(0, 4), st.integers(1, 9))


def check(x, seed):
    dtype, rows = x.dtype, (*x.shape[:-1], 2)
    dy, others = normal(seed + 1, rows, dtype), normal(seed + 2, x.shape, dtype)
    close = {"rtol": 2 * ROUNDING[dtype], "atol": 8 * ROUNDING[dtype]}
    y = computed(channel_pool.channel_pool_forward, (x,), rows, dtype)
    reference.channel_pool_forward(double(x), expected := np.empty(rows))
    np.testing.assert_allclose(double(y), expected, **close)
    np.testing.assert_array_equal(double(y)[..., 1], expected[..., 1])

    def backward(x, y, dy, *rest):
        more = rest[0] if len(rest) > 1 else None
        channel_pool.channel_pool_backward(x, y, dy, more, rest[-1])

    for more in ((), (others,)):
        dx = computed(backward, (x, y, dy, *more), x.shape, dtype)
        wide = double(more[0]) if more else None
        reference.channel_pool_backward(double(x), double(y), double(dy), wide, expected := np.empty(x.shape))
        np.testing.assert_allclose(double(dx), expected, **close)


@settings(max_examples=15)
@given(shapes, seeds, types)
def test_any_shape_gives_the_references_results(shape, seed, dtype):
    check(normal(seed, shape, dtype), seed)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("shape", [(9, 33), (2, 1100)])
def test_groups_of_many_threads_give_the_references_results(shape, dtype):
    check(normal(3, shape, dtype), 3)


def test_of_equal_channels_the_first_wins():
    check(np.random.default_rng(0).integers(0, 3, (6, 40)).astype(np.float32), 1)


def test_a_nan_is_the_maximum_and_gets_its_gradient():
    x = np.array([[1, np.nan, 3, np.nan, 2], [np.inf, -np.inf, 0, 1, 2]], np.float32)
    y = computed(channel_pool.channel_pool_forward, (x,), (2, 2), x.dtype)
    np.testing.assert_array_equal(y[:, 1], [np.nan, np.inf])
    dy = np.array([[0, 1], [0, 1]], np.float32)

    def backward(x, y, dy, dx):
        channel_pool.channel_pool_backward(x, y, dy, None, dx)

    dx = computed(backward, (x, y, dy), x.shape, x.dtype)
    np.testing.assert_array_equal(dx, [[0, 1, 0, 0, 0], [1, 0, 0, 0, 0]])

"""Mean and maximum of channels, and their gradient, against the reference; NaN, ties, bits over threads."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numbacnn.kernels import reference
from numbacnn.kernels.cpu import channel_pool
from tests.kernels.guard import assert_same_bits, threads, written
from tests.strategies import arrays, dtypes, seeds

RELATIVE = {np.dtype(np.float32): 1e-6, np.dtype(np.float64): 1e-15}

shapes = st.tuples(st.integers(0, 4), st.integers(1, 4), st.integers(1, 19))


def check(x, seed):
    dtype, rows = x.dtype, (*x.shape[:-1], 2)
    dy, others = arrays(seed + 1, rows, x.shape, dtype=dtype)
    got = written(channel_pool.channel_pool_forward, x, shapes=rows, dtype=dtype)
    reference.channel_pool_forward(x, expected := np.empty(rows))
    np.testing.assert_allclose(got, expected, rtol=RELATIVE[dtype], atol=4 * RELATIVE[dtype])
    np.testing.assert_array_equal(got[..., 1], x.max(axis=-1))
    for more in (None, others):
        dx = written(channel_pool.channel_pool_backward, x, got, dy, more, shapes=x.shape, dtype=dtype)
        reference.channel_pool_backward(x, got, dy, more, expected := np.empty(x.shape))
        np.testing.assert_allclose(dx, expected, rtol=RELATIVE[dtype], atol=4 * RELATIVE[dtype])


@given(shapes, seeds, dtypes)
def test_any_shape_gives_the_references_results(shape, seed, dtype):
    check(arrays(seed, shape, dtype=dtype)[0], seed)


@given(shapes, seeds)
def test_of_equal_channels_the_first_wins(shape, seed):
    check(np.random.default_rng(seed).integers(0, 3, shape).astype(np.float32), seed)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("shape", [(2000, 67), (3, 20001)])
def test_many_parts_give_the_references_results(shape, count):
    with threads(count):
        check(arrays(1, shape, dtype=np.float32)[0], 1)


def test_a_nan_is_the_maximum_and_gets_its_gradient():
    x = np.array([[1, np.nan, 3, np.nan, 2], [np.inf, -np.inf, 0, 1, 2]], np.float32)
    y = written(channel_pool.channel_pool_forward, x, shapes=(2, 2), dtype=np.float32)
    np.testing.assert_array_equal(y[:, 1], [np.nan, np.inf])
    dy = np.array([[0, 1], [0, 1]], np.float32)
    dx = written(channel_pool.channel_pool_backward, x, y, dy, None, shapes=x.shape, dtype=np.float32)
    np.testing.assert_array_equal(dx, [[0, 1, 0, 0, 0], [1, 0, 0, 0, 0]])


def test_bits_do_not_depend_on_the_threads():
    x, dy = arrays(3, (5000, 67), (5000, 2), dtype=np.float32)

    def compute():
        y, dx = np.empty_like(dy), np.empty_like(x)
        channel_pool.channel_pool_forward(x, y)
        channel_pool.channel_pool_backward(x, y, dy, None, dx)
        return [y, dx]

    assert_same_bits(compute)

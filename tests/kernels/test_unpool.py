"""Max unpooling against the reference: any indices, repeated ones among them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numbacnn.kernels import reference
from numbacnn.kernels.cpu import unpool
from tests.kernels.guard import assert_same_bits, threads, written
from tests.strategies import arrays, dtypes, seeds


@st.composite
def cases(draw):
    """Shapes of the pooled and the whole image, and indices, of few pixels so that some are equal."""
    rank = draw(st.integers(1, 3))
    n, c = draw(st.integers(0, 3)), draw(st.integers(1, 40))
    pooled, whole = (tuple(draw(st.integers(1, 5)) for _ in range(rank)) for _ in range(2))
    seed = draw(seeds)
    indices = np.random.default_rng(seed).integers(0, np.prod(whole), (n, *pooled, c))
    return (n, *pooled, c), (n, *whole, c), indices, seed


def check(pooled, whole, indices, seed, dtype):
    x, dy = arrays(seed, pooled, whole, dtype=dtype)
    expected, slope = np.empty_like(dy), np.empty_like(x)
    reference.max_unpool_forward(x, indices, expected)
    reference.max_unpool_backward(dy, indices, slope)
    y = written(unpool.max_unpool_forward, x, indices, shapes=whole, dtype=dtype)
    np.testing.assert_array_equal(y, expected)
    dx = written(unpool.max_unpool_backward, dy, indices, shapes=pooled, dtype=dtype)
    np.testing.assert_array_equal(dx, slope)


@given(cases(), dtypes)
def test_unpooling_and_its_gradient_are_the_references(case, dtype):
    check(*case, dtype)


@pytest.mark.parametrize("count", [1, 2])
def test_large_images_are_right_too(count):
    rng = np.random.default_rng(0)
    pooled, whole = (2, 15, 16, 70), (2, 31, 33, 70)
    with threads(count):
        check(pooled, whole, rng.integers(0, 31 * 33, pooled), 1, np.float32)


def test_bits_do_not_depend_on_the_threads_or_the_run():
    rng = np.random.default_rng(0)
    indices = rng.integers(0, 200 * 100, (1, 100, 50, 64))  # some pixels twice
    x, dy = arrays(2, indices.shape, (1, 200, 100, 64), dtype=np.float32)

    def results():
        y, dx = np.empty_like(dy), np.empty_like(x)
        unpool.max_unpool_forward(x, indices, y)
        unpool.max_unpool_backward(dy, indices, dx)
        return [y, dx]

    assert_same_bits(results)


@given(cases())
def test_without_repeated_indices_it_is_adjoint_to_its_gradient(case):
    pooled, whole, _, seed = case
    if np.prod(pooled[1:-1]) > np.prod(whole[1:-1]):
        pooled, whole = whole, pooled
    rng = np.random.default_rng(seed)
    places = rng.permuted(np.tile(np.arange(np.prod(whole[1:-1])), (pooled[0], pooled[-1], 1)), axis=-1)
    kept = places[..., : np.prod(pooled[1:-1])]
    indices = np.ascontiguousarray(np.moveaxis(kept, 1, -1)).reshape(pooled)
    x, dy = arrays(seed, pooled, whole)
    y, dx = np.empty(whole), np.empty(pooled)
    unpool.max_unpool_forward(x, indices, y)
    unpool.max_unpool_backward(dy, indices, dx)
    assert np.vdot(x, dx) == pytest.approx(np.vdot(y, dy), abs=1e-9)

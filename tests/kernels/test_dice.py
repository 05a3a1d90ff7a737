"""The Dice loss against the reference; bits over threads."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbacnn.kernels import reference
from numbacnn.kernels.cpu import dice
from tests.kernels.guard import assert_same_bits, threads, written
from tests.strategies import arrays, dtypes, seeds

RELATIVE = {np.dtype(np.float32): 4e-6, np.dtype(np.float64): 2e-14}


def drawn(shape, classes, seed, dtype):
    (x,) = arrays(seed, shape, dtype=dtype)
    rng = np.random.default_rng(seed)
    return x, rng.integers(-1, shape[2] + 1, shape[:2]) if classes else rng.random(shape).astype(dtype)


def check(shape, classes, exclusive, squared, seed, dtype):
    n, m, k = shape
    x, target = drawn(shape, classes, seed, dtype)
    kinds = exclusive, squared

    def forward(x, loss, p, sums):
        dice.dice_forward(x, target, *kinds, 0.5, loss, p, sums)

    loss, p, sums = written(forward, x, shapes=[(n,), shape, (n, 2, k)], dtype=dtype)
    exact = np.empty(n), np.empty(shape), np.empty((n, 2, k))
    reference.dice_forward(x, target, *kinds, 0.5, *exact)
    close = RELATIVE[loss.dtype]
    np.testing.assert_allclose(loss, exact[0], rtol=0, atol=close)
    np.testing.assert_allclose(p, exact[1], rtol=0, atol=close)
    np.testing.assert_allclose(sums, exact[2], rtol=close)
    args = p, target, sums, *kinds, 0.75
    dx = written(dice.dice_backward, *args, shapes=shape, dtype=dtype)
    reference.dice_backward(*args, exact[1])
    np.testing.assert_allclose(dx, exact[1], rtol=0, atol=close)


@settings(max_examples=40)
@given(
    st.tuples(st.integers(0, 3), st.integers(1, 9), st.integers(1, 9)),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    seeds,
    dtypes,
)
def test_masks_of_any_shape_give_the_references_loss(shape, classes, exclusive, squared, seed, dtype):
    check(shape, classes, exclusive, squared, seed, dtype)


@pytest.mark.parametrize("count", [1, 2])
def test_many_blocks_give_the_references_results(count):
    with threads(count):
        check((2, 5003, 3), True, True, False, 1, np.float32)
        check((1, 3001, 7), False, False, True, 1, np.float32)


def test_bits_do_not_depend_on_the_threads_or_the_run():
    x, target = drawn((2, 7001, 5), True, 2, np.float32)

    def results():
        loss, p, sums, dx = (np.empty(s, np.float32) for s in ((2,), x.shape, (2, 2, 5), x.shape))
        dice.dice_forward(x, target, True, False, 1.0, loss, p, sums)
        dice.dice_backward(p, target, sums, True, False, 0.5, dx)
        return [loss, p, sums, dx]

    assert_same_bits(results)

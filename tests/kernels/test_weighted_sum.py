"""Weighted sums and their gradients against the reference: weights as they are and normalised; bits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numbacnn.kernels import reference
from numbacnn.kernels.cpu import weighted_sum
from tests.kernels.guard import POISON, assert_same_bits, threads, written
from tests.strategies import arrays, dtypes, seeds

ROUNDING = {np.dtype(np.float32): 2.0**-24, np.dtype(np.float64): 2.0**-53}

shapes = st.lists(st.integers(0, 9), max_size=3).map(tuple)
counts = st.integers(1, 3)
epsilons = st.sampled_from([None, 1e-4, 0.5])


def check(shape, count, epsilon, seed, dtype):
    *inputs, dy, weights = arrays(seed, *[shape] * (count + 1), (count,), dtype=dtype)
    inputs, unit = tuple(inputs), ROUNDING[np.dtype(dtype)]
    got = written(weighted_sum.weighted_sum_forward, inputs, weights, epsilon, shapes=shape, dtype=dtype)
    reference.weighted_sum_forward(inputs, weights, epsilon, expected := np.empty(shape))
    reference.weighted_sum_forward(
        tuple(map(np.abs, inputs)), np.abs(weights), epsilon, size := np.empty(shape)
    )
    assert (np.abs(got - expected) <= 8 * unit * size).all()

    gradients, wanted = (tuple(np.full(shape, POISON, kind) for _ in inputs) for kind in (dtype, np.float64))
    weighted_sum.weighted_sum_backward(dy, weights, epsilon, gradients)
    reference.weighted_sum_backward(dy, weights, epsilon, wanted)
    for dx, exact in zip(gradients, wanted, strict=True):
        assert (np.abs(dx - exact) <= 4 * unit * np.abs(exact)).all()

    backward = weighted_sum.weighted_sum_backward_weights
    got = written(backward, inputs, dy, weights, epsilon, shapes=(count,), dtype=dtype)
    reference.weighted_sum_backward_weights(inputs, dy, weights, epsilon, expected := np.empty(count))
    size = max(np.abs(x * dy).sum() for x in inputs)
    scale = 1.0 if epsilon is None else 1 / (epsilon + np.maximum(weights, 0).sum())
    assert (np.abs(got - expected) <= 600 * unit * size * scale).all()


@given(shapes, counts, epsilons, seeds, dtypes)
def test_any_shape_gives_the_references_results(shape, count, epsilon, seed, dtype):
    check(shape, count, epsilon, seed, dtype)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("epsilon", [None, 1e-4])
def test_many_parts_give_the_references_results(epsilon, count):
    with threads(count):
        check((3, 77, 501), 3, epsilon, 1, np.float32)


def test_bits_do_not_depend_on_the_threads():
    a, b, dy, weights = arrays(2, *[(50_001,)] * 3, (2,), dtype=np.float32)

    def compute():
        y, da, db, dw = (np.empty_like(x) for x in (a, a, a, weights))
        weighted_sum.weighted_sum_forward((a, b), weights, 1e-4, y)
        weighted_sum.weighted_sum_backward(dy, weights, 1e-4, (da, db))
        weighted_sum.weighted_sum_backward_weights((a, b), dy, weights, 1e-4, dw)
        return [y, da, db, dw]

    assert_same_bits(compute)

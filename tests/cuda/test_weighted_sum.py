"""Weighted sums and their gradients on a simulated GPU, against the reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbacnn.kernels import reference
from numbacnn.kernels.cuda import memory, weighted_sum
from tests.strategies import seeds

from .arrays import put
from .both import ROUNDING, TINY, TYPES, both, double, normal, types

shapes = st.lists(st.integers(0, 5), max_size=2).map(tuple)
epsilons = st.sampled_from([None, 1e-2])


def check(shape, count, epsilon, seed, dtype):
    inputs = [normal(seed + k, shape, dtype) for k in range(count)]
    dy, weights = normal(seed + count, shape, dtype), normal(seed + count + 1, (count,), dtype)

    def run():
        there, gradient, factors = tuple(map(put, inputs)), put(dy), put(weights)
        y, dxs = memory.empty(shape, dtype), tuple(memory.empty(shape, dtype) for _ in inputs)
        dw = memory.empty((count,), dtype)
        weighted_sum.weighted_sum_forward(there, factors, epsilon, y)
        weighted_sum.weighted_sum_backward(gradient, factors, epsilon, dxs)
        weighted_sum.weighted_sum_backward_weights(there, gradient, factors, epsilon, dw)
        return [y.numpy(), dw.numpy(), *(dx.numpy() for dx in dxs)]

    y, dw, *dxs = map(double, both(run))
    unit, last, tiny = min(ROUNDING[dtype], 2.0**-24), 1.001 * ROUNDING[dtype], TINY[dtype]
    wide, slope, factors = tuple(map(double, inputs)), double(dy), double(weights)
    reference.weighted_sum_forward(wide, factors, epsilon, expected := np.empty(shape))
    reference.weighted_sum_forward(
        tuple(map(np.abs, wide)), np.abs(factors), epsilon, size := np.empty(shape)
    )
    # a sum of more than four arrays is rounded to the type on its way
    through = last * (2 + count // 4)
    assert (np.abs(y - expected) <= 16 * unit * size + through * (np.abs(expected) + size) + tiny).all()
    reference.weighted_sum_backward(slope, factors, epsilon, wanted := tuple(np.empty(shape) for _ in inputs))
    for dx, exact in zip(dxs, wanted, strict=True):
        assert (np.abs(dx - exact) <= 8 * unit * np.abs(exact) + last * np.abs(exact) + tiny).all()
    reference.weighted_sum_backward_weights(wide, slope, factors, epsilon, expected := np.empty(count))
    most = max(np.abs(x * slope).sum() for x in wide)
    scale = 1.0 if epsilon is None else 1 / (epsilon + np.maximum(factors, 0).sum())
    assert (np.abs(dw - expected) <= 60 * unit * most * scale + last * np.abs(expected) + tiny).all()


@settings(max_examples=12)
@given(shapes, st.integers(1, 5), epsilons, seeds, types)
def test_any_shape_gives_the_references_results(shape, count, epsilon, seed, dtype):
    check(shape, count, epsilon, seed, dtype)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("count", [2, 5, 9])
def test_several_blocks_give_the_references_results(count, dtype):
    check((4, 75), count, 1e-4, 1, dtype)

"""The Dice loss on a simulated GPU, against the reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbacnn.kernels import reference
from numbacnn.kernels.cuda import dice, memory
from tests.strategies import seeds

from .arrays import computed, put
from .both import ROUNDING, TYPES, both, double, normal, types

F32, F64 = TYPES[:2]
RELATIVE = {kind: max(1.01 * ROUNDING[kind], 4e-6 if kind != F64 else 2e-14) for kind in TYPES}


def check(shape, classes, exclusive, squared, seed, dtype):
    n, m, k = shape
    x, rng = normal(seed, shape, dtype), np.random.default_rng(seed)
    target = rng.integers(-1, k + 1, (n, m)) if classes else rng.random(shape).astype(dtype)
    kept = F64 if dtype == F64 else F32
    kinds = exclusive, squared

    def forward():
        outs = memory.empty((n,), kept), memory.empty(shape, dtype), memory.empty((n, 2, k), kept)
        dice.dice_forward(put(x), put(target), *kinds, 0.5, *outs)
        return [out.numpy() for out in outs]

    loss, p, sums = both(forward)
    exact = np.empty(n), np.empty(shape), np.empty((n, 2, k))
    wanted = target if classes else double(target)
    reference.dice_forward(double(x), wanted, *kinds, 0.5, *exact)
    rough = RELATIVE[dtype]  # sums are of the probabilities as they are stored
    np.testing.assert_allclose(loss, exact[0], rtol=0, atol=4 * rough)
    np.testing.assert_allclose(double(p), exact[1], rtol=0, atol=rough)
    np.testing.assert_allclose(sums, exact[2], rtol=4 * rough, atol=4 * rough)
    dx = computed(dice.dice_backward, (p, target, sums, *kinds, 0.75), shape, dtype)
    reference.dice_backward(double(p), wanted, double(sums), *kinds, 0.75, exact[1])
    np.testing.assert_allclose(double(dx), exact[1], rtol=2 * rough, atol=2 * rough)


@settings(max_examples=10)
@given(
    st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6)),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    seeds,
    types,
)
def test_masks_of_any_shape_give_the_references_loss(shape, classes, exclusive, squared, seed, dtype):
    check(shape, classes, exclusive, squared, seed, dtype)


@pytest.mark.parametrize(
    "shape, classes", [pytest.param((1, 16400, 1), False, marks=pytest.mark.slow), ((1, 2, 33), True)]
)
def test_several_blocks_sum_and_many_classes_share_lanes(shape, classes):
    check(shape, classes, True, True, 1, F32)

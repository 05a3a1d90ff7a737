"""Dropout of examples and channels on a simulated GPU, against the reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbacnn.kernels import reference
from numbacnn.kernels.cuda import group_dropout
from tests.strategies import seeds

from .arrays import computed
from .both import ROUNDING, TINY, TYPES, double, normal, types


def check(shape, channels, seed, dtype):
    x, y = normal(seed, shape, dtype), np.empty(shape)
    groups = (shape[0], shape[-1]) if channels else shape[:1]
    mask = np.random.default_rng(seed).integers(0, 2, groups, np.uint8)
    reference.group_dropout_forward(double(x), mask, 1.25, y)
    got = computed(group_dropout.group_dropout_forward, (x, mask, 1.25), shape, dtype)
    np.testing.assert_allclose(double(got), y, rtol=2 * ROUNDING[dtype], atol=TINY[dtype])


@settings(max_examples=20)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=3), st.integers(0, 9), st.booleans(), seeds, types)
def test_any_shape_gives_the_references_results(leading, c, channels, seed, dtype):
    check((*leading, c), channels, seed, dtype)


@pytest.mark.parametrize("channels", [False, True])
@pytest.mark.parametrize("shape", [(2, 347, 3), (3, 260, 4), (7,)])
def test_blocks_meet_without_a_gap(shape, channels):
    check(shape, channels and len(shape) > 1, 1, TYPES[0])

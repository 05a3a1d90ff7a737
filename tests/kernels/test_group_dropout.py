"""Dropout of examples and channels against the reference; bits over threads."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbacnn.kernels import reference
from numbacnn.kernels.cpu import group_dropout
from tests.kernels.guard import assert_same_bits, written
from tests.strategies import arrays, dtypes, seeds


def check(shape, channels, seed, dtype):
    (x,) = arrays(seed, shape, dtype=dtype)
    groups = (shape[0], shape[-1]) if channels else shape[:1]
    mask, y = np.random.default_rng(seed).integers(0, 2, groups, np.uint8), np.empty(shape)
    reference.group_dropout_forward(x, mask, 1.25, y)
    for kernel in (group_dropout.group_dropout_forward, group_dropout.group_dropout_backward):
        got = written(kernel, x, mask, 1.25, shapes=shape, dtype=dtype)
        np.testing.assert_allclose(got, y, rtol=1e-6)


@settings(max_examples=50)
@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=3),
    st.integers(0, 70) | st.just(300),
    st.booleans(),
    seeds,
    dtypes,
)
def test_any_shape_gives_the_references_results(leading, c, channels, seed, dtype):
    check((*leading, c), channels, seed, dtype)


def test_examples_without_other_axes():
    check((7,), False, 1, np.float32)


@pytest.mark.parametrize("channels", [False, True])
def test_examples_in_pieces(channels):
    check((2, 77, 151, 6), channels, 1, np.float32)


def test_bits_do_not_depend_on_the_threads():
    (x,) = arrays(3, (5, 3001, 7), dtype=np.float32)
    mask = np.random.default_rng(0).integers(0, 2, (5, 7), np.uint8)

    def results():
        y = np.empty_like(x)
        group_dropout.group_dropout_forward(x, mask, 2.0, y)
        return [y]

    assert_same_bits(results)

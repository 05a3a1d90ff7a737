"""Strided copies against loops written out: permutations, slices, parts of a whole."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numbacnn.kernels import reference
from numbacnn.kernels.cpu import copy
from tests.kernels.guard import written
from tests.strategies import dtypes, seeds


@st.composite
def parts(draw, most=5):
    """An array of up to five axes, a box within it with steps, and an order of axes."""
    rank = draw(st.integers(1, 5))
    extents = tuple(draw(st.integers(0 if rank < 3 else 1, most)) for _ in range(rank))
    steps = tuple(draw(st.integers(1, 3)) for _ in range(rank))
    starts = tuple(draw(st.integers(0, 2)) for _ in range(rank))
    shape = tuple(
        a + max(1, e) * s + draw(st.integers(0, 1)) for a, e, s in zip(starts, extents, steps, strict=True)
    )
    order = tuple(draw(st.permutations(range(rank))))
    return shape, starts, extents, steps, order, draw(seeds)


def strides_of(shape):
    return tuple(int(np.prod(shape[i + 1 :])) for i in range(len(shape)))


def arguments(case):
    """The kernel's numbers, and what it shall write by NumPy's indexing."""
    shape, starts, extents, steps, order, seed = case
    x = np.random.default_rng(seed).standard_normal(shape)
    strides = strides_of(shape)
    start = sum(a * s for a, s in zip(starts, strides, strict=True))
    taken = tuple(strides[a] * steps[a] for a in order)
    ends = zip(starts, extents, steps, strict=True)
    y = x[tuple(slice(a, a + e * s, s) if e else slice(0, 0) for a, e, s in ends)].transpose(order)
    return x, start, taken, tuple(extents[a] for a in order), y


@given(parts(), dtypes)
def test_any_part_in_any_order_is_numpys(case, dtype):
    x, start, taken, extents, y = arguments(case)
    for kernels in (copy, reference):
        numbers = start, taken, extents, 0, strides_of(extents)
        got = written(kernels.strided_copy, x.astype(dtype), *numbers, shapes=extents, dtype=dtype)
        np.testing.assert_array_equal(got, y.astype(dtype))


@pytest.mark.parametrize("kernels", [copy, reference])
def test_what_is_beside_the_part_stays(kernels):
    x, y = np.arange(6.0).reshape(2, 3), np.full((4, 5), -1.0)
    kernels.strided_copy(x, 0, (3, 1), (2, 3), 6, (10, 1), y)
    expected = np.full((4, 5), -1.0)
    for i, j in itertools.product(range(2), range(3)):
        expected[1 + 2 * i, 1 + j] = x[i, j]
    np.testing.assert_array_equal(y, expected)

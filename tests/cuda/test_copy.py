"""Strided copies in the simulator: any part, in fours and one by one, in one launch and in several."""

import numpy as np
import pytest
from hypothesis import given, settings

from numbacnn.kernels import reference
from numbacnn.kernels.cuda import copy, memory
from tests.cuda.arrays import computed, put
from tests.cuda.both import TYPES, types
from tests.kernels.test_copy import arguments, parts, strides_of


@settings(max_examples=40)
@given(parts(), types)
def test_any_part_in_any_order_is_numpys(case, dtype):
    x, start, taken, extents, y = arguments(case)
    x = x.astype(dtype)
    got = computed(copy.strided_copy, (x, start, taken, extents, 0, strides_of(extents)), extents, dtype)
    assert got.tobytes() == y.astype(dtype).tobytes()


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize(("sizes", "c"), [((8, 4, 12), 24), ((3, 4, 8), 15), ((4, 8), 24), ((4, 8), 13)])
def test_parts_of_a_whole_meet(dtype, sizes, c):
    """As channels are joined: in fours where all sizes are multiples of four, else one by one."""
    rng = np.random.default_rng(0)
    y = memory.from_numpy(np.full((5, 7, c), -1.0).astype(dtype))
    at, expected = 0, np.full((5, 7, c), -1.0)
    for size in sizes:
        x = rng.standard_normal((5, 7, size)).astype(dtype)
        expected[..., at : at + size] = x
        copy.strided_copy(put(x), 0, strides_of(x.shape), x.shape, at, strides_of(y.shape), y)
        at += size
    assert y.numpy().tobytes() == expected.astype(dtype).tobytes()


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 1, 0, 2), (0, 2, 1, 3)])
def test_several_launches_are_one_copy(monkeypatch, order):
    monkeypatch.setattr(copy, "_UNITS", 50)
    x = np.random.default_rng(1).standard_normal((4, 3, 5, 4)).astype(np.float32)
    shape, strides = tuple(x.shape[a] for a in order), tuple(strides_of(x.shape)[a] for a in order)
    numbers = 0, strides, shape, 0, strides_of(shape)
    got, expected = computed(copy.strided_copy, (x, *numbers), shape, np.float32), np.empty(shape, np.float32)
    reference.strided_copy(x, *numbers, expected)
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    ("axes", "joined"),
    [
        ([(2, 12, 12), (3, 4, 4), (4, 1, 1)], [(24, 1, 1)]),
        ([(2, 12, 20), (3, 4, 4), (4, 1, 1)], [(2, 12, 20), (12, 1, 1)]),
        ([(2, 12, 5), (1, 7, 9), (3, 4, 1)], [(2, 12, 5), (3, 4, 1)]),
        ([(1, 5, 5), (1, 1, 1)], [(1, 0, 0)]),
    ],
)
def test_axes_that_are_one_run_are_joined(axes, joined):
    assert copy._joined(axes) == joined

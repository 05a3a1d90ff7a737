"""Pixel shuffle and unshuffle against loops written out, and against each other."""

import itertools

import numpy as np
import pytest
from hypothesis import given

from numbacnn.kernels import reference
from numbacnn.kernels.cpu import shuffle
from tests.kernels.guard import assert_same_bits, threads, written
from tests.strategies import ShuffleCase, arrays, dtypes, shuffle_cases


def spread_out(case: ShuffleCase, x: np.ndarray) -> np.ndarray:
    """Pixel by pixel: the block's pixel q takes every r-th channel from q on."""
    y, r = np.empty(case.fine, x.dtype), int(np.prod(case.block))
    for q, inner in enumerate(itertools.product(*map(range, case.block))):
        pixels = tuple(slice(start, None, step) for start, step in zip(inner, case.block, strict=True))
        y[(slice(None), *pixels)] = x[..., q::r]
    return y


def check(case: ShuffleCase, dtype: type) -> None:
    (x,) = arrays(case.seed, case.coarse, dtype=dtype)
    y = spread_out(case, x)
    for kernels, kind in ((shuffle, dtype), (reference, np.float64)):
        for spread in (kernels.pixel_shuffle_forward, kernels.pixel_unshuffle_backward):
            np.testing.assert_array_equal(written(spread, x, case.block, shapes=case.fine, dtype=kind), y)
        for collect in (kernels.pixel_shuffle_backward, kernels.pixel_unshuffle_forward):
            np.testing.assert_array_equal(written(collect, y, case.block, shapes=case.coarse, dtype=kind), x)


@given(shuffle_cases(), dtypes)
def test_any_geometry_moves_each_pixel_to_its_place(case, dtype):
    check(case, dtype)


LARGE = [
    ShuffleCase((2, 60, 50, 256), (2, 120, 100, 64), (2, 2), 1),
    ShuffleCase((3, 40, 33, 12), (3, 120, 66, 2), (3, 2), 2),
    ShuffleCase((2, 7, 20, 30, 88), (2, 14, 20, 120, 11), (2, 1, 4), 3),
    ShuffleCase((1, 3000, 45), (1, 9000, 15), (3,), 4),
]


@pytest.mark.parametrize("case", LARGE, ids=str)
@pytest.mark.parametrize("count", [1, 2])
def test_large_shapes(case, count):
    with threads(count):
        check(case, np.float32)


@pytest.mark.parametrize("case", LARGE, ids=str)
def test_bits_do_not_depend_on_the_threads_or_the_run(case):
    (x,) = arrays(case.seed, case.coarse, dtype=np.float32)

    def results():
        y, back = np.empty(case.fine, np.float32), np.empty_like(x)
        shuffle.pixel_shuffle_forward(x, case.block, y)
        shuffle.pixel_shuffle_backward(y, case.block, back)
        return [y, back]

    assert_same_bits(results)

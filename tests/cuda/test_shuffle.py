"""Pixel shuffle and unshuffle in the simulator against loops written out."""

import math

import numpy as np
from hypothesis import given, settings

from numbacnn.kernels.cuda import shuffle
from tests.cuda.arrays import computed
from tests.cuda.ways import dtypes
from tests.kernels.test_shuffle import spread_out
from tests.strategies import arrays, shuffle_cases

cases = shuffle_cases(most_channels=9).filter(lambda case: math.prod(case.coarse) < 3000)


@settings(max_examples=30)
@given(cases, dtypes)
def test_any_geometry_moves_each_pixel_to_its_place(case, dtype):
    (x,) = arrays(case.seed, case.coarse, dtype=dtype)
    y = spread_out(case, x)
    for spread in (shuffle.pixel_shuffle_forward, shuffle.pixel_unshuffle_backward):
        assert computed(spread, (x, case.block), case.fine, dtype).tobytes() == y.tobytes()
    for collect in (shuffle.pixel_shuffle_backward, shuffle.pixel_unshuffle_forward):
        assert computed(collect, (y, case.block), case.coarse, dtype).tobytes() == x.tobytes()


def test_rows_past_the_threads_of_a_launch_follow_in_more(monkeypatch):
    monkeypatch.setattr(shuffle, "_UNITS", 20)
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 8)).astype(np.float32)
    y = computed(shuffle.pixel_shuffle_forward, (x, (2, 2)), (2, 6, 8, 2), np.float32)
    expected = x.reshape(2, 3, 4, 2, 2, 2).transpose(0, 1, 4, 2, 5, 3).reshape(y.shape)
    np.testing.assert_array_equal(y, expected)

"""Pixel shuffle and unshuffle of tensors, and what they refuse."""

import numpy as np
import pytest
from hypothesis import given

from numbacnn import functional
from numbacnn.errors import ArgumentError, DTypeError, ShapeError
from numbacnn.kernels import reference
from tests.functional.comparing import assert_matches, reference_of
from tests.strategies import arrays, dtypes, shuffle_cases

SPREAD = ["pixel_shuffle_forward", "pixel_unshuffle_backward"]
COLLECT = ["pixel_shuffle_backward", "pixel_unshuffle_forward"]


@given(shuffle_cases(), dtypes)
def test_all_four_are_the_references(case, dtype):
    coarse, fine = arrays(case.seed, case.coarse, case.fine, dtype=dtype)
    for names, x, shape in ((SPREAD, coarse, case.fine), (COLLECT, fine, case.coarse)):
        for name in names:
            expected = reference_of(getattr(reference, name), x, case.block, shape=shape)
            assert_matches(getattr(functional, name)(x, case.block), expected, dtype)


def test_one_block_size_for_all_axes():
    x = np.arange(8.0).reshape(1, 1, 1, 8)
    y = functional.pixel_shuffle_forward(x, 2)
    np.testing.assert_array_equal(y.numpy()[0, ..., 0], [[0, 1], [2, 3]])
    np.testing.assert_array_equal(functional.pixel_unshuffle_forward(y, [2, 2]).numpy(), x)


@pytest.mark.parametrize("name", SPREAD + COLLECT)
def test_refusals(name):
    shuffle = getattr(functional, name)
    for block in (0, -1, 1.5, (2, 2, 2), "22", None):
        with pytest.raises(ArgumentError, match=r"^up: expected block as one integer or 2, each 1 or more"):
            shuffle(np.ones((1, 4, 4, 4)), block, name="up")
    with pytest.raises(ShapeError, match=rf"^{name}: expected an input \(n, \*spatial, channels\)"):
        shuffle(np.ones((4, 4)), 2)
    with pytest.raises(DTypeError, match="of float32 or float64, got int64"):
        shuffle(np.ones((1, 4, 4, 4), int), 2)


@pytest.mark.parametrize("name", SPREAD)
def test_the_block_must_divide_the_channels(name):
    with pytest.raises(ShapeError, match=r"channels in multiples of 6, the pixels of a block \(2, 3\)"):
        getattr(functional, name)(np.ones((1, 4, 4, 8)), (2, 3))


@pytest.mark.parametrize("name", COLLECT)
def test_the_block_must_divide_the_image(name):
    with pytest.raises(ShapeError, match=r"expected spatial sizes in multiples of the block \(2, 3\)"):
        getattr(functional, name)(np.ones((1, 4, 4, 8)), (2, 3))

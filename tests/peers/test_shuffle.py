"""Pixel shuffle against PyTorch's, which has it for two axes and one block size."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbacnn import functional
from tests.strategies import arrays, dtypes, seeds

torch = pytest.importorskip("torch")


@settings(max_examples=40)
@given(st.tuples(*[st.integers(1, 5)] * 4), st.integers(1, 4), dtypes, seeds)
def test_pixel_shuffle_and_unshuffle_are_pytorchs(sizes, block, dtype, seed):
    n, h, w, c = sizes
    (x,) = arrays(seed, (n, h, w, c * block**2), dtype=dtype)
    first = torch.from_numpy(np.moveaxis(x, -1, 1).copy())
    y = np.moveaxis(torch.pixel_shuffle(first, block).numpy(), 1, -1)
    np.testing.assert_array_equal(functional.pixel_shuffle_forward(x, block).numpy(), y)
    back = torch.pixel_unshuffle(torch.pixel_shuffle(first, block), block)
    np.testing.assert_array_equal(functional.pixel_unshuffle_forward(y, block).numpy(), x)
    np.testing.assert_array_equal(np.moveaxis(back.numpy(), 1, -1), x)

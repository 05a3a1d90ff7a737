"""Products with repeated factors of tensors against NumPy's broadcasting, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numbacnn import functional
from numbacnn.errors import DTypeError, ShapeError
from tests.functional.comparing import assert_matches
from tests.strategies import arrays, dtypes, seeds


@st.composite
def broadcasts(draw):
    """A shape, and one of ones along neighbouring axes."""
    shape = draw(st.lists(st.integers(0, 5), min_size=1, max_size=4))
    first = draw(st.integers(0, len(shape)))
    end = draw(st.integers(first, len(shape)))
    return tuple(shape), tuple(1 if first <= axis < end else size for axis, size in enumerate(shape))


@given(broadcasts(), seeds, dtypes, st.booleans())
def test_they_are_numpys_broadcasting(case, seed, dtype, shifted):
    shape, small = case
    x, dy, scale, shift = arrays(seed, shape, shape, small, small, dtype=dtype)
    shift = shift if shifted else None
    wide = x.astype(np.float64) * scale + (0.0 if shift is None else shift)
    assert_matches(functional.modulate_forward(x, scale, shift), wide, dtype, 2 * np.abs(wide) + 20)
    axes = tuple(axis for axis, (u, v) in enumerate(zip(shape, small, strict=True)) if u != v)
    expected = (x.astype(np.float64) * dy).sum(axis=axes, keepdims=True)
    magnitude = np.abs(x.astype(np.float64) * dy).sum(axis=axes, keepdims=True)
    assert_matches(functional.modulate_backward_scale(x, dy, small), expected, dtype, magnitude)


def test_shapes_refused():
    x = np.ones((2, 3, 4, 5))
    with pytest.raises(ShapeError, match=r"gate: expected a scale of as many axes as \(2, 3, 4, 5\)"):
        functional.modulate_forward(x, np.ones((2, 5)), name="gate")
    with pytest.raises(ShapeError, match="of its extents or 1"):
        functional.modulate_forward(x, np.ones((2, 1, 1, 4)))
    with pytest.raises(ShapeError, match="repeated along axes side by side"):
        functional.modulate_forward(x, np.ones((2, 1, 4, 1)))
    with pytest.raises(ShapeError, match="a shift of shape"):
        functional.modulate_forward(x, np.ones((2, 1, 1, 5)), np.ones((2, 3, 4, 1)))
    with pytest.raises(ShapeError, match="an output gradient of shape"):
        functional.modulate_backward_scale(x, x[:1], (2, 1, 1, 5))
    with pytest.raises(DTypeError, match="the scale of float64"):
        functional.modulate_forward(x, np.ones((2, 1, 1, 5), np.float32))

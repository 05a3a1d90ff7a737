"""Padding in the simulator against NumPy: geometry, modes and types, and adjointness."""

import math

import numpy as np
import pytest
from hypothesis import given, settings

from numbacnn.kernels import reference
from numbacnn.kernels.cuda import pad
from tests.cuda.arrays import computed
from tests.cuda.ways import TOLERANCE, dtypes, made, ways
from tests.kernels.test_pad import numpy_pad
from tests.strategies import PadCase, arrays, pad_cases

cases = pad_cases(most_channels=9).filter(lambda case: math.prod(case.padded) < 2000)


def passes(case: PadCase, x: np.ndarray, dy: np.ndarray, value: float) -> tuple[np.ndarray, np.ndarray]:
    y = computed(pad.pad_forward, (x, case.pads, case.mode, value), case.padded, x.dtype)
    return y, computed(pad.pad_backward, (dy, case.pads, case.mode), case.shape, x.dtype)


def check(case: PadCase, dtype: np.dtype, value: float = -1.5) -> None:
    """Forward pass bit by bit, and gradient within the rounding of its sums."""
    x, dy = arrays(case.seed, case.shape, case.padded, dtype=dtype)
    x.reshape(-1)[::7], x.reshape(-1)[3::7] = np.nan, -0.0
    y, dx = passes(case, x, dy, value)
    assert y.tobytes() == numpy_pad(case, x, value).tobytes()
    expected = np.empty(case.shape)
    reference.pad_backward(dy, case.pads, case.mode, expected)
    np.testing.assert_allclose(dx.astype(float), expected, rtol=0, atol=30 * TOLERANCE[dtype])


@settings(max_examples=40)
@given(cases, dtypes, ways)
def test_any_geometry_and_mode_is_numpys(case, dtype, way):
    with made(way):
        check(case, dtype)


@settings(max_examples=15)
@given(cases)
def test_padding_and_its_gradient_are_adjoint(case):
    x, dy = arrays(case.seed, case.shape, case.padded)
    y, dx = passes(case, x, dy, 0.0)
    assert np.vdot(x, dx) == pytest.approx(np.vdot(y, dy), abs=1e-9)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_any_value_may_be_added(value):
    check(PadCase((1, 3, 4, 8), ((1, 2), (3, 0)), "constant", 0), np.dtype(np.float32), value)


@pytest.mark.parametrize("way", ["blocks", "splits"])
def test_a_pixel_that_many_show_sums_them_in_any_way(way):
    case = PadCase((1, 2, 1, 4), ((3, 4), (2, 5)), "replicate", 5)
    with made(way):
        check(case, np.dtype(np.float32))

"""Padding against NumPy: any geometry, channels and mode, adjointness, bits over threads."""

import numpy as np
import pytest
from hypothesis import given

from numbacnn.kernels import reference
from numbacnn.kernels.cpu import pad
from tests.kernels.guard import assert_same_bits, threads, written
from tests.strategies import PadCase, arrays, dtypes, pad_cases

NUMPY = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def numpy_pad(case: PadCase, x: np.ndarray, value: float) -> np.ndarray:
    more = {"constant_values": value} if case.mode == "constant" else {}
    return np.pad(x, [(0, 0), *case.pads, (0, 0)], NUMPY[case.mode], **more)


def check(case: PadCase, dtype: type, value: float = -1.5) -> None:
    """Forward pass exactly, and gradient within the rounding of its sums."""
    x, dy = arrays(case.seed, case.shape, case.padded, dtype=dtype)
    x.reshape(-1)[::7] = np.nan
    y = written(pad.pad_forward, x, case.pads, case.mode, value, shapes=case.padded, dtype=dtype)
    np.testing.assert_array_equal(y, numpy_pad(case, x, value))
    dx = written(pad.pad_backward, dy, case.pads, case.mode, shapes=case.shape, dtype=dtype)
    expected = np.empty(case.shape)
    reference.pad_backward(dy, case.pads, case.mode, expected)
    np.testing.assert_allclose(dx, expected, rtol=0, atol=200 * np.finfo(dtype).eps)


@given(pad_cases(), dtypes)
def test_any_geometry_and_mode_is_numpys(case, dtype):
    check(case, dtype)


# What small draws do not reach: several parts, rows and stretches of many vectors, one long axis.
LARGE = [
    PadCase((3, 60, 50, 16), ((2, 1), (0, 3)), "reflect", 1),
    PadCase((2, 90, 90, 3), ((0, 2), (5, 1)), "constant", 2),
    PadCase((2, 9, 40, 30, 5), ((8, 9), (0, 3), (30, 1)), "circular", 3),
    PadCase((1, 7, 7, 1000), ((3, 3), (2, 0)), "replicate", 4),
    PadCase((5, 40_000, 1), ((700, 39_999),), "reflect", 5),
]


@pytest.mark.parametrize("case", LARGE, ids=lambda case: case.mode)
@pytest.mark.parametrize("count", [1, 2])
def test_large_shapes_are_numpys(case, count):
    with threads(count):
        check(case, np.float32)


@pytest.mark.parametrize("case", LARGE, ids=lambda case: case.mode)
def test_bits_do_not_depend_on_the_threads_or_the_run(case):
    x, dy = arrays(case.seed, case.shape, case.padded, dtype=np.float32)

    def results():
        y, dx = np.empty_like(dy), np.empty_like(x)
        pad.pad_forward(x, case.pads, case.mode, 2.0, y)
        pad.pad_backward(dy, case.pads, case.mode, dx)
        return [y, dx]

    assert_same_bits(results)


@given(pad_cases(most_channels=20))
def test_padding_and_its_gradient_are_adjoint(case):
    x, dy = arrays(case.seed, case.shape, case.padded)
    y, dx = np.empty(case.padded), np.empty(case.shape)
    pad.pad_forward(x, case.pads, case.mode, 0.0, y)
    pad.pad_backward(dy, case.pads, case.mode, dx)
    assert np.vdot(x, dx) == pytest.approx(np.vdot(y, dy), abs=1e-9)


@given(pad_cases(most_channels=5))
def test_the_reference_pads_as_numpy_and_its_gradient_is_adjoint(case):
    x, dy = arrays(case.seed, case.shape, case.padded)
    y, dx = np.full(case.padded, np.nan), np.full(case.shape, np.nan)
    reference.pad_forward(x, case.pads, case.mode, 3.0, y)
    np.testing.assert_array_equal(y, numpy_pad(case, x, 3.0))
    reference.pad_forward(x, case.pads, case.mode, 0.0, y)
    reference.pad_backward(dy, case.pads, case.mode, dx)
    assert np.vdot(x, dx) == pytest.approx(np.vdot(y, dy), abs=1e-9)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_any_value_may_be_added(value):
    check(PadCase((1, 3, 4, 9), ((1, 2), (3, 0)), "constant", 0), np.float32, value)

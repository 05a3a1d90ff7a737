"""Resizing in the simulator against the reference: geometry, types, adjointness, pixels taken often."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings

from numbacnn.kernels import reference
from numbacnn.kernels.cuda import resample
from tests.cuda.arrays import computed, put
from tests.cuda.ways import close, dtypes, made, ways
from tests.strategies import ResizeCase, arrays, resize_cases

cases = resize_cases(most_channels=9).filter(
    lambda case: math.prod(case.shape) + math.prod(case.resized) < 1000
)


def passes(case: ResizeCase, x: np.ndarray, dy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    y = computed(resample.resize_forward, (x, *case.options), case.resized, x.dtype)
    return y, computed(resample.resize_backward, (dy, *case.options), case.shape, x.dtype)


def check(case: ResizeCase, dtype: np.dtype) -> None:
    """Both passes are the reference's; the nearest pixel is copied as it is."""
    x, dy = arrays(case.seed, case.shape, case.resized, dtype=dtype)
    y, dx = passes(case, x, dy)
    expected = np.empty(case.resized)
    reference.resize_forward(x, *case.options, expected)
    close(y, expected)
    if case.mode == "nearest":
        np.testing.assert_array_equal(y.astype(float), expected)
    expected = np.empty(case.shape)
    reference.resize_backward(dy, *case.options, expected)
    close(dx, expected)


@settings(max_examples=30)
@given(cases, dtypes, ways)
def test_any_geometry_is_the_references(case, dtype, way):
    with made(way):
        check(case, dtype)


LARGE = [
    ResizeCase((1, 1, 2, 8), (1, 6, 9, 8), "linear", False, None, 5),
    ResizeCase((1, 2, 1, 3), (1, 9, 5, 3), "nearest", False, None, 6),
    ResizeCase((1, 2, 1, 1, 4), (1, 3, 4, 5, 4), "linear", True, None, 7),
    ResizeCase((1, 9, 4), (1, 2, 4), "nearest", False, None, 8),  # pixels that none takes
]


@pytest.mark.parametrize("case", LARGE, ids=str)
@pytest.mark.parametrize("way", ["blocks", "splits"])
def test_a_pixel_that_many_take_sums_them_in_any_way(case, way):
    with made(way):
        check(case, np.dtype(np.float32))


@settings(max_examples=15)
@given(cases)
def test_resizing_and_its_gradient_are_adjoint(case):
    x, dy = arrays(case.seed, case.shape, case.resized)
    y, dx = passes(case, x, dy)
    assert np.vdot(x, dx) == pytest.approx(np.vdot(y, dy), abs=1e-9)


@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_what_is_not_taken_is_not_read(mode):
    """A weight of 0 would make NaN of infinity."""
    x = np.array([1.0, np.inf, 2.0, np.nan]).reshape(1, 4, 1)
    y = computed(resample.resize_forward, (x, mode, mode == "linear", None), (1, 4, 1), x.dtype)
    np.testing.assert_array_equal(y, x)


def test_elements_past_32_bits_are_found():
    """Of an array whose memory nobody touches but for the pixels that are taken."""
    n, height, width = 2, 1 << 14, (1 << 16) + 1
    host = np.zeros(n * height * width, np.float16)
    assert host.size > 1 << 31
    low, left = height // 2, width // 2
    host[(height + low) * width + left] = 5.0
    x = SimpleNamespace(shape=(n, height, width, 1), dtype=host.dtype, size=host.size, host=host, device=0)
    y = put(np.zeros((n, 2, 2, 1), np.float16))
    resample.resize_forward(x, "nearest", False, None, y)
    assert y.numpy().reshape(n, 2, 2).tolist() == [[[0, 0], [0, 0]], [[0, 0], [0, 5]]]

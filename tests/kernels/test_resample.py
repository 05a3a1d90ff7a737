"""Resizing against the reference: geometry, channels, adjointness, bits over threads, narrower vectors."""

import os
import platform
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from scipy import ndimage

from numbacnn.kernels import reference
from numbacnn.kernels.cpu import resample
from tests.kernels.guard import assert_same_bits, threads, written
from tests.strategies import ResizeCase, arrays, dtypes, resize_cases

#: Relative to the largest: weights are rounded once, sums are short.
TOLERANCE = {np.dtype(np.float32): 2e-6, np.dtype(np.float64): 4e-15}


def close(got: np.ndarray, expected: np.ndarray) -> None:
    size = np.abs(expected).max(initial=0)
    np.testing.assert_allclose(got, expected, rtol=0, atol=TOLERANCE[got.dtype] * size)


def check(case: ResizeCase, dtype: type) -> None:
    """Both passes are the reference's; the nearest pixel is copied as it is."""
    x, dy = arrays(case.seed, case.shape, case.resized, dtype=dtype)
    y = written(resample.resize_forward, x, *case.options, shapes=case.resized, dtype=dtype)
    expected = np.empty(case.resized)
    reference.resize_forward(x, *case.options, expected)
    close(y, expected)
    if case.mode == "nearest":
        np.testing.assert_array_equal(y, expected)
    dx = written(resample.resize_backward, dy, *case.options, shapes=case.shape, dtype=dtype)
    expected = np.empty(case.shape)
    reference.resize_backward(dy, *case.options, expected)
    close(dx, expected)


@given(resize_cases(), dtypes)
def test_any_geometry_is_the_references(case, dtype):
    check(case, dtype)


# What small draws do not reach: several parts, long lists of outputs per input, inputs that none takes.
LARGE = [
    ResizeCase((2, 32, 40, 64), (2, 64, 80, 64), "linear", False, None, 1),
    ResizeCase((2, 33, 40, 33), (2, 66, 80, 33), "nearest", False, None, 2),
    ResizeCase((3, 90, 70, 3), (3, 31, 200, 3), "linear", True, None, 3),
    ResizeCase((2, 8, 20, 30, 5), (2, 17, 11, 62, 5), "linear", False, (0.5, 1.7, 0.49), 4),
    ResizeCase((1, 3, 4, 150), (1, 100, 90, 150), "linear", False, None, 5),
    ResizeCase((2, 3_700, 5), (2, 1_501, 5), "nearest", False, None, 6),
]


@pytest.mark.parametrize("case", LARGE, ids=str)
@pytest.mark.parametrize("count", [1, 2])
def test_large_shapes_are_the_references(case, count):
    with threads(count):
        check(case, np.float32)


@pytest.mark.parametrize("case", LARGE, ids=str)
def test_bits_do_not_depend_on_the_threads_or_the_run(case):
    x, dy = arrays(case.seed, case.shape, case.resized, dtype=np.float32)

    def results():
        y, dx = np.empty_like(dy), np.empty_like(x)
        resample.resize_forward(x, *case.options, y)
        resample.resize_backward(dy, *case.options, dx)
        return [y, dx]

    assert_same_bits(results)


@given(resize_cases(most_channels=20))
def test_resizing_and_its_gradient_are_adjoint(case):
    x, dy = arrays(case.seed, case.shape, case.resized)
    y, dx = np.empty(case.resized), np.empty(case.shape)
    resample.resize_forward(x, *case.options, y)
    resample.resize_backward(dy, *case.options, dx)
    assert np.vdot(x, dx) == pytest.approx(np.vdot(y, dy), abs=1e-9)


@given(resize_cases(most_channels=4))
def test_the_reference_interpolates_as_scipy_and_its_gradient_is_adjoint(case):
    x, dy = arrays(case.seed, case.shape, case.resized)
    y, dx = np.full(case.resized, np.nan), np.full(case.shape, np.nan)
    reference.resize_forward(x, *case.options, y)
    places = []
    for size, out, ratio in zip(
        case.shape[1:-1], case.resized[1:-1], case.ratios or [None] * (x.ndim - 2), strict=True
    ):
        step, o = size / out if ratio is None else ratio, np.arange(out)
        if case.mode == "nearest":
            places.append(np.floor(o.astype(np.float32) * np.float32(step)).clip(0, size - 1))
        elif case.align_corners:
            places.append(np.linspace(0, size - 1, out))
        else:
            places.append(((o + 0.5) * step - 0.5).clip(0, size - 1))
    grid = np.meshgrid(*places, indexing="ij")
    for n in range(x.shape[0]):
        for c in range(x.shape[-1]):
            expected = ndimage.map_coordinates(x[n, ..., c], grid, order=1, mode="nearest")
            np.testing.assert_allclose(y[n, ..., c], expected, atol=1e-12)
    reference.resize_backward(dy, *case.options, dx)
    assert np.vdot(x, dx) == pytest.approx(np.vdot(y, dy), abs=1e-9)


@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_what_is_not_taken_is_not_read(mode):
    """A weight of 0 would make NaN of infinity."""
    x = np.array([1.0, np.inf, 2.0, np.nan]).reshape(1, 4, 1)
    y = written(resample.resize_forward, x, mode, mode == "linear", None, shapes=(1, 4, 1), dtype=float)
    np.testing.assert_array_equal(y, x)


FAMILY = """
import numpy as np
from numbacnn.kernels.cpu import simd
from tests.kernels import test_pad, test_resample, test_shuffle

assert simd.VECTOR_BYTES == {bytes}, simd.VECTOR_BYTES
for dtype in (np.float32, np.float64):
    for case in test_resample.LARGE:
        test_resample.check(case, dtype)
    for case in test_pad.LARGE:
        test_pad.check(case, dtype)
    for case in test_shuffle.LARGE:
        test_shuffle.check(case, dtype)
print("right")
"""


@pytest.mark.slow
@pytest.mark.parametrize(("cpu", "width"), [("haswell", 32), ("nehalem", 16)])
def test_narrower_vectors_are_right_too(cpu, width, tmp_path):
    if platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("names CPUs of the x86-64 family")
    # without NUMBA_CPU_FEATURES that CPU would be given the host's instructions
    family = {"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": "", "NUMBACNN_CACHE_DIR": str(tmp_path)}
    child = subprocess.run(
        [sys.executable, "-c", FAMILY.format(bytes=width)],
        env={**os.environ, **family},
        capture_output=True,
        text=True,
    )
    assert child.stdout == "right\n", child.stderr

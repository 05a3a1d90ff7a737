"""Convolution kernels against the reference, over geometry, channels, threads and tile families."""

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given

from numbacnn import _jit, config
from numbacnn.dims import ConvDims
from numbacnn.kernels import reference
from numbacnn.kernels.cpu import conv, simd
from numbacnn.kernels.cpu.choice import choose
from tests.strategies import arrays, conv_cases, conv_transpose_cases, dtypes

#: Relative to the sum of absolute products: rounding of sums of up to some thousand terms.
TOLERANCE = {np.dtype(np.float32): 2e-6, np.dtype(np.float64): 4e-15}
WINOGRAD_TOLERANCE = 1e-5
PASSES = {"conv_forward": "forward", "conv_backward_data": "data", "conv_backward_weights": "weights"}
GUARD = 32


def guarded(shape, dtype):
    """A poisoned output with NaN around it: what is not written, or written beside, is seen."""
    size = int(np.prod(shape))
    memory = np.full(size + 2 * GUARD, np.nan, dtype)
    return memory, memory[GUARD : GUARD + size].reshape(shape)


def run(kernel, shape, dtype, *args):
    """The kernel's output, written whole and nowhere else."""
    memory, out = guarded(shape, dtype)
    kernel(*args, out)
    assert np.isnan(memory[:GUARD]).all() and np.isnan(memory[len(memory) - GUARD :]).all()
    assert not np.isnan(out).any()
    return out


def check_passes(dims, seed, dtype):
    """All three passes of a convolution are the reference's, within rounding of the sums."""
    x, w, b, dy = arrays(
        seed, dims.input_shape, dims.kernel_shape, (dims.c_out,), dims.output_shape, dtype=dtype
    )
    for name, shape, args in (
        ("conv_forward", dims.output_shape, (x, w, b)),
        ("conv_forward", dims.output_shape, (x, w, None)),
        ("conv_backward_data", dims.input_shape, (dy, w)),
        ("conv_backward_weights", dims.kernel_shape, (x, dy)),
    ):
        got = run(getattr(conv, name), shape, dtype, dims, *args)
        expected, size = np.empty(shape), np.empty(shape)
        getattr(reference, name)(dims, *args, expected)
        getattr(reference, name)(dims, *(None if a is None else abs(a) for a in args), size)
        error = np.abs(got - expected).max(initial=0)
        lanes = simd.VECTOR_BYTES // np.dtype(dtype).itemsize
        algorithm = choose(dims, PASSES[name], lanes, dtype == np.float32).algorithm
        tolerance = WINOGRAD_TOLERANCE if algorithm == "winograd" else TOLERANCE[np.dtype(dtype)]
        assert error <= tolerance * size.max(initial=0), name


@given(conv_cases(most_channels=70), dtypes)
def test_every_geometry_gives_the_references_results(case, dtype):
    check_passes(case.dims, case.seed, dtype)


def test_dims_that_are_equal_but_not_one_object_give_the_same_results():
    """Caches return what an equal key stood for: none may be told from the caller's by identity."""
    for seed in range(2):
        check_passes(ConvDims.of((1, 6, 8, 6), (2, 2, 3, 2), stride=(1, 2), groups=2), seed, np.float64)
        copy = dataclasses.replace(ConvDims.of((1, 6, 8, 6), (2, 2, 3, 2), stride=(1, 2), groups=2))
        check_passes(copy, seed, np.float64)


@given(conv_transpose_cases(most_channels=70), dtypes)
def test_transposed_convolutions_give_the_references_results(case, dtype):
    dims = case.dims
    x, w, b = arrays(case.seed, dims.output_shape, dims.kernel_shape, (dims.c_in,), dtype=dtype)
    for bias in (b, None):
        got = run(conv.conv_transpose_forward, dims.input_shape, dtype, dims, x, w, bias)
        expected, size = np.empty(dims.input_shape), np.empty(dims.input_shape)
        reference.conv_transpose_forward(dims, x, w, bias, expected)
        magnitudes = (abs(x), abs(w), None if bias is None else abs(bias))
        reference.conv_transpose_forward(dims, *magnitudes, size)
        error = np.abs(got - expected).max(initial=0)
        assert error <= TOLERANCE[np.dtype(dtype)] * size.max(initial=0)


# What small draws do not reach: sums of several blocks, many parts, bands of rows, splits of pixels, kernels
# packed beforehand and inside, padding done beforehand, one and several panels, transposed tails, blocks of
# neighbouring pixels, rows and volumes cut into pieces, slices and rows of which only every so many is read,
# gradients of one tap as products of the pixels read, turned, and of more panels than are packed together.
LARGE = [
    ((1, 7, 7, 600), (3, 3, 600, 70), {"padding": 1}),
    ((1, 7, 6, 1100), (1, 1, 1100, 40), {}),
    ((2, 60, 60, 20), (3, 3, 20, 40), {"padding": ((1, 0), (0, 2))}),
    ((2, 61, 58, 20), (3, 5, 10, 44), {"padding": "same", "groups": 2, "stride": (2, 1), "dilation": (1, 2)}),
    ((17, 14, 14, 33), (2, 2, 33, 17), {"stride": 2}),
    ((16, 28, 28, 1), (5, 5, 1, 6), {"padding": 2}),
    ((1, 56, 56, 64), (1, 1, 64, 100), {"stride": (3, 2)}),
    ((3, 30, 30, 48), (3, 3, 1, 48), {"padding": 1, "groups": 48}),
    ((1, 5, 2000, 3), (3, 9, 3, 8), {"padding": 4}),
    ((1, 40, 40, 16), (3, 3, 16, 130), {"dilation": 3, "padding": 3}),
    ((4, 14, 14, 6), (5, 5, 6, 16), {}),
    ((2, 40, 36, 3), (7, 7, 3, 40), {"padding": 3, "stride": 2}),
    ((2, 6, 50, 8), (1, 3, 8, 70), {}),
    ((1, 9001, 20), (3, 20, 24), {"padding": ((64, 0),), "dilation": 32}),
    ((2, 9000, 12), (2, 12, 33), {}),
    ((1, 1, 7000, 18), (1, 4, 18, 20), {"padding": ((0, 0), (1, 2)), "stride": (1, 3)}),
    ((1, 7000, 1, 10), (5, 1, 10, 9), {"padding": ((2, 2), (0, 0)), "dilation": (3, 1)}),
    ((1, 300, 300), (3, 300, 200), {"padding": "same"}),
    ((1, 22, 20, 26, 20), (3, 3, 3, 20, 36), {"padding": ((1, 1), (0, 2), (2, 0))}),
    ((2, 19, 22, 30, 14), (3, 2, 3, 7, 20), {"padding": 1, "stride": 2, "groups": 2, "dilation": (1, 3, 1)}),
    ((1, 16, 40, 60, 10), (2, 3, 2, 10, 12), {"padding": ((6, 0), (5, 5), (0, 0)), "dilation": (6, 5, 1)}),
    ((3, 6, 5, 7, 130), (3, 3, 3, 130, 70), {"padding": 1}),
    ((2, 27, 26, 380), (1, 1, 380, 350), {"stride": (2, 3)}),
    ((2, 60, 61, 18), (1, 1, 18, 3), {}),
    ((1, 30, 40, 40), (1, 1, 40, 600), {}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("winograd", "bound"), [(False, 1e-6), (True, 1.5e-5)])
def test_gradients_over_many_pixels_lose_no_digits(winograd, bound, monkeypatch):
    """Sums of a million terms in one chain would be ten times as far off."""
    monkeypatch.setattr(config, "winograd", winograd)
    dims = ConvDims.of((4, 514, 514, 16), (3, 3, 16, 16))
    x, dy = arrays(1, dims.input_shape, dims.output_shape, dtype=np.float32)
    got = run(conv.conv_backward_weights, dims.kernel_shape, np.float32, dims, x, dy)
    expected = np.empty(dims.kernel_shape)
    for i, j in np.ndindex(3, 3):
        pixels = x[:, i : i + 512, j : j + 512].reshape(-1, 16).astype(np.float64)
        expected[i, j] = pixels.T @ dy.reshape(-1, 16).astype(np.float64)
    assert np.abs(got - expected).max() < bound * np.abs(expected).max()


@pytest.mark.parametrize(("x_shape", "w_shape", "options"), LARGE)
@pytest.mark.parametrize("threads", [1, 2])
def test_large_shapes_give_the_references_results(x_shape, w_shape, options, threads):
    before = _jit.get_num_threads()
    _jit.set_num_threads(min(threads, before))
    try:
        check_passes(ConvDims.of(x_shape, w_shape, **options), 3, np.float32)
    finally:
        _jit.set_num_threads(before)


@pytest.mark.parametrize(("x_shape", "w_shape", "options"), LARGE)
def test_bits_do_not_depend_on_the_threads_or_the_run(x_shape, w_shape, options):
    dims = ConvDims.of(x_shape, w_shape, **options)
    x, w, b, dy = arrays(
        5, dims.input_shape, dims.kernel_shape, (dims.c_out,), dims.output_shape, dtype=np.float32
    )
    before, results = _jit.get_num_threads(), []
    try:
        for threads in (1, before, before):
            _jit.set_num_threads(threads)
            y, dx, dw = (np.empty(s, np.float32) for s in (dims.output_shape, x_shape, w_shape))
            conv.conv_forward(dims, x, w, b, y)
            conv.conv_backward_data(dims, dy, w, dx)
            conv.conv_backward_weights(dims, x, dy, dw)
            results.append((y, dx, dw))
    finally:
        _jit.set_num_threads(before)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


FAMILY = """
import numpy as np
from numbacnn.dims import ConvDims
from numbacnn.kernels.cpu import simd
from tests.kernels.test_conv import LARGE, check_passes

assert simd.VECTOR_BYTES == {bytes}, simd.VECTOR_BYTES
for x_shape, w_shape, options in LARGE[:5]:
    check_passes(ConvDims.of(x_shape, w_shape, **options), 3, np.float32)
for x_shape, w_shape, options in LARGE[3:4]:
    check_passes(ConvDims.of(x_shape, w_shape, **options), 4, np.float64)
print("right")
"""


@pytest.mark.parametrize(
    ("cpu", "width"), [("haswell", 32), pytest.param("nehalem", 16, marks=pytest.mark.slow)]
)
def test_the_tiles_of_narrower_vectors_are_right_too(cpu, width, tmp_path):
    import platform

    if platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("names CPUs of the x86-64 family")
    if width == simd.VECTOR_BYTES:
        pytest.skip("the other tests run this host's vectors")
    family = {"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": ""}  # else the host's features stay on
    environment = {**os.environ, **family, "NUMBACNN_CACHE_DIR": str(tmp_path)}
    child = subprocess.run(
        [sys.executable, "-c", FAMILY.format(bytes=width)], env=environment, capture_output=True, text=True
    )
    assert child.stdout == "right\n", child.stderr

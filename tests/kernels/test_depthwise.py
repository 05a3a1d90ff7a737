"""Depthwise convolution against the reference, over geometry, multipliers, threads and vector widths."""

import os
import platform
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numbacnn.dims import ConvDims
from numbacnn.kernels import reference
from numbacnn.kernels.cpu import conv, depthwise
from tests.kernels.guard import assert_same_bits, threads, written
from tests.strategies import arrays, conv_cases, dtypes, seeds

#: Relative to the largest sum of absolute products: rounding of sums of up to some thousand terms.
TOLERANCE = {np.dtype(np.float32): 2e-6, np.dtype(np.float64): 4e-15}


@st.composite
def depthwise_dims(draw: Any, most_channels: int = 70) -> ConvDims:
    """Any geometry with one input channel a group; rows also wide enough for several tiles of outputs."""
    dims = draw(conv_cases()).dims
    channels = draw(st.one_of(st.integers(1, 7), st.integers(1, most_channels)))
    in_ = (*dims.in_[:-1], dims.in_[-1] + draw(st.sampled_from([0, 0, 9, 40])))
    return replace(dims, c_in=channels, c_out=channels * draw(st.integers(1, 3)), groups=channels, in_=in_)


def passes(dims: ConvDims, seed: int, dtype: type) -> list[tuple[str, tuple[int, ...], tuple]]:
    """Name, shape of the result, and arguments of each pass."""
    shapes = dims.input_shape, dims.kernel_shape, (dims.c_out,), dims.output_shape
    x, w, b, dy = arrays(seed, *shapes, dtype=dtype)
    return [
        ("forward", dims.output_shape, (x, w, b)),
        ("forward", dims.output_shape, (x, w, None)),
        ("backward_data", dims.input_shape, (dy, w)),
        ("backward_weights", dims.kernel_shape, (x, dy)),
    ]


def check_passes(dims: ConvDims, seed: int, dtype: type) -> None:
    """All passes are the reference's, within rounding of the sums, and write nothing but their output."""
    for name, shape, args in passes(dims, seed, dtype):
        got = written(getattr(depthwise, f"depthwise_{name}"), dims, *args, shapes=shape, dtype=dtype)
        expected, size = np.empty(shape), np.empty(shape)
        getattr(reference, f"conv_{name}")(dims, *args, expected)
        getattr(reference, f"conv_{name}")(dims, *(None if a is None else abs(a) for a in args), size)
        bound = TOLERANCE[np.dtype(dtype)] * size.max(initial=0)
        np.testing.assert_allclose(got, expected, rtol=0, atol=bound, err_msg=name)


@given(depthwise_dims(), seeds, dtypes)
def test_every_geometry_gives_the_references_results(dims, seed, dtype):
    check_passes(dims, seed, dtype)


# What small draws do not reach: several parts, rows cut into pieces, few rows cut by channels, blocks of
# pixels beside what they leave over, several boxes and copies of the weight gradient, gradients in phases.
# The last number is the multiplier.
LARGE = [
    ((2, 40, 41, 32), (3, 3), {"padding": 1}, 1),
    ((1, 57, 60, 40), (3, 3), {"padding": ((1, 0), (0, 2)), "stride": 2}, 1),
    ((1, 7, 7, 520), (3, 3), {"padding": 1}, 1),
    ((1, 7, 7, 130), (3, 3), {"padding": 1}, 2),
    ((3, 60, 62, 3), (5, 5), {"padding": 2}, 1),
    ((2, 61, 58, 5), (3, 4), {"padding": "same", "stride": (2, 1), "dilation": (1, 2)}, 3),
    ((2, 9000, 6), (7,), {"padding": (3,), "dilation": 2}, 1),
    ((1, 9001, 20), (4,), {"stride": 3}, 1),
    ((2, 9, 12, 21, 24), (3, 2, 3), {"padding": ((1, 1), (0, 1), (2, 0))}, 1),
    ((1, 8, 20, 20, 7), (2, 3, 3), {"stride": (2, 1, 2), "dilation": (3, 1, 1), "padding": 2}, 2),
    ((1, 30, 30, 16), (9, 7), {"padding": (4, 3)}, 1),
]


def large(shape: tuple[int, ...], k_: tuple[int, ...], options: dict, multiplier: int) -> ConvDims:
    channels = shape[-1]
    return ConvDims.of(shape, (*k_, 1, channels * multiplier), groups=channels, **options)


@pytest.mark.parametrize("case", LARGE)
@pytest.mark.parametrize("count", [1, 2])
def test_large_shapes_give_the_references_results(case, count):
    with threads(count):
        check_passes(large(*case), 3, np.float32)


@pytest.mark.parametrize("case", LARGE)
def test_bits_do_not_depend_on_the_threads_or_the_run(case):
    dims = large(*case)

    def results():
        outs = []
        for name, shape, args in passes(dims, 5, np.float32):
            outs.append(np.empty(shape, np.float32))
            getattr(depthwise, f"depthwise_{name}")(dims, *args, outs[-1])
        return outs

    assert_same_bits(results)


@given(depthwise_dims(), seeds)
def test_the_passes_are_adjoint(dims, seed):
    (_, _, (x, w, _)), *_, (_, _, (_, dy)) = passes(dims, seed, np.float64)
    y, dx, dw = (np.empty(s) for s in (dims.output_shape, dims.input_shape, dims.kernel_shape))
    depthwise.depthwise_forward(dims, x, w, None, y)
    depthwise.depthwise_backward_data(dims, dy, w, dx)
    depthwise.depthwise_backward_weights(dims, x, dy, dw)
    product = np.vdot(y, dy)
    scale = 1e-12 * max(1.0, np.linalg.norm(y) * np.linalg.norm(dy))
    assert np.vdot(x, dx) == pytest.approx(product, abs=scale)
    assert np.vdot(w, dw) == pytest.approx(product, abs=scale)


@given(depthwise_dims(most_channels=20), seeds)
def test_convolutions_of_single_channels_come_here(dims, seed):
    if not depthwise.is_depthwise(dims):
        return
    for name, shape, args in passes(dims, seed, np.float32):
        got, expected = np.empty(shape, np.float32), np.empty(shape, np.float32)
        getattr(conv, f"conv_{name}")(dims, *args, got)
        getattr(depthwise, f"depthwise_{name}")(dims, *args, expected)
        assert got.tobytes() == expected.tobytes()


def test_only_groups_of_one_input_channel_count_as_depthwise():
    for ins, groups, expected in ((6, 6, True), (6, 3, False), (6, 1, False), (1, 1, False)):
        dims = ConvDims.of((1, 4, 4, ins), (2, 2, ins // groups, 12), groups=groups)
        assert depthwise.is_depthwise(dims) is expected


def test_padding_is_multiplied_by_nothing():
    """An infinite weight is felt only where its tap meets a pixel; zeros times it would be NaN."""
    dims = ConvDims.of((1, 5, 6, 3), (3, 3, 1, 3), padding=1, groups=3)
    x, w, y = np.ones(dims.input_shape), np.ones(dims.kernel_shape), np.empty(dims.output_shape)
    w[0, 0] = np.inf
    depthwise.depthwise_forward(dims, x, w, None, y)
    assert np.isinf(y[0, 1:, 1:]).all()
    assert np.isfinite(y[0, 0]).all()
    assert np.isfinite(y[0, :, 0]).all()


FAMILY = """
import numpy as np
from numbacnn.kernels.cpu import simd
from tests.kernels.test_depthwise import LARGE, check_passes, large

assert simd.VECTOR_BYTES == {bytes}, simd.VECTOR_BYTES
for case in LARGE:
    check_passes(large(*case), 3, np.float32)
for case in LARGE[5:7]:
    check_passes(large(*case), 4, np.float64)
print("right")
"""


@pytest.mark.slow
@pytest.mark.parametrize(("cpu", "width"), [("haswell", 32), ("nehalem", 16)])
def test_narrower_vectors_are_right_too(cpu, width, tmp_path):
    if platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("names CPUs of the x86-64 family")
    # without NUMBA_CPU_FEATURES that CPU would be given the host's instructions
    family = {"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": "", "NUMBACNN_CACHE_DIR": str(tmp_path)}
    environment = {**os.environ, **family}
    child = subprocess.run(
        [sys.executable, "-c", FAMILY.format(bytes=width)], env=environment, capture_output=True, text=True
    )
    assert child.stdout == "right\n", child.stderr

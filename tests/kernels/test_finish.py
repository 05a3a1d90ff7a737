"""What follows the sums of a convolution, in every algorithm and in every way that results lie in memory."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbacnn.dims import ConvDims
from numbacnn.epilogue import Activation
from numbacnn.kernels import reference
from numbacnn.kernels.cpu import conv
from numbacnn.kernels.cpu.choice import choose
from tests.kernels.guard import assert_same_bits, written
from tests.strategies import arrays, conv_cases, dtypes, seeds

ACTIVATIONS = [None, "relu", ("clip", -0.7, 1.2), ("leaky_relu", 0.2), "silu"]

# Depthwise: rows cut by channels, blocks of pixels beside what they leave over, multipliers with and without
# blocks, strips of a row.  Products of few samples: sums in splits and whole, one output channel.  Direct:
# pixels side by side and apart, groups, panels by parts.  Winograd's method: tiles side by side and apart.
CASES = [
    ("depthwise", (1, 7, 7, 520), (3, 3, 1, 520), {"padding": 1, "groups": 520}),
    ("depthwise", (2, 20, 61, 3), (5, 5, 1, 3), {"padding": 2, "groups": 3}),
    ("depthwise", (1, 9, 10, 37), (3, 3, 1, 74), {"padding": ((1, 0), (0, 2)), "stride": 2, "groups": 37}),
    ("depthwise", (2, 31, 33, 5), (3, 4, 1, 15), {"padding": "same", "dilation": (1, 2), "groups": 5}),
    ("depthwise", (1, 3, 300, 33), (1, 3, 1, 33), {"padding": (0, 1), "groups": 33}),
    ("depthwise", (2, 4, 9, 11, 20), (2, 3, 3, 1, 20), {"padding": 1, "groups": 20}),
    ("product", (1, 1, 1, 3000), (1, 1, 3000, 70), {}),
    ("product", (2, 2, 2, 30), (1, 1, 30, 50), {}),
    ("product", (3, 5, 4, 6), (5, 4, 6, 1), {}),
    ("direct", (2, 12, 13, 20), (1, 1, 20, 40), {}),
    ("direct", (2, 12, 13, 24), (3, 3, 12, 42), {"padding": 1, "stride": 2, "groups": 2}),
    ("direct", (1, 7, 7, 600), (1, 1, 600, 270), {}),
    ("winograd", (2, 14, 15, 40), (3, 3, 40, 40), {"padding": 1}),
    ("winograd", (1, 21, 14, 64), (3, 3, 32, 72), {"padding": 2, "dilation": 2, "groups": 2}),
    ("winograd", (1, 27, 14, 64), (5, 5, 32, 72), {"padding": 2, "groups": 2}),
    ("winograd", (1, 400, 64), (3, 64, 64), {"padding": 1}),
]


def case(shape, kernel, options, dtype=np.float32):
    dims = ConvDims.of(shape, kernel, **options)
    shapes = dims.input_shape, dims.kernel_shape, (dims.c_out,), (dims.c_out,), dims.output_shape
    return dims, arrays(7, *shapes, dtype=dtype)


@pytest.mark.parametrize(("algorithm", "shape", "kernel", "options"), CASES)
def test_the_cases_are_of_these_algorithms(algorithm, shape, kernel, options):
    dims = ConvDims.of(shape, kernel, **options)
    assert choose(dims, "forward", 8, winograd=True).algorithm == algorithm


@pytest.mark.parametrize(("algorithm", "shape", "kernel", "options"), CASES)
def test_it_is_the_references(algorithm, shape, kernel, options):
    dims, (x, w, b, scale, more) = case(shape, kernel, options)
    largest = np.empty(dims.output_shape)  # of the terms that rounding errors are relative to
    reference.conv_forward_fused(dims, x, w, abs(b), abs(scale), abs(more), None, largest)
    limit = 4e-5 * abs(largest).max()
    given_ = (None, b, None), (scale, b, None), (scale, None, more), (None, b, more), (scale, b, more)
    for activation, (factors, shift, residual) in zip(ACTIVATIONS, given_, strict=True):
        args = dims, x, w, shift, factors, residual, Activation.of(activation, "test")
        expected = np.empty(dims.output_shape)
        reference.conv_forward_fused(*args, expected)
        got = written(conv.conv_forward_fused, *args, shapes=dims.output_shape, dtype=np.float32)
        np.testing.assert_allclose(got, expected, rtol=0, atol=limit)


@pytest.mark.parametrize(("algorithm", "shape", "kernel", "options"), CASES)
def test_bits_do_not_depend_on_the_threads_or_the_run(algorithm, shape, kernel, options):
    dims, (x, w, b, scale, more) = case(shape, kernel, options)

    def results():
        outs = []
        for factors, residual, activation in ((None, None, "relu6"), (scale, more, "silu")):
            outs.append(np.empty(dims.output_shape, np.float32))
            args = dims, x, w, b, factors, residual, Activation.of(activation, "test")
            conv.conv_forward_fused(*args, outs[-1])
        return outs

    assert_same_bits(results)


# Without an activation a product of one output is summed in another order.
@pytest.mark.parametrize(("algorithm", "shape", "kernel", "options"), [c for c in CASES if c[2][-1] > 1])
def test_activations_of_the_sums_have_the_bits_of_activations_afterwards(algorithm, shape, kernel, options):
    dims, (x, w, b, _, _) = case(shape, kernel, options)
    plain, clipped = (np.empty(dims.output_shape, np.float32) for _ in range(2))
    conv.conv_forward(dims, x, w, b, plain)
    conv.conv_forward_fused(dims, x, w, b, None, None, Activation("clip", -0.5, 0.75), clipped)
    assert clipped.tobytes() == np.clip(plain, np.float32(-0.5), np.float32(0.75)).tobytes()


@pytest.mark.parametrize(("algorithm", "shape", "kernel", "options"), CASES)
def test_nan_passes(algorithm, shape, kernel, options):
    dims, (x, w, b, _, _) = case(shape, kernel, options)
    b[-1] = math.nan
    y = np.empty(dims.output_shape, np.float32)
    for activation in ACTIVATIONS[1:]:
        conv.conv_forward_fused(dims, x, w, b, None, None, Activation.of(activation, "test"), y)
        assert np.isnan(y[..., -1]).all()
        assert np.isfinite(y[..., :-1]).all()


@settings(max_examples=25)
@given(conv_cases(most_channels=40), dtypes, st.sampled_from(ACTIVATIONS), st.integers(1, 3), seeds)
def test_depthwise_results_are_the_references(drawn, dtype, activation, multiplier, seed):
    channels = drawn.dims.c_in
    options = drawn.options | {"groups": channels}
    kernel = (*drawn.dims.k_, 1, channels * multiplier)
    dims = ConvDims.of(drawn.dims.input_shape, kernel, **options)
    x, w, b, scale, more = arrays(
        seed, dims.input_shape, kernel, (dims.c_out,), (dims.c_out,), dims.output_shape, dtype=dtype
    )
    for factors, residual in ((None, None), (scale, None), (scale, more)):
        args = dims, x, w, b, factors, residual, Activation.of(activation, "test")
        expected = np.empty(dims.output_shape)
        reference.conv_forward_fused(*args, expected)
        got = written(conv.conv_forward_fused, *args, shapes=dims.output_shape, dtype=dtype)
        limit = 500 * np.finfo(dtype).eps * max(1, abs(expected).max(initial=0))
        np.testing.assert_allclose(got, expected, rtol=0, atol=limit)

"""Convolution of tensors against the reference, and what it refuses."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal

from numbacnn import functional
from numbacnn.dims import ConvDims
from numbacnn.epilogue import Activation
from numbacnn.errors import ArgumentError, DeviceError, DTypeError, ShapeError
from numbacnn.kernels import reference
from numbacnn.kernels.cpu.choice import winograd_fits
from numbacnn.tensor import as_tensor
from tests.functional.comparing import assert_matches, reference_of
from tests.strategies import arrays, conv_cases, dtypes

cases = conv_cases(most_channels=20)
MODES = ("reflect", "replicate", "circular")
NUMPY_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


@given(cases, dtypes)
def test_forward_is_the_references(case, dtype):
    dims = case.dims
    x, w, b = arrays(case.seed, dims.input_shape, dims.kernel_shape, (dims.c_out,), dtype=dtype)
    size = reference_of(reference.conv_forward, dims, abs(x), abs(w), abs(b), shape=dims.output_shape)
    for bias in (b, None):
        expected = reference_of(reference.conv_forward, dims, x, w, bias, shape=dims.output_shape)
        assert_matches(functional.conv_forward(x, w, bias, **case.options), expected, dtype, size)


@given(cases, dtypes)
def test_data_gradient_is_the_references(case, dtype):
    dims = case.dims
    dy, w = arrays(case.seed, dims.output_shape, dims.kernel_shape, dtype=dtype)
    expected = reference_of(reference.conv_backward_data, dims, dy, w, shape=dims.input_shape)
    size = reference_of(reference.conv_backward_data, dims, abs(dy), abs(w), shape=dims.input_shape)
    dx = functional.conv_backward_data(dy, w, dims.input_shape, **case.options)
    assert_matches(dx, expected, dtype, size)


@given(cases, dtypes)
def test_weight_gradient_is_the_references(case, dtype):
    dims = case.dims
    x, dy = arrays(case.seed, dims.input_shape, dims.output_shape, dtype=dtype)
    expected = reference_of(reference.conv_backward_weights, dims, x, dy, shape=dims.kernel_shape)
    size = reference_of(reference.conv_backward_weights, dims, abs(x), abs(dy), shape=dims.kernel_shape)
    dw = functional.conv_backward_weights(x, dy, dims.kernel_shape, **case.options)
    assert_matches(dw, expected, dtype, size)


@given(cases)
def test_the_three_passes_are_adjoint(case):
    dims = case.dims
    x, w, dy = arrays(case.seed, dims.input_shape, dims.kernel_shape, dims.output_shape)
    y = functional.conv_forward(x, w, **case.options).numpy()
    dx = functional.conv_backward_data(dy, w, x.shape, **case.options).numpy()
    dw = functional.conv_backward_weights(x, dy, w.shape, **case.options).numpy()
    assert np.vdot(x, dx) == pytest.approx(np.vdot(y, dy), abs=1e-9)
    assert np.vdot(w, dw) == pytest.approx(np.vdot(y, dy), abs=1e-9)


@st.composite
def padded_cases(draw):
    """Convolutions with a padding mode that has pixels enough for the pads, flipped or not."""
    case = draw(cases)
    mode, least = draw(st.sampled_from(MODES)), max(case.dims.pad_lo_ + case.dims.pad_hi_) + 1
    x_shape = (case.dims.n, *(max(size, least) for size in case.dims.in_), case.dims.c_in)
    padding = tuple(zip(case.dims.pad_lo_, case.dims.pad_hi_, strict=True))
    options = {**case.options, "padding": padding}
    dims = ConvDims.of(x_shape, case.dims.kernel_shape, **options)
    return dims, {**options, "padding_mode": mode, "flip": draw(st.booleans())}, case.seed


@given(padded_cases(), dtypes)
def test_padding_modes_and_turned_kernels_are_numpys_padding_and_flip(case, dtype):
    dims, options, seed = case
    x, w = arrays(seed, dims.input_shape, dims.kernel_shape, dtype=dtype)
    ends = [(0, 0), *options["padding"], (0, 0)]
    padded = np.pad(x, ends, mode=NUMPY_MODES[options["padding_mode"]])
    turned = np.flip(w, tuple(range(dims.rank))) if options["flip"] else w
    plain = dataclasses.replace(
        dims, in_=padded.shape[1:-1], pad_lo_=(0,) * dims.rank, pad_hi_=(0,) * dims.rank
    )
    expected, size = (
        reference_of(reference.conv_forward, plain, a, b, None, shape=dims.output_shape)
        for a, b in ((padded, turned), (abs(padded), abs(turned)))
    )
    assert_matches(functional.conv_forward(x, w, **options), expected, dtype, size)


@given(padded_cases())
def test_the_passes_of_every_padding_mode_are_adjoint(case):
    dims, options, seed = case
    x, w, dy = arrays(seed, dims.input_shape, dims.kernel_shape, dims.output_shape)
    y = functional.conv_forward(x, w, **options).numpy()
    dx = functional.conv_backward_data(dy, w, x.shape, **options).numpy()
    dw = functional.conv_backward_weights(x, dy, w.shape, **options).numpy()
    assert np.vdot(x, dx) == pytest.approx(np.vdot(y, dy), abs=1e-9)
    assert np.vdot(w, dw) == pytest.approx(np.vdot(y, dy), abs=1e-9)


def test_the_flipped_kernel_is_the_convolution_of_mathematics():
    x, w = arrays(3, (1, 9, 8, 7, 1), (3, 2, 4, 1, 1))
    y = functional.conv_forward(x, w, flip=True).numpy()
    expected = signal.convolve(x[0, ..., 0], w[..., 0, 0], mode="valid", method="direct")
    np.testing.assert_allclose(y[0, ..., 0], expected, rtol=1e-12)


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 3), st.integers(0, 11))
def test_no_output_of_a_causal_convolution_sees_what_comes_after_it(k, dilation, stride, moment):
    x, w = arrays(4, (1, 12, 2), (k, 2, 3))
    options = {"padding": "causal", "dilation": dilation, "stride": stride}
    before = functional.conv_forward(x, w, **options).numpy()
    assert before.shape == (1, -(-12 // stride), 3)
    x[:, moment] += 1
    changed = np.any(functional.conv_forward(x, w, **options).numpy() != before, axis=(0, 2))
    assert not changed[: -(-moment // stride)].any()
    if moment % stride == 0:
        assert changed[moment // stride], "the last tap meets the output's own place"


def test_arrays_that_are_not_contiguous_give_the_same():
    x, w, b = arrays(1, (2, 9, 8, 6), (3, 3, 6, 4), (4,), dtype=np.float32)
    expected = functional.conv_forward(x, w, b).numpy()
    spread = np.repeat(np.asfortranarray(x), 2, axis=2)[:, :, ::2]
    again = functional.conv_forward(spread, np.asfortranarray(w), b[::-1].copy()[::-1])
    np.testing.assert_array_equal(again.numpy(), expected)
    tensors = functional.conv_forward(as_tensor(x), as_tensor(w), as_tensor(b))
    np.testing.assert_array_equal(tensors.numpy(), expected)


def test_arguments_are_left_alone_and_results_are_fresh():
    x, w, b = arrays(1, (2, 9, 8, 3), (3, 3, 3, 4), (4,))
    before = [a.copy() for a in (x, w, b)]
    first = functional.conv_forward(x, w, b).numpy()
    second = functional.conv_forward(x, w, b).numpy()
    assert not np.shares_memory(first, second)
    np.testing.assert_array_equal(first, second)
    for array, copy in zip((x, w, b), before, strict=True):
        np.testing.assert_array_equal(array, copy)


def forward(x=(2, 7, 7, 4), w=(3, 3, 4, 6), b=(6,), dtypes=("f4", "f4", "f4"), **options):
    parts = [None if s is None else np.ones(s, d) for s, d in zip((x, w, b), dtypes, strict=True)]
    return functional.conv_forward(*parts, name="stem", **options)


@pytest.mark.parametrize(
    ("error", "options", "says"),
    [
        (ShapeError, {"x": (7, 7, 4)}, "a kernel (*k, c_in / groups, c_out) with 1 spatial axes"),
        (ShapeError, {"x": (1, 2, 7, 7, 4)}, "a kernel (*k, c_in / groups, c_out) with 3 spatial axes"),
        (ShapeError, {"x": (7, 4)}, "an input (n, *spatial, channels) with 1 to 3 spatial axes, got 2 axes"),
        (ShapeError, {"x": (1, 2, 2, 7, 7, 4)}, "with 1 to 3 spatial axes, got 6 axes"),
        (ShapeError, {"x": (2, 7, 7, 3)}, "expected 4 input channels"),
        (ShapeError, {"x": (2, 0, 7, 4)}, "positive sizes, got (2, 0, 7, 4)"),
        (ShapeError, {"x": (2, 7, 7, 0), "w": (3, 3, 0, 6)}, "positive sizes"),
        (ShapeError, {"w": (3, 4, 6)}, "a kernel (*k, c_in / groups, c_out) with 2 spatial axes"),
        (ShapeError, {"w": (3, 0, 4, 6)}, "positive sizes, got (3, 0, 4, 6)"),
        (ShapeError, {"x": (2, 2, 7, 4)}, "expected a padded input of at least (3, 3) pixels"),
        (ShapeError, {"dilation": 4}, "expected a padded input of at least (9, 9) pixels"),
        (ShapeError, {"b": (4,)}, "expected a bias of shape (6,), got (4,)"),
        (ShapeError, {"b": (1, 6)}, "expected a bias of shape (6,), got (1, 6)"),
        (DTypeError, {"dtypes": ("f8", "f4", "f4")}, "expected the kernel of float64, the type of the input"),
        (DTypeError, {"dtypes": ("f4", "f4", "f8")}, "expected the bias of float32, the type of the input"),
        (DTypeError, {"dtypes": ("u1", "f4", "f4")}, "expected the input of float32 or float64, got uint8"),
        (DTypeError, {"dtypes": ("f2", "f2", "f2")}, "got float16"),
        (ArgumentError, {"stride": 0}, "expected stride as one integer or 2, each 1 or more, got 0"),
        (ArgumentError, {"stride": (1, -2)}, "got (1, -2)"),
        (ArgumentError, {"dilation": -1}, "expected dilation as one integer or 2"),
        (ArgumentError, {"padding": "full"}, 'expected padding "valid", "same"'),
        (ArgumentError, {"padding": -1}, "of 0 or more, got -1"),
        (ArgumentError, {"padding": "causal"}, "got 'causal'"),
        (ArgumentError, {"padding_mode": "constant"}, "or 'circular', got 'constant'"),
        (ArgumentError, {"padding_mode": None, "padding": 0}, "expected padding_mode 'zeros', 'reflect'"),
        (ShapeError, {"padding_mode": "reflect", "padding": 7}, "at most (6, 6) pixels at each end"),
        (ShapeError, {"padding_mode": "circular", "padding": 8}, "at most (7, 7) pixels at each end"),
        (ArgumentError, {"groups": 5}, "expected groups that divide the 6 output channels"),
        (ArgumentError, {"groups": 0}, "expected groups that divide"),
    ],
)
def test_forward_refuses(error, options, says):
    with pytest.raises(error) as caught:
        forward(**options)
    assert str(caught.value).startswith("stem: ")
    assert says in str(caught.value)
    assert "; " in str(caught.value), "says what to do"


def test_other_devices_are_refused():
    class OnMetal:
        def __dlpack_device__(self):
            return (8, 0)

        def __dlpack__(self):
            raise AssertionError("must not be called")

    with pytest.raises(DeviceError, match="stem: expected memory on the CPU"):
        functional.conv_forward(OnMetal(), np.ones((3, 3, 1, 1)), name="stem")


def test_gradients_refuse_what_the_forward_pass_cannot_have_returned():
    x, w = np.ones((2, 7, 7, 4)), np.ones((3, 3, 4, 6))
    for shape in [(2, 7, 7, 6), (1, 5, 5, 6), (2, 5, 5, 4), (5, 5, 6)]:
        dy = np.ones(shape)
        with pytest.raises(
            ShapeError, match=r"conv_backward_data: expected an output gradient of shape \(2, 5"
        ):
            functional.conv_backward_data(dy, w, x.shape)
        with pytest.raises(ShapeError, match=r"stem: expected an output gradient of shape \(2, 5, 5, 6\)"):
            functional.conv_backward_weights(x, dy, w.shape, name="stem")
    dy = np.ones((2, 5, 5, 6), np.float32)
    with pytest.raises(DTypeError, match="expected the kernel of float32"):
        functional.conv_backward_data(dy, w, x.shape)
    with pytest.raises(DTypeError, match="expected the output gradient of float64"):
        functional.conv_backward_weights(x, dy, w.shape)
    with pytest.raises(ShapeError, match="with 1 spatial axes"):
        functional.conv_backward_data(dy, w.astype(np.float32), (7, 7, 4))
    with pytest.raises(ShapeError, match="with 1 spatial axes"):
        functional.conv_backward_weights(x[0], x, w.shape)
    with pytest.raises(ArgumentError, match="expected padding_mode"):
        functional.conv_backward_data(np.ones((2, 7, 7, 6)), w, x.shape, padding=1, padding_mode="wrap")
    with pytest.raises(ArgumentError, match="expected stride"):
        functional.conv_backward_weights(x, x, w.shape, stride=0)


activations = st.sampled_from([None, "relu", "relu6", "silu", ("leaky_relu", 0.2), ("clip", -0.7, 1.2)])


@given(conv_cases(most_channels=20), dtypes, activations, st.booleans(), st.booleans(), st.booleans())
def test_what_follows_the_sums_is_the_references(case, dtype, activation, with_bias, with_scale, with_more):
    dims = case.dims
    shapes = dims.input_shape, dims.kernel_shape, (dims.c_out,), (dims.c_out,), dims.output_shape
    x, w, b, scale, more = arrays(case.seed, *shapes, dtype=dtype)
    b, scale, more = (
        array if wanted else None
        for array, wanted in ((b, with_bias), (scale, with_scale), (more, with_more))
    )
    args = dims, x, w, b, scale, more, Activation.of(activation, "test")
    expected = reference_of(reference.conv_forward_fused, *args, shape=dims.output_shape)
    size = reference_of(
        reference.conv_forward_fused, dims, *(None if a is None else abs(a) for a in args[1:6]), None,
        shape=dims.output_shape,
    )  # fmt: skip
    options = {"scale": scale, "residual": more, "activation": activation, **case.options}
    winograd = 20 if winograd_fits(dims, "forward") and dtype == np.float32 else 1
    assert_matches(functional.conv_forward(x, w, b, **options), expected, dtype, winograd * size)


# By Winograd's blocks and points, by blocked pixels, panels packed inside and beforehand, bands.
@pytest.mark.parametrize(
    ("x_shape", "w_shape", "options"),
    [
        ((1, 20, 20, 40), (3, 3, 40, 40), {"padding": 1}),
        ((2, 90, 90, 16), (3, 3, 16, 24), {"padding": 1}),
        ((1, 28, 28, 32), (5, 5, 32, 40), {"padding": 2}),
        ((1, 900, 40), (3, 40, 40), {"padding": 1}),
        ((16, 28, 28, 1), (5, 5, 1, 6), {"padding": 2}),
        ((1, 7, 7, 600), (1, 1, 600, 70), {}),
        ((2, 60, 60, 20), (3, 3, 20, 40), {"padding": 1, "stride": 2}),
        ((2, 30, 30, 24), (3, 3, 1, 24), {"padding": 1, "groups": 24}),
        ((1, 1, 1, 300), (1, 1, 300, 50), {}),
        ((2, 9, 9, 9, 8), (3, 3, 3, 8, 20), {"padding": 1}),
    ],
)
def test_what_follows_the_sums_is_right_in_every_algorithm(x_shape, w_shape, options):
    dims = ConvDims.of(x_shape, w_shape, **options)
    shapes = x_shape, w_shape, (dims.c_out,), (dims.c_out,), dims.output_shape
    x, w, b, scale, more = arrays(3, *shapes, dtype=np.float32)
    for activation in ("relu", "silu"):
        args = dims, x, w, b, scale, more, Activation.of(activation, "test")
        expected = reference_of(reference.conv_forward_fused, *args, shape=dims.output_shape)
        got = functional.conv_forward(x, w, b, scale=scale, residual=more, activation=activation, **options)
        np.testing.assert_allclose(got.numpy(), expected, rtol=0, atol=3e-5 * abs(expected).max())


@pytest.mark.parametrize(
    "activation",
    ["gelu", "leaky_relu", ("clip", 1.0), ("clip", 2.0, 1.0), ("leaky_relu", -0.1), ("relu", 1.0)],
)
def test_other_activations_are_refused(activation):
    with pytest.raises(ArgumentError, match=r"^stem: expected activation None"):
        forward(activation=activation)

"""Transposed convolution against the reference and its definition, its gradients, and what it refuses."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numbacnn import functional
from numbacnn.dims import ConvDims
from numbacnn.errors import ArgumentError, DTypeError, ShapeError
from numbacnn.kernels import reference
from tests.functional.comparing import assert_matches, reference_of
from tests.strategies import arrays, conv_transpose_cases, dtypes

cases = conv_transpose_cases(most_channels=20)


@given(cases, dtypes)
def test_forward_is_the_references(case, dtype):
    dims = case.dims
    x, w, b = arrays(case.seed, dims.output_shape, dims.kernel_shape, (dims.c_in,), dtype=dtype)
    function, shape = reference.conv_transpose_forward, dims.input_shape
    size = reference_of(function, dims, abs(x), abs(w), abs(b), shape=shape)
    for bias in (b, None):
        expected = reference_of(function, dims, x, w, bias, shape=shape)
        assert_matches(functional.conv_transpose_forward(x, w, bias, **case.options), expected, dtype, size)


@given(cases)
def test_forward_adds_each_input_times_the_kernel(case):
    """By the definition: each input pixel adds the kernel, scaled, at its place; then the ends are cut."""
    d = case.dims
    x, w = arrays(case.seed, d.output_shape, d.kernel_shape)
    sizes = [lo + size + (k - 1) * e + s for lo, size, k, e, s in
             zip(d.pad_lo_, d.in_, d.k_, d.dilation_, d.stride_, strict=True)]  # fmt: skip
    canvas = np.zeros((d.n, *sizes, d.c_in))
    ins, outs = d.c_in // d.groups, d.c_out // d.groups
    for place in np.ndindex(*d.out_):
        for tap in np.ndindex(*d.k_):
            at = tuple(p * s + t * e for p, s, t, e in zip(place, d.stride_, tap, d.dilation_, strict=True))
            if any(a >= size for a, size in zip(at, sizes, strict=True)):
                continue  # past the high end: cut off
            for g in range(d.groups):
                mine, theirs = slice(g * ins, (g + 1) * ins), slice(g * outs, (g + 1) * outs)
                pixels = x[(slice(None), *place, theirs)]
                canvas[(slice(None), *at, mine)] += pixels @ w[tap][:, theirs].T
    inside = tuple(slice(lo, lo + size) for lo, size in zip(d.pad_lo_, d.in_, strict=True))
    y = functional.conv_transpose_forward(x, w, **case.options).numpy()
    np.testing.assert_allclose(y, canvas[(slice(None), *inside)], atol=1e-10)


@given(cases, dtypes)
def test_gradients_are_the_references(case, dtype):
    d = case.dims
    x, w, dy = arrays(case.seed, d.output_shape, d.kernel_shape, d.input_shape, dtype=dtype)
    expected, size = (
        reference_of(reference.conv_forward, d, a, b, None, shape=d.output_shape)
        for a, b in ((dy, w), (abs(dy), abs(w)))
    )
    dx = functional.conv_transpose_backward_data(dy, w, x.shape, **case.options)
    assert_matches(dx, expected, dtype, size)
    expected, size = (
        reference_of(reference.conv_backward_weights, d, a, b, shape=d.kernel_shape)
        for a, b in ((dy, x), (abs(dy), abs(x)))
    )
    dw = functional.conv_transpose_backward_weights(x, dy, w.shape, **case.options)
    assert_matches(dw, expected, dtype, size)


@given(cases)
def test_the_three_passes_are_adjoint(case):
    d = case.dims
    x, w, dy = arrays(case.seed, d.output_shape, d.kernel_shape, d.input_shape)
    y = functional.conv_transpose_forward(x, w, **case.options).numpy()
    dx = functional.conv_transpose_backward_data(dy, w, x.shape, **case.options).numpy()
    dw = functional.conv_transpose_backward_weights(x, dy, w.shape, **case.options).numpy()
    assert np.vdot(x, dx) == pytest.approx(np.vdot(y, dy), abs=1e-9)
    assert np.vdot(w, dw) == pytest.approx(np.vdot(y, dy), abs=1e-9)


@given(st.integers(1, 9), st.integers(1, 4), st.integers(1, 3), st.integers(1, 4))
def test_same_padding_multiplies_the_size_and_is_the_adjoint_of_the_convolutions(size, stride, dilation, k):
    x, w = arrays(2, (1, size, 3), (k, 2, 3))
    options = {"stride": stride, "padding": "same", "dilation": dilation}
    y = functional.conv_transpose_forward(x, w, **options).numpy()
    assert y.shape == (1, size * stride, 2)
    for out in range((size - 1) * stride + 1, size * stride + 1):
        y = functional.conv_transpose_forward(x, w, output_shape=out, **options).numpy()
        expected = functional.conv_backward_data(x, w, (1, out, 2), **options).numpy()
        np.testing.assert_array_equal(y, expected)


def forward(x=(2, 5, 6, 4), w=(3, 3, 3, 4), b=(6,), dtypes=("f4", "f4", "f4"), **options):
    parts = [None if s is None else np.ones(s, d) for s, d in zip((x, w, b), dtypes, strict=True)]
    return functional.conv_transpose_forward(*parts, name="up", **{"groups": 2, **options})


@pytest.mark.parametrize(
    ("error", "options", "says"),
    [
        (ShapeError, {"x": (2, 4)}, "an input (n, *spatial, channels) with 1 to 3 spatial axes, got 2 axes"),
        (ShapeError, {"x": (5, 6, 4)}, "a kernel (*k, c_out / groups, c_in) with 1 spatial axes"),
        (ShapeError, {"x": (2, 5, 6, 5)}, "expected 4 input channels, by the kernel (3, 3, 3, 4), got 5 in"),
        (ShapeError, {"b": (3,)}, "expected a bias of shape (6,), got (3,)"),
        (
            ShapeError,
            {"padding": ((4, 3), (0, 0))},
            "leaves some output, got an output of (0, 8)",
        ),
        (ShapeError, {"output_shape": (7, 9)}, "expected output_shape from (7, 8) to (7, 8), got (7, 9)"),
        (ShapeError, {"output_shape": 8, "stride": 2}, "from (11, 13) to (12, 14), got (8, 8)"),
        (ShapeError, {"output_shape": 8, "stride": 2, "padding": "same"}, "from (9, 11) to (10, 12)"),
        (
            ArgumentError,
            {"output_padding": 1},
            "of stride and dilation, at most (0, 0), got 1",
        ),
        (ArgumentError, {"output_padding": (2, 3), "dilation": 3}, "at most (2, 2), got (2, 3)"),
        (
            ArgumentError,
            {"output_padding": -1},
            "output_padding as one integer or 2, each 0 or more",
        ),
        (ArgumentError, {"output_padding": 1, "stride": 2, "output_shape": 12}, "no output_padding beside"),
        (ArgumentError, {"output_padding": 1, "stride": 2, "padding": "same"}, "no output_padding beside"),
        (ArgumentError, {"output_shape": (7, 0)}, "expected output_shape as one integer or 2"),
        (ArgumentError, {"padding": "causal"}, "got 'causal'"),
        (ArgumentError, {"stride": 0}, "expected stride as one integer or 2"),
        (ArgumentError, {"dilation": 1.5}, "expected dilation"),
        (ArgumentError, {"groups": 3}, "expected groups that divide the 4 input channels, got 3"),
        (DTypeError, {"dtypes": ("f8", "f4", "f4")}, "expected the kernel of float64, the type of the input"),
    ],
)
def test_forward_refuses(error, options, says):
    with pytest.raises(error) as caught:
        forward(**options)
    assert str(caught.value).startswith("up: ")
    assert says in str(caught.value)
    assert "; " in str(caught.value), "says what to do"


def test_gradients_refuse_what_the_forward_pass_cannot_have_returned():
    x, w, dy = np.ones((2, 5, 6, 4)), np.ones((3, 3, 6, 4)), np.ones((2, 7, 8, 5))
    with pytest.raises(ShapeError, match=r"an output gradient of shape \(2, 7, 8, 6\), got \(2, 7, 8, 5\)"):
        functional.conv_transpose_backward_data(dy, w, x.shape)
    with pytest.raises(ShapeError, match=r"up: expected an output gradient of shape \(2, 7, 8, 6\)"):
        functional.conv_transpose_backward_weights(x, dy, w.shape, name="up")


def test_dims_of_equal_arguments_are_one_object_whatever_their_form():
    first = ConvDims.transposed((1, 5, 6, 4), (3, 3, 3, 4), 2, 1, 1)
    assert ConvDims.transposed([1, 5, 6, 4], [3, 3, 3, 4], 2, 1, 1) is first
    assert first.input_shape == (1, 10, 12, 3)
    assert first.output_shape == (1, 5, 6, 4)

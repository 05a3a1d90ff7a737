"""Geometry against its definition by counting, and every refusal with its message."""

import dataclasses
import math
import pickle

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from numbacnn.dims import ConvDims, PoolDims
from numbacnn.errors import ArgumentError, ShapeError
from tests.strategies import conv_transpose_cases


def reads(dims, axis, o):
    """The input positions that output pixel `o` of an axis reads, padding included."""
    start = o * dims.stride_[axis] - dims.pad_lo_[axis]
    return [start + tap * dims.dilation_[axis] for tap in range(dims.k_[axis])]


@st.composite
def conv_arguments(draw):
    rank = draw(st.integers(1, 3))

    def per_axis(low, high):
        return tuple(draw(st.integers(low, high)) for _ in range(rank))

    groups, c_in, c_out = (draw(st.integers(1, 4)) for _ in range(3))
    in_, k_ = per_axis(1, 12), per_axis(1, 5)
    pads = tuple((draw(st.integers(0, 4)), draw(st.integers(0, 4))) for _ in range(rank))
    padding = draw(st.sampled_from(["same", "valid", pads, draw(st.integers(0, 4)), per_axis(0, 4)]))
    return {
        "x_shape": (draw(st.integers(0, 3)), *in_, groups * c_in),
        "w_shape": (*k_, c_in, groups * c_out),
        "stride": draw(st.sampled_from([per_axis(1, 4), draw(st.integers(1, 4))])),
        "padding": padding,
        "dilation": per_axis(1, 3),
        "groups": groups,
    }


@given(conv_arguments())
def test_output_size_is_the_number_of_windows_that_fit(arguments):
    try:
        dims = ConvDims.of(**arguments)
    except ShapeError:
        assume(False)
    for axis in range(dims.rank):
        last_pixel = dims.in_[axis] + dims.pad_hi_[axis] - 1
        count = 0
        while reads(dims, axis, count)[-1] <= last_pixel:
            count += 1
        assert dims.out_[axis] == count >= 1
    assert dims.input_shape == arguments["x_shape"]
    assert dims.kernel_shape == arguments["w_shape"]
    assert dims.output_shape == (dims.n, *dims.out_, dims.c_out)
    assert dims.macs == dims.n * math.prod(dims.out_) * math.prod(arguments["w_shape"])


@given(conv_arguments())
def test_a_refused_kernel_does_not_fit_its_padded_input(arguments):
    """The only geometry refused is a kernel that spans more than the padded input."""
    try:
        ConvDims.of(**arguments)
    except ShapeError as error:
        padding, rank = arguments["padding"], len(arguments["x_shape"]) - 2
        assert padding != "same", "same always fits"
        if padding == "valid":
            padding = 0
        pads = [padding] * rank if isinstance(padding, int) else padding
        total = [sum(p) if isinstance(p, tuple) else 2 * p for p in pads]
        sizes = zip(
            arguments["x_shape"][1:-1], arguments["w_shape"][:-2], arguments["dilation"], total, strict=True
        )
        assert any((k - 1) * d + 1 > i + t for i, k, d, t in sizes)
        assert "padded input" in str(error)


@given(st.integers(1, 40), st.integers(1, 7), st.integers(1, 5), st.integers(1, 4))
def test_same_padding_keeps_ceil_of_size_over_stride(size, k, stride, dilation):
    dims = ConvDims.of((1, size, 1), (k, 1, 1), stride, "same", dilation)
    assert dims.out_ == (math.ceil(size / stride),)
    assert dims.pad_hi_[0] - dims.pad_lo_[0] in (0, 1), "the odd pixel goes to the high end"
    if dims.pad_lo_[0] + dims.pad_hi_[0] > 0:  # no pixel of padding more than the last window needs
        assert reads(dims, 0, dims.out_[0] - 1)[-1] == size + dims.pad_hi_[0] - 1


def test_same_padding_puts_the_odd_pixel_at_the_high_end():
    dims = ConvDims.of((1, 6, 5, 1), (2, 4, 1, 1), (1, 2), "same")
    assert (dims.pad_lo_, dims.pad_hi_, dims.out_) == ((0, 1), (1, 2), (6, 3))


def test_paddings_of_each_form_mean_the_same():
    expected = ConvDims.of((2, 9, 9, 1), (3, 3, 1, 1), padding=((2, 2), (2, 2)))
    for padding in (2, (2, 2), [2, 2], [[2, 2], (2, 2)], (2, (2, 2)), np.array([2, 2]), np.int64(2)):
        assert ConvDims.of((2, 9, 9, 1), (3, 3, 1, 1), padding=padding) == expected
    uneven = ConvDims.of((2, 9, 9, 1), (3, 3, 1, 1), padding=((0, 3), (1, 2)))
    assert (uneven.pad_lo_, uneven.pad_hi_) == ((0, 1), (3, 2))


@given(st.integers(1, 30), st.integers(1, 5), st.integers(1, 3), st.integers(1, 4))
def test_causal_padding_ends_each_window_at_its_outputs_own_place(size, k, stride, dilation):
    dims = ConvDims.of((1, size, 1), (k, 1, 1), stride, "causal", dilation)
    assert dims.out_ == (math.ceil(size / stride),)
    for o in range(dims.out_[0]):
        assert reads(dims, 0, o)[-1] == o * stride


@pytest.mark.parametrize("rank", [2, 3])
def test_causal_padding_is_for_one_axis(rank):
    with pytest.raises(ArgumentError, match="got 'causal'"):
        ConvDims.of((1, *[5] * rank, 1), (*[2] * rank, 1, 1), padding="causal")
    with pytest.raises(ArgumentError, match='"valid", "same", "causal", or 1 sizes'):
        ConvDims.of((1, 5, 1), (2, 1, 1), padding="full")


@given(conv_transpose_cases())
def test_a_transposed_convolution_has_the_size_of_its_formula(case):
    dims, options = case.dims, case.options
    assert dims.output_shape == (dims.n, *dims.out_, dims.c_out)
    for axis in range(dims.rank):
        full = reads(dims, axis, dims.out_[axis] - 1)[-1] + 1 + dims.pad_lo_[axis]
        if "output_shape" in options:
            assert dims.in_[axis] == options["output_shape"][axis]
        elif options["padding"] == "same":
            assert dims.in_[axis] == dims.out_[axis] * dims.stride_[axis]
        else:
            low, high = (0, 0) if options["padding"] == "valid" else options["padding"][axis]
            assert dims.pad_lo_[axis] == low
            assert dims.in_[axis] == full - low - high + options["output_padding"][axis]


def test_equal_arguments_give_one_object():
    first = ConvDims.of((2, 8, 8, 4), (3, 3, 2, 6), 2, ((0, 1), (1, 0)), (1, 2), 2, name="a")
    assert ConvDims.of((2, 8, 8, 4), (3, 3, 2, 6), 2, ((0, 1), (1, 0)), (1, 2), 2, name="a") is first
    again = ConvDims.of([2, 8, 8, 4], [3, 3, 2, 6], [2, 2], [[0, 1], [1, 0]], [1, 2], 2, name="b")
    assert again == first
    assert hash(again) == hash(first)


@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(ConvDims)])
def test_dims_that_differ_in_one_field_differ(field):
    dims = ConvDims.of((2, 8, 8, 4), (3, 3, 2, 6), 2, ((0, 1), (1, 0)), (1, 2), 2)
    value = getattr(dims, field)
    other = dataclasses.replace(dims, **{field: value * 2 if isinstance(value, int) else (*value, 9)})
    assert other != dims


def test_dims_can_be_pickled():
    dims = PoolDims.of((2, 8, 8, 4), 3, 2, 1)
    assert dims.out_ == (4, 4)
    assert pickle.loads(pickle.dumps(dims)) == dims


def test_empty_batch_is_allowed():
    assert ConvDims.of((0, 5, 5, 3), (3, 3, 3, 2)).output_shape == (0, 3, 3, 2)
    assert PoolDims.of((0, 5, 5, 3), 2).output_shape == (0, 2, 2, 3)


@pytest.mark.parametrize(
    ("x_shape", "w_shape", "options", "says"),
    [
        ((5, 5), (3, 1, 1), {}, "1 to 3 spatial axes"),
        ((1, 2, 2, 2, 2, 1), (1, 1, 1, 1, 1, 1), {}, "1 to 3 spatial axes"),
        ((1, 5, 5, 1), (3, 1, 1), {}, "a kernel (*k, c_in / groups, c_out) with 2 spatial axes"),
        ((1, 5, 0, 1), (3, 3, 1, 1), {}, "positive sizes, got (1, 5, 0, 1)"),
        ((-1, 5, 5, 1), (3, 3, 1, 1), {}, "positive sizes, got (-1, 5, 5, 1)"),
        ((1, 5, 5, 0), (3, 3, 0, 1), {}, "positive sizes"),
        ((1, 5, 5, 1), (3, 0, 1, 1), {}, "positive sizes"),
        ((1, 5, 5, 1), (3, -3, 1, 1), {}, "positive sizes"),
        ((1, 5, 5.0, 1), (3, 3, 1, 1), {}, "positive sizes"),
        ((1, 5, 5, 3), (3, 3, 4, 1), {}, "expected 4 input channels"),
        ((1, 5, 5, 4), (3, 3, 4, 2), {"groups": 2}, "expected 8 input channels"),
        ((1, 2, 5, 1), (3, 3, 1, 1), {}, "padded input of at least (3, 3) pixels"),
        ((1, 4, 5, 1), (3, 3, 1, 1), {"dilation": (2, 1)}, "padded input of at least (5, 3) pixels"),
        ((1, 2, 5, 1), (5, 3, 1, 1), {"padding": ((1, 1), (0, 0))}, "got (4, 5)"),
    ],
)
def test_shapes_refused(x_shape, w_shape, options, says):
    with pytest.raises(ShapeError) as caught:
        ConvDims.of(x_shape, w_shape, name="stem", **options)
    assert str(caught.value).startswith("stem: expected ")
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"stride": 0}, "stride as one integer or 2"),
        ({"stride": (1, -1)}, "got (1, -1)"),
        ({"stride": (1, 1, 1)}, "stride as one integer or 2"),
        ({"stride": 1.5}, "got 1.5"),
        ({"stride": None}, "got None"),
        ({"dilation": (0, 1)}, "dilation as one integer or 2"),
        ({"padding": "full"}, "got 'full'"),
        ({"padding": -1}, "got -1"),
        ({"padding": ((0, -1), (0, 0))}, "of 0 or more"),
        ({"padding": (1, 1, 1)}, "2 sizes or pairs"),
        ({"padding": ((1, 1, 1), (1, 1, 1))}, "2 sizes or pairs"),
        ({"padding": 0.5}, "got 0.5"),
        ({"groups": 0}, "groups that divide"),
        ({"groups": 4}, "groups that divide"),
        ({"groups": "2"}, "got '2'"),
    ],
)
def test_arguments_refused(options, says):
    with pytest.raises(ArgumentError) as caught:
        ConvDims.of((1, 7, 7, 4), (3, 3, 2, 6), name="stem", **{"groups": 2, **options})
    assert str(caught.value).startswith("stem: expected ")
    assert says in str(caught.value)


@given(conv_arguments())
def test_pooling_refuses_windows_of_padding_alone_and_no_others(arguments):
    options = {key: arguments[key] for key in ("x_shape", "stride", "padding", "dilation")}
    kernel = arguments["w_shape"][:-2]
    ours = {**arguments, "w_shape": (*kernel, 1, 1), "x_shape": (*options["x_shape"][:-1], 1), "groups": 1}
    try:
        conv = ConvDims.of(**ours)
    except ShapeError:
        with pytest.raises(ShapeError, match="padded input"):
            PoolDims.of(kernel=kernel, **options)
        return
    covered = all(
        any(0 <= p < conv.in_[axis] for p in reads(conv, axis, o))
        for axis in range(conv.rank)
        for o in range(conv.out_[axis])
    )
    if covered:
        dims = PoolDims.of(kernel=kernel, **options)
        assert dims.out_ == conv.out_
        assert dims.output_shape == (*conv.output_shape[:-1], options["x_shape"][-1])
    else:
        with pytest.raises(ShapeError, match="each hold a pixel"):
            PoolDims.of(kernel=kernel, **options)


@pytest.mark.parametrize(
    ("size", "options"),
    [
        (1, {"kernel": 2, "stride": 1, "padding": 1, "dilation": 2}),  # taps at -1 and 1, beside the pixel
        (2, {"kernel": 1, "stride": 2, "padding": ((0, 1),)}),  # the last window starts just past the end
        (2, {"kernel": 1, "stride": 1, "padding": ((1, 0),)}),  # the first window ends just before pixel 0
    ],
)
def test_windows_beside_the_pixels_are_refused(size, options):
    with pytest.raises(ShapeError, match="each hold a pixel"):
        PoolDims.of((1, size, 1), **options)


@given(conv_arguments())
def test_ceil_mode_keeps_the_last_windows_that_start_before_the_high_padding(arguments):
    options = {key: arguments[key] for key in ("x_shape", "stride", "padding", "dilation")}
    kernel = arguments["w_shape"][:-2]
    try:
        dims = PoolDims.of(kernel=kernel, ceil_mode=True, **options)
    except ShapeError:
        return
    for axis in range(dims.rank):
        size, end = dims.in_[axis], dims.in_[axis] + dims.pad_hi_[axis]
        starts = [o * dims.stride_[axis] - dims.pad_lo_[axis] for o in range(size + end + 20)]
        # all up to the first whose end is the padded end or past it, if it starts on a pixel or before
        reach = next(o for o, a in enumerate(starts) if a + dims.span_[axis] >= end)
        assert dims.out_[axis] == sum(a < size for a in starts[: reach + 1])


def test_ceil_mode_pools_an_input_smaller_than_the_window():
    assert PoolDims.of((1, 2, 1), 3, 2, ceil_mode=True).out_ == (1,)
    with pytest.raises(ShapeError, match="padded input of at least"):
        PoolDims.of((1, 1, 1), 3, 2, ceil_mode=True)
    with pytest.raises(ShapeError, match="padded input of at least"):
        PoolDims.of((1, 2, 1), 3, 2)


def test_pooling_strides_by_its_kernel():
    dims = PoolDims.of((1, 7, 9, 2), (2, 3))
    assert (dims.stride_, dims.out_) == ((2, 3), (3, 3))


@pytest.mark.parametrize("kernel", [0, (2, 0), (2,), "2", None, 1.5, [2, -1]])
def test_pooling_kernels_refused(kernel):
    with pytest.raises(ArgumentError, match=r"down: expected kernel as one integer or 2"):
        PoolDims.of((1, 7, 7, 1), kernel, name="down")

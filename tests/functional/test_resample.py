"""Resizing of tensors against the reference, how sizes are given, and what is refused."""

import numpy as np
import pytest
from hypothesis import given

from numbacnn import functional
from numbacnn.errors import ArgumentError, DTypeError, ShapeError
from numbacnn.kernels import reference
from tests.functional.comparing import assert_matches, reference_of
from tests.strategies import arrays, dtypes, resize_cases


@given(resize_cases(most_channels=9), dtypes)
def test_resizing_and_its_gradient_are_the_references(case, dtype):
    x, dy = arrays(case.seed, case.shape, case.resized, dtype=dtype)
    options = {"mode": case.mode, "align_corners": case.align_corners}
    y = functional.resize_forward(x, case.resized[1:-1], **options)
    kernel = (case.mode, case.align_corners, None)
    assert_matches(y, reference_of(reference.resize_forward, x, *kernel, shape=case.resized), dtype)
    dx = functional.resize_backward(dy, case.shape, **options)
    expected = reference_of(reference.resize_backward, dy, *kernel, shape=case.shape)
    assert_matches(dx, expected, dtype, np.abs(dy) * 12 ** (x.ndim - 2))


@pytest.mark.parametrize("recompute", [True, False])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_a_scale_gives_the_size_and_if_wanted_the_ratios(recompute, mode):
    (x,) = arrays(1, (2, 5, 7, 3))
    options = {"scale": (2.5, 1.3), "mode": mode, "recompute_scale_factor": recompute}
    y = functional.resize_forward(x, **options)
    ratios = None if recompute else (1 / 2.5, 1 / 1.3)
    expected = reference_of(reference.resize_forward, x, mode, False, ratios, shape=(2, 12, 9, 3))
    assert_matches(y, expected, np.float64)
    (dy,) = arrays(2, (2, 12, 9, 3))
    dx = functional.resize_backward(dy, x.shape, **options)
    expected = reference_of(reference.resize_backward, dy, mode, False, ratios, shape=x.shape)
    assert_matches(dx, expected, np.float64, np.abs(dy) * 12)


def test_modes_of_a_rank_and_sizes_for_all_axes():
    flat, deep = np.ones((1, 3, 4, 2)), np.ones((1, 3, 4, 5, 2))
    assert functional.resize_forward(flat, 6, mode="bilinear").shape == (1, 6, 6, 2)
    assert functional.resize_forward(flat, [6, 2], mode="bilinear").shape == (1, 6, 2, 2)
    assert functional.resize_forward(deep, scale=2, mode="trilinear").shape == (1, 6, 8, 10, 2)
    assert functional.resize_forward(flat, scale=[0.5, 3]).shape == (1, 1, 12, 2)
    with pytest.raises(ArgumentError, match="mode 'nearest' or 'linear' or 'trilinear' for 3 spatial axes"):
        functional.resize_forward(deep, 6, mode="bilinear")


@pytest.mark.parametrize(
    ("size", "options", "says"),
    [
        (None, {}, "expected size or scale, got both or neither"),
        (2, {"scale": 2}, "expected size or scale, got both or neither"),
        (0, {}, "expected size as one integer or 2, each 1 or more, got 0"),
        ((2, 3, 4), {}, "got (2, 3, 4)"),
        (2.0, {}, "got 2.0"),
        ("22", {}, "got '22'"),
        (None, {"scale": 0.2}, "by which (4, 5) pixels leave 1 or more, got 0.2"),
        (None, {"scale": (-1, 1)}, "expected scale as one positive number or 2"),
        (None, {"scale": (1, 1, 1)}, "expected scale"),
        (None, {"scale": np.nan}, "expected scale"),
        (None, {"scale": "2"}, "expected scale"),
        (2, {"mode": "cubic"}, "mode 'nearest' or 'linear' or 'bilinear' for 2 spatial axes, got 'cubic'"),
        (2, {"align_corners": True}, "expected align_corners with a linear mode only"),
    ],
)
def test_forward_refuses(size, options, says):
    with pytest.raises(ArgumentError) as caught:
        functional.resize_forward(np.ones((1, 4, 5, 2)), size, name="up", **options)
    assert str(caught.value).startswith("up: ")
    assert says in str(caught.value)


def test_other_types_and_shapes_are_refused():
    with pytest.raises(DTypeError, match="expected the input of float32 or float64, got int64"):
        functional.resize_forward(np.ones((1, 2, 2, 1), int), 3)
    with pytest.raises(DTypeError, match="expected the output gradient of float32 or float64"):
        functional.resize_backward(np.ones((1, 2, 2, 1), int), (1, 1, 1, 1))
    for shape in ((3, 4), (1, 2, 2, 2, 2, 1), (1, 0, 4, 1)):
        with pytest.raises(ShapeError, match=r"^resize_forward: expected an input \(n, \*spatial, chan"):
            functional.resize_forward(np.ones(shape), 1)
    dy = np.ones((2, 6, 8, 3))
    for shape in ((1, 3, 4, 3), (2, 3, 4, 2)):
        with pytest.raises(ShapeError, match="expected an output gradient of shape"):
            functional.resize_backward(dy, shape)
    with pytest.raises(ShapeError, match=r"expected an output gradient of shape \(2, 9, 12, 3\)"):
        functional.resize_backward(dy, (2, 3, 4, 3), scale=3)
    with pytest.raises(ArgumentError, match="expected size as one integer or 1"):
        functional.resize_backward(dy, (2, 3, 3))

"""Padding of tensors against the reference, and what it refuses."""

import numpy as np
import pytest
from hypothesis import given

from numbacnn import functional
from numbacnn.errors import ArgumentError, DTypeError, ShapeError
from numbacnn.kernels import reference
from tests.functional.comparing import assert_matches, reference_of
from tests.strategies import arrays, dtypes, pad_cases


@given(pad_cases(most_channels=9), dtypes)
def test_padding_and_its_gradient_are_the_references(case, dtype):
    x, dy = arrays(case.seed, case.shape, case.padded, dtype=dtype)
    value = 2.5 if case.mode == "constant" else 0.0
    y = functional.pad_forward(x, case.pads, mode=case.mode, value=value)
    expected = reference_of(reference.pad_forward, x, case.pads, case.mode, value, shape=case.padded)
    assert_matches(y, expected, dtype)
    dx = functional.pad_backward(dy, case.shape, case.pads, mode=case.mode)
    expected = reference_of(reference.pad_backward, dy, case.pads, case.mode, shape=case.shape)
    assert_matches(dx, expected, dtype, np.abs(dy) * 3 ** len(case.pads))


@pytest.mark.parametrize(
    ("padding", "shape"),
    [
        (2, (1, 7, 8, 2)),
        ((1, 2), (1, 5, 8, 2)),
        ([1, 2], (1, 5, 8, 2)),
        ([(1, 0), (0, 3)], (1, 4, 7, 2)),
        ([[1, 0], [0, 3]], (1, 4, 7, 2)),
        (0, (1, 3, 4, 2)),
    ],
)
def test_padding_is_given_for_all_ends_per_axis_or_per_end(padding, shape):
    x = np.ones((1, 3, 4, 2))
    y = functional.pad_forward(x, padding)
    assert y.shape == shape
    assert y.numpy().sum() == x.sum()
    np.testing.assert_array_equal(functional.pad_backward(y, x.shape, padding).numpy(), x)


@pytest.mark.parametrize(
    ("error", "padding", "options", "says"),
    [
        (ArgumentError, -1, {}, "expected padding of 2 sizes or pairs (low, high) of 0 or more, got -1"),
        (ArgumentError, (1, 2, 3), {}, "expected padding of 2 sizes or pairs"),
        (ArgumentError, ((1, 2), (0, -1)), {}, "expected padding of 2 sizes or pairs"),
        (ArgumentError, "same", {}, "got 'same'"),
        (ArgumentError, 1.5, {}, "got 1.5"),
        (ArgumentError, 1, {"mode": "edge"}, "'replicate' or 'circular', got 'edge'"),
        (ShapeError, (4, 4), {"mode": "reflect"}, "at most (3, 4) pixels at each end, for mode 'reflect'"),
        (ShapeError, (0, (0, 6)), {"mode": "circular"}, "at most (4, 5) pixels at each end"),
    ],
)
def test_both_passes_refuse(error, padding, options, says):
    x = np.ones((1, 4, 5, 2))
    with pytest.raises(error) as caught:
        functional.pad_forward(x, padding, name="frame", **options)
    assert str(caught.value).startswith("frame: ")
    assert says in str(caught.value)
    with pytest.raises(error) as caught:
        functional.pad_backward(x, x.shape, padding, name="frame", **options)
    assert says in str(caught.value)


def test_forward_refuses_other_inputs_and_values():
    with pytest.raises(DTypeError, match="expected the input of float32 or float64, got int64"):
        functional.pad_forward(np.ones((1, 2, 2, 1), int), 1)
    for shape in ((3, 4), (1, 2, 2, 2, 2, 1), (1, 0, 4, 1), (1, 3, 4, 0)):
        with pytest.raises(ShapeError, match=r"^pad_forward: expected an input \(n, \*spatial, channels\)"):
            functional.pad_forward(np.ones(shape), 1)
    for value, mode in ((1.0, "zeros"), (1.0, "reflect"), ("1", "constant"), (None, "constant")):
        with pytest.raises(ArgumentError, match="expected a number as value, 0 unless mode is 'constant'"):
            functional.pad_forward(np.ones((1, 3, 1)), 1, mode=mode, value=value)


def test_backward_refuses_what_the_forward_pass_cannot_have_returned():
    with pytest.raises(ShapeError, match=r"expected an output gradient of shape \(1, 5, 6, 2\)"):
        functional.pad_backward(np.ones((1, 5, 5, 2)), (1, 3, 4, 2), 1)
    with pytest.raises(ShapeError, match="1 to 3 spatial axes"):
        functional.pad_backward(np.ones((1, 5, 5, 2)), (3, 4), 1)
    with pytest.raises(DTypeError, match="expected the output gradient of float32 or float64"):
        functional.pad_backward(np.ones((1, 5, 6, 2), int), (1, 3, 4, 2), 1)

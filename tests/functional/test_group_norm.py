"""Normalisations of tensors against the reference, and what they refuse."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numbacnn import functional
from numbacnn.errors import ArgumentError, DTypeError, ShapeError
from numbacnn.kernels import reference
from tests.functional.comparing import assert_matches, reference_of
from tests.strategies import arrays, dtypes, seeds

pixels = st.lists(st.integers(1, 6), max_size=3)


def filled(*shapes):
    return [np.full(shape, np.nan) for shape in shapes]


@given(st.integers(0, 3), pixels, st.integers(1, 4), st.integers(1, 5), dtypes, seeds)
def test_group_norm_and_its_gradients_are_the_references(n, in_, groups, per, dtype, seed):
    shape, c = (n, *in_, groups * per), (groups * per,)
    x, dy, gamma, beta = arrays(seed, shape, shape, c, c, dtype=dtype)
    y, statistics = functional.group_norm_forward(x, groups, gamma, beta, epsilon=0.1)
    expected, moments = filled(shape, (n, groups, 2))
    reference.group_norm_forward(x, gamma, beta, 0.1, expected, moments)
    assert_matches(y, expected, dtype)
    assert_matches(statistics, moments, dtype)
    results = functional.group_norm_backward(dy, x, statistics, gamma)
    wanted = filled(shape, c, c)
    reference.group_norm_backward(x, statistics.numpy(), gamma, dy, *wanted)
    for result, want in zip(results, wanted, strict=True):
        assert_matches(result, want, dtype, np.sqrt(x.size) * (1 + np.abs(want)))


@given(pixels, pixels, st.integers(1, 20), dtypes, seeds)
def test_layer_norm_and_its_gradients_are_the_references(lead, rest, size, dtype, seed):
    shape, inner, axes = (2, *lead, *rest, size), (*rest, size), len(rest) + 1
    x, dy, gamma, beta = arrays(seed, shape, shape, inner, inner, dtype=dtype)
    y, statistics = functional.layer_norm_forward(x, gamma, beta, axes=axes, epsilon=0.1)
    expected, moments = filled(shape, (2, *lead, 2))
    reference.layer_norm_forward(x, gamma, beta, 0.1, expected, moments)
    assert_matches(y, expected, dtype)
    assert_matches(statistics, moments, dtype)
    results = functional.layer_norm_backward(dy, x, statistics, gamma, axes=axes)
    wanted = filled(shape, inner, inner)
    reference.layer_norm_backward(x, statistics.numpy(), gamma, dy, *wanted)
    for result, want in zip(results, wanted, strict=True):
        assert_matches(result, want, dtype, np.sqrt(x.size) * (1 + np.abs(want)))


@given(pixels, st.integers(1, 20), st.integers(1, 8), st.sampled_from([0.5, 0.75, 0.3]), dtypes, seeds)
def test_response_norm_and_its_gradient_are_the_references(in_, c, size, beta, dtype, seed):
    shape, numbers = (*in_, c), {"size": size, "alpha": 0.7, "beta": beta, "k": 1.5}
    x, dy = arrays(seed, shape, shape, dtype=dtype)
    y = functional.local_response_norm_forward(x, **numbers)
    forward = reference_of(reference.local_response_norm_forward, x, *numbers.values(), shape=shape)
    assert_matches(y, forward, dtype, np.abs(x))
    dx = functional.local_response_norm_backward(dy, x, **numbers)
    backward = reference_of(reference.local_response_norm_backward, x, dy, *numbers.values(), shape=shape)
    assert_matches(dx, backward, dtype, 4 * np.abs(dy) * (1 + x * x))


def test_empty_batches_have_gradients_of_zeros():
    x, gamma = np.zeros((0, 3, 4)), np.ones(4)
    for forward, backward in (
        (lambda x: functional.group_norm_forward(x, 2), functional.group_norm_backward),
        (functional.layer_norm_forward, functional.layer_norm_backward),
    ):
        y, statistics = forward(x)
        dx, dgamma, dbeta = backward(y, x, statistics, gamma)
        assert dx.shape == y.shape == x.shape
        assert not dgamma.numpy().any() and not dbeta.numpy().any()


def test_groups_and_axes_refused():
    x = np.ones((2, 3, 6))
    for groups in (0, -1, 4, 7, 2.0, True, None):
        with pytest.raises(ArgumentError, match="norm: expected groups that divide 6 channels"):
            functional.group_norm_forward(x, groups, name="norm")
    for axes in (0, -1, 1.0, True):
        with pytest.raises(ArgumentError, match="norm: expected axes as an integer of 1 or more"):
            functional.layer_norm_forward(x, axes=axes, name="norm")
    with pytest.raises(ShapeError, match="norm: expected an input of more than 3 axes"):
        functional.layer_norm_forward(x, axes=3, name="norm")
    for shape in ((6,), (2, 0, 6), (2, 3, 0)):
        with pytest.raises(ShapeError, match="group_norm_forward: expected an input"):
            functional.group_norm_forward(np.ones(shape), 1)


@pytest.mark.parametrize(
    "forward",
    [lambda x, *rest, **o: functional.group_norm_forward(x, 2, *rest, **o), functional.layer_norm_forward],
)
def test_scale_shift_and_epsilon_refused(forward):
    x = np.ones((2, 3, 6))
    with pytest.raises(ShapeError, match=r"expected a scale of shape \(6,\), got \(3,\)"):
        forward(x, np.ones(3))
    with pytest.raises(ShapeError, match=r"expected a shift of shape \(6,\)"):
        forward(x, None, np.ones((1, 6)))
    with pytest.raises(DTypeError, match="expected a scale of float64"):
        forward(x, np.ones(6, np.float32))
    with pytest.raises(DTypeError, match="got int64"):
        forward(x.astype(np.int64))
    for epsilon in (0.0, -1e-5, np.nan, np.inf, "1", None, True):
        with pytest.raises(ArgumentError, match="expected a finite epsilon above 0"):
            forward(x, epsilon=epsilon)


@pytest.mark.parametrize("backward", [functional.group_norm_backward, functional.layer_norm_backward])
def test_gradients_refuse_what_the_forward_pass_cannot_have_returned(backward):
    x, right = np.ones((2, 3, 6)), (2, 2, 2) if backward is functional.group_norm_backward else (2, 3, 2)
    with pytest.raises(ShapeError, match=r"expected an input of shape \(2, 3, 6\)"):
        backward(x, x[:1], np.ones(right))
    for wrong in ((2, 4, 2), (2, 2), (1, *right[1:]), (2, 0, 2)):
        with pytest.raises(ShapeError, match="expected statistics"):
            backward(x, x, np.ones(wrong))
    with pytest.raises(DTypeError, match="expected statistics of float64"):
        backward(x, x, np.ones(right, np.float32))


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ({"size": 0}, "size as an integer of 1 or more"),
        ({"size": 3.0}, "size as an integer of 1 or more"),
        ({"alpha": -1.0}, "a finite alpha of 0 or more"),
        ({"beta": np.inf}, "a finite beta of 0 or more"),
        ({"k": 0.0}, "k above 0"),
    ],
)
def test_numbers_of_response_norm_refused(bad, says):
    x = np.ones((2, 3))
    with pytest.raises(ArgumentError, match=f"norm: expected {says}"):
        functional.local_response_norm_forward(x, **bad, name="norm")
    with pytest.raises(ArgumentError, match=f"expected {says}"):
        functional.local_response_norm_backward(x, x, **bad)
    with pytest.raises(ShapeError, match=r"expected an input \(\.\.\., channels\)"):
        functional.local_response_norm_forward(np.ones((3, 0)))

"""Elementwise operations on tensors against the reference, and what they refuse."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numbacnn import functional
from numbacnn.errors import ArgumentError, DTypeError, ShapeError
from numbacnn.kernels import reference
from tests.functional.comparing import assert_matches, reference_of
from tests.strategies import arrays, dtypes, seeds

shapes = st.one_of(
    st.lists(st.integers(0, 9), max_size=4).map(tuple), st.integers(1, 5000).map(lambda n: (n,))
)
ACTIVATIONS = ["relu", "sigmoid", "tanh"]  # without options, the gradient by the output


@pytest.mark.parametrize("name", ACTIVATIONS)
@given(shapes, dtypes, seeds, st.sampled_from([1.0, 30.0]))
def test_activations_and_their_gradients_are_the_references(name, shape, dtype, seed, spread):
    x, dy = arrays(seed, shape, shape, dtype=dtype)
    x *= dtype(spread)
    y = getattr(functional, f"{name}_forward")(x)
    assert_matches(y, reference_of(getattr(reference, f"{name}_forward"), x, shape=shape), dtype)
    dx = getattr(functional, f"{name}_backward")(dy, y)
    expected = reference_of(getattr(reference, f"{name}_backward"), y.numpy(), dy, shape=shape)
    assert_matches(dx, expected, dtype)


@given(shapes, dtypes, seeds, st.floats(0, 2), st.floats(-2, 0), st.floats(0, 2))
def test_leaky_relu_and_clip_and_their_gradients_are_the_references(shape, dtype, seed, slope, low, high):
    x, dy = arrays(seed, shape, shape, dtype=dtype)
    leaky, clip = {"slope": slope}, {"low": low, "high": high}
    for name, options in (("leaky_relu", leaky), ("clip", clip)):
        y = getattr(functional, f"{name}_forward")(x, **options)
        values = options.values()
        expected = reference_of(getattr(reference, f"{name}_forward"), x, *values, shape=shape)
        assert_matches(y, expected, dtype)
        dx = getattr(functional, f"{name}_backward")(dy, y, **options)
        expected = reference_of(getattr(reference, f"{name}_backward"), y.numpy(), dy, *values, shape=shape)
        assert_matches(dx, expected, dtype)


@given(shapes, dtypes, seeds, st.sampled_from([1.0, 30.0]))
def test_silu_and_its_gradient_are_the_references(shape, dtype, seed, spread):
    x, dy = arrays(seed, shape, shape, dtype=dtype)
    x *= dtype(spread)
    assert_matches(functional.silu_forward(x), reference_of(reference.silu_forward, x, shape=shape), dtype)
    expected = reference_of(reference.silu_backward, x, dy, shape=shape)
    assert_matches(functional.silu_backward(dy, x), expected, dtype)


def test_options_of_activations_are_checked():
    x = np.ones(3)
    for slope in (-0.1, np.inf, "1", None):
        for call in (
            lambda slope=slope: functional.leaky_relu_forward(x, slope=slope, name="act"),
            lambda slope=slope: functional.leaky_relu_backward(x, x, slope=slope, name="act"),
        ):
            with pytest.raises(ArgumentError, match=r"^act: expected a finite slope of 0 or more"):
                call()
    for limits in ((1.0, 0.0), (np.nan, 1.0), ("0", 1.0), (0.0, None)):
        for call in (
            lambda limits=limits: functional.clip_forward(x, *limits, name="act"),
            lambda limits=limits: functional.clip_backward(x, x, *limits, name="act"),
        ):
            with pytest.raises(ArgumentError, match=r"^act: expected numbers low and high, low <= high"):
                call()


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_activations_at_the_extremes(name, dtype):
    x = np.array([-np.inf, -1e30, -800, -0.0, 0.0, 800, 1e30, np.inf, np.nan] * 5, dtype)
    y = getattr(functional, f"{name}_forward")(x).numpy()
    expected = reference_of(getattr(reference, f"{name}_forward"), x, shape=x.shape)
    np.testing.assert_allclose(y, expected, rtol=1e-6, atol=1e-30)


@given(shapes, dtypes, seeds, st.booleans())
def test_dropout_and_its_gradient_are_the_references(shape, dtype, seed, boolean):
    x, dy = arrays(seed, shape, shape, dtype=dtype)
    mask = np.random.default_rng(seed).integers(0, 2, shape, np.uint8)
    given_mask = mask.astype(bool) if boolean else mask
    expected = reference_of(reference.dropout_forward, x, mask, 1.25, shape=shape)
    assert_matches(functional.dropout_forward(x, given_mask, 1.25), expected, dtype)
    expected = reference_of(reference.dropout_backward, dy, mask, 1.25, shape=shape)
    assert_matches(functional.dropout_backward(dy, given_mask, 1.25), expected, dtype)


@given(shapes, dtypes, seeds)
def test_add_is_the_references(shape, dtype, seed):
    x, y = arrays(seed, shape, shape, dtype=dtype)
    assert_matches(functional.add(x, y), reference_of(reference.add, x, y, shape=shape), dtype)


@given(shapes, dtypes, seeds)
def test_multiply_is_the_references(shape, dtype, seed):
    x, y = arrays(seed, shape, shape, dtype=dtype)
    assert_matches(functional.multiply(x, y), reference_of(reference.multiply, x, y, shape=shape), dtype)


@given(st.lists(st.integers(0, 20), min_size=1, max_size=3), st.integers(1, 70), dtypes, seeds)
def test_bias_gradient_is_the_references(leading, c, dtype, seed):
    (dy,) = arrays(seed, (*leading, c), dtype=dtype)
    expected = reference_of(reference.bias_backward, dy, shape=(c,))
    size = abs(dy).reshape(-1, c).sum(axis=0)
    assert_matches(functional.bias_backward(dy), expected, dtype, size)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_refuse(name):
    forward, backward = getattr(functional, f"{name}_forward"), getattr(functional, f"{name}_backward")
    with pytest.raises(DTypeError, match=r"^act: expected the input of float32 or float64, got int64"):
        forward([1, 2], name="act")
    with pytest.raises(
        ShapeError, match=rf"^{name}_backward: expected an output of shape \(2, 3\), got \(3, 2\)"
    ):
        backward(np.ones((2, 3)), np.ones((3, 2)))
    with pytest.raises(DTypeError, match="expected the output of float64, the type of the output gradient"):
        backward(np.ones(3), np.ones(3, np.float32))


def test_the_gradient_of_silu_takes_the_input():
    with pytest.raises(ShapeError, match=r"^silu_backward: expected an input of shape \(3,\), got \(2,\)"):
        functional.silu_backward(np.ones(3), np.ones(2))
    with pytest.raises(DTypeError, match="expected the input of float64, the type of the output gradient"):
        functional.silu_backward(np.ones(3), np.ones(3, np.float32))


@pytest.mark.parametrize("name", ["dropout_forward", "dropout_backward"])
def test_dropout_refuses(name):
    dropout, x = getattr(functional, name), np.ones((2, 3))
    with pytest.raises(ShapeError, match=rf"^{name}: expected a mask of shape \(2, 3\), got \(3,\)"):
        dropout(x, np.ones(3, np.uint8), 2.0)
    with pytest.raises(DTypeError, match="expected a mask of uint8 or bool, got float64"):
        dropout(x, x, 2.0)
    with pytest.raises(DTypeError, match="of float32 or float64, got int64"):
        dropout([1], np.ones(1, np.uint8), 2.0)
    for scale in (-1.0, np.nan, np.inf, "2", None):
        with pytest.raises(ArgumentError, match="expected a finite scale of 0 or more"):
            dropout(x, np.ones((2, 3), bool), scale)


def test_multiply_refuses():
    with pytest.raises(ShapeError, match=r"^scale: expected a second factor of shape \(2, 3\), got \(3,\)"):
        functional.multiply(np.ones((2, 3)), np.ones(3), name="scale")
    with pytest.raises(DTypeError, match="not mixed"):
        functional.multiply(np.ones(3), np.ones(3, np.float32))


def test_add_refuses():
    with pytest.raises(ShapeError, match=r"^add: expected a second term of shape \(2, 3\), got \(3,\)"):
        functional.add(np.ones((2, 3)), np.ones(3))
    with pytest.raises(DTypeError, match="expected the second term of float64"):
        functional.add(np.ones(3), np.ones(3, np.float32))


def test_bias_gradient_refuses():
    for dy in (np.ones((3, 0)), 1.5):
        with pytest.raises(
            ShapeError, match=r"^bias_backward: expected an output gradient \(\.\.\., channels\)"
        ):
            functional.bias_backward(dy)
    with pytest.raises(DTypeError, match="the output gradient of float32 or float64, got int64"):
        functional.bias_backward([1, 2])

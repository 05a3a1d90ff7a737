"""Elementwise kernels and the sum over pixels against the reference; slopes; bits over threads."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numbacnn.kernels import reference
from numbacnn.kernels.cpu import elementwise
from tests.kernels.guard import assert_same_bits, threads, written
from tests.strategies import arrays, dtypes, seeds

RELATIVE = {np.dtype(np.float32): 5e-7, np.dtype(np.float64): 1e-15}
NAMES = [
    "relu_forward",
    "relu_backward",
    "sigmoid_forward",
    "sigmoid_backward",
    "tanh_forward",
    "tanh_backward",
    "leaky_relu_forward",
    "leaky_relu_backward",
    "clip_forward",
    "clip_backward",
    "silu_forward",
    "silu_backward",
    "dropout_forward",
    "dropout_backward",
    "add",
    "multiply",
]

OPTIONS = {"leaky_relu": (0.3,), "clip": (-0.7, 1.1)}  # between the arrays read and those written

shapes = st.lists(st.integers(0, 9), max_size=4).map(tuple)


def arguments(name, shape, seed, dtype):
    """What the function reads: outputs of activations lie in their range."""
    x, dy = arrays(seed, shape, shape, dtype=dtype)
    if name.startswith("dropout"):
        return x, np.random.default_rng(seed).integers(0, 2, shape, np.uint8), 1.25
    activation = name.rpartition("_")[0]
    options = OPTIONS.get(activation, ())
    if name.endswith("forward"):
        return x, *options
    if name.endswith("backward") and activation != "silu":
        getattr(reference, f"{activation}_forward")(x, *options, y := np.empty_like(x))
        return y, dy, *options
    return x, dy


def check(name, shape, seed, dtype):
    args = arguments(name, shape, seed, dtype)
    got = written(getattr(elementwise, name), *args, shapes=shape, dtype=dtype)
    expected = np.empty(shape)
    getattr(reference, name)(*args, expected)
    # atol: in float64 the reference itself loses places in 1 - y^2 near saturation; SiLU's slope is a
    # difference where it passes through 0
    relative = RELATIVE[np.dtype(dtype)]
    near = 2 * relative if name == "silu_backward" else 1e-15
    np.testing.assert_allclose(got, expected, rtol=relative, atol=near)


@pytest.mark.parametrize("name", NAMES)
@given(shapes, seeds, dtypes)
def test_any_shape_gives_the_references_results(name, shape, seed, dtype):
    check(name, shape, seed, dtype)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("count", [1, 2])
def test_many_parts_give_the_references_results(name, count):
    with threads(count):
        check(name, (3, 77, 1001), 1, np.float32)


@pytest.mark.parametrize("name", NAMES)
def test_bits_do_not_depend_on_the_threads_or_the_run(name):
    args = arguments(name, (200_001,), 2, np.float32)

    def result():
        out = np.empty(200_001, np.float32)
        getattr(elementwise, name)(*args, out)
        return [out]

    assert_same_bits(result)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extremes(dtype):
    x = np.array([-np.inf, -800.0, -0.0, 0.0, 800.0, np.inf, np.nan], dtype)

    def of(name, *args):
        return written(getattr(elementwise, name), *args, shapes=args[0].shape, dtype=dtype)

    np.testing.assert_array_equal(of("relu_forward", x), [0, 0, 0, 0, 800, np.inf, np.nan])
    np.testing.assert_array_equal(of("sigmoid_forward", x), [0, 0, 0.5, 0.5, 1, 1, np.nan])
    np.testing.assert_array_equal(of("tanh_forward", x), [-1, -1, 0, 0, 1, 1, np.nan])
    np.testing.assert_array_equal(
        of("leaky_relu_forward", x, 0.5), [-np.inf, -400, 0, 0, 800, np.inf, np.nan]
    )
    np.testing.assert_array_equal(of("clip_forward", x, 0.0, 6.0), [0, 0, 0, 0, 6, 6, np.nan])
    np.testing.assert_array_equal(of("clip_forward", x, -np.inf, np.inf), x)
    np.testing.assert_array_equal(of("silu_forward", x)[1:], [0, 0, 0, 800, np.inf, np.nan])
    y, dy = np.array([0.0, -0.0, 1e-30], dtype), np.array([3.0, 4.0, 5.0], dtype)
    assert of("relu_backward", y, dy).tolist() == [0, 0, 5]
    assert of("leaky_relu_backward", y, dy, 0.5).tolist() == [1.5, 2, 5]
    assert of("clip_backward", y, dy, 0.0, 1.0).tolist() == [0, 0, 5]
    assert of("clip_backward", y, dy, -1.0, 0.0).tolist() == [0, 0, 0]
    x, dy = np.array([-800, -90, -0.0, 0.0, 90, 800], dtype), np.full(6, 2, dtype)
    np.testing.assert_allclose(of("silu_backward", x, dy), [0, 0, 1, 1, 2, 2], atol=1e-30)


@pytest.mark.parametrize("name", ["sigmoid", "tanh"])
@given(seeds)
def test_gradients_are_slopes(name, seed):
    x, dy = arrays(seed, (50,), (50,))
    forward, backward, step = (
        getattr(elementwise, f"{name}_forward"),
        getattr(elementwise, f"{name}_backward"),
        1e-6,
    )
    y, above, below, dx = (np.empty(50) for _ in range(4))
    forward(x, y)
    forward(x + step, above)
    forward(x - step, below)
    backward(y, dy, dx)
    np.testing.assert_allclose(dx, dy * (above - below) / (2 * step), atol=1e-9)


@given(seeds)
def test_the_gradient_of_silu_is_its_slope(seed):
    x, dy = arrays(seed, (50,), (50,))
    x *= 4
    above, below, dx, step = *(np.empty(50) for _ in range(3)), 1e-6
    elementwise.silu_forward(x + step, above)
    elementwise.silu_forward(x - step, below)
    elementwise.silu_backward(x, dy, dx)
    np.testing.assert_allclose(dx, dy * (above - below) / (2 * step), atol=4e-9)


@given(st.lists(st.integers(0, 9), max_size=3), st.integers(1, 300), seeds, dtypes)
def test_bias_gradient_of_any_shape_is_the_references(leading, channels, seed, dtype):
    (dy,) = arrays(seed, (*leading, channels), dtype=dtype)
    got, expected = (
        written(elementwise.bias_backward, dy, shapes=(channels,), dtype=dtype),
        np.empty(channels),
    )
    reference.bias_backward(dy, expected)
    np.testing.assert_allclose(got, expected, rtol=0, atol=700 * np.finfo(dtype).eps)


@pytest.mark.parametrize("channels", [1, 6, 64, 100, 1000])
def test_bias_gradient_of_many_pixels_keeps_its_places(channels):
    """A running float32 sum of so many would lose three of them."""
    dy = np.random.default_rng(0).random((1_000_003 // channels, channels), dtype=np.float32)
    got, exact = np.empty(channels, np.float32), dy.sum(axis=0, dtype=np.float64)
    elementwise.bias_backward(dy, got)
    np.testing.assert_allclose(got, exact, rtol=2e-6)

    def result():
        elementwise.bias_backward(dy, got)
        return [got]

    assert_same_bits(result)

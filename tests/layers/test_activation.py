"""Activations: gradients and values."""

import numpy as np
import pytest

from numbacnn.errors import ArgumentError
from numbacnn.layers import Clip, LeakyReLU, ReLU, ReLU6, Sigmoid, SiLU, Softmax, Tanh
from tests.layers.check import again, assert_gradients, values

KINDS = [ReLU, LeakyReLU, ReLU6, SiLU, Sigmoid, Tanh, Softmax]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(3, 7), (2, 3, 4, 5)])
def test_gradients_match_differences(kind, shape):
    assert_gradients(kind(), 2 * values(shape, margin=1e-3))


@pytest.mark.parametrize(
    ("kind", "formula"),
    [
        (ReLU, lambda x: np.maximum(x, 0)),
        (LeakyReLU, lambda x: np.where(x > 0, x, 0.01 * x)),
        (ReLU6, lambda x: np.clip(x, 0, 6)),
        (SiLU, lambda x: x / (1 + np.exp(-x))),
        (Sigmoid, lambda x: 1 / (1 + np.exp(-x))),
        (Tanh, np.tanh),
        (Softmax, lambda x: np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values(kind, formula, dtype):
    x = 5 * values((3, 4, 6))
    layer = kind()
    assert layer.build((4, 6), None, dtype) == (4, 6)
    y = layer(x.astype(dtype))
    assert y.dtype == dtype
    np.testing.assert_allclose(y.numpy(), formula(x), rtol=3e-6 if dtype == np.float32 else 1e-13, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_the_input_is_left_alone(kind):
    x = values((4, 6))
    before = x.copy()
    layer = kind()
    layer.build((6,), None, np.float64)
    y, saved = layer.forward(x, training=True)
    dy = values((4, 6), 1)
    dy_before, y_before = dy.copy(), y.numpy().copy()
    layer.backward(dy, saved)
    np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(dy, dy_before)
    np.testing.assert_array_equal(y.numpy(), y_before)
    assert layer.backward(dy, saved, input_gradient=False) is None


@pytest.mark.parametrize("layer", [LeakyReLU(0.3), Clip(-0.5, 0.75), Clip(high=1.0), Clip(low=-1), Clip()])
def test_gradients_with_other_numbers_match_differences(layer):
    assert_gradients(again(layer), 2 * values((3, 40), margin=1e-3))


def test_limits_hold():
    layer = Clip(-0.5, 0.75)
    layer.build((3,), None)
    x = np.array([[-2, 0.5, np.inf]], np.float32)
    np.testing.assert_array_equal(layer(x).numpy(), np.array([[-0.5, 0.5, 0.75]], np.float32))


def test_bad_numbers_are_refused():
    with pytest.raises(ArgumentError, match="leak: expected slope"):
        LeakyReLU(-0.1, name="leak")
    for limits in [(1, 0), ("0", 1), (0, float("nan")), (True, 2)]:
        with pytest.raises(ArgumentError, match="cut: expected finite numbers low and high"):
            Clip(*limits, name="cut")


def test_large_inputs_do_not_overflow():
    x = np.array([[1000.0, -1000.0, 0.0]], np.float32)
    for kind, expected in [(Sigmoid, [1, 0, 0.5]), (Tanh, [1, -1, 0]), (Softmax, [1, 0, 0])]:
        layer = kind()
        layer.build((3,), None)
        np.testing.assert_allclose(layer(x).numpy()[0], expected, atol=1e-30)

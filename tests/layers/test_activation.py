"""Activations: gradients and values."""

import numpy as np
import pytest

from numbacnn.layers import ReLU, Sigmoid, Softmax, Tanh
from tests.layers.check import assert_gradients, values

KINDS = [ReLU, Sigmoid, Tanh, Softmax]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(3, 7), (2, 3, 4, 5)])
def test_gradients_match_differences(kind, shape):
    assert_gradients(kind(), 2 * values(shape, margin=1e-3))


@pytest.mark.parametrize(
    ("kind", "formula"),
    [
        (ReLU, lambda x: np.maximum(x, 0)),
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


def test_large_inputs_do_not_overflow():
    x = np.array([[1000.0, -1000.0, 0.0]], np.float32)
    for kind, expected in [(Sigmoid, [1, 0, 0.5]), (Tanh, [1, -1, 0]), (Softmax, [1, 0, 0])]:
        layer = kind()
        layer.build((3,), None)
        np.testing.assert_allclose(layer(x).numpy()[0], expected, atol=1e-30)

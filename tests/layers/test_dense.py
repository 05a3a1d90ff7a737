"""Dense: gradients, values, arguments."""

import numpy as np
import pytest

from numbacnn.errors import ArgumentError, ShapeError
from numbacnn.layers import Dense
from tests.layers.check import again, assert_gradients, values


@pytest.mark.parametrize(
    ("n", "features", "units", "use_bias"), [(3, 5, 4, True), (1, 1, 17, False), (4, 33, 2, True)]
)
def test_gradients_match_differences(n, features, units, use_bias):
    assert_gradients(Dense(units, use_bias=use_bias), values((n, features)))


def test_values_and_names():
    layer = Dense(3, name="head", bias_initializer="normal")
    assert layer.build((7,), np.random.default_rng(0), np.float64) == (3,)
    assert [(p.name, p.shape) for p in layer.parameters] == [("head.kernel", (7, 3)), ("head.bias", (3,))]
    assert layer.bias.value.numpy().all()
    assert layer.macs() == 21
    x = values((4, 7))
    expected = x @ layer.kernel.value.numpy() + layer.bias.value.numpy()
    np.testing.assert_allclose(layer(x).numpy(), expected, rtol=1e-12)


def test_gradients_add_up_over_passes():
    layer = Dense(2)
    layer.build((3,), np.random.default_rng(0), np.float64)
    x, dy = values((4, 3)), values((4, 2), 1)
    for _ in range(3):
        layer.backward(dy, layer.forward(x, training=True)[1])
    np.testing.assert_allclose(layer.kernel.grad.numpy(), 3 * x.T @ dy, rtol=1e-12)
    np.testing.assert_allclose(layer.bias.grad.numpy(), 3 * dy.sum(axis=0), rtol=1e-12)
    layer.zero_grad()
    assert layer.kernel.grad is None


def test_errors_name_the_layer_and_the_cure():
    with pytest.raises(ArgumentError, match="head: expected units as an integer of 1 or more, got 0"):
        Dense(0, name="head")
    with pytest.raises(ShapeError, match=r"head: .*\(4, 4, 2\); put a Flatten layer"):
        Dense(3, name="head").build((4, 4, 2), np.random.default_rng(0))
    layer = Dense(3, name="head")
    layer.build((8,), np.random.default_rng(0))
    with pytest.raises(ShapeError, match="head"):
        layer(np.zeros((2, 9), np.float32))


@pytest.mark.parametrize("activation", ["relu", "silu", ("leaky_relu", 0.2), ("clip", -0.5, 0.5)])
def test_gradients_with_an_activation(activation):
    layer = again(Dense(4, activation=activation))
    assert_gradients(layer, values((3, 5)))
    x = values((3, 5))
    plain = Dense(4)
    plain.build((5,), None, np.float64)
    plain.kernel.assign(layer.kernel.value.numpy())
    plain.bias.assign(layer.bias.value.numpy())
    z = plain(x).numpy()
    expected = {
        "relu": np.maximum(z, 0),
        "silu": z / (1 + np.exp(-z)),
        "leaky_relu": np.where(z > 0, z, 0.2 * z),
        "clip": np.clip(z, -0.5, 0.5),
    }[activation if isinstance(activation, str) else activation[0]]
    np.testing.assert_allclose(layer(x).numpy(), expected, rtol=1e-12)

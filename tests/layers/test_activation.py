"""Activations: gradients and values."""

import math

import numpy as np
import pytest

from numbacnn.errors import ArgumentError, ShapeError
from numbacnn.layers import (
    ELU,
    GELU,
    SELU,
    Clip,
    Dense,
    Hardsigmoid,
    Hardswish,
    LeakyReLU,
    LogSoftmax,
    Mish,
    PReLU,
    ReLU,
    ReLU6,
    Sequential,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from tests.layers.check import again, assert_gradients, values

SMOOTH = [ELU, GELU, SELU, Hardsigmoid, Hardswish, Mish, Softplus, LogSoftmax]
KINDS = [ReLU, LeakyReLU, ReLU6, SiLU, Sigmoid, Tanh, Softmax, *SMOOTH]


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
        (LogSoftmax, lambda x: x - np.log(np.exp(x).sum(axis=-1, keepdims=True))),
        (ELU, lambda x: np.where(x > 0, x, np.expm1(x))),
        (SELU, lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x))),
        (GELU, lambda x: x * np.vectorize(lambda v: 0.5 * math.erfc(-v / math.sqrt(2)))(x)),
        (Hardsigmoid, lambda x: np.clip(x / 6 + 0.5, 0, 1)),
        (Hardswish, lambda x: x * np.clip(x / 6 + 0.5, 0, 1)),
        (Mish, lambda x: x * np.tanh(np.log1p(np.exp(x)))),
        (Softplus, lambda x: np.log1p(np.exp(x))),
        (PReLU, lambda x: np.maximum(x, 0) + 0.25 * np.minimum(x, 0)),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values(kind, formula, dtype):
    x = 5 * values((3, 4, 6))
    layer = kind()
    assert layer.build((4, 6), np.random.default_rng(0), dtype) == (4, 6)
    y = layer(x.astype(dtype))
    assert y.dtype == dtype
    small = 2e-6 if kind is LogSoftmax and dtype == np.float32 else 1e-12  # a difference, near 0 at times
    relative = 3e-6 if dtype == np.float32 else 1e-13
    np.testing.assert_allclose(y.numpy(), formula(x), rtol=relative, atol=small)


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


@pytest.mark.parametrize(
    "layer",
    [
        LeakyReLU(0.3),
        Clip(-0.5, 0.75),
        Clip(high=1.0),
        Clip(low=-1),
        Clip(),
        ELU(0.3),
        ELU(0.0),
        GELU(approximate=True),
        Softplus(3.0),
    ],
)
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
    for value in (-0.1, float("inf"), "1", True):
        with pytest.raises(ArgumentError, match="act: expected alpha as a finite number of 0 or more"):
            ELU(value, name="act")
        with pytest.raises(ArgumentError, match="act: expected beta as a finite number of 0 or more"):
            Softplus(value, name="act")
    with pytest.raises(ArgumentError, match="act: expected beta above 0"):
        Softplus(0, name="act")
    with pytest.raises(ArgumentError, match="act: expected approximate as True or False"):
        GELU("tanh", name="act")


def test_large_inputs_do_not_overflow():
    x = np.array([[1000.0, -1000.0, 0.0]], np.float32)
    for kind, expected in [
        (Sigmoid, [1, 0, 0.5]),
        (Tanh, [1, -1, 0]),
        (Softmax, [1, 0, 0]),
        (LogSoftmax, [0, -2000, -1000]),
        (ELU, [1000, -1, 0]),
        (GELU, [1000, 0, 0]),
        (Mish, [1000, 0, 0]),
        (Softplus, [1000, 0, np.log(2)]),
    ]:
        layer = kind()
        layer.build((3,), None)
        np.testing.assert_allclose(layer(x).numpy()[0], expected, rtol=1e-7, atol=1e-30)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("shape", [(3, 7), (2, 3, 4, 5)])
def test_gradients_of_learned_slopes_match_differences(shared, shape):
    assert_gradients(again(PReLU(shared)), 2 * values(shape, margin=1e-3))


def test_learned_slopes_are_made_and_may_be_frozen():
    layer = PReLU(slope_initializer="zeros", name="act")
    assert layer.build((5, 3), np.random.default_rng(0), np.float64) == (5, 3)
    assert layer.slope.shape == (3,)
    x = values((2, 5, 3))
    np.testing.assert_array_equal(layer(x).numpy(), np.maximum(x, 0))
    _, saved = layer.forward(x, training=True)
    assert layer.backward(x, saved, input_gradient=False) is None
    assert layer.slope.grad is not None
    layer.zero_grad()
    layer.trainable = False
    assert layer.backward(x, saved, input_gradient=False) is None
    np.testing.assert_array_equal(layer.backward(x, saved).numpy(), np.maximum(x, 0))
    assert layer.slope.grad is None
    with pytest.raises(ShapeError, match=r"act: expected inputs of shape \(\.\.\., channels\)"):
        PReLU(name="act").build((), None)


def test_self_normalising_layers_keep_mean_and_variance():
    """What SELU is for: normal inputs through many layers of weights of variance 1 / fan_in."""
    layers = [layer for _ in range(12) for layer in (Dense(200, kernel_initializer="lecun_normal"), SELU())]
    model = Sequential(layers)
    model.build((200,), 0)
    y = model(np.random.default_rng(1).standard_normal((500, 200), np.float32)).numpy()
    assert abs(y.mean()) < 0.1
    assert 0.8 < y.std() < 1.2

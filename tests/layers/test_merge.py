"""Layers of several inputs or outputs: gradients, values, arguments."""

import numpy as np
import pytest

from numbacnn.errors import ArgumentError, ShapeError
from numbacnn.layers import Add, Concat, Multiply, Sequential, Split, WeightedSum
from tests.layers.check import again, assert_gradients, values


@pytest.mark.parametrize(
    ("layer", "shapes"),
    [
        (Add(), [(2, 3, 2)] * 2),
        (Add(), [(2, 3, 4, 2)] * 3),
        (Multiply(), [(2, 3, 2)] * 2),
        (Multiply(), [(2, 5)] * 3),
        (Multiply(), [(2, 3, 2, 4), (2, 1, 1, 4)]),
        (Multiply(), [(2, 3, 1), (2, 3, 4), (2, 4), (2, 3, 4)]),
        (WeightedSum(), [(2, 3, 2)] * 2),
        (WeightedSum(weights_initializer="zeros"), [(2, 2, 3, 1)] * 3),
        (Concat(), [(2, 3, 2), (2, 3, 1), (2, 3, 4)]),
        (Concat(1), [(2, 3, 2, 2), (2, 1, 2, 2)]),
        (Concat(-2), [(2, 3, 1, 2), (2, 3, 4, 2)]),
    ],
)
def test_gradients_of_several_inputs_match_differences(layer, shapes):
    assert_gradients(again(layer), [values(shape, seed) for seed, shape in enumerate(shapes)])


@pytest.mark.parametrize("layer", [Split(3), Split((1, 3, 2)), Split((2, 1), axis=1), Split(2, axis=-2)])
def test_gradients_of_several_outputs_match_differences(layer):
    assert_gradients(again(layer), values((2, 3, 4, 6)))


def test_values():
    a, b = values((2, 3, 4)), values((2, 3, 4), 1)
    for layer, expected in [(Add(), a + b), (Multiply(), a * b), (Concat(), np.concatenate([a, b], -1))]:
        assert layer.build([(3, 4), (3, 4)], None, np.float64) == expected.shape[1:]
        y, saved = layer.forward([a, b], training=True)
        np.testing.assert_array_equal(y.numpy(), expected)
        assert layer.backward(y, saved, input_gradient=False) is None
    layer = Split((1, 2), axis=1)
    assert layer.build((3, 4), None) == ((1, 4), (2, 4))
    for part, expected in zip(layer(a), (a[:, :1], a[:, 1:]), strict=True):
        np.testing.assert_array_equal(part.numpy(), expected)


def test_factors_are_repeated_as_numpy_does():
    x, channel, pixel = values((2, 3, 4, 5)), values((2, 5), 1), values((2, 3, 4, 1), 2)
    layer = Multiply()
    assert layer.build([(5,), (3, 4, 5), (3, 4, 1)], None, np.float64) == (3, 4, 5)
    y = layer([channel, x, pixel]).numpy()
    np.testing.assert_allclose(y, x * channel[:, None, None] * pixel, rtol=1e-14)


def test_normalised_weights_are_shares():
    a, b = values((2, 3)), values((2, 3), 1)
    layer = again(WeightedSum(normalise=True, epsilon=0.5))
    layer.build([(3,), (3,)], np.random.default_rng(0), np.float64)
    assert layer.parameters == [layer.factors]
    assert layer.factors.name == "weightedsum.weights"
    np.testing.assert_allclose(layer([a, b]).numpy(), (a + b) / 2.5, rtol=1e-14)
    layer.factors.value.numpy()[...] = [3.0, -1.0]
    y, saved = layer.forward([a, b], training=True)
    np.testing.assert_allclose(y.numpy(), a * 3.0 / 3.5, rtol=1e-14)
    dx = layer.backward(y, saved)
    np.testing.assert_allclose(dx[1].numpy(), 0.0)
    dn = float((a * y.numpy()).sum())
    np.testing.assert_allclose(layer.factors.grad.numpy(), [(dn - dn * 3 / 3.5) / 3.5, 0.0], rtol=1e-12)


def test_gradients_of_normalised_weights_match_differences():
    for seed in range(4):  # of both signs, not near 0
        layer = WeightedSum(normalise=True, epsilon=0.3)
        assert_gradients(layer, [values((2, 3), k) for k in range(3)], seed=seed)
        assert np.abs(layer.factors.value.numpy()).min() > 1e-3


def test_frozen_weights_are_left_alone():
    layer = WeightedSum()
    layer.build([(3,), (3,)], np.random.default_rng(0), np.float64)
    layer.trainable = False
    y, saved = layer.forward([values((2, 3)), values((2, 3), 1)], training=True)
    assert len(layer.backward(y, saved)) == 2
    assert layer.factors.grad is None
    assert layer.macs() == 6


def test_what_is_split_may_be_merged_within_a_sequential():
    model = Sequential([Split(2), Multiply()])  # a gate
    assert_gradients(model, values((2, 3, 4)))
    with pytest.raises(ShapeError, match="net: expected one output, got 2 of split_1; merge them"):
        Sequential([Split(2)], name="net").build((4,))
    with pytest.raises(ShapeError, match="net: expected one input, got the shapes of 2; use a Graph"):
        Sequential([Add()], name="net").build([(4,), (4,)])


@pytest.mark.parametrize(
    ("make", "error", "said"),
    [
        (lambda: Add(name="sum").build((3, 4), None), ShapeError, "the shapes of two inputs or more"),
        (lambda: Add(name="sum").build([(3, 4)], None), ShapeError, "the shapes of two inputs or more"),
        (
            lambda: Add(name="sum").build([(3, 4), (3, 5)], None),
            ShapeError,
            r"one shape, \(3, 4\), got \(3, 5\)",
        ),
        (
            lambda: Multiply(name="sum").build([(3, 4), (3, 5)], None),
            ShapeError,
            r"shape \(3, 5\), or of ones in axes side by side, got \(3, 4\)",
        ),
        (lambda: Multiply(name="sum").build([(3, 1), (1, 4)], None), ShapeError, r"shape \(3, 4\)"),
        (lambda: Multiply(name="sum").build([(3, 4, 2), (1, 4, 1)], None), ShapeError, "side by side"),
        (lambda: WeightedSum(epsilon=0, name="sum"), ArgumentError, "epsilon as a finite number above 0"),
        (lambda: Concat(0, name="sum"), ArgumentError, "axis"),
        (lambda: Concat(1, name="sum").build([(3, 4), (3, 5)], None), ShapeError, "axis 1 only"),
        (lambda: Concat(4, name="sum").build([(3, 4), (3, 5)], None), ShapeError, "axis 4 among them"),
        (lambda: Split(1, name="sum"), ArgumentError, "two parts or more"),
        (lambda: Split((2, 0), name="sum"), ArgumentError, "parts"),
        (lambda: Split(2, name="sum").build((3, 5), None), ShapeError, "2 parts fill along axis 2"),
    ],
)
def test_errors_name_the_layer(make, error, said):
    with pytest.raises(error, match=f"sum: expected .*{said}"):
        make()
    layer = Add(name="sum")
    layer.build([(4,), (4,)], None)
    with pytest.raises(ShapeError, match="sum: expected 2 inputs, got 3"):
        layer([np.zeros((1, 4), np.float32)] * 3)

"""Layers of several inputs or outputs: gradients, values, arguments."""

import numpy as np
import pytest

from numbacnn.errors import ArgumentError, ShapeError
from numbacnn.layers import Add, Concat, Multiply, Sequential, Split
from tests.layers.check import again, assert_gradients, values


@pytest.mark.parametrize(
    ("layer", "shapes"),
    [
        (Add(), [(2, 3, 2)] * 2),
        (Add(), [(2, 3, 4, 2)] * 3),
        (Multiply(), [(2, 3, 2)] * 2),
        (Multiply(), [(2, 5)] * 3),
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

"""Pooling layers: gradients away from the defaults, shapes, arguments."""

import numpy as np
import pytest

from numbacnn.errors import ArgumentError, ShapeError
from numbacnn.layers import AvgPool2D, MaxPool2D
from tests.layers.check import assert_gradients, distinct, values


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"pool_size": (3, 2), "strides": (1, 2), "padding": "same"},
        {"pool_size": (2, 3), "strides": 1, "dilation": (2, 1), "padding": ((1, 0), (0, 2))},
    ],
)
def test_gradients_of_the_maximum_match_differences(arguments):
    assert_gradients(MaxPool2D(**arguments), distinct((2, 6, 7, 3)))


@pytest.mark.parametrize("count_include_pad", [False, True])
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"pool_size": (3, 2), "strides": (1, 2), "padding": "same"},
        {"pool_size": (2, 3), "strides": (2, 1), "dilation": (2, 1), "padding": ((1, 0), (0, 2))},
    ],
)
def test_gradients_of_the_mean_match_differences(arguments, count_include_pad):
    layer = AvgPool2D(count_include_pad=count_include_pad, **arguments)
    assert_gradients(layer, values((2, 6, 7, 3)))


def test_values():
    x = np.array([[1, 5, 2], [3, 4, 0]], np.float32).reshape(1, 2, 3, 1)
    for layer, expected in [
        (MaxPool2D(2, strides=1), [5, 5]),
        (AvgPool2D(2, strides=1), [13 / 4, 11 / 4]),
        (AvgPool2D((1, 2), padding="same"), [3, 2, 3.5, 0]),
        (AvgPool2D((1, 2), padding="same", count_include_pad=True), [3, 1, 3.5, 0]),
    ]:
        layer.build((2, 3, 1), None)
        np.testing.assert_allclose(layer(x).numpy().reshape(-1), expected, rtol=1e-6)


@pytest.mark.parametrize("kind", [MaxPool2D, AvgPool2D])
def test_shapes_defaults_and_errors(kind):
    layer = kind(3, name="pool_a")
    assert layer.strides == (3, 3)
    with pytest.raises(ArgumentError, match="pool_a: expected a built"):
        layer(np.zeros((1, 7, 8, 2), np.float32))
    assert layer.build((7, 8, 2), None) == (2, 2, 2)
    assert layer.parameters == []
    assert layer.macs() == 0
    with pytest.raises(ShapeError, match="pool_a"):
        kind(3, name="pool_a").build((2, 8, 2), None)
    with pytest.raises(ShapeError, match="pool_a"):
        kind(3, name="pool_a").build((8,), None)
    with pytest.raises(ArgumentError, match="pool_size"):
        kind(0)
    with pytest.raises(ArgumentError, match="strides"):
        kind(2, strides=(1, 0))


@pytest.mark.parametrize("kind", [MaxPool2D, AvgPool2D])
def test_no_input_gradient_where_none_is_asked_for(kind):
    layer = kind(2)
    layer.build((4, 4, 1), None)
    y, saved = layer.forward(np.ones((1, 4, 4, 1), np.float32), training=True)
    assert layer.backward(y, saved, input_gradient=False) is None
    assert layer.forward(np.ones((1, 4, 4, 1), np.float32))[1] is None

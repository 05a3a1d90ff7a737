"""Global and adaptive pooling: gradients, values, shapes."""

import numpy as np
import pytest

from numbacnn.errors import ArgumentError, ShapeError
from numbacnn.layers import (
    AdaptiveAvgPool1D,
    AdaptiveAvgPool2D,
    AdaptiveAvgPool3D,
    AdaptiveMaxPool1D,
    AdaptiveMaxPool2D,
    AdaptiveMaxPool3D,
    GlobalAvgPool1D,
    GlobalAvgPool2D,
    GlobalAvgPool3D,
    GlobalMaxPool1D,
    GlobalMaxPool2D,
    GlobalMaxPool3D,
)
from tests.layers.check import again, assert_gradients, distinct

SHAPES = {1: (2, 7, 3), 2: (2, 5, 4, 3), 3: (1, 3, 4, 2, 2)}


@pytest.mark.parametrize(
    "layer",
    [
        AdaptiveAvgPool1D(3),
        AdaptiveAvgPool2D((2, 6)),
        AdaptiveAvgPool3D((2, 1, 2)),
        AdaptiveMaxPool1D(9),
        AdaptiveMaxPool2D((3, 2)),
        AdaptiveMaxPool3D(2),
        GlobalAvgPool1D(),
        GlobalAvgPool2D(keepdims=True),
        GlobalAvgPool3D(),
        GlobalMaxPool1D(keepdims=True),
        GlobalMaxPool2D(),
        GlobalMaxPool3D(keepdims=True),
    ],
    ids=lambda layer: layer.name,
)
def test_gradients_match_differences(layer):
    assert_gradients(again(layer), distinct(SHAPES[layer.rank]))


def test_values_and_shapes():
    x = distinct((2, 5, 4, 3))
    for layer, shape, expected in [
        (GlobalAvgPool2D(), (3,), x.mean(axis=(1, 2))),
        (GlobalAvgPool2D(keepdims=True), (1, 1, 3), x.mean(axis=(1, 2), keepdims=True)),
        (GlobalMaxPool2D(), (3,), x.max(axis=(1, 2))),
        (AdaptiveMaxPool2D(1), (1, 1, 3), x.max(axis=(1, 2), keepdims=True)),
        (AdaptiveAvgPool2D((5, 2)), (5, 2, 3), x.reshape(2, 5, 2, 2, 3).mean(axis=3)),
    ]:
        assert layer.build((5, 4, 3), None, np.float64) == shape
        np.testing.assert_allclose(layer(x).numpy(), expected, rtol=1e-12, atol=1e-15)
        y, saved = layer.forward(x, training=True)
        assert layer.backward(y, saved, input_gradient=False) is None


def test_errors_name_the_layer():
    with pytest.raises(ArgumentError, match="head: expected output_size as one integer or 2"):
        AdaptiveAvgPool2D((1, 2, 3), name="head")
    with pytest.raises(
        ShapeError, match=r"head: expected inputs of positive shape \(height, width, channels\)"
    ):
        GlobalAvgPool2D(name="head").build((5, 3), None)

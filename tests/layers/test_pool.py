"""Pooling layers: gradients away from the defaults, shapes, arguments."""

import numpy as np
import pytest

from numbacnn.errors import ArgumentError, ShapeError
from numbacnn.layers import (
    AvgPool1D,
    AvgPool2D,
    AvgPool3D,
    GaussianPool1D,
    GaussianPool2D,
    GaussianPool3D,
    LpPool1D,
    LpPool2D,
    LpPool3D,
    MaxPool1D,
    MaxPool2D,
    MaxPool3D,
)
from tests.layers.check import again, assert_gradients, distinct, values


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


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (MaxPool1D(3, strides=2, ceil_mode=True), (2, 8, 3)),
        (MaxPool3D((1, 2, 3), strides=(1, 2, 1), padding=((0, 0), (1, 0), (1, 1))), (1, 2, 4, 3, 2)),
        (AvgPool1D(3, padding="causal", strides=2), (2, 7, 2)),
        (AvgPool2D(2, strides=2, ceil_mode=True, count_include_pad=True, padding=1), (1, 4, 6, 2)),
        (AvgPool2D((2, 3), divisor_override=5.0, padding=1), (1, 4, 6, 2)),
        (AvgPool3D(2, strides=1, ceil_mode=True), (1, 3, 2, 3, 2)),
        (LpPool1D(3, p=1, strides=2), (2, 7, 2)),
        (LpPool2D((2, 3), p=3.5, padding=((1, 0), (2, 1)), dilation=(2, 1)), (1, 4, 5, 2)),
        (LpPool3D(2, p=2, ceil_mode=True), (1, 3, 2, 3, 2)),
        (GaussianPool1D(3, sigma=0.7, strides=2, padding=1), (2, 6, 2)),
        (GaussianPool2D((3, 2), sigma=(1.0, 0.5), strides=(1, 2), dilation=(1, 2)), (1, 5, 6, 2)),
        (GaussianPool3D(3, sigma=2.0, strides=1, padding="same", ceil_mode=True), (1, 3, 2, 4, 1)),
    ],
)
def test_gradients_of_other_pools_match_differences(layer, shape):
    assert_gradients(again(layer), distinct(shape) if "max" in layer.name else values(shape, margin=0.01))


def test_values_of_norms_and_gaussians():
    x = np.array([3.0, -4.0, 1.0, 0.0]).reshape(1, 4, 1)
    w = np.exp(-0.5)
    for layer, expected in [
        (LpPool1D(2), [5, 1]),
        (LpPool1D(2, p=1, ceil_mode=True, strides=3), [7, 0]),
        (GaussianPool1D(3, sigma=1.0, strides=1), [(3 * w - 4 + w) / (2 * w + 1), (1 - 4 * w) / (2 * w + 1)]),
        (AvgPool1D(2, divisor_override=4), [-0.25, 0.25]),
        (MaxPool1D(3, ceil_mode=True), [3, 0]),
    ]:
        layer.build((4, 1), None, np.float64)
        np.testing.assert_allclose(layer(x).numpy().reshape(-1), expected, rtol=1e-12)


def test_arguments_of_their_own():
    with pytest.raises(ArgumentError, match=r"norm: expected a finite p of 1 or more, got 0\.5"):
        LpPool2D(2, p=0.5, name="norm")
    with pytest.raises(ArgumentError, match="blur: expected sigma as a finite number above 0, got 0"):
        GaussianPool2D(3, sigma=(1.0, 0.0), name="blur")
    with pytest.raises(ArgumentError, match="blur: expected sigma as one number of pixels or 2"):
        GaussianPool2D(3, sigma=(1.0, 2.0, 3.0), name="blur").build((5, 5, 1), None)
    layer = GaussianPool2D(3, sigma=0.01, name="blur")
    with pytest.raises(ArgumentError, match="blur: expected a sigma that gives every tap"):
        layer.build((5, 5, 1), None)
    assert not layer.built
    with pytest.raises(ArgumentError, match="mean: expected divisor_override"):
        AvgPool2D(2, divisor_override=-1, name="mean")


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

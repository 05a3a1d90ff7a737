"""Transposed convolutions: gradients, that they transpose, shapes, arguments."""

import numpy as np
import pytest

from numbacnn import functional
from numbacnn.errors import ArgumentError, ShapeError
from numbacnn.layers import Conv2D, ConvTranspose1D, ConvTranspose2D, ConvTranspose3D
from tests.layers.check import again, assert_gradients, values


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (ConvTranspose1D(3, 4, strides=3, padding=1, output_padding=2), (2, 4, 2)),
        (ConvTranspose2D(4, (3, 2), strides=(2, 3), padding=((1, 0), (0, 1)), groups=2), (2, 3, 4, 2)),
        (ConvTranspose2D(2, 3, strides=2, padding="same", use_bias=False), (1, 3, 2, 3)),
        (ConvTranspose2D(2, 2, strides=(1, 2), dilation=(2, 1), output_padding=(1, 0)), (1, 3, 2, 3)),
        (ConvTranspose3D(2, 2, strides=(2, 1, 2), output_padding=(1, 0, 0)), (1, 2, 2, 3, 2)),
    ],
)
def test_gradients_match_differences(layer, shape):
    assert_gradients(again(layer), values(shape))


def test_it_is_the_data_gradient_of_a_convolution():
    layer = ConvTranspose2D(2, 3, strides=2, padding=1, output_padding=(1, 0), use_bias=False)
    assert layer.build((4, 5, 3), np.random.default_rng(0), np.float64) == (8, 9, 2)
    conv = Conv2D(3, 3, strides=2, padding=1)
    assert conv.build((8, 9, 2), None) == (4, 5, 3)
    x, w = values((2, 4, 5, 3)), layer.kernel.value
    dx = functional.conv_backward_data(x, w, (2, 8, 9, 2), stride=2, padding=1)
    np.testing.assert_array_equal(layer(x).numpy(), dx.numpy())
    assert layer.macs() == conv.macs()


def test_names_and_arguments():
    layer = ConvTranspose1D(6, 4, strides=2, groups=2, name="up")
    assert layer.build((5, 4), None) == (12, 6)
    assert [(p.name, p.shape) for p in layer.parameters] == [("up.kernel", (4, 3, 4)), ("up.bias", (6,))]
    with pytest.raises(ArgumentError, match="up: expected groups that divide the 6 filters"):
        ConvTranspose1D(6, 4, groups=4, name="up")
    with pytest.raises(ArgumentError, match="up: expected groups"):
        ConvTranspose1D(6, 4, groups=2, name="up").build((5, 3), None)
    with pytest.raises(ArgumentError, match="up: expected output_padding below"):
        ConvTranspose2D(6, 4, strides=2, output_padding=2, name="up").build((5, 3, 1), None)
    with pytest.raises(ShapeError, match="up: expected padding that leaves"):
        ConvTranspose2D(6, 2, padding=3, name="up").build((3, 3, 1), None)


@pytest.mark.parametrize("activation", ["relu", "silu"])
def test_gradients_with_an_activation(activation):
    assert_gradients(again(ConvTranspose2D(3, 2, strides=2, activation=activation)), values((2, 3, 2, 2)))

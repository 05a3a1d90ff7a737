"""Depthwise and separable convolutions: gradients, values, parameters, arguments."""

import numpy as np
import pytest

from numbacnn.errors import ArgumentError
from numbacnn.layers import (
    Conv2D,
    DepthwiseConv1D,
    DepthwiseConv2D,
    DepthwiseConv3D,
    SeparableConv1D,
    SeparableConv2D,
    SeparableConv3D,
)
from numbacnn.regularizers import L2
from tests.layers.check import again, assert_gradients, values


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (DepthwiseConv1D(3, padding="causal", depth_multiplier=2), (2, 6, 3)),
        (DepthwiseConv2D((3, 2), strides=(2, 1), padding="same", use_bias=False), (2, 5, 4, 3)),
        (DepthwiseConv2D(2, depth_multiplier=3, dilation=(1, 2), padding=1), (1, 4, 5, 2)),
        (
            DepthwiseConv3D((1, 2, 3), padding=((0, 0), (1, 0), (1, 2)), padding_mode="circular"),
            (1, 2, 3, 4, 2),
        ),
        (SeparableConv1D(4, 3, padding="causal", dilation=2), (2, 6, 3)),
        (SeparableConv2D(3, (2, 3), depth_multiplier=2, strides=(1, 2), padding="same"), (2, 4, 5, 2)),
        (SeparableConv3D(2, 2, use_bias=False, padding=1, padding_mode="replicate"), (1, 2, 3, 2, 2)),
    ],
)
def test_gradients_match_differences(layer, shape):
    assert_gradients(again(layer), values(shape))


def test_a_depthwise_convolution_is_one_of_as_many_groups_as_channels():
    layer, other = DepthwiseConv2D(3, depth_multiplier=2, name="dw"), Conv2D(8, 3, groups=4)
    assert layer.build((6, 5, 4), np.random.default_rng(0), np.float64) == (4, 3, 8)
    other.build((6, 5, 4), np.random.default_rng(0), np.float64)
    assert [(p.name, p.shape) for p in layer.parameters] == [("dw.kernel", (3, 3, 1, 8)), ("dw.bias", (8,))]
    assert layer.macs() == 4 * 3 * 9 * 8
    x = values((2, 6, 5, 4))
    np.testing.assert_array_equal(layer(x).numpy(), other(x).numpy())


def test_a_separable_convolution_is_two():
    layer = SeparableConv2D(5, 3, depth_multiplier=2, padding="same", kernel_regularizer=L2(0.1), name="sep")
    assert layer.build((6, 7, 3), np.random.default_rng(0), np.float64) == (6, 7, 5)
    shapes = [("sep.kernel", (3, 3, 1, 6)), ("sep.pointwise_kernel", (1, 1, 6, 5)), ("sep.bias", (5,))]
    assert [(p.name, p.shape) for p in layer.parameters] == shapes
    assert [p.penalty for p in layer.parameters] == [L2(0.1), L2(0.1), None]
    assert layer.macs() == 42 * (9 * 6 + 6 * 5)
    space, channels = DepthwiseConv2D(3, depth_multiplier=2, padding="same", use_bias=False), Conv2D(5, 1)
    space.build((6, 7, 3), None, np.float64)
    channels.build((6, 7, 6), None, np.float64)
    space.kernel.assign(layer.kernel.value.numpy())
    channels.kernel.assign(layer.pointwise_kernel.value.numpy())
    x = values((2, 6, 7, 3))
    np.testing.assert_allclose(layer(x).numpy(), channels(space(x)).numpy(), rtol=1e-12)


def test_what_is_frozen_costs_no_gradient():
    layer = SeparableConv2D(2, 3)
    layer.build((5, 5, 2), np.random.default_rng(0), np.float64)
    layer.kernel.trainable = False
    y, saved = layer.forward(values((1, 5, 5, 2)), training=True)
    assert layer.backward(y, saved, input_gradient=False) is None
    assert layer.kernel.grad is None
    assert layer.pointwise_kernel.grad.numpy().any()


def test_arguments():
    with pytest.raises(ArgumentError, match="dw: expected depth_multiplier"):
        DepthwiseConv2D(3, depth_multiplier=0, name="dw")
    with pytest.raises(ArgumentError, match="sep: expected filters"):
        SeparableConv1D(0, 3, name="sep")

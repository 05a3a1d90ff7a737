"""Flatten."""

import numpy as np

from numbacnn.layers import Flatten
from tests.layers.check import assert_gradients, values


def test_gradients_match_differences():
    assert_gradients(Flatten(), values((2, 3, 4, 2)))


def test_order_and_shapes():
    layer = Flatten()
    assert layer.build((3, 4, 2), None) == (24,)
    x = values((2, 3, 4, 2))
    y, saved = layer.forward(x, training=True)
    np.testing.assert_array_equal(y.numpy(), x.reshape(2, 24))
    assert layer.backward(y, saved).shape == (2, 3, 4, 2)
    assert layer(np.zeros((0, 3, 4, 2))).shape == (0, 24)
    assert layer.forward(x)[1] is None

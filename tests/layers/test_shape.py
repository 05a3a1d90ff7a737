"""Layers that rearrange, cut and pad: gradients, values, arguments."""

import numpy as np
import pytest

from numbacnn.errors import ArgumentError, ShapeError
from numbacnn.layers import Crop, Flatten, Pad, Permute, Reshape, Slice
from tests.layers.check import again, assert_gradients, values


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (Flatten(), (2, 3, 4, 2)),
        (Reshape((2, -1, 3)), (2, 4, 3, 2)),
        (Reshape((24,)), (2, 4, 3, 2)),
        (Permute((3, 1, 2)), (2, 4, 3, 2)),
        (Permute((-1, 1)), (2, 4, 3)),
        (Permute((2, 4, 1, 3)), (1, 2, 3, 2, 2)),
        (Pad(((1, 2), (0, 1))), (2, 3, 4, 2)),
        (Pad(2, mode="constant", value=-1.5), (2, 3, 2)),
        (Pad((1, 2), mode="reflect"), (1, 3, 4, 2)),
        (Pad(3, mode="replicate"), (1, 2, 1, 2)),
        (Pad(((1, 0), (0, 1), (2, 1)), mode="circular"), (1, 2, 2, 3, 1)),
        (Crop(1), (2, 4, 3, 2)),
        (Crop(((2, 0),)), (2, 4, 2)),
        (Crop((0, 1, 0)), (1, 2, 4, 2, 2)),
        (Slice([(1, None, 2), None, (-2, None)]), (2, 5, 3, 4)),
        (Slice([(0, 3)]), (2, 5, 3)),
        (Slice([(None, -1, 3), (1, 3)]), (1, 5, 3)),
    ],
)
def test_gradients_match_differences(layer, shape):
    assert_gradients(again(layer), values(shape))


def test_order_and_shapes():
    layer = Flatten()
    assert layer.build((3, 4, 2), None) == (24,)
    x = values((2, 3, 4, 2))
    y, saved = layer.forward(x, training=True)
    np.testing.assert_array_equal(y.numpy(), x.reshape(2, 24))
    assert layer.backward(y, saved).shape == (2, 3, 4, 2)
    assert layer(np.zeros((0, 3, 4, 2))).shape == (0, 24)
    assert layer.forward(x)[1] is None


@pytest.mark.parametrize(
    ("layer", "of"),
    [
        (Reshape((2, -1)), lambda x: x.reshape(2, 2, 12)),
        (Permute((3, 1, 2)), lambda x: x.transpose(0, 3, 1, 2)),
        (Permute((1, -1, -2)), lambda x: x.swapaxes(2, 3)),
        (Pad(((1, 2), (0, 1))), lambda x: np.pad(x, ((0, 0), (1, 2), (0, 1), (0, 0)))),
        (Pad(1, mode="reflect"), lambda x: np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), "reflect")),
        (Crop(((0, 1), (2, 1))), lambda x: x[:, :2, 2:3]),
        (Slice([(-1, None), None, (0, 2, 1)]), lambda x: x[:, -1:, :, :2]),
        (Slice([None, (1, 9, 2)]), lambda x: x[:, :, 1:9:2]),
    ],
)
def test_values_are_numpys(layer, of):
    x = values((2, 3, 4, 2))
    shape = layer.build((3, 4, 2), None, np.float64)
    y, saved = layer.forward(x, training=True)
    assert y.shape == (2, *shape)
    np.testing.assert_array_equal(y.numpy(), of(x))
    assert layer.backward(y, saved, input_gradient=False) is None
    assert layer(np.zeros((0, 3, 4, 2))).shape == (0, *shape)


@pytest.mark.parametrize(
    ("make", "shape", "error", "said"),
    [
        (lambda: Reshape((2, 0), name="cut"), (), ArgumentError, "positive integers"),
        (lambda: Reshape((-1, -1), name="cut"), (), ArgumentError, "one of them -1"),
        (lambda: Reshape((5, -1), name="cut"), (3, 4), ShapeError, "a multiple of 5"),
        (lambda: Reshape((6,), name="cut"), (3, 4), ShapeError, r"6 elements, got \(3, 4\) of 12"),
        (lambda: Permute((0, 1), name="cut"), (), ArgumentError, "counted from 1"),
        (lambda: Permute((1, 1), name="cut"), (3, 4), ShapeError, "each named once"),
        (lambda: Permute((1, 2), name="cut"), (3, 4, 2), ShapeError, "each named once"),
        (lambda: Pad(-1, name="cut"), (), ArgumentError, "padding"),
        (lambda: Pad(1, mode="mirror", name="cut"), (), ArgumentError, "mode"),
        (lambda: Pad(1, value=2, name="cut"), (), ArgumentError, "value"),
        (lambda: Pad((1, 1), name="cut"), (3, 2), ArgumentError, "padding of 1 sizes"),
        (lambda: Pad(3, mode="reflect", name="cut"), (3, 2), ShapeError, "at most"),
        (lambda: Crop(-1, name="cut"), (), ArgumentError, "padding"),
        (lambda: Crop(2, name="cut"), (4, 9, 1), ShapeError, "more pixels"),
        (lambda: Crop(1, name="cut"), (4,), ShapeError, "positive shape"),
        (lambda: Slice([3], name="cut"), (), ArgumentError, "slices"),
        (lambda: Slice([(0, 3, -1)], name="cut"), (), ArgumentError, "steps of 1 or more"),
        (lambda: Slice([(3, 9)], name="cut"), (3, 2), ShapeError, "takes something"),
        (lambda: Slice([None, (0, 1)], name="cut"), (3,), ShapeError, "2 to 4 axes"),
    ],
)
def test_errors_name_the_layer(make, shape, error, said):
    with pytest.raises(error, match=f"cut: expected .*{said}"):
        make().build(shape, None)

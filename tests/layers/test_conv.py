"""Convolutions: gradients away from the defaults, shapes, arguments."""

import numpy as np
import pytest

from numbacnn.errors import ArgumentError, DTypeError, ShapeError
from numbacnn.layers import Conv1D, Conv2D, Conv3D
from numbacnn.regularizers import L2
from tests.layers.check import again, assert_gradients, values


@pytest.mark.parametrize(
    ("arguments", "shape"),
    [
        ({"filters": 3, "kernel_size": 3}, (2, 5, 6, 2)),
        ({"filters": 4, "kernel_size": (3, 2), "strides": (2, 1), "padding": "same"}, (2, 5, 6, 3)),
        ({"filters": 4, "kernel_size": (2, 3), "dilation": (2, 1), "padding": 1, "groups": 2}, (3, 6, 5, 4)),
        (
            {
                "filters": 6,
                "kernel_size": (3, 2),
                "strides": (1, 2),
                "padding": ((2, 0), (1, 3)),
                "dilation": (1, 2),
                "groups": 3,
                "use_bias": False,
            },
            (2, 6, 7, 3),
        ),
        ({"filters": 17, "kernel_size": 1, "strides": 2}, (1, 3, 5, 5)),
    ],
)
def test_gradients_match_differences(arguments, shape):
    assert_gradients(Conv2D(**arguments), values(shape))


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (Conv1D(3, 3, padding="causal", dilation=2), (2, 7, 2)),
        (Conv1D(4, 2, strides=2, padding=((2, 1),), groups=2, padding_mode="reflect"), (2, 6, 4)),
        (Conv2D(2, 3, padding=((2, 1), (0, 3)), strides=(1, 2), padding_mode="circular"), (2, 4, 5, 2)),
        (Conv2D(2, (2, 3), padding="same", dilation=2, padding_mode="replicate"), (1, 4, 5, 2)),
        (Conv3D(2, (2, 1, 3), strides=(1, 2, 1), padding=(1, 0, 2), use_bias=False), (2, 3, 4, 2, 2)),
        (Conv3D(4, 2, dilation=(1, 2, 1), groups=2, padding_mode="reflect", padding=1), (1, 3, 4, 2, 2)),
    ],
)
def test_gradients_of_other_ranks_and_padding_match_differences(layer, shape):
    assert_gradients(again(layer), values(shape))


def test_causal_outputs_do_not_see_what_comes_after():
    layer = Conv1D(2, 3, padding="causal", dilation=2, use_bias=False)
    assert layer.build((9, 1), np.random.default_rng(0), np.float64) == (9, 2)
    x = np.zeros((1, 9, 1))
    x[0, 4] = 1
    changed = layer(x).numpy()[0].any(axis=1)
    assert changed.nonzero()[0].tolist() == [4, 6, 8]


def test_padding_that_does_not_fit_is_refused_when_building():
    with pytest.raises(ArgumentError, match="stem: expected padding_mode as one of 'zeros'"):
        Conv1D(2, 3, padding_mode="mirror", name="stem")
    with pytest.raises(ShapeError, match=r"stem: expected padding of at most \(3,\)"):
        Conv1D(2, 3, padding=4, padding_mode="reflect", name="stem").build((4, 1), None)
    with pytest.raises(ArgumentError, match=r"stem: .*causal"):
        Conv2D(2, 3, padding="causal", name="stem").build((4, 4, 1), None)
    with pytest.raises(ShapeError, match=r"stem: .*\(depth, height, width, channels\), got \(4, 4, 1\)"):
        Conv3D(2, 3, name="stem").build((4, 4, 1), None)
    with pytest.raises(ArgumentError, match="stem: expected kernel_size as one integer or 3"):
        Conv3D(2, (3, 3), name="stem")


def test_shapes_and_names():
    layer = Conv2D(8, (3, 5), padding=((1, 2), (0, 4)), strides=(2, 1), groups=2, name="stem")
    assert not layer.built
    assert layer.build((9, 10, 4), np.random.default_rng(0)) == (5, 10, 8)
    assert layer.kernel.shape == (3, 5, 2, 8)
    assert [p.name for p in layer.parameters] == ["stem.kernel", "stem.bias"]
    assert layer.macs() == 5 * 10 * 3 * 5 * 2 * 8
    y = layer(np.ones((2, 9, 10, 4), np.float32))
    assert y.shape == (2, 5, 10, 8)
    assert y.dtype == np.float32


def test_forward_is_a_correlation():
    layer = Conv2D(1, 2, padding=((1, 0), (0, 0)))
    layer.build((2, 2, 1), None)
    layer.kernel.value.numpy()[..., 0, 0] = [[1, 2], [3, 4]]
    layer.bias.value.numpy()[...] = 0.5
    y = layer(np.array([[5, 6], [7, 8]], np.float32).reshape(1, 2, 2, 1)).numpy()
    np.testing.assert_array_equal(y.reshape(2), [3 * 5 + 4 * 6 + 0.5, 5 + 12 + 21 + 32 + 0.5])


def test_frozen_parameters_get_no_gradient():
    layer = Conv2D(2, 3)
    layer.build((4, 4, 1), np.random.default_rng(0))
    layer.kernel.trainable = False
    y, saved = layer.forward(np.ones((1, 4, 4, 1), np.float32), training=True)
    assert layer.backward(y, saved, input_gradient=False) is None
    assert layer.kernel.grad is None
    np.testing.assert_allclose(layer.bias.grad.numpy(), y.numpy().sum(axis=(0, 1, 2)), rtol=1e-6)


def test_the_penalty_lies_on_the_kernel_alone():
    layer = Conv2D(2, 3, kernel_regularizer=L2(0.25))
    layer.build((4, 4, 1), np.random.default_rng(0))
    assert layer.kernel.penalty == L2(0.25)
    assert layer.bias.penalty is None


def test_an_empty_batch_goes_through():
    layer = Conv2D(2, 3)
    layer.build((4, 4, 1), np.random.default_rng(0))
    y, saved = layer.forward(np.zeros((0, 4, 4, 1), np.float32), training=True)
    assert y.shape == (0, 2, 2, 2)
    assert layer.backward(y, saved).shape == (0, 4, 4, 1)
    assert not layer.kernel.grad.numpy().any()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"filters": 0}, "filters"),
        ({"filters": 2.5}, "filters"),
        ({"filters": True}, "filters"),
        ({"kernel_size": -1}, "kernel_size"),
        ({"kernel_size": (3, 0)}, "kernel_size"),
        ({"kernel_size": (3, 3, 3)}, "kernel_size"),
        ({"strides": 0}, "strides"),
        ({"dilation": "2"}, "dilation"),
        ({"groups": 0}, "groups"),
        ({"kernel_initializer": "he"}, "he_normal"),
        ({"kernel_regularizer": 0.1}, "L2"),
    ],
)
def test_bad_arguments_name_the_layer_and_the_argument(arguments, said):
    with pytest.raises(ArgumentError, match=said) as caught:
        Conv2D(**{"filters": 2, "kernel_size": 3, "name": "stem", **arguments})
    assert str(caught.value).startswith("stem: expected")


@pytest.mark.parametrize(
    ("arguments", "shape", "error", "said"),
    [
        ({}, (28, 28), ShapeError, r"\(28, 28\)"),
        ({}, (0, 28, 1), ShapeError, r"\(0, 28, 1\)"),
        ({}, (2, 28, 1), ShapeError, "padded input"),
        ({"groups": 2}, (8, 8, 3), ShapeError, "channels"),
        ({"groups": 3}, (8, 8, 3), ArgumentError, "groups"),
        ({"padding": "full"}, (8, 8, 3), ArgumentError, "full"),
        ({"padding": -1}, (8, 8, 3), ArgumentError, "-1"),
    ],
)
def test_inputs_that_do_not_fit_are_refused_when_building(arguments, shape, error, said):
    layer = Conv2D(4, 3, name="stem", **arguments)
    with pytest.raises(error, match=said) as caught:
        layer.build(shape, np.random.default_rng(0))
    assert str(caught.value).startswith("stem: expected")
    assert not layer.built


def test_wrong_inputs_are_refused():
    layer = Conv2D(4, 3, name="stem")
    with pytest.raises(ArgumentError, match="stem: expected a built"):
        layer(np.zeros((1, 8, 8, 3), np.float32))
    layer.build((8, 8, 3), np.random.default_rng(0))
    with pytest.raises(ShapeError, match="stem"):
        layer(np.zeros((1, 8, 8, 2), np.float32))
    with pytest.raises(DTypeError, match="stem"):
        layer(np.zeros((1, 8, 8, 3), np.float64))
    with pytest.raises(ArgumentError, match="not yet built"):
        layer.build((8, 8, 3), np.random.default_rng(0))


@pytest.mark.parametrize("activation", ["relu", "relu6", "silu", ("leaky_relu", 0.2)])
def test_gradients_with_an_activation(activation):
    layer = again(Conv2D(3, 2, padding="same", activation=activation))
    x = values((2, 4, 3, 2))
    assert_gradients(layer, x)
    predicted, trained = layer(x).numpy(), layer.forward(x, training=True)[0].numpy()
    np.testing.assert_allclose(
        predicted, trained, rtol=1e-12, atol=1e-14
    )  # SiLU's is fused in the first only


def test_an_unknown_activation_is_refused():
    with pytest.raises(ArgumentError, match="stem: expected activation None"):
        Conv2D(3, 2, activation="gelu", name="stem")

"""Gates of channels and pixels: gradients, values, arguments, receptive fields, files."""

import numpy as np
import pytest

from numbacnn.errors import ArgumentError, ShapeError
from numbacnn.layers import Conv1D, Conv2D, Residual, Sequential, SiLU, SpatialAttention, SqueezeExcite, Tanh
from numbacnn.serialization import load, save
from tests.layers.check import again, assert_gradients, distinct, values


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (SqueezeExcite(2, activation="tanh"), (2, 5, 4)),
        (SqueezeExcite(units=3, activation=SiLU(), gate="tanh"), (2, 3, 2, 5)),
        (SqueezeExcite(activation="silu"), (2, 2, 3, 2, 2)),
        (SpatialAttention(3), (2, 7, 3)),
        (SpatialAttention((3, 2), use_bias=True), (2, 4, 3, 2)),
        (SpatialAttention(), (1, 2, 3, 2, 2)),
    ],
)
def test_gradients_match_differences(layer, shape):
    x = distinct(shape) if isinstance(layer, SpatialAttention) else values(shape)
    assert_gradients(again(layer), x)


def test_channels_are_multiplied_as_the_paper_says():
    layer, x = SqueezeExcite(2), values((2, 3, 4, 6))
    layer.build((3, 4, 6), np.random.default_rng(0), np.float64)
    w1, b1, w2, b2 = (p.value.numpy() for p in layer.parameters)
    assert [p.name for p in layer.parameters] == [
        "squeezeexcite.reduce.kernel",
        "squeezeexcite.reduce.bias",
        "squeezeexcite.expand.kernel",
        "squeezeexcite.expand.bias",
    ]
    assert w1.shape == (6, 3)
    hidden = np.maximum(x.mean(axis=(1, 2)) @ w1 + b1, 0)
    gates = 1 / (1 + np.exp(-(hidden @ w2 + b2)))
    np.testing.assert_allclose(layer(x).numpy(), x * gates[:, None, None], rtol=1e-12)
    assert layer.macs() == 2 * 6 * 3


def test_pixels_are_multiplied_as_the_paper_says():
    layer, x = SpatialAttention(3), values((2, 5, 4))
    layer.build((5, 4), np.random.default_rng(0), np.float64)
    (kernel,) = (p.value.numpy() for p in layer.parameters)
    assert layer.parameters[0].name == "spatialattention.conv.kernel"
    pooled = np.pad(np.stack([x.mean(axis=-1), x.max(axis=-1)], -1), ((0, 0), (1, 1), (0, 0)))
    sums = sum(pooled[:, k : k + 5] @ kernel[k] for k in range(3))
    np.testing.assert_allclose(layer(x).numpy(), x / (1 + np.exp(-sums)), rtol=1e-12)


def test_ratios_and_units():
    for layer, units in [(SqueezeExcite(), 2), (SqueezeExcite(64), 1), (SqueezeExcite(units=5), 5)]:
        layer.build((4, 4, 32), None)
        assert layer.parameters[0].shape == (32, units)
    layer = SqueezeExcite(activation=Tanh(), gate={"class": "SiLU", "config": {}})
    assert layer.config()["activation"]["class"] == "Tanh"


def attentive():
    block = [Conv2D(4, 3, padding=1), SqueezeExcite(2, name="channels"), SpatialAttention(3, name="pixels")]
    return Sequential([Residual(block), Conv2D(2, 2, strides=2)])


def test_a_model_with_both_is_saved_loaded_and_frozen(tmp_path):
    model, x = attentive(), values((2, 6, 6, 4)).astype(np.float32)
    model.build((6, 6, 4), 0)
    names = [p.name for p in model.parameters]
    assert "residual_1.branch.channels.expand.bias" in names
    assert "residual_1.branch.pixels.conv.kernel" in names
    save(model, tmp_path / "model.safetensors")
    assert load(tmp_path / "model.safetensors")(x).numpy().tobytes() == model(x).numpy().tobytes()
    assert "SqueezeExcite" in model.summary()
    branch = model["residual_1"]["branch"]
    branch["channels"].trainable = False
    assert not branch["channels"].trainable and branch["pixels"].trainable
    y, saved = model.forward(x, training=True)
    model.backward(y, saved)
    assert [p.grad is None for p in branch["channels"].parameters] == [True] * 4
    model.reset()
    assert not branch["channels"].parameters
    assert model.build((6, 6, 4), 0) == (3, 3, 2)


def test_nothing_to_train_below_takes_no_gradient():
    for layer in (SqueezeExcite(2), SpatialAttention(3)):
        layer.build((5, 4), np.random.default_rng(0), np.float64)
        y, saved = layer.forward(values((2, 5, 4)), training=True)
        assert layer.backward(y, saved, input_gradient=False) is None
        assert all(p.grad is not None for p in layer.parameters)
        layer.zero_grad()
        layer.trainable = False
        assert layer.backward(y, saved, input_gradient=False) is None
        assert all(p.grad is None for p in layer.parameters)


def test_fields_are_widened_by_the_convolution_only():
    model = Sequential([Conv1D(2, 3), SqueezeExcite(1), SpatialAttention(5), Conv1D(1, 3, strides=2)])
    model.build((20, 3), 0)
    field = model.receptive_field()
    assert (field.size, field.stride) == ((9,), (2,))


@pytest.mark.parametrize(
    ("make", "error", "said"),
    [
        (lambda: SqueezeExcite(4, units=2, name="se"), ArgumentError, "ratio or units, got both"),
        (lambda: SqueezeExcite(0, name="se"), ArgumentError, "ratio as an integer of 1 or more"),
        (lambda: SqueezeExcite(units=1.5, name="se"), ArgumentError, "units as an integer of 1 or more"),
        (lambda: SqueezeExcite(gate="step", name="se"), ArgumentError, "gate as a layer, or one of 'clip'"),
        (lambda: SqueezeExcite(name="se").build((4,), None), ShapeError, "1 to 3 spatial axes"),
        (lambda: SpatialAttention(0, name="se"), ArgumentError, "kernel_size as an integer of 1 or more"),
        (lambda: SpatialAttention(name="se").build((4,), None), ShapeError, "1 to 3 spatial axes"),
        (
            lambda: SpatialAttention((3, 3), name="se").build((4, 2), None),
            ArgumentError,
            "kernel_size as one integer",
        ),
    ],
)
def test_errors_name_the_layer(make, error, said):
    with pytest.raises(error, match=rf"se\S*: expected {said}|se\S*: expected .*{said}"):
        make()

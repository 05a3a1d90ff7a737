"""Layers and containers give on a GPU what they give on the CPU: they compute by operations alone."""

import numpy as np
import pytest

from numbacnn import config, fit, predict
from numbacnn.errors import DTypeError
from numbacnn.layers import (
    ELU,
    GELU,
    SELU,
    AdaptiveAvgPool2D,
    AdaptiveMaxPool2D,
    Add,
    AvgPool3D,
    Clip,
    Concat,
    Conv1D,
    Conv2D,
    Conv3D,
    ConvTranspose2D,
    Crop,
    Dense,
    DepthwiseConv2D,
    DropPath,
    Embedding,
    Flatten,
    GaussianPool2D,
    GlobalAvgPool2D,
    GlobalMaxPool2D,
    Graph,
    GroupNorm,
    Hardsigmoid,
    Hardswish,
    InstanceNorm,
    LayerNorm,
    LeakyReLU,
    LocalResponseNorm,
    LogSoftmax,
    LpPool2D,
    MaxPool1D,
    Mish,
    Multiply,
    Pad,
    Parallel,
    Permute,
    PixelShuffle,
    PixelUnshuffle,
    PReLU,
    ReLU,
    ReLU6,
    Reshape,
    Residual,
    SeparableConv2D,
    Sequential,
    Sigmoid,
    SiLU,
    Slice,
    Softplus,
    SpatialAttention,
    SpatialDropout,
    Split,
    SqueezeExcite,
    Tanh,
    Upsample2D,
    WeightedSum,
)
from numbacnn.tensor import as_tensor

IMAGE = (2, 5, 6, 4)
LAYERS = [
    (Conv1D(3, 3, padding="causal", dilation=2), (2, 7, 2)),
    (Conv2D(4, 3, padding=1, padding_mode="reflect", groups=2), IMAGE),
    (Conv3D(2, 2, strides=(1, 2, 1)), (1, 3, 4, 2, 2)),
    (DepthwiseConv2D(3, depth_multiplier=2, padding="same"), IMAGE),
    (SeparableConv2D(3, 3, strides=2, padding="same"), IMAGE),
    (ConvTranspose2D(3, 3, strides=2, output_padding=1), (1, 3, 4, 2)),
    (MaxPool1D(3, strides=2, ceil_mode=True), (2, 8, 3)),
    (AvgPool3D(2, padding=1), (1, 3, 4, 2, 2)),
    (LpPool2D(2, p=3), IMAGE),
    (GaussianPool2D(3, sigma=1.0, strides=2), IMAGE),
    (GlobalMaxPool2D(), IMAGE),
    (GlobalAvgPool2D(keepdims=True), IMAGE),
    (AdaptiveMaxPool2D((3, 4)), IMAGE),
    (AdaptiveAvgPool2D(2), IMAGE),
    (Upsample2D(2, mode="linear"), IMAGE),
    (PixelShuffle(2), IMAGE),
    (PixelUnshuffle((1, 2)), IMAGE),
    (Sequential([LeakyReLU(0.2), Clip(-1, 0.5), SiLU(), ReLU6()]), IMAGE),
    (Sequential([GroupNorm(2), LayerNorm(), InstanceNorm(scale=True), LocalResponseNorm()]), IMAGE),
    (Sequential([ELU(0.5), SELU(), GELU(), Mish(), Hardswish()]), IMAGE),
    (Sequential([GELU(approximate=True), Softplus(2.0), PReLU(), Hardsigmoid(), LogSoftmax()]), IMAGE),
    (PReLU(shared=True), IMAGE),
    (Sequential([SqueezeExcite(2, gate="tanh"), SpatialAttention(3)]), IMAGE),
    (Sequential([Split(2), WeightedSum(normalise=True)]), IMAGE),
    (Reshape((-1, 2)), IMAGE),
    (Permute((3, 1, 2)), IMAGE),
    (Pad((1, 2), mode="circular"), IMAGE),
    (Crop(((1, 0), (0, 2))), IMAGE),
    (Slice([None, (1, None, 2), (0, 3)]), IMAGE),
    (Residual([Conv2D(2, 3, strides=2), ReLU()], Conv2D(2, 3, strides=2), Tanh()), IMAGE),
    (Parallel([Conv2D(2, 1), Sequential([Tanh()])]), IMAGE),
    (
        Graph(
            "x",
            {
                "parts": (Split((1, 3)), "x"),
                "gate": (Sigmoid(), "parts:1"),
                "open": (Multiply(), ["gate", "parts:1"]),
                "all": (Concat(), ["open", "parts:0"]),
                "sum": (Add(), ["all", "x"]),
                "pool": (GlobalAvgPool2D(), "sum"),
                "head": (Dense(3), "pool"),
            },
            "head",
        ),
        IMAGE,
    ),
]


def passes(layer, x, dy):
    """The output, the gradient of the input and those of the parameters, on the CPU again."""
    layer.zero_grad()
    y, saved = layer.forward(x, training=True)
    assert y.device == layer.device or not layer.parameters
    dx = layer.backward(dy, saved, input_gradient=True)
    return [t.numpy() for t in (y, dx, *(p.grad for p in layer.parameters))]


@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=[layer.name for layer, _ in LAYERS])
def test_a_layer_gives_what_it_gives_on_the_cpu(layer, shape):
    rng = np.random.default_rng(0)
    layer.reset()
    out = layer.build(shape[1:], rng)
    x, dy = rng.standard_normal(shape, np.float32), rng.standard_normal((shape[0], *out), np.float32)
    expected = passes(layer, x, dy)
    with config.precision_as("exact"):
        got = passes(layer.to("cuda"), *(as_tensor(a, device="cuda") for a in (x, dy)))
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=5e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_containers_compute_in_sixteen_bits(dtype):
    layer = Residual([Conv2D(4, 3, padding="same"), Sequential([Tanh()])], activation=ReLU())
    layer.build(IMAGE[1:], np.random.default_rng(0))
    x = np.random.default_rng(1).standard_normal(IMAGE, np.float32)
    expected = layer(x).numpy()
    y, saved = layer.to("cuda", dtype).forward(as_tensor(x, device="cuda"), training=True)
    assert y.dtype.name == dtype
    layer.backward(y, saved)
    assert layer["branch"]["conv2d_1"].kernel.grad is not None
    bound = {"float16": 5e-3, "bfloat16": 5e-2}[dtype]
    np.testing.assert_allclose(y.astype(np.float32).numpy(), expected, atol=bound * np.abs(expected).max())


@pytest.mark.parametrize("kind", ["float32", "float16"])
def test_embeddings_give_what_they_give_on_the_cpu(kind):
    layer = Sequential([Embedding(7, 4, padding_index=2), Conv1D(3, 2)])
    layer.precision = "exact"
    layer.build((5,), np.random.default_rng(0))
    x, dy = np.random.default_rng(1).integers(0, 7, (3, 5)), np.ones((3, 4, 3), np.float32)
    y, saved = layer.forward(x, True)
    layer.backward(dy, saved)
    table = layer.layers[0].table
    expected, gradient = y.numpy().copy(), table.grad.numpy().copy()
    layer.zero_grad()
    y, saved = layer.to("cuda", kind).forward(as_tensor(x, device="cuda"), True)
    layer.backward(as_tensor(dy, device="cuda"), saved)
    bound = 1e-5 if kind == "float32" else 5e-3
    np.testing.assert_allclose(y.astype(np.float32).numpy(), expected, atol=bound)
    np.testing.assert_allclose(table.grad.astype(np.float32).numpy(), gradient, atol=10 * bound)
    with pytest.raises(DTypeError, match="integers of int32 or int64 on a GPU, got uint8"):
        layer(as_tensor(x.astype(np.uint8), device="cuda"))


def test_models_of_integers_are_trained_and_predict():
    layer = Sequential([Embedding(7, 4), Flatten(), Dense(2)])
    layer.build((5,), np.random.default_rng(0))
    x = np.random.default_rng(1).integers(0, 7, (12, 5))
    fit(layer.to("cuda"), x, x[:, 0] % 2, epochs=2, batch_size=5, verbose=False)
    np.testing.assert_allclose(predict(layer, x), predict(layer.to("cpu"), x), atol=1e-6)


@pytest.mark.parametrize("kind", [SpatialDropout, DropPath])
def test_groups_are_dropped_there_by_the_generator_alone(kind):
    layer, x = kind(0.5, name="drop"), as_tensor(np.ones((16, 3, 16), np.float32), device="cuda")
    layer.build((3, 16), None)
    y, saved = layer.forward(x, np.random.default_rng(4))
    again, _ = layer.forward(x, np.random.default_rng(4))
    np.testing.assert_array_equal(y.numpy(), again.numpy())
    mask = saved.numpy()
    assert 0 < mask.mean() < 1
    wide = mask[:, None, :] if kind is SpatialDropout else mask[:, None, None]
    np.testing.assert_array_equal(y.numpy(), np.broadcast_to(2.0 * wide, x.shape))
    np.testing.assert_array_equal(layer.backward(x, saved).numpy(), y.numpy())


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_attention_computes_in_sixteen_bits(dtype):
    model = Sequential([SqueezeExcite(2), SpatialAttention(3), Split(2), WeightedSum()])
    model.build(IMAGE[1:], np.random.default_rng(0))
    x = np.random.default_rng(1).standard_normal(IMAGE, np.float32)
    expected = model(x).numpy()
    y, saved = model.to("cuda", dtype).forward(as_tensor(x, device="cuda"), training=True)
    assert y.dtype.name == dtype
    model.backward(y, saved)
    assert all(p.grad is not None for p in model.parameters)
    bound = {"float16": 5e-3, "bfloat16": 5e-2}[dtype]
    np.testing.assert_allclose(y.astype(np.float32).numpy(), expected, atol=bound * np.abs(expected).max())

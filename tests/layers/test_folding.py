"""Folding: predictions stay equal, each pair becomes one layer, and what is shared or taken stays."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbacnn import load, save
from numbacnn.errors import ArgumentError
from numbacnn.layers import (
    Add,
    BatchNorm,
    Conv1D,
    Conv2D,
    Conv3D,
    ConvTranspose2D,
    Dense,
    DepthwiseConv2D,
    Flatten,
    Graph,
    Parallel,
    ReLU,
    Residual,
    SeparableConv2D,
    Sequential,
)
from numbacnn.layers.folding import fold
from tests.layers.check import values


def made(model, shape, dtype=np.float64):
    """The built model with random parameters and statistics, none of which folding may take for another."""
    model.build(shape, 0, dtype)
    rng = np.random.default_rng(1)
    for p in model.parameters:
        p.value.numpy()[...] = rng.uniform(0.5, 1.5, p.shape) * rng.choice([-1, 1], p.shape)
        if p.name.endswith(".variance"):
            np.abs(p.value.numpy(), out=p.value.numpy())
    return model


def norms(model):
    return sum(isinstance(layer, BatchNorm) for layer in model.leaves())


def check(model, shape, left=0):
    """Predictions are equal, so many normalisations are left, and the model is as it was."""
    model = made(model, shape)
    x, before = values((3, *shape), 2), model.weights()
    folded = fold(model)
    assert norms(folded) == left
    y = model(x).numpy()
    np.testing.assert_allclose(folded(x).numpy(), y, rtol=1e-9, atol=1e-10 * np.abs(y).max())
    for name, value in model.weights().items():
        np.testing.assert_array_equal(value, before[name])
    return folded


activations = st.sampled_from([None, "relu", "relu6", "silu", ("leaky_relu", 0.2)])
KINDS = [
    lambda bias: (Conv2D(6, 3, strides=2, padding="same", groups=2, use_bias=bias), (6, 5, 4)),
    lambda bias: (Conv2D(3, (1, 2), padding=1, padding_mode="reflect", use_bias=bias), (4, 4, 2)),
    lambda bias: (Conv1D(3, 3, padding="causal", use_bias=bias), (7, 2)),
    lambda bias: (Conv3D(2, 2, use_bias=bias), (3, 3, 4, 2)),
    lambda bias: (DepthwiseConv2D(3, depth_multiplier=2, use_bias=bias), (5, 5, 3)),
    lambda bias: (SeparableConv2D(5, 3, depth_multiplier=2, use_bias=bias), (5, 4, 3)),
    lambda bias: (ConvTranspose2D(6, 3, strides=2, groups=2, use_bias=bias), (3, 4, 4)),
    lambda bias: (Dense(4, use_bias=bias), (5,)),
]


@settings(max_examples=30)
@given(st.sampled_from(KINDS), st.booleans(), st.booleans(), st.booleans(), activations, st.floats(1e-3, 1.0))
def test_each_kind_becomes_one_layer(kind, bias, scale, shift, activation, epsilon):
    layer, shape = kind(bias)
    norm = BatchNorm(0.9, epsilon, scale=scale, shift=shift, activation=activation)
    folded = check(Sequential([layer, norm]), shape)
    assert len(folded) == 1 and type(folded[0]) is type(layer) and folded[0].name == layer.name


def conv(*args, **options):
    return Conv2D(*args, padding="same", use_bias=False, **options)


def test_containers_within_containers():
    model = Sequential(
        [
            BatchNorm(),  # with nothing before it
            conv(4, 3),
            BatchNorm(activation="relu"),
            Residual([conv(4, 3), BatchNorm(activation="relu"), conv(4, 3), BatchNorm()], None, ReLU()),
            Residual([conv(6, 1), BatchNorm()], [conv(6, 1), BatchNorm()], BatchNorm(activation="relu")),
            Parallel([[conv(2, 1), BatchNorm()], [conv(2, 3), BatchNorm(), BatchNorm()]]),
            conv(3, 1, activation="relu"),
            BatchNorm(),  # behind an activation
            Flatten(),
            Dense(3),
            BatchNorm(),
        ]
    )
    check(model, (4, 4, 2), left=4)


def test_graphs_keep_what_others_take():
    shared = conv(3, 3, name="shared")
    again = BatchNorm(name="again")
    model = Graph(
        ["a", "b"],
        {
            "one": (shared, "a"),
            "one_norm": (BatchNorm(), "one"),  # its convolution is shared
            "two": (shared, "b"),
            "taken": (conv(3, 1), "a"),
            "taken_norm": (BatchNorm(), "taken"),  # its convolution is taken twice
            "own": (conv(3, 1), "b"),
            "own_norm": (BatchNorm(activation="relu"), "own"),
            "first": (conv(3, 1), "a"),
            "first_norm": (again, "first"),  # it is shared itself
            "second_norm": (again, "two"),
            "sum": (Add(), ["one_norm", "taken", "taken_norm", "own_norm", "first_norm", "second_norm"]),
        },
        ["sum", "own_norm"],
    )
    model = made(model, [(4, 4, 2)] * 2)
    folded = fold(model)
    assert norms(folded) == 3
    assert [node.name for node in folded.nodes if node.name.startswith("own")] == ["own_norm"]
    x = [values((2, 4, 4, 2), k) for k in (1, 2)]
    for got, expected in zip(folded(x), model(x), strict=True):
        np.testing.assert_allclose(got.numpy(), expected.numpy(), rtol=1e-9)


def test_a_convolution_that_is_an_output_stays():
    nodes = {"conv": (conv(2, 1), "x"), "norm": (BatchNorm(), "conv")}
    model = made(Graph("x", nodes, ["norm", "conv"]), (3, 3, 2))
    folded, x = fold(model), values((2, 3, 3, 2))
    assert norms(folded) == 1
    np.testing.assert_array_equal(folded(x)[1].numpy(), model(x)[1].numpy())


def test_what_is_folded_is_saved_and_loaded(tmp_path):
    model = made(Sequential([conv(4, 3), BatchNorm(activation="relu6")]), (4, 4, 2), np.float32)
    model.metadata["classes"] = ["a", "b"]
    folded, x = fold(model), values((2, 4, 4, 2)).astype(np.float32)
    np.testing.assert_allclose(folded(x).numpy(), model(x).numpy(), rtol=1e-4, atol=1e-5)
    assert folded.metadata == model.metadata
    save(folded, tmp_path / "m.safetensors")
    assert load(tmp_path / "m.safetensors")(x).numpy().tobytes() == folded(x).numpy().tobytes()


def test_what_is_no_built_container_is_refused():
    for model in (Sequential([ReLU()]), ReLU()):
        with pytest.raises(ArgumentError, match="fold: expected a built container"):
            fold(model)

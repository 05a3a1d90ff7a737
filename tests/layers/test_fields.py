"""Receptive fields of models against what gradients reach, and where they are undefined."""

import math
from fractions import Fraction

import numpy as np
import pytest

from numbacnn.errors import ArgumentError
from numbacnn.layers import (
    AdaptiveAvgPool1D,
    Add,
    AvgPool1D,
    Concat,
    Conv1D,
    Conv2D,
    ConvTranspose1D,
    Crop,
    Dense,
    Flatten,
    GlobalAvgPool1D,
    Graph,
    Multiply,
    Pad,
    Parallel,
    Permute,
    PixelShuffle,
    PixelUnshuffle,
    Reshape,
    Residual,
    Sequential,
    Slice,
    Split,
    Tanh,
    Upsample1D,
)
from numbacnn.receptive import ReceptiveField

STACKS = {
    "conv": ([Conv1D(1, 3, dilation=2, padding="same"), Conv1D(1, 2, strides=2)], True),
    "residual": (
        [Residual(Conv1D(1, 3, padding="same")), AvgPool1D(2), Residual(Conv1D(1, 5, padding=2))],
        True,
    ),
    "parallel": ([Parallel([Conv1D(1, 3, padding=((0, 2),)), Conv1D(1, 4, padding=((3, 0),))], "add")], True),
    "transposed": ([ConvTranspose1D(1, 4, strides=2, padding=1)], True),
    "down and up": ([AvgPool1D(2), Conv1D(1, 3, padding=1), ConvTranspose1D(1, 2, strides=2)], True),
    "transposed by 3": ([ConvTranspose1D(1, 5, strides=3), Conv1D(1, 3)], True),
    "nearest": ([Upsample1D(3), Conv1D(1, 3)], True),
    "nearest by a fraction": ([Upsample1D(1.5)], True),
    "linear": ([Upsample1D(2, mode="linear")], True),
    "linear, aligned": ([Upsample1D(size=47, mode="linear", align_corners=True)], True),
    "smaller": ([Upsample1D(0.5, mode="linear")], True),
    "adaptive": ([AdaptiveAvgPool1D(4)], True),
    "adaptive, uneven": ([AdaptiveAvgPool1D(5)], False),
    "shuffled": ([Conv1D(4, 3, padding=1), PixelShuffle(2), Conv1D(2, 3), PixelUnshuffle(2)], False),
    "cut": ([Pad(2), Conv1D(1, 3), Crop(((1, 2),)), Slice([(1, None, 2)])], True),
}


@pytest.mark.parametrize("name", STACKS)
def test_a_field_holds_what_gradients_reach(name):
    layers, tight = STACKS[name]
    model, rng = Sequential(layers), np.random.default_rng(0)
    out, c = model.build((24, 1), rng, np.float64)
    field = model.receptive_field()
    (size,), (stride,), (offset,) = field.size, field.stride, field.offset
    x = rng.standard_normal((1, 24, 1))
    low, high = [], []  # how much further each output could see
    for o in range(out):
        dy = np.zeros((1, out, c))
        dy[0, o] = rng.standard_normal(c)
        _, saved = model.forward(x, training=True)
        seen = model.backward(dy, saved, input_gradient=True).numpy()[0].any(axis=1).nonzero()[0]
        if len(seen):
            first = math.ceil(offset + o * Fraction(stride))
            low.append(seen[0] - first)
            high.append(first + size - 1 - seen[-1])
    assert min(low) >= 0
    assert min(high) >= 0
    assert min(low) == min(high) == 0 or not tight


def test_paths_that_meet_are_seen_together():
    model = Sequential([Residual(Conv1D(1, 5, padding=((4, 0),)), Conv1D(1, 3, padding=((0, 2),)))])
    model.build((9, 1))
    assert model.receptive_field() == ReceptiveField((7,), (1,), (-4,))


def test_classifiers_tell_of_their_last_feature_maps():
    model = Sequential(
        [Conv1D(2, 3), Parallel([[GlobalAvgPool1D(), Dense(2)], [Flatten(), Dense(3)]]), Dense(2)]
    )
    model.build((9, 1))
    assert model.receptive_field() == ReceptiveField((3,), (1,), (0,))


def test_several_inputs_are_asked_for_by_name():
    nodes = {
        "a": (Conv1D(1, 3, padding="same"), "x"),
        "b": (Upsample1D(2), "y"),
        "sum": (Add(), ["a", "b"]),
        "side": (Tanh(), "a"),
        "parts": (Split(2, axis=1), "sum"),
        "low": (Tanh(), "parts:0"),
        "high": (Tanh(), "parts:1"),
    }
    model = Graph(["x", "y"], nodes, ["low", "high", "side"], name="net")
    model.build([(8, 1), (4, 1)])
    assert model.receptive_field("x", "low") == ReceptiveField((3,), (1,), (-1,))
    assert model.receptive_field("x", "high") == ReceptiveField((3,), (1,), (3,))
    assert model.receptive_field("y", "low") == ReceptiveField((1,), (Fraction(1, 2),), (Fraction(-1, 2),))
    with pytest.raises(
        ArgumentError, match="net: expected an output that sees the input, got 'y' and 'side'"
    ):
        model.receptive_field("y", "side")
    with pytest.raises(ArgumentError, match="net: expected input as one of 'x', 'y', got None"):
        model.receptive_field(output="low")
    with pytest.raises(
        ArgumentError, match="net: expected output as one of 'low', 'high', 'side', got 'sum'"
    ):
        model.receptive_field("x", "sum")


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ([Parallel([AvgPool1D(2), Conv1D(1, 5)])], "merge: expected paths of one stride, 2, .*got 1"),
        ([Reshape((4, 2))], "reshape_1: expected layers that keep pixels in place"),
        ([Permute((2, 1))], "permute_1: expected layers that keep pixels in place"),
    ],
)
def test_where_it_is_undefined_the_layer_is_named(layers, said):
    model = Sequential(layers)
    model.build((8, 1))
    with pytest.raises(ArgumentError, match=said):
        model.receptive_field()


def test_joining_along_space_has_no_field():
    model = Graph("x", {"a": (Tanh(), "x"), "b": (Concat(1), ["a", "x"])}, "b")
    model.build((8, 1))
    with pytest.raises(ArgumentError, match="b: expected channels joined"):
        model.receptive_field()
    uneven = {
        "a": (AvgPool1D(3, strides=2, padding=1), "x"),
        "b": (Slice([(0, 4)]), "x"),
        "y": (Multiply(), ["a", "b"]),
    }
    model = Graph("x", uneven, "y")
    model.build((8, 1))
    with pytest.raises(ArgumentError, match="y: expected paths of one stride"):
        model.receptive_field()


def test_two_axes():
    model = Sequential(
        [Conv2D(1, (3, 2), strides=(1, 2)), Residual(Conv2D(1, (1, 3), padding=((0, 0), (1, 1))))]
    )
    model.build((8, 9, 1))
    assert model.receptive_field() == ReceptiveField((3, 6), (1, 2), (0, -2))

"""Dropout: gradients, statistics, and where its randomness comes from."""

import numpy as np
import pytest

from numbacnn import get_num_threads, set_num_threads
from numbacnn.errors import ArgumentError, ShapeError
from numbacnn.layers import Conv1D, Dropout, DropPath, Graph, Residual, SpatialDropout
from tests.layers.check import again, assert_gradients, values

KINDS = [SpatialDropout, DropPath]


def built(rate, shape=(1000,), dtype=np.float32):
    layer = Dropout(rate, name="drop")
    layer.build(shape, None, dtype)
    return layer


@pytest.mark.parametrize("rate", [0.0, 0.3, 0.75])
def test_gradients_match_differences(rate):
    assert_gradients(Dropout(rate), values((3, 4, 5)), generator_seed=7)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_the_mean_is_kept(rate):
    y = built(rate).forward(np.ones((200, 1000), np.float32), np.random.default_rng(0))[0].numpy()
    dropped = (y == 0).mean()
    assert abs(dropped - rate) < 5 * np.sqrt(rate * (1 - rate) / y.size)
    np.testing.assert_allclose(y[y != 0], 1 / (1 - rate), rtol=1e-6)


def test_equal_generators_give_equal_bits_for_any_number_of_threads():
    x = values((300, 1000)).astype(np.float32)
    layer, threads = built(0.4), get_num_threads()
    first = layer.forward(x, np.random.default_rng(5))[0].numpy().copy()
    try:
        set_num_threads(1)
        again = layer.forward(x, np.random.default_rng(5))[0].numpy()
    finally:
        set_num_threads(threads)
    np.testing.assert_array_equal(first, again)
    other = layer.forward(x, np.random.default_rng(6))[0].numpy()
    assert (first != other).any()


def test_a_generator_moves_on_from_pass_to_pass():
    x, rng, layer = np.ones((10, 1000), np.float32), np.random.default_rng(5), built(0.4)
    first, second = (layer.forward(x, rng)[0].numpy().copy() for _ in range(2))
    assert (first != second).any()


def test_predicting_changes_nothing():
    x = values((4, 1000)).astype(np.float32)
    y, saved = built(0.5).forward(x)
    np.testing.assert_array_equal(y.numpy(), x)
    assert saved is None


def test_training_without_a_generator_is_refused():
    with pytest.raises(
        ArgumentError, match=r"drop: expected a random generator to train, got True; pass training="
    ):
        built(0.5).forward(np.ones((1, 1000), np.float32), training=True)
    built(0.0).forward(np.ones((1, 1000), np.float32), training=True)


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, float("nan"), "0.5", True])
def test_bad_rates_are_refused(rate):
    with pytest.raises(ArgumentError, match="drop: expected rate in"):
        Dropout(rate, name="drop")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rate", [0.0, 0.3, 0.75])
@pytest.mark.parametrize("shape", [(6, 5), (4, 3, 5), (4, 2, 3, 5), (4, 2, 3, 2, 5)])
def test_gradients_of_whole_groups_match_differences(kind, rate, shape):
    assert_gradients(again(kind(rate)), values(shape), generator_seed=7)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("shape", [(200, 100), (200, 3, 100), (200, 2, 2, 100)])
def test_whole_channels_are_dropped(rate, shape):
    layer = SpatialDropout(rate)
    layer.build(shape[1:], None)
    x = np.abs(values(shape)).astype(np.float32) + 1
    y = layer.forward(x, np.random.default_rng(0))[0].numpy()
    kept = (y != 0).reshape(200, -1, 100)
    np.testing.assert_array_equal(kept.all(axis=1), kept.any(axis=1))  # all of a channel, or nothing
    np.testing.assert_allclose(y[y != 0], (x / (1 - rate))[y != 0], rtol=1e-6)
    share = 1 - kept[:, 0].mean()
    assert abs(share - rate) < 5 * np.sqrt(rate * (1 - rate) / kept[:, 0].size)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_whole_examples_are_dropped(rate):
    layer = DropPath(rate)
    layer.build((3, 2), None)
    x = np.abs(values((5000, 3, 2))).astype(np.float32) + 1
    y = layer.forward(x, np.random.default_rng(0))[0].numpy()
    kept = (y != 0).reshape(5000, -1)
    np.testing.assert_array_equal(kept.all(axis=1), kept.any(axis=1))
    np.testing.assert_allclose(y[y != 0], (x / (1 - rate))[y != 0], rtol=1e-6)
    assert abs(1 - kept[:, 0].mean() - rate) < 5 * np.sqrt(rate * (1 - rate) / 5000)


@pytest.mark.parametrize("kind", KINDS)
def test_groups_follow_the_generator_alone(kind):
    x, layer, threads = values((300, 50, 40)).astype(np.float32), kind(0.4), get_num_threads()
    layer.build((50, 40), None)
    first = layer.forward(x, np.random.default_rng(5))[0].numpy().copy()
    try:
        set_num_threads(1)
        again = layer.forward(x, np.random.default_rng(5))[0].numpy()
    finally:
        set_num_threads(threads)
    np.testing.assert_array_equal(first, again)
    rng = np.random.default_rng(6)
    second, third = (layer.forward(x, rng)[0].numpy().copy() for _ in range(2))
    assert (first != second).any()
    assert (second != third).any()
    y, saved = layer.forward(x)
    np.testing.assert_array_equal(y.numpy(), x)
    assert saved is None


@pytest.mark.parametrize("kind", KINDS)
def test_groups_refuse_what_dropout_refuses(kind):
    with pytest.raises(ArgumentError, match="drop: expected rate in"):
        kind(1.0, name="drop")
    layer = kind(0.5, name="drop")
    layer.build((4,), None)
    with pytest.raises(ArgumentError, match="drop: expected a random generator to train, got True"):
        layer.forward(np.ones((1, 4), np.float32), training=True)
    with pytest.raises(ShapeError, match=r"expected inputs of shape \(\.\.\., channels\)"):
        SpatialDropout(0.5).build((), None)


def test_a_dropped_branch_leaves_the_shortcut_and_no_gradient():
    layer = Residual([Conv1D(3, 3, padding="same"), DropPath(0.5)])
    layer.build((6, 3), np.random.default_rng(0), np.float64)
    x, dy = values((8, 6, 3)), values((8, 6, 3), 1)
    y, saved = layer.forward(x, np.random.default_rng(3))
    dropped = (y.numpy() == x).all(axis=(1, 2))
    assert 0 < dropped.sum() < 8
    branch = layer(x).numpy() - x
    np.testing.assert_allclose(y.numpy()[~dropped], (x + 2 * branch)[~dropped], rtol=1e-12)
    dx = layer.backward(dy, saved, input_gradient=True).numpy()
    np.testing.assert_array_equal(dx[dropped], dy[dropped])
    kernel = layer["branch"]["conv1d_1"].kernel
    one, first = kernel.grad.numpy().copy(), np.where(dropped[:, None, None], 0, 2 * dy)
    layer.zero_grad()
    _, saved = layer["branch"]["conv1d_1"].forward(x, True)
    layer["branch"]["conv1d_1"].backward(first, saved)
    np.testing.assert_allclose(one, kernel.grad.numpy(), rtol=1e-12)


def test_gradients_through_a_graph_match_differences():
    nodes = {
        "conv": (Conv1D(3, 3, padding="same"), "x"),
        "channels": (SpatialDropout(0.4), "conv"),
        "both": (Residual([Conv1D(3, 1), DropPath(0.4)]), "channels"),
    }
    assert_gradients(Graph("x", nodes, "both"), values((5, 4, 2)), generator_seed=3)

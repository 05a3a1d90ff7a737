"""Dropout: gradients, statistics, and where its randomness comes from."""

import numpy as np
import pytest

from numbacnn import get_num_threads, set_num_threads
from numbacnn.errors import ArgumentError
from numbacnn.layers import Dropout
from tests.layers.check import assert_gradients, values


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

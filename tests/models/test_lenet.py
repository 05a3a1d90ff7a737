"""LeNet-5: sizes, variants, and that it learns."""

import numpy as np
import pytest

from numbacnn.errors import ArgumentError
from numbacnn.layers import AvgPool2D, MaxPool2D, Tanh
from numbacnn.losses import SoftmaxCrossEntropy
from numbacnn.metrics import accuracy
from numbacnn.models import lenet5
from numbacnn.optimizers import Adam


def test_sizes_are_those_of_the_paper():
    model = lenet5()
    assert not model.built
    assert model.build((28, 28, 1)) == (10,)
    assert [layer.output_shape for layer in model if layer.parameters] == [
        (28, 28, 6),
        (10, 10, 16),
        (120,),
        (84,),
        (10,),
    ]
    assert sum(p.size for p in model.parameters) == 61706
    assert model.macs() == 416520


def test_variants():
    model = lenet5(26, activation="tanh", pool="average", padding=("same", "same"), dropout=0.5, name="net")
    assert model.build((8, 8, 1)) == (26,)
    kinds = [type(layer) for layer in model]
    assert kinds.count(Tanh) == 4
    assert kinds.count(AvgPool2D) == 2
    assert MaxPool2D not in kinds
    assert model["dropout_1"].rate == 0.5
    with pytest.raises(
        ArgumentError, match="net: expected activation as one of relu, sigmoid, tanh, got 'gelu'"
    ):
        lenet5(activation="gelu", name="net")
    with pytest.raises(ArgumentError, match="pool as one of max, average"):
        lenet5(pool="min")


def test_it_learns_to_tell_bars_apart():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 64)
    x = 0.1 * rng.standard_normal((64, 28, 28, 1)).astype(np.float32)
    for image, label in zip(x, labels, strict=True):
        at = rng.integers(6, 20)
        bar = [np.s_[at, :], np.s_[:, at], np.s_[at : at + 6, at : at + 6], np.s_[::4, ::4]][label]
        image[bar] += 1
    model, loss, optimizer = lenet5(4), SoftmaxCrossEntropy(), Adam(2e-3)
    model.build((28, 28, 1), 0)
    losses = []
    for _ in range(40):
        y, saved = model.forward(x, training=True)
        value, dy = loss.value_and_gradient(y, labels)
        losses.append(value)
        model.zero_grad()
        model.backward(dy, saved)
        optimizer.step(model.parameters)
    assert losses[-1] < 0.1 * losses[0]
    assert accuracy(model(x), labels) > 0.98

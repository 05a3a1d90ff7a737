"""VGG: sizes of the paper, and a small one whole."""

import numpy as np
import pytest

from numbacnn.losses import SoftmaxCrossEntropy
from numbacnn.models import vgg11, vgg19
from tests.layers.check import again
from tests.models.count import count


@pytest.mark.parametrize(("make", "parameters"), [(vgg11, 132_863_336), (vgg19, 143_667_240)])
def test_parameters_are_those_of_the_paper(make, parameters, monkeypatch):
    model = make()
    assert count(model, (224, 224, 3), monkeypatch) == parameters
    assert model.output_shape == (1000,)
    assert [layer.output_shape for layer in model if layer.name.startswith("maxpool")] == [
        (112, 112, 64),
        (56, 56, 128),
        (28, 28, 256),
        (14, 14, 512),
        (7, 7, 512),
    ]


def test_a_small_one_runs_forward_and_backward():
    model = again(vgg19(5, width=2, dense=8))
    assert model.build((32, 32, 3), 0) == (5,)
    assert sum("Conv2D" in type(layer).__name__ for layer in model) == 16
    x = np.random.default_rng(0).standard_normal((2, 32, 32, 3), np.float32)
    y, saved = model.forward(x, np.random.default_rng(1))
    _, dy = SoftmaxCrossEntropy().value_and_gradient(y, np.array([1, 3]))
    model.backward(dy, saved)
    assert all(np.isfinite(p.grad.numpy()).all() for p in model.parameters)
    assert model["dense_3"].kernel.grad.numpy().any()

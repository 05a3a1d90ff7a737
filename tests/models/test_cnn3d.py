"""C3D: sizes of the paper, and a small one whole."""

import numpy as np

from numbacnn.losses import SoftmaxCrossEntropy
from numbacnn.models import c3d
from numbacnn.optimizers import Adam
from tests.layers.check import again
from tests.models.count import count


def test_parameters_are_those_of_the_paper(monkeypatch):
    model = c3d()
    assert count(model, (16, 112, 112, 3), monkeypatch) == 78_409_573
    assert model["maxpool3d_5"].output_shape == (1, 4, 4, 512)


def test_a_small_one_learns_which_way_a_bar_moves():
    rng = np.random.default_rng(0)
    labels = np.arange(16) % 2
    x = 0.1 * rng.standard_normal((16, 16, 16, 16, 1)).astype(np.float32)
    for clip, label in zip(x, labels, strict=True):
        for frame in range(16):
            clip[frame, :, frame if label else 15 - frame] += 1
    model, loss = again(c3d(2, width=2, dense=16, dropout=0.0)), SoftmaxCrossEntropy()
    model.build((16, 16, 16, 1), 1)
    losses = []
    optimizer = Adam(5e-3)
    for _ in range(30):
        y, saved = model.forward(x, training=True)
        value, dy = loss.value_and_gradient(y, labels)
        losses.append(value)
        model.zero_grad()
        model.backward(dy, saved)
        optimizer.step(model.parameters)
    assert losses[-1] < 0.2 * losses[0]

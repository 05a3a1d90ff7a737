"""U-Net: sizes of the paper, and small ones whole."""

import numpy as np
import pytest

from numbacnn.errors import ShapeError
from numbacnn.losses import MeanSquaredError
from numbacnn.models import unet
from numbacnn.optimizers import Adam
from tests.layers.check import again, assert_gradients, values
from tests.models.count import count


def test_sizes_are_those_of_the_paper(monkeypatch):
    model = unet()
    # figure 1: pairs of 3 x 3 convolutions down and up, four 2 x 2 ones up, a 1 x 1 one
    pairs = [(1, 64), (64, 128), (128, 256), (256, 512), (512, 1024)]
    pairs += [(1024, 512), (512, 256), (256, 128), (128, 64)]
    expected = sum(9 * a * b + b + 9 * b * b + b for a, b in pairs)
    expected += sum(4 * 2 * b * b + b for b in (512, 256, 128, 64)) + 64 * 2 + 2
    assert count(model, (572, 572, 1), monkeypatch) == expected == 31_030_658
    assert model.output_shape == (388, 388, 2)
    assert model["bottom"].output_shape == (28, 28, 1024)
    convolutions = [leaf for leaf in model.leaves() if "Conv" in type(leaf).__name__]
    assert len(convolutions) == 23


def test_gradients_of_a_small_one_match_differences():
    model = again(unet(width=1, depth=1, dropout=0.25))
    assert_gradients(model, 3 * values((1, 20, 20, 1)), generator_seed=2)


def test_it_learns_to_mark_bright_pixels():
    rng = np.random.default_rng(0)
    x = rng.random((8, 16, 16, 1), np.float32)
    target = np.concatenate([x > 0.5, x <= 0.5], -1).astype(np.float32)
    model, loss, optimizer = unet(width=4, depth=2, padding="same"), MeanSquaredError(), Adam(1e-2)
    assert model.build((16, 16, 1), 0) == (16, 16, 2)
    losses = []
    for _ in range(40):
        y, saved = model.forward(x, training=True)
        value, dy = loss.value_and_gradient(y, target)
        losses.append(value)
        model.zero_grad()
        model.backward(dy, saved)
        optimizer.step(model.parameters)
    assert losses[-1] < 0.3 * losses[0]


def test_sizes_that_do_not_halve_are_refused_by_name():
    with pytest.raises(ShapeError, match="join_0: expected inputs that differ"):
        unet(width=1, depth=1, padding="same").build((13, 12, 1))


def test_the_field_covers_what_the_paper_says_is_lost(monkeypatch):
    model = unet()
    count(model, (572, 572, 1), monkeypatch)
    field = model.receptive_field()
    assert field.stride == (1, 1)
    assert field.size[0] >= 572 - 388 + 1
    first = field.offset[0]
    assert first >= -15
    assert first + 387 + field.size[0] - 1 <= 571 + 15  # within a pixel of the lowest level, 16 of the input

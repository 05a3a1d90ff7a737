"""Batch normalisation: gradients, running statistics, freezing, files and what is refused."""

import numpy as np
import pytest

from numbacnn import SGD, load, save
from numbacnn.errors import ArgumentError, ShapeError
from numbacnn.layers import BatchNorm, Conv2D, Sequential
from tests.layers.check import again, assert_gradients, difference, values


def built(layer, *shape, dtype=np.float64, seed=0):
    """The layer with random parameters and statistics."""
    layer.build(shape, np.random.default_rng(seed), dtype)
    rng = np.random.default_rng(seed)
    for p in layer.parameters:
        p.value.numpy()[...] = rng.uniform(0.5, 1.5, p.shape)
    return layer


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({}, (4, 3, 2, 5)),
        ({"activation": "relu"}, (3, 2, 2, 4)),
        ({"activation": "relu6", "epsilon": 0.5}, (6, 3)),
        ({"activation": ("leaky_relu", 0.2), "shift": False}, (2, 7, 3)),
        ({"activation": "silu", "scale": False}, (2, 2, 3, 2, 2)),
    ],
)
def test_gradients(options, shape):
    assert_gradients(again(BatchNorm(**options)), values(shape, 3))


@pytest.mark.parametrize("options", [{}, {"activation": "relu"}, {"scale": False, "shift": False}])
def test_frozen_it_uses_and_keeps_its_running_statistics(options):
    layer = built(BatchNorm(**options), 3, 4)
    layer.trainable = False
    before, x, dy = layer.weights(), values((2, 3, 4), 1), values((2, 3, 4), 2)
    y, saved = layer.forward(x, training=True)
    np.testing.assert_array_equal(y.numpy(), layer(x).numpy())
    dx = layer.backward(dy, saved).numpy()
    np.testing.assert_allclose(dx, difference(lambda: float((layer(x).numpy() * dy).sum()), x), rtol=1e-6)
    for p in layer.parameters:
        assert p.grad is None and not p.trainable
        np.testing.assert_array_equal(p.value.numpy(), before[p.name])
    layer.trainable = True
    layer.forward(x, training=True)
    assert not np.array_equal(layer.mean.value.numpy(), before[layer.mean.name])


def test_statistics_alone_can_be_frozen():
    layer = built(BatchNorm(), 4)
    layer.mean.frozen = True
    x, dy = values((5, 4), 1), values((5, 4), 2)
    y, saved = layer.forward(x, training=True)
    np.testing.assert_array_equal(y.numpy(), layer(x).numpy())
    assert layer.backward(dy, saved, input_gradient=False) is None
    for p in (layer.gamma, layer.beta):
        expected = difference(lambda: float((layer(x).numpy() * dy).sum()), p.value.numpy())
        np.testing.assert_allclose(p.grad.numpy(), expected, rtol=1e-6)


def test_running_statistics_follow_the_batches():
    layer = BatchNorm(0.75, epsilon=0.0)
    layer.build((2, 3), None, np.float64)
    np.testing.assert_array_equal(layer.mean.value.numpy(), 0)
    layer.variance.value.numpy()[...] = 1
    x = values((4, 2, 3))
    layer.forward(x, training=True)
    layer(x)  # which changes nothing
    rows = x.reshape(-1, 3)
    np.testing.assert_allclose(layer.mean.value.numpy(), 0.25 * rows.mean(axis=0))
    np.testing.assert_allclose(layer.variance.value.numpy(), 0.75 + 0.25 * rows.var(axis=0, ddof=1))
    before = layer.weights()
    y, saved = layer.forward(x[:0], training=True)  # nothing to learn from
    assert y.shape == (0, 2, 3)
    assert layer.backward(y, saved).shape == (0, 2, 3)
    for name, value in layer.weights().items():
        np.testing.assert_array_equal(value, before[name])


def test_what_is_kept_is_the_input_and_two_numbers_per_channel():
    layer = built(BatchNorm(activation="relu"), 5, 4)
    x = values((3, 5, 4))
    _, saved = layer.forward(x, training=True)
    assert sorted(a.size for a in saved[:3]) == [4, 4, x.size]
    assert layer.forward(x)[1] is None


def model(**options):
    m = Sequential([Conv2D(6, 3, use_bias=False), BatchNorm(activation="relu", **options), Conv2D(2, 1)])
    m.build((6, 6, 3), 1)
    return m


def test_a_model_trains_it_and_saves_and_loads_its_statistics(tmp_path):
    m = model()
    x, dy = values((4, 6, 6, 3)).astype(np.float32), values((4, 4, 4, 2)).astype(np.float32)
    for _ in range(3):
        m.zero_grad()
        m.backward(dy, m.forward(x, training=True)[1])
        SGD(0.1).step(m.parameters)
    norm = m[1]
    assert norm.mean.grad is None and np.abs(norm.mean.value.numpy()).max() > 0
    assert norm.variance.value.numpy().min() != 1
    save(m, tmp_path / "m.safetensors")
    other = load(tmp_path / "m.safetensors")
    assert not any(p.frozen for p in other.parameters)
    for name, value in m.weights().items():
        assert other.weights()[name].tobytes() == value.tobytes()
    assert other(x).numpy().tobytes() == m(x).numpy().tobytes()


@pytest.mark.parametrize("options", [{}, {"scale": False, "shift": False}])
def test_frozen_it_comes_back_frozen(tmp_path, options):
    m = model(**options)
    m.trainable = False
    assert not m.trainable and m[1].constant
    save(m, tmp_path / "m.safetensors")
    other = load(tmp_path / "m.safetensors")
    assert other[1].constant and not other.trainable
    other.trainable = True
    assert not other[1].constant


def test_the_table_counts_statistics_apart():
    m = model()
    assert m.summary().splitlines()[0].endswith(", 12 of them statistics")
    m[1].trainable = False
    assert m.summary().splitlines()[0].endswith(", 12 of them statistics, 12 of them frozen")


def test_what_is_refused():
    layer = BatchNorm(name="norm")
    with pytest.raises(ShapeError, match=r"norm: expected inputs of positive shape"):
        layer.build((), None)
    layer.build((4,), 1)
    with pytest.raises(ShapeError, match="norm: expected two values per channel or more"):
        layer.forward(np.ones((1, 4), np.float32), training=True)
    assert layer(np.ones((1, 4), np.float32)).shape == (1, 4)
    for options in ({"momentum": 1.5}, {"momentum": True}, {"epsilon": -1e-5}, {"epsilon": float("inf")}):
        with pytest.raises(ArgumentError, match=next(iter(options))):
            BatchNorm(**options)
    with pytest.raises(ArgumentError, match="activation"):
        BatchNorm(activation="gelu")

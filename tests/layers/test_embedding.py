"""Embeddings: gradients of the table, padding, integers through containers, training and prediction."""

import numpy as np
import pytest

from numbacnn import SGD, Adam, MeanSquaredError, evaluate, fit, load, predict, save
from numbacnn.errors import ArgumentError, DTypeError, IndexRangeError
from numbacnn.layers import (
    Add,
    Conv1D,
    Dense,
    Embedding,
    Flatten,
    GlobalMaxPool1D,
    Graph,
    ReLU,
    Residual,
    Sequential,
)
from tests.layers.check import again, difference, values

CONFIGURATIONS = [
    (Embedding(7, 4), ()),
    (Embedding(5, 1), (6,)),
    (Embedding(9, 3, padding_index=2), (2, 5)),
    (Embedding(1, 6, padding_index=0, table_regularizer={"l1": 0.0, "l2": 0.1}), (3,)),
]


@pytest.mark.parametrize(("layer", "shape"), CONFIGURATIONS)
def test_gradients_match_differences(layer, shape):
    layer = again(layer)
    assert layer.build(shape, np.random.default_rng(0), np.float64) == (*shape, layer.dim)
    x = np.random.default_rng(1).integers(0, layer.vocabulary, (4, *shape))
    layer.table.value.numpy()[...] = values(layer.table.shape, 2)  # also that of the padding
    y, saved = layer.forward(x, training=True)
    dy = values(y.shape, 3)
    assert layer.backward(dy, saved) is None
    expected = difference(lambda: float((layer(x).numpy() * dy).sum()), layer.table.value.numpy())
    np.testing.assert_allclose(layer.table.grad.numpy(), expected, rtol=1e-6, atol=1e-8)
    rows = np.where((x == layer.padding_index)[..., None], 0, layer.table.value.numpy()[x])
    np.testing.assert_array_equal(y.numpy(), rows)


def test_bits_of_the_gradient_do_not_depend_on_the_run():
    layer = Embedding(50, 8)
    layer.build((40,), np.random.default_rng(0))
    x, dy = np.random.default_rng(1).integers(0, 50, (64, 40)), values((64, 40, 8)).astype(np.float32)
    grads = []
    for _ in range(2):
        layer.zero_grad()
        layer.backward(dy, layer.forward(x, True)[1])
        grads.append(layer.table.grad.numpy().tobytes())
    assert grads[0] == grads[1]


def test_a_frozen_table_gets_no_gradient():
    layer = Embedding(5, 2)
    layer.build((3,), np.random.default_rng(0))
    layer.trainable = False
    y, saved = layer.forward(np.zeros((2, 3), np.int32), True)
    layer.backward(y, saved)
    assert layer.table.grad is None


def texts(n=200, seed=0):
    """Sequences of up to 9 of 12 words, filled up with 0, and whether word 5 comes right before word 7."""
    rng = np.random.default_rng(seed)
    x = rng.integers(1, 12, (n, 9))
    wanted = rng.random(n) < 0.5
    at = rng.integers(0, 5, n)
    for row, k in zip(x[wanted], at[wanted], strict=True):
        row[k : k + 2] = 5, 7
    x[wanted, at[wanted]], x[wanted, at[wanted] + 1] = 5, 7
    x[np.arange(9) >= rng.integers(7, 10, n)[:, None]] = 0
    found = ((x[:, :-1] == 5) & (x[:, 1:] == 7)).any(axis=1)
    return x, found.astype(int)


def model():
    layers = [Embedding(12, 8, padding_index=0), Conv1D(16, 2), ReLU(), GlobalMaxPool1D(), Dense(2)]
    return Sequential(layers)


@pytest.mark.parametrize("kind", [np.int64, np.uint8])
def test_a_text_model_learns(kind, tmp_path):
    x, y = texts()
    net = model()
    history = fit(net, x.astype(kind), y, optimizer=Adam(0.02), epochs=25, seed=1, verbose=False)
    assert net.dtype == np.float32
    assert history.rows[-1]["accuracy"] > 0.97
    assert evaluate(net, x.astype(kind), y)["accuracy"] > 0.97
    logits = predict(net, x.astype(kind), batch_size=64)
    assert logits.dtype == np.float32
    np.testing.assert_array_equal(logits, net(x).numpy())
    assert not net.layers[0].table.value.numpy()[0].any()  # the padding's vector
    save(net, tmp_path / "text")
    np.testing.assert_array_equal(load(tmp_path / "text")(x).numpy(), net(x).numpy())
    assert predict(net, x[:0]).shape == (0, 2)


def test_weight_decay_and_momentum_leave_the_padding_zero():
    x, y = texts(50)
    net = Sequential([Embedding(12, 4, padding_index=3, table_regularizer={"l2": 0.1}), Flatten(), Dense(2)])
    fit(net, x, y, optimizer=SGD(0.1, momentum=0.9), epochs=3, verbose=False)
    table = net.layers[0].table.value.numpy()
    assert not table[3].any()
    assert table[[0, 1, 2, 4]].all()


def test_integers_come_into_containers():
    net = model()
    net.build((9,), 0)
    assert net.takes_integers
    with pytest.raises(DTypeError, match=r"sequential: expected an input of integers, got float32"):
        net(np.ones((2, 9), np.float32))
    with pytest.raises(IndexRangeError, match=r"^embedding_1: expected integers from 0 to 11, got 12"):
        net(np.full((2, 9), 12))
    x, y = texts(20)
    with pytest.raises(DTypeError, match="fit: expected integer inputs"):
        fit(net, x.astype(np.float32), y, verbose=False)
    with pytest.raises(DTypeError, match="an input of integers"):
        predict(net, x.astype(np.float32))
    plain = Sequential([Flatten(), Dense(2)])
    assert not plain.takes_integers
    with pytest.raises(DTypeError, match="fit: expected float32 or float64 inputs, got int64"):
        fit(plain, x, y, verbose=False)
    field = net.receptive_field()
    assert (field.size, field.stride) == ((2,), (1,))
    assert "embedding_1" in net.summary()


def test_integers_come_into_graphs_beside_other_inputs():
    nodes = {
        "words": (Embedding(12, 3), "text"),
        "places": (Embedding(9, 3), "place"),
        "sum": (Add(), ["words", "places", "extra"]),
        "out": (Residual([Conv1D(3, 1)]), "sum"),
    }
    net = Graph(["text", "place", "extra"], nodes, "out")
    net.build([(9,), (9,), (9, 3)], 0, np.float64)
    assert not net.takes_integers
    x, place = texts(4)[0], np.tile(np.arange(9), (4, 1))
    extra = values((4, 9, 3))
    y, saved = net.forward({"text": x, "place": place, "extra": extra}, True)
    dy = values((4, 9, 3), 1)
    net.backward(dy, saved)
    table = net["places"].table
    expected = difference(lambda: float((net([x, place, extra]).numpy() * dy).sum()), table.value.numpy())
    np.testing.assert_allclose(table.grad.numpy(), expected, rtol=1e-6, atol=1e-8)
    with pytest.raises(DTypeError, match="expected an input of integers, got float64"):
        net([x.astype(float), place, extra])
    with pytest.raises(DTypeError, match="expected an input of float64, got int64"):
        net([x, place, extra.astype(int)])
    single = Graph("text", {"words": (Embedding(12, 3), "text"), "out": (Flatten(), "words")}, "out")
    fit(single, x, values((4, 27)).astype(np.float32), loss=MeanSquaredError(), epochs=1, verbose=False)


@pytest.mark.parametrize("index", [-1, 5, 1.5, True])
def test_bad_arguments_are_refused(index):
    with pytest.raises(ArgumentError, match="words: expected padding_index as an integer from 0 to 4"):
        Embedding(5, 2, padding_index=index, name="words")
    with pytest.raises(ArgumentError, match="words: expected vocabulary"):
        Embedding(0, 2, name="words")

"""Residual and Parallel: gradients, values, names, training, files."""

import numpy as np
import pytest

import numbacnn
from numbacnn.errors import ArgumentError, ShapeError
from numbacnn.layers import (
    Conv2D,
    Dense,
    Flatten,
    GlobalAvgPool2D,
    MaxPool2D,
    Parallel,
    ReLU,
    Residual,
    Sequential,
    Tanh,
)
from tests.layers.check import again, assert_gradients, values


@pytest.mark.parametrize(
    "layer",
    [
        Residual([Conv2D(2, 3, padding="same"), Tanh(), Conv2D(2, 1)]),
        Residual(Conv2D(4, 3, strides=2, padding="same"), Conv2D(4, 1, strides=2), Tanh()),
        Parallel([Conv2D(3, 1), [Conv2D(1, 1), Tanh(), Conv2D(2, 3, padding="same")]]),
        Parallel([Conv2D(2, 3, padding="same"), Tanh(), Conv2D(2, 1)], "add"),
        Residual(Parallel([Conv2D(1, 1), Conv2D(1, 1)]), activation=Tanh()),
    ],
)
def test_gradients_match_differences(layer):
    assert_gradients(again(layer), values((2, 4, 5, 2)))


def test_values():
    x = values((2, 4, 5, 2))
    layer = Residual(Tanh(), activation=ReLU())
    assert layer.build((4, 5, 2), None, np.float64) == (4, 5, 2)
    np.testing.assert_allclose(layer(x).numpy(), np.maximum(x + np.tanh(x), 0), rtol=1e-12)
    layer = Parallel([Tanh(), ReLU()])
    assert layer.build((4, 5, 2), None, np.float64) == (4, 5, 4)
    np.testing.assert_allclose(
        layer(x).numpy(), np.concatenate([np.tanh(x), np.maximum(x, 0)], -1), rtol=1e-12
    )


def network():
    return Sequential(
        [
            Conv2D(4, 3, padding="same"),
            Residual([Conv2D(4, 3, padding="same"), ReLU(), Conv2D(4, 3, padding="same")], activation=ReLU()),
            Residual([Conv2D(6, 3, strides=2, padding="same")], Conv2D(6, 1, strides=2), name="down"),
            Parallel([Conv2D(3, 1), [MaxPool2D(3, strides=1, padding="same"), Conv2D(2, 1)]]),
            GlobalAvgPool2D(),
            Dense(2),
        ],
        name="net",
    )


def test_parameters_are_named_by_their_paths():
    model = network()
    assert model.build((8, 8, 1)) == (2,)
    kernels = [p.name for p in model.parameters if p.name.endswith("kernel")]
    assert kernels == [
        "conv2d_1.kernel",
        "residual_1.branch.conv2d_1.kernel",
        "residual_1.branch.conv2d_2.kernel",
        "down.branch.conv2d_1.kernel",
        "down.shortcut.kernel",
        "parallel_1.branch_1.kernel",
        "parallel_1.branch_2.conv2d_1.kernel",
        "dense_1.kernel",
    ]
    assert "residual_1.branch.relu_1" in model.summary()
    model["down"].trainable = False
    assert not model["down"]["shortcut"].kernel.trainable
    assert "frozen" in model.summary().splitlines()[0]
    # 3 + 2 * 2 pixels, then one more step of 2, and 2 * 2 around by the pool's branch
    assert model.receptive_field().size == (13, 13)


def test_it_trains_and_can_be_kept_in_a_file(tmp_path):
    rng = np.random.default_rng(0)
    x = 0.1 * rng.standard_normal((64, 8, 8, 1)).astype(np.float32)
    y = np.arange(64) % 2
    x[y == 1, 3] += 1
    for model in (network(), Residual([Flatten(), Dense(2)], [Flatten(), Dense(2)])):
        history = numbacnn.fit(
            model, x, y, epochs=6, batch_size=16, verbose=False, optimizer=numbacnn.Adam(0.01)
        )
        assert history.rows[-1]["loss"] < 0.6 * history.rows[0]["loss"]
        assert numbacnn.evaluate(model, x, y)["accuracy"] > 0.9
        model.layers[0].trainable = False
        path = tmp_path / f"{model.name}.safetensors"
        numbacnn.save(model, path, metadata={"classes": ["no", "yes"]})
        loaded = numbacnn.load(path)
        assert type(loaded) is type(model)
        assert loaded.metadata == {"classes": ["no", "yes"]}
        assert [p.trainable for p in loaded.parameters] == [p.trainable for p in model.parameters]
        np.testing.assert_array_equal(numbacnn.predict(loaded, x), numbacnn.predict(model, x))


def test_errors_name_what_does_not_fit():
    with pytest.raises(ShapeError, match=r"add: expected inputs of one shape, \(6, 6, 2\), got \(8, 8, 2\)"):
        Residual(Conv2D(2, 3)).build((8, 8, 2))
    with pytest.raises(ArgumentError, match="wide: expected merge as one of 'concat', 'add'"):
        Parallel([ReLU(), Tanh()], "max", name="wide")
    with pytest.raises(ArgumentError, match="wide: expected two branches or more"):
        Parallel([ReLU()], name="wide")
    with pytest.raises(ArgumentError, match="a layer and what it takes as node 'branch'"):
        Residual("conv")

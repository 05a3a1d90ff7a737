"""Training on a GPU takes the steps that training on the CPU takes."""

import numpy as np
import pytest

from numbacnn import config, serialization
from numbacnn.errors import ArgumentError, DeviceError, DTypeError
from numbacnn.layers import (
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    Graph,
    MaxPool2D,
    ReLU,
    Sequential,
    Sigmoid,
    Tanh,
)
from numbacnn.losses import Dice, MeanSquaredError, SoftmaxCrossEntropy, Sum
from numbacnn.models import lenet5
from numbacnn.optimizers import SGD, Adam, AdamW, RMSprop
from numbacnn.regularizers import L1L2
from numbacnn.training import Callback, evaluate, fit, predict
from numbacnn.training.staging import staged


def small(dropout=0.0):
    model = Sequential(
        [
            Conv2D(3, 3, padding="same", kernel_regularizer=L1L2(1e-3, 1e-2)),
            ReLU(),
            MaxPool2D(2),
            Tanh(),
            Flatten(),
            Dropout(dropout),
            Dense(4),
        ]
    )
    model.build((6, 5, 2), 3)
    return model


def data(n=7, shape=(6, 5, 2), classes=4):
    rng = np.random.default_rng(1)
    return rng.standard_normal((n, *shape), np.float32), rng.integers(0, classes, n)


def trained(device, optimizer, compute_dtype=None, epochs=2, **options):
    x, y = data()
    model = small(**options).to(device, compute_dtype)
    history = fit(model, x, y, epochs=epochs, batch_size=4, optimizer=optimizer, verbose=False)
    return model, history


@pytest.fixture
def exact():
    with config.precision_as("exact"):
        yield


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize(
    "make",
    [
        lambda: SGD(0.1, momentum=0.9, nesterov=True),
        pytest.param(lambda: RMSprop(1e-2), marks=pytest.mark.slow),
        lambda: AdamW(1e-2, weight_decay=0.1),
    ],
    ids=["sgd", "rmsprop", "adamw"],
)
def test_steps_are_those_of_the_cpu(make):
    here, there = trained("cpu", make()), trained("cuda", make())
    assert there[0].device == "cuda"
    for name, value in here[0].weights().items():
        np.testing.assert_allclose(there[0].weights()[name], value, rtol=0, atol=3e-6, err_msg=name)
    for one, other in zip(here[1].rows, there[1].rows, strict=True):
        assert other["loss"] == pytest.approx(one["loss"], rel=1e-5)
        assert other["accuracy"] == pytest.approx(one["accuracy"])


@pytest.mark.slow
@pytest.mark.usefixtures("exact")
def test_lenet5_takes_the_steps_of_the_cpu():
    x, y = data(3, (12, 12, 1), 10)
    weights = []
    for device in ("cpu", "cuda"):
        model = lenet5(10, padding=("same", "same"))
        model.build((12, 12, 1), 0)
        fit(model.to(device), x, y, epochs=2, batch_size=2, verbose=False)
        weights.append(model.weights())
    for name, value in weights[0].items():
        np.testing.assert_allclose(weights[1][name], value, rtol=0, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("compute_dtype", ["bfloat16", "float16"])
def test_sixteen_bits_come_near(compute_dtype):
    here, there = trained("cpu", Adam(1e-2), epochs=1), trained("cuda", Adam(1e-2), compute_dtype, epochs=1)
    for p in there[0].parameters:
        assert p.value.dtype == np.float32
        assert p.copy.dtype.name == compute_dtype
        np.testing.assert_array_equal(
            p.copy.astype(np.float32).numpy(), p.value.astype(compute_dtype).astype(np.float32).numpy()
        )
    assert there[1].rows[-1]["loss"] == pytest.approx(here[1].rows[-1]["loss"], rel=0.03)


def test_a_step_that_overflows_is_skipped_and_halves_the_scale():
    from numbacnn.loss_scale import LossScale

    model = small().to("cuda", "float16")
    before = model.weights()
    scale, optimizer = LossScale("cuda", 2.0**15, interval=2), SGD(0.1)
    for p in model.parameters:
        p.grad = p.copy.copy()
    model.parameters[0].grad = model.parameters[0].value.copy()
    array = np.zeros(model.parameters[0].shape, np.float32)
    array.flat[-1] = np.inf
    model.parameters[0].grad._array.write(array)
    optimizer.step(model.parameters, scale)
    assert scale.value == 2.0**14 and scale.skipped == 1
    for name, value in model.weights().items():
        np.testing.assert_array_equal(value, before[name])
    model.parameters[0].grad = model.parameters[0].copy.copy()
    optimizer.step(model.parameters, scale)
    optimizer.step(model.parameters, scale)
    assert scale.value == 2.0**15 and scale.skipped == 1
    assert any((value != before[name]).any() for name, value in model.weights().items())


def test_predictions_evaluation_and_files_agree_with_the_cpu(tmp_path):
    x, y = data()
    model = small()
    expected, measured = predict(model, x, batch_size=3), evaluate(model, x, y, batch_size=3)
    with config.precision_as("exact"):
        model.to("cuda")
        np.testing.assert_allclose(predict(model, x, batch_size=3), expected, atol=1e-5)
        there = evaluate(model, x, y, batch_size=3)
    assert there["loss"] == pytest.approx(measured["loss"], rel=1e-5)
    assert there["accuracy"] == measured["accuracy"]
    serialization.save(model, tmp_path / "m.safetensors")
    loaded = serialization.load(tmp_path / "m.safetensors")
    assert loaded.device == "cpu"
    np.testing.assert_array_equal(predict(loaded, x), predict(small(), x))
    assert predict(model, x[:0]).shape == (0, 4)
    assert predict(model.to("cuda", "bfloat16"), x).dtype == np.float32


def test_values_are_learned_too():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((5, 3), np.float32), rng.standard_normal((5, 2), np.float32)
    losses = []
    for device in ("cpu", "cuda"):
        model = Sequential([Dense(3), Sigmoid(), Dense(2)])
        model.build((3,), 0)
        history = fit(model.to(device), x, y, loss=MeanSquaredError(), epochs=2, verbose=False)
        losses.append([row["loss"] for row in history.rows])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)


@pytest.mark.usefixtures("exact")
def test_maps_of_classes_and_heads_are_learned_as_on_the_cpu():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((5, 3, 2, 2), np.float32)
    y = np.where(rng.random((5, 3, 2)) < 0.3, 255, rng.integers(0, 3, (5, 3, 2)))
    main = SoftmaxCrossEntropy(0.1, class_weights=[0.5, 2.0, 1.0], ignore_index=255)
    loss = Sum([(main, 1.0), (Dice(ignore_index=255), 0.5)])
    rows, measured = [], []
    for device in ("cpu", "cuda"):
        nodes = {"body": (Conv2D(4, 1), "x"), "a": (Conv2D(3, 1), "body"), "b": (Conv2D(3, 1), "body")}
        model = Graph("x", nodes, ["a", "b"])
        model.build((3, 2, 2), 0)
        history = fit(model.to(device), x, y, loss=loss, epochs=2, batch_size=3, verbose=False)
        rows.append([(row["loss"], row["accuracy"]) for row in history.rows])
        measured.append(evaluate(model, x, y, loss=loss, batch_size=2))
    np.testing.assert_allclose(rows[1], rows[0], rtol=1e-4)
    assert measured[1] == pytest.approx(measured[0], rel=1e-4)


def test_dropout_draws_on_the_device_and_is_repeated_by_a_seed():
    first, again = (trained("cuda", SGD(0.1), epochs=1, dropout=0.5) for _ in range(2))
    for name, value in first[0].weights().items():
        np.testing.assert_array_equal(again[0].weights()[name], value)
    layer = Dropout(0.25)
    layer.build((50,), None)
    from numbacnn.tensor import as_tensor

    x = as_tensor(np.ones((40, 50), np.float32), device="cuda")
    y, saved = layer.forward(x, training=np.random.default_rng(0))
    kept = y.numpy() > 0
    assert 0.7 < kept.mean() < 0.8
    np.testing.assert_allclose(y.numpy()[kept], 1 / 0.75, rtol=1e-6)
    np.testing.assert_array_equal(layer.backward(x, saved).numpy(), y.numpy())


def test_a_training_loop_asks_the_driver_for_no_memory_after_its_first_steps():
    from numbacnn.kernels.cuda.memory import allocator

    misses = []

    class Watch(Callback):
        def batch_end(self, run):
            misses.append(allocator(0).misses)

    x, y = data(16)
    fit(small().to("cuda"), x, y, epochs=3, batch_size=8, verbose=False, callbacks=[Watch()])
    assert misses[2] == misses[-1]


def test_batches_are_sent_ahead_and_arrive_in_order():
    pairs = [(np.full((2, 3), i, np.float32), np.full(2, i)) for i in range(4)]
    sent = [(x.numpy(), y.numpy()) for x, y in staged(iter(pairs), "cuda")]
    for (x, y), (a, b) in zip(pairs, sent, strict=True):
        np.testing.assert_array_equal(a, x)
        np.testing.assert_array_equal(b, y)
    assert list(staged(iter([]), "cuda")) == []


def test_what_does_not_fit_is_refused_by_name():
    x, y = data()
    model = small().to("cuda")
    with pytest.raises(DeviceError, match="sequential: expected an input on 'cuda'"):
        model(x)
    with pytest.raises(DeviceError, match="targets"):
        SoftmaxCrossEntropy()(model.forward(next(staged([(x, y)], "cuda"))[0])[0], y)
    with pytest.raises(DTypeError, match="compute_dtype"):
        small().to("cpu", "float16")
    with pytest.raises(ArgumentError, match="built"):
        Sequential([Dense(2)]).to("cuda")
    halves = small().to("cuda", "bfloat16")
    for p in halves.parameters:
        p.grad = p.copy.copy()
    with pytest.raises(ArgumentError, match="loss scale"):
        SGD(0.1).step(halves.parameters)


def test_models_on_the_device_take_weights():
    model, other = small().to("cuda", "bfloat16"), small()
    for p in other.parameters:
        p.value.numpy()[...] = 2.0
    model.set_weights(other.weights())
    for p in model.parameters:
        assert (p.value.numpy() == 2.0).all() and (p.copy.astype(np.float32).numpy() == 2.0).all()

"""fit, evaluate and predict: learning, equal bits, bad input, interrupts."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

from numbacnn._jit import get_num_threads, set_num_threads
from numbacnn.data import Augment, Preparation, load_digits, stratified_split
from numbacnn.errors import ArgumentError, DTypeError, FileFormatError, NumericsError, ShapeError, TargetError
from numbacnn.layers import Conv2D, Dense, Dropout, Flatten, Graph, MaxPool2D, ReLU, Sequential
from numbacnn.losses import (
    BinaryCrossEntropy,
    CosineEmbedding,
    Dice,
    MeanAbsoluteError,
    MeanSquaredError,
    SoftmaxCrossEntropy,
    SoftmaxFocal,
    Sum,
)
from numbacnn.optimizers import SGD, Adam
from numbacnn.regularizers import L2
from numbacnn.schedules import OneCycle
from numbacnn.serialization import load
from numbacnn.training import Callback, Checkpoint, History, HistoryFile, evaluate, fit, predict


def small(dropout=0.0, penalty=None):
    return Sequential(
        [
            Conv2D(8, 3, padding="same", kernel_regularizer=penalty),
            ReLU(),
            MaxPool2D(2),
            Flatten(),
            *([Dropout(dropout)] if dropout else []),
            Dense(10),
        ]
    )


@pytest.fixture(scope="module")
def digits():
    train, test = stratified_split(load_digits(), 0.25)
    prepare = Preparation.of(train)
    return prepare(train.images), train.labels, prepare(test.images), test.labels


def noise(n=24, dtype=np.float32, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, 6, 6, 1)).astype(dtype), rng.integers(0, 10, n)


def test_real_digits_are_learned_in_a_few_epochs(digits):
    x, y, x_test, y_test = digits
    model = small()
    history = fit(
        model,
        x,
        y,
        epochs=8,
        validation_data=(x_test, y_test),
        schedule=OneCycle(0.02, 8 * 43),
        verbose=False,
    )
    assert history["epoch"] == list(range(1, 9))
    losses = history["loss"]
    assert losses[-1] < 0.2 * losses[0]
    assert history["val_accuracy"][-1] > 0.96
    assert history["val_accuracy"][-1] == evaluate(model, x_test, y_test)["accuracy"]
    assert history.columns == [
        "epoch",
        "loss",
        "accuracy",
        "val_loss",
        "val_accuracy",
        "learning_rate",
        "seconds",
        "images_per_second",
    ]
    assert 0.01 < max(history["learning_rate"]) < 0.02
    assert history["learning_rate"][-1] < 1e-6


def test_evaluate_and_predict_agree_with_the_definitions(digits):
    x, y, _, _ = digits
    x, y = x[:101], y[:101]
    model = small()
    model.build(x.shape[1:], 0)
    logits = predict(model, x, batch_size=7)
    assert logits.shape == (101, 10)
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, model(x).numpy(), rtol=1e-5, atol=1e-5)
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    expected = np.mean(np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(101), y])
    for batch_size in (1, 32, 1000):
        measured = evaluate(model, x, y, batch_size=batch_size)
        assert measured["loss"] == pytest.approx(expected, rel=1e-5)
        assert measured["accuracy"] == np.mean(logits.argmax(axis=1) == y)


def test_predict_takes_an_empty_batch_and_does_not_hand_out_reused_memory():
    x, _ = noise()
    model = small()
    model.build(x.shape[1:], 0)
    assert predict(model, x[:0]).shape == (0, 10)
    first = predict(model, x)
    kept = first.copy()
    predict(model, -x)
    np.testing.assert_array_equal(first, kept)


def train_briefly(threads, seed, **options):
    x, y = noise(70, seed=5)
    before = get_num_threads()
    set_num_threads(threads)
    try:
        model = small(dropout=0.3)
        history = fit(
            model, x, y, epochs=2, batch_size=16, augment=Augment(), seed=seed, verbose=False, **options
        )
    finally:
        set_num_threads(before)
    return b"".join(w.tobytes() for w in model.weights().values()), history["loss"]


def test_one_seed_gives_the_same_bits_for_any_number_of_threads():
    first, first_losses = train_briefly(1, 7)
    for threads in (1, min(2, os.cpu_count() or 1)):
        again, losses = train_briefly(threads, 7)
        assert again == first
        assert losses == first_losses
    assert train_briefly(1, 8)[0] != first


def test_double_precision_trains_too():
    x, y = noise(dtype=np.float64)
    model = small()
    history = fit(model, x, y, epochs=15, batch_size=8, optimizer=Adam(0.01), verbose=False)
    assert model.dtype == np.float64
    assert history["loss"][-1] < 0.3 * history["loss"][0]


def test_regression_and_soft_targets():
    x, y = noise()
    values = np.stack([x.mean(axis=(1, 2, 3)), x.max(axis=(1, 2, 3))], axis=1)
    model = Sequential([Flatten(), Dense(2)])
    history = fit(model, x, values, epochs=30, batch_size=8, optimizer=Adam(0.02), verbose=False)
    assert "accuracy" not in history
    assert history["loss"][-1] < 0.5 * history["loss"][0]
    assert evaluate(model, x, values)["loss"] == pytest.approx(MeanSquaredError()(model(x), values), rel=1e-5)
    one_hot = np.eye(10, dtype=np.float32)[y]
    one, two = small(), small()
    a = fit(one, x, one_hot, loss=SoftmaxCrossEntropy(), epochs=2, verbose=False)
    b = fit(two, x, y, epochs=2, verbose=False)
    assert a["accuracy"] == b["accuracy"]
    np.testing.assert_allclose(a["loss"], b["loss"], rtol=1e-6)


def test_penalties_are_part_of_the_loss():
    x, y = noise()
    model, plain = small(penalty=L2(0.5)), small()
    for each in (model, plain):
        each.build(x.shape[1:], 0)
    w = model.parameters[0].value.numpy()
    difference = evaluate(model, x, y)["loss"] - evaluate(plain, x, y)["loss"]
    assert difference == pytest.approx(0.25 * float((w.astype(np.float64) ** 2).sum()), rel=1e-4)


def test_the_schedule_sets_the_rate_of_each_step():
    x, y = noise(20)
    rates = []

    class Spy(Callback):
        def batch_end(self, run):
            rates.append(run.optimizer.lr)

    fit(
        small(),
        x,
        y,
        epochs=2,
        batch_size=8,
        schedule=lambda k: 0.1 / (1 + k),
        callbacks=[Spy()],
        verbose=False,
    )
    assert rates == [0.1 / (1 + k) for k in range(6)]


def test_callbacks_are_called_in_order_and_may_stop():
    x, y = noise(20)
    calls = []

    class Spy(Callback):
        def train_begin(self, run):
            calls.append("train begins")

        def epoch_begin(self, run):
            calls.append(f"epoch {run.epoch}")

        def batch_end(self, run):
            calls.append(run.seen)

        def epoch_end(self, run):
            calls.append(len(run.history))
            run.stop = len(run.history) == 2

        def train_end(self, run):
            calls.append("ended")

    history = fit(small(), x, y, epochs=5, batch_size=8, callbacks=[Spy()], verbose=False)
    one = [8, 16, 20]
    assert calls == ["train begins", "epoch 0", *one, 1, "epoch 1", *one, 2, "ended"]
    assert len(history) == 2
    assert not history.interrupted


def test_frozen_parameters_stay():
    x, y = noise()
    model = small()
    model.build(x.shape[1:], 0)
    model.layers[0].trainable = False
    before = model.weights()
    fit(model, x, y, epochs=1, verbose=False)
    after = model.weights()
    changed = {name.partition(".")[0] for name in before if not np.array_equal(before[name], after[name])}
    assert changed == {"dense_1"}


# --- maps of classes, and several outputs


def maps(n=20, classes=3):
    """Images whose pixels' classes follow from their brightness; some are 255."""
    rng = np.random.default_rng(3)
    x = rng.standard_normal((n, 4, 5, 1)).astype(np.float32)
    y = np.digitize(x[..., 0], [-0.4, 0.4])
    return x, np.where(rng.random(y.shape) < 0.2, 255, y)


def pixelwise(classes=3):
    return Sequential([Conv2D(8, 1), ReLU(), Conv2D(classes, 1)])


LOSS = SoftmaxCrossEntropy(0.05, class_weights=[0.5, 2.0, 1.0], ignore_index=255)


@pytest.mark.parametrize(
    "loss",
    [LOSS, Sum([(LOSS, 1.0), (Dice(ignore_index=255), 0.5)]), SoftmaxFocal(ignore_index=255)],
    ids=["cross-entropy", "sum", "focal"],
)
def test_maps_of_classes_are_learned_without_those_ignored(loss):
    x, y = maps()
    model = pixelwise()
    history = fit(
        model,
        *(x, y),
        loss=loss,
        epochs=30,
        batch_size=8,
        optimizer=Adam(0.03),
        validation_data=(x, y),
        verbose=False,
    )
    assert history["accuracy"][-1] > 0.85 and history["val_accuracy"][-1] > 0.85
    there = y != 255
    measured = evaluate(model, x, y, loss=loss, batch_size=7)
    assert measured["accuracy"] == pytest.approx((predict(model, x).argmax(axis=-1) == y)[there].mean())


@pytest.mark.parametrize("batch_size", [1, 7, 20])
def test_the_measured_loss_weighs_batches_as_their_mean_does(batch_size):
    x, y = maps()
    y[:2] = 255  # batches of which nothing counts
    model = pixelwise()
    model.build(x.shape[1:], 0)
    expected = LOSS(model(x), y)
    assert evaluate(model, x, y, loss=LOSS, batch_size=batch_size)["loss"] == pytest.approx(
        expected, rel=1e-5
    )


def test_where_every_target_is_ignored_there_is_no_accuracy():
    x, y = maps()
    model = pixelwise()
    model.build(x.shape[1:], 0)
    assert evaluate(model, x, np.full_like(y, 255), loss=LOSS) == {"loss": 0.0}


def two_heads():
    """A map of classes, and a value for each pixel."""
    nodes = {
        "body": (Conv2D(8, 1), "x"),
        "active": (ReLU(), "body"),
        "classes": (Conv2D(3, 1), "active"),
        "values": (Conv2D(1, 1), "active"),
    }
    return Graph("x", nodes, ["classes", "values"])


def test_heads_learn_their_own_targets():
    x, y = maps()
    model, loss = two_heads(), Sum([(LOSS, 1.0), (MeanAbsoluteError(), 0.3)])
    targets = y, 2 * x
    history = fit(model, x, targets, loss=loss, epochs=20, optimizer=Adam(0.03), batch_size=8, verbose=False)
    assert history["loss"][-1] < 0.5 * history["loss"][0]
    measured = evaluate(model, x, targets, loss=loss)
    classes, values = predict(model, x, batch_size=6)
    assert classes.shape == (20, 4, 5, 3) and values.shape == (20, 4, 5, 1)
    assert measured["loss"] == pytest.approx(LOSS(classes, y) + 0.3 * np.abs(values - 2 * x).mean(), rel=1e-4)
    assert measured["accuracy"] == pytest.approx((classes.argmax(axis=-1) == y)[y != 255].mean())


def test_several_inputs_are_vectors_to_compare():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 24, 5)).astype(np.float32)
    signs = np.where((a * b).sum(axis=1) > 0, 1, -1)
    shared = Dense(6)
    graph = Graph(["a", "b"], {"first": (shared, "a"), "second": (shared, "b")}, ["first", "second"])
    loss = CosineEmbedding(0.1)
    optimizer = Adam(0.02)
    history = fit(
        graph, (a, b), signs, loss=loss, epochs=15, batch_size=8, optimizer=optimizer, verbose=False
    )
    assert "accuracy" not in history
    assert history["loss"][-1] < 0.8 * history["loss"][0]
    measured = evaluate(graph, (a, b), signs, loss=loss)
    assert measured["loss"] == pytest.approx(loss(graph((a, b)), signs), rel=1e-5)


def test_labels_that_exclude_nothing_may_be_integers():
    x, y = maps()
    bits = np.stack([x[..., 0] > 0, x[..., 0] > 0.5], axis=-1).astype(np.int64)
    model, loss = pixelwise(2), BinaryCrossEntropy()
    history = fit(model, x, bits, loss=loss, epochs=10, optimizer=Adam(0.03), batch_size=4, verbose=False)
    assert "accuracy" not in history
    assert history["loss"][-1] < 0.6 * history["loss"][0]


def test_targets_of_maps_and_heads_are_checked_before_training():
    x, y = maps()
    with pytest.raises(TargetError, match="fit: expected labels from 0 to 2, got 255"):
        fit(pixelwise(), x, y, verbose=False)
    with pytest.raises(ShapeError, match=r"fit: expected classes \(N, 4, 5\) for outputs .*, got \(20, 4\)"):
        fit(pixelwise(), x, y[..., 0] % 3, verbose=False)
    loss = Sum([(LOSS, 1.0), (MeanAbsoluteError(), 0.3)])
    with pytest.raises(TargetError, match="validation_data: expected labels from 0 to 2, got 3"):
        fit(two_heads(), x, (y, x), loss=loss, validation_data=(x, (np.full_like(y, 3), x)), verbose=False)
    with pytest.raises(ArgumentError, match="an output and a target for each of 2 losses"):
        fit(two_heads(), x, (y, x, x), loss=loss, verbose=False)
    with pytest.raises(ArgumentError, match="a loss for several targets"):
        fit(two_heads(), x, (y, x), verbose=False)
    with pytest.raises(ShapeError, match="with one target each"):
        fit(two_heads(), x, (y, x[:3]), loss=loss, verbose=False)


# --- bad input


@pytest.mark.parametrize(("bad", "value"), [("inputs", np.nan), ("inputs", np.inf)])
def test_values_that_are_not_finite_are_found(bad, value):
    x, y = noise()
    x[13, 2, 3] = value
    for call in (lambda: fit(small(), x, y, verbose=False), lambda: evaluate(small(), x, y)):
        with pytest.raises(NumericsError, match=f"expected finite inputs, got {value} in sample 13"):
            call()
    with pytest.raises(NumericsError, match="targets, got nan in sample 2"):
        fit(small(), noise()[0], np.where(np.arange(24) == 2, np.nan, 0.5), verbose=False)


@pytest.mark.parametrize("label", [-1, 10])
def test_labels_out_of_range_are_found_before_training(label):
    x, y = noise()
    y[5] = label
    with pytest.raises(TargetError, match=f"fit: expected labels from 0 to 9, got {label} at sample 5"):
        fit(small(), x, y, verbose=False)
    with pytest.raises(TargetError, match="validation_data: expected labels"):
        fit(small(), *noise(), validation_data=(x, y), verbose=False)


def test_arrays_that_do_not_fit_are_refused():
    x, y = noise()
    with pytest.raises(DTypeError, match="float32 or float64 inputs, got uint8"):
        fit(small(), x.astype(np.uint8), y, verbose=False)
    with pytest.raises(ShapeError, match="one target each"):
        fit(small(), x, y[:-1], verbose=False)
    with pytest.raises(ShapeError, match="N at least 1"):
        fit(small(), x[:0], y[:0], verbose=False)
    model = small()
    model.build(x.shape[1:], 0)
    with pytest.raises(ShapeError):
        fit(model, x[:, :5], y, verbose=False)
    with pytest.raises(DTypeError):
        fit(model, x.astype(np.float64), y, verbose=False)


@pytest.mark.parametrize("bad", [{"epochs": 0}, {"epochs": 1.5}, {"batch_size": 0}, {"seed": -1}])
def test_arguments_out_of_range_are_refused(bad):
    with pytest.raises(ArgumentError, match=next(iter(bad))):
        fit(small(), *noise(), **{"verbose": False, **bad})


def test_a_loss_that_runs_away_ends_the_training_and_keeps_the_checkpoint(tmp_path):
    x, y = noise()
    rate = [1e-3, 1e-3, 1e-3, 1e30]
    with pytest.raises(NumericsError, match=r"in epoch [23], step .*; lower the learning rate"):
        fit(
            small(),
            x,
            y,
            epochs=3,
            batch_size=8,
            optimizer=SGD(),
            schedule=lambda k: rate[min(k, 3)],
            callbacks=[Checkpoint(tmp_path / "m.safetensors")],
            verbose=False,
        )
    kept = load(tmp_path / "m.safetensors")
    assert all(np.isfinite(w).all() for w in kept.weights().values())


# --- history, checkpoints, progress


def test_history_survives_its_file(tmp_path):
    history = fit(small(), *noise(), epochs=2, verbose=False)
    history.to_csv(tmp_path / "history.csv")
    back = History.from_csv(tmp_path / "history.csv")
    assert back.rows == history.rows
    assert back.columns == history.columns
    assert [path.name for path in tmp_path.iterdir()] == ["history.csv"]
    with pytest.raises(ArgumentError, match="a column among epoch, loss"):
        history["speed"]
    assert History()["loss"] == []


@pytest.mark.parametrize("text", ["epoch,loss\n1,abc\n", "loss\n0.5\n", "epoch,loss\n1\n", "epoch\n1,2\n"])
def test_a_foreign_history_is_refused(tmp_path, text):
    (tmp_path / "h.csv").write_text(text)
    with pytest.raises(FileFormatError, match=r"h\.csv"):
        History.from_csv(tmp_path / "h.csv")


def test_the_checkpoint_is_the_model_after_each_epoch(tmp_path):
    x, y = noise()
    path, saved = tmp_path / "m.safetensors", []

    class Reload(Callback):
        def epoch_end(self, run):
            saved.append(predict(load(path), x))
            np.testing.assert_array_equal(saved[-1], predict(run.model, x))

    table = HistoryFile(tmp_path / "h.csv")
    history = fit(small(), x, y, epochs=3, callbacks=[Checkpoint(path), table, Reload()], verbose=False)
    assert len(saved) == 3
    assert not np.array_equal(saved[0], saved[2])
    assert History.from_csv(tmp_path / "h.csv").rows == history.rows


def test_the_progress_bar_tells_loss_accuracy_speed_and_time_left(capfd):
    x, y = noise(40)
    fit(small(), x, y, epochs=2, batch_size=8, validation_data=(x, y))
    lines = capfd.readouterr().err.strip().split("\n")
    assert len(lines) == 2  # not a terminal: a finished bar per epoch
    for k, line in enumerate(lines):
        assert f"epoch {k + 1}/2" in line
        assert "100%" in line
        assert "40/40" in line
        for word in ("loss ", "accuracy ", " images/s", ":0", " left", "validation "):
            assert word in line
    fit(small(), x, y, epochs=1, verbose=False)
    assert capfd.readouterr().err == ""


# --- interrupts


class RaiseAt(Callback):
    def __init__(self, step):
        self.step = step

    def batch_end(self, run):
        if run.step == self.step:
            raise KeyboardInterrupt


@pytest.mark.parametrize(("step", "epochs"), [(1, 0), (2, 0), (8, 2), (9, 2)])
def test_a_raised_interrupt_keeps_the_last_finished_epoch(tmp_path, step, epochs):
    x, y = noise()  # 3 steps an epoch
    path, finished = tmp_path / "m.safetensors", {}

    class Remember(Callback):
        def epoch_end(self, run):
            finished[len(run.history)] = run.model.weights()

    model = small()
    history = fit(
        model,
        x,
        y,
        epochs=5,
        batch_size=8,
        callbacks=[Checkpoint(path), Remember(), RaiseAt(step)],
        verbose=False,
    )
    assert history.interrupted
    assert len(history) == epochs
    expected = finished.get(epochs, model.weights())
    kept = load(path).weights()
    for name, values in expected.items():
        np.testing.assert_array_equal(kept[name], values)


def test_a_signal_ends_the_training_between_two_steps():
    x, y = noise()

    class Kill(Callback):
        steps = 0

        def batch_end(self, run):
            self.steps += 1
            if run.step == 4:
                signal.raise_signal(signal.SIGINT)

    spy = Kill()
    history = fit(small(), x, y, epochs=5, batch_size=8, callbacks=[spy], verbose=False)
    assert history.interrupted
    assert spy.steps == 4
    assert len(history) == 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_signal_breaks_off_at_once():
    x, y = noise()

    class Kill(Callback):
        reached = False

        def batch_end(self, run):
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            self.reached = True

    spy = Kill()
    history = fit(small(), x, y, epochs=5, callbacks=[spy], verbose=False)
    assert history.interrupted
    assert not spy.reached


def test_a_users_own_handler_is_left_alone():
    received = []
    before = signal.signal(signal.SIGINT, lambda number, frame: received.append(number))
    try:

        class Kill(Callback):
            def train_begin(self, run):
                signal.raise_signal(signal.SIGINT)

        history = fit(small(), *noise(), epochs=2, callbacks=[Kill()], verbose=False)
    finally:
        signal.signal(signal.SIGINT, before)
    assert received == [signal.SIGINT]
    assert len(history) == 2
    assert not history.interrupted


def test_fit_runs_in_another_thread():
    results = []
    thread = threading.Thread(target=lambda: results.append(fit(small(), *noise(), epochs=1, verbose=False)))
    thread.start()
    thread.join()
    assert len(results[0]) == 1


SCRIPT = """
    import sys
    import numpy as np
    from numbacnn.layers import Dense, Flatten, Sequential
    from numbacnn.training import Callback, Checkpoint, fit

    class Tell(Callback):
        def epoch_end(self, run):
            print(len(run.history), flush=True)

    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((512, 8, 8, 1)).astype(np.float32), rng.integers(0, 10, 512)
    model = Sequential([Flatten(), Dense(10)])
    calls = [Checkpoint(sys.argv[1]), Tell()]
    history = fit(model, x, y, epochs=10**6, batch_size=4, callbacks=calls, verbose=False)
    print("interrupted" if history.interrupted else "ended", len(history))
"""


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT to a process")
def test_a_real_ctrl_c_keeps_a_loadable_model(tmp_path):
    path = tmp_path / "m.safetensors"
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline().strip() == "1"
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert err == ""
    assert out.splitlines()[-1].startswith("interrupted")
    model = load(path)
    assert predict(model, np.zeros((1, 8, 8, 1), np.float32)).shape == (1, 10)


def test_fit_needs_no_demo_package():
    script = """
        import sys
        for name in ("scipy", "matplotlib", "PIL", "sklearn", "mlxtend", "torch", "pandas"):
            sys.modules[name] = None
        import numpy as np
        import numbacnn
        from numbacnn.layers import Dense, Flatten, Sequential
        from numbacnn.training import fit
        rng = np.random.default_rng(0)
        x, y = rng.standard_normal((20, 4, 4, 1)).astype(np.float32), rng.integers(0, 3, 20)
        print(len(fit(Sequential([Flatten(), Dense(3)]), x, y, epochs=2)))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "2"

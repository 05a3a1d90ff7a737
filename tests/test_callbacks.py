"""ReduceOnPlateau: its rule by hand, beside PyTorch's, and in a training; averages of weights."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbacnn.errors import ArgumentError
from numbacnn.layers import Dense, Sequential
from numbacnn.optimizers import EMA, SGD
from numbacnn.schedules import Constant, ExponentialDecay
from numbacnn.training import AveragedWeights, Callback, ReduceOnPlateau, fit


def reduced(callback, values, lr=1.0):
    """The rate after each epoch whose metric has the given value."""
    run = SimpleNamespace(optimizer=SGD(lr), history=SimpleNamespace(rows=[]))
    rates = []
    callback.train_begin(run)
    for value in values:
        callback.batch_end(run)
        run.history.rows.append({"epoch": 1, callback.metric: value})
        callback.epoch_end(run)
        rates.append(run.optimizer.lr)
    return rates


def test_patience_runs_out():
    callback = ReduceOnPlateau(factor=0.5, patience=1)
    assert reduced(callback, [3, 3, 2, 2, 2, 2, 2]) == [1, 1, 1, 1, 0.5, 0.5, 0.25]
    # Anew: neither the best value nor the count of the training before
    assert reduced(callback, [3, 3, 2, 2]) == [1, 1, 1, 1]


def test_without_patience_every_epoch_counts():
    assert reduced(ReduceOnPlateau(factor=0.5, patience=0), [3, 3, 2, 2.5]) == [1, 0.5, 0.5, 0.25]


def test_cooldown_is_not_counted():
    callback = ReduceOnPlateau(factor=0.5, patience=0, cooldown=2)
    assert reduced(callback, [3] * 6) == [1, 0.5, 0.5, 0.5, 0.25, 0.25]


def test_the_rate_stays_above_its_least():
    assert reduced(ReduceOnPlateau(factor=0.1, patience=0, min_lr=0.05), [1] * 4) == [1, 0.1, 0.05, 0.05]
    # One that begins below is left alone
    assert reduced(ReduceOnPlateau(patience=0, min_lr=0.05), [1] * 3, lr=0.01) == [0.01] * 3


def test_mode_and_least_change():
    up = ReduceOnPlateau("val_accuracy", factor=0.5, patience=0, mode="max")
    assert reduced(up, [0.5, 0.6, 0.5, 0.7]) == [1, 1, 0.5, 0.5]
    coarse = ReduceOnPlateau("val_accuracy", 0.5, 0, mode="max", min_change=0.25)
    assert reduced(coarse, [0.25, 0.5, 0.75, 1.0]) == [1, 0.5, 0.5, 0.25]


def test_nan_is_never_better():
    assert reduced(ReduceOnPlateau(factor=0.5, patience=0), [float("nan"), 3, 2]) == [0.5, 0.5, 0.5]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, 6).map(float), min_size=1, max_size=30),
    st.integers(0, 3),
    st.integers(0, 3),
    st.sampled_from(["min", "max"]),
    st.sampled_from([0.0, 1.0]),
)
def test_it_is_that_of_torch(values, patience, cooldown, mode, change):
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, mode, 0.5, patience, change, "abs", cooldown, min_lr=0.1, eps=0.0
    )
    expected = []
    for value in values:
        theirs.step(value)
        expected.append(optimizer.param_groups[0]["lr"])
    ours = ReduceOnPlateau("loss", 0.5, patience, cooldown, 0.1, mode, change)
    assert reduced(ours, values) == expected


def data():
    rng = np.random.default_rng(0)
    return rng.standard_normal((16, 3)), rng.integers(0, 2, 16)


def test_fit_lowers_the_rate():
    x, y = data()
    seen = []

    class Spy(Callback):
        def batch_end(self, run):
            seen.append(run.optimizer.lr)

    # The change asked for is out of reach: only the first epoch is better than none before
    callback = ReduceOnPlateau("val_loss", factor=0.5, patience=1, min_change=1e6)
    history = fit(
        Dense(2),
        x,
        y,
        optimizer=SGD(0.5),
        epochs=5,
        batch_size=8,
        validation_data=(x, y),
        callbacks=[callback, Spy()],
        verbose=False,
    )
    assert history["learning_rate"] == [0.5, 0.5, 0.5, 0.25, 0.25]
    assert seen == [0.5] * 6 + [0.25] * 4


def test_a_schedule_beside_it_is_refused():
    x, y = data()
    options = {"epochs": 3, "batch_size": 8, "verbose": False}
    callback = ReduceOnPlateau("loss", patience=0, min_change=1e6)
    with pytest.raises(ArgumentError, match="ReduceOnPlateau: expected no schedule beside it, got lr"):
        fit(
            Dense(2),
            x,
            y,
            optimizer=SGD(0.5),
            schedule=ExponentialDecay(0.5, 0.9),
            callbacks=[callback],
            **options,
        )
    # One that sets the same rate is seen when it undoes the first change
    with pytest.raises(ArgumentError, match=r"got lr 0\.5 instead of 0\.05"):
        fit(Dense(2), x, y, optimizer=SGD(0.5), schedule=Constant(0.5), callbacks=[callback], **options)


def test_an_absent_metric_is_named():
    x, y = data()
    with pytest.raises(ArgumentError, match=r"metric among epoch, loss, accuracy, .*got 'val_loss'"):
        fit(Dense(2), x, y, epochs=1, callbacks=[ReduceOnPlateau()], verbose=False)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"factor": 1.0}, "factor in"),
        ({"factor": 0.0}, "factor in"),
        ({"patience": -1}, "integer patience"),
        ({"patience": 2.5}, "integer patience"),
        ({"cooldown": -1}, "integer cooldown"),
        ({"min_lr": -0.1}, "finite min_lr"),
        ({"min_change": float("nan")}, "finite min_change"),
        ({"mode": "auto"}, "mode"),
    ],
)
def test_bad_arguments_are_refused(options, said):
    with pytest.raises(ArgumentError, match=f"ReduceOnPlateau: expected .*{said}"):
        ReduceOnPlateau(**options)


def test_repr():
    assert repr(ReduceOnPlateau("loss", 0.5, 3)) == (
        "ReduceOnPlateau(metric='loss', factor=0.5, patience=3, cooldown=0, min_lr=0.0, mode='min', "
        "min_change=0.0)"
    )


class Followed(Callback):
    """The averages of a training's weights, by hand."""

    def __init__(self, decay):
        self.decay, self.averages = decay, None

    def train_begin(self, run):
        self.averages = run.model.weights()

    def batch_end(self, run):
        for name, value in run.model.weights().items():
            self.averages[name] = self.decay * self.averages[name] + (1 - self.decay) * value


def small_training(*callbacks, optimizer=None):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((20, 4)), rng.standard_normal((20, 3))
    model = Sequential([Dense(3)])
    model.build((4,), 0, np.float64)
    optimizer = optimizer or SGD(0.1)
    fit(model, x, y, optimizer=optimizer, epochs=2, batch_size=8, callbacks=callbacks, verbose=False)
    return model, optimizer


def test_averaged_weights_are_left_in_the_model():
    followed = Followed(0.7)
    model, optimizer = small_training(AveragedWeights(0.7), followed)
    assert optimizer.ema is None
    for name, value in model.weights().items():
        np.testing.assert_allclose(value, followed.averages[name], rtol=1e-12)


def test_averaged_weights_may_be_kept_beside_the_model():
    followed, averaged = Followed(0.7), AveragedWeights(0.7, apply=False)
    model, _ = small_training(averaged, followed)
    plain, _ = small_training()
    for p, q in zip(model.parameters, plain.parameters, strict=True):
        np.testing.assert_array_equal(p.value.numpy(), q.value.numpy())
    with averaged.ema.applied():
        for name, value in model.weights().items():
            np.testing.assert_allclose(value, followed.averages[name], rtol=1e-12)


def test_averages_of_two_kinds_are_refused():
    model, optimizer = small_training()
    optimizer.ema = EMA(model)
    with pytest.raises(ArgumentError, match="AveragedWeights: expected an optimizer without averages"):
        small_training(AveragedWeights(), optimizer=optimizer)
    with pytest.raises(ArgumentError, match=r"AveragedWeights: expected decay in \[0, 1\)"):
        AveragedWeights(1.0)

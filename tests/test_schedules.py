"""Schedules: their values by hand, in a training, and beside PyTorch's where it is installed."""

import numpy as np
import pytest

from numbacnn.errors import ArgumentError
from numbacnn.layers import Dense
from numbacnn.optimizers import SGD
from numbacnn.schedules import (
    Constant,
    CosineDecay,
    ExponentialDecay,
    OneCycle,
    PolynomialDecay,
    StepDecay,
    WarmUp,
)
from numbacnn.training import Callback, fit


def test_constant():
    assert [Constant(0.3)(step) for step in (0, 7, 10**6)] == [0.3, 0.3, 0.3]


def test_one_cycle_rises_and_falls():
    schedule = OneCycle(0.5, 100, rise=0.25, start_factor=10, end_factor=100)
    rates = np.array([schedule(step) for step in range(100)])
    assert rates[0] == pytest.approx(0.05)
    assert rates[24] == rates.max() == pytest.approx(0.5)
    assert rates[99] == pytest.approx(0.0005)
    assert rates[12] == pytest.approx(0.05 + 0.45 / 2)  # half way up
    assert (np.diff(rates[:25]) > 0).all()
    assert (np.diff(rates[24:]) < 0).all()
    assert schedule(100) == schedule(5000) == rates[99]


@pytest.mark.parametrize(
    ("steps", "rise"), [(1, 0.3), (2, 0.3), (3, 0.3), (5, 0.0), (5, 1.0), (1, 0.0), (1, 1.0)]
)
def test_short_runs_stay_within_bounds(steps, rise):
    schedule = OneCycle(0.1, steps, rise=rise)
    rates = [schedule(step) for step in range(steps)]
    assert all(0.1 / 25e4 * (1 - 1e-12) <= rate <= 0.1 for rate in rates)
    if steps > 1:
        assert max(rates) == pytest.approx(0.1)


@pytest.mark.parametrize("rise", [0.1, 0.3, 0.5])
def test_one_cycle_is_that_of_torch(rise):
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.2, total_steps=60, pct_start=rise, cycle_momentum=False
    )
    ours = OneCycle(0.2, 60, rise=rise)
    for step in range(60):
        assert ours(step) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9), step
        optimizer.step()
        if step < 59:
            theirs.step()


def rates(schedule, steps):
    return [schedule(step) for step in range(steps)]


def test_step_decay():
    assert rates(StepDecay(0.8, 3, factor=0.5), 10) == [0.8] * 3 + [0.4] * 3 + [0.2] * 3 + [0.1]
    milestones = StepDecay(0.8, milestones=[1, 4, 5], factor=0.5)
    assert rates(milestones, 7) == [0.8, 0.4, 0.4, 0.4, 0.2, 0.1, 0.1]


def test_exponential_decay():
    assert rates(ExponentialDecay(2.0, 0.5), 4) == [2.0, 1.0, 0.5, 0.25]
    slow = ExponentialDecay(2.0, 0.25, every=2)
    assert rates(slow, 5) == pytest.approx([2.0, 1.0, 0.5, 0.25, 0.125])


def test_polynomial_decay():
    assert rates(PolynomialDecay(1.0, 4, min_lr=0.2), 6) == pytest.approx([1.0, 0.8, 0.6, 0.4, 0.2, 0.2])
    assert rates(PolynomialDecay(1.0, 4, power=2.0), 5) == [1.0, 0.5625, 0.25, 0.0625, 0.0]


def test_cosine_decay():
    assert rates(CosineDecay(1.0, 4, min_lr=0.2), 7) == pytest.approx(
        [1.0, 0.6 + 0.4 * 0.5**0.5, 0.6, 0.6 - 0.4 * 0.5**0.5, 0.2, 0.2, 0.2]
    )


def test_cosine_decay_restarts():
    first = [1.0, 0.5]
    second = [1.0, 0.5 + 0.5**1.5, 0.5, 0.5 - 0.5**1.5]
    grown = CosineDecay(1.0, 2, restarts=1, growth=2)
    assert rates(grown, 8) == pytest.approx([*first, *second, 0.0, 0.0])
    assert rates(CosineDecay(1.0, 2, restarts=2), 8) == pytest.approx([*first * 3, 0.0, 0.0])
    assert CosineDecay(1.0, 2, restarts=None)(10**6) == 1.0
    endless = CosineDecay(1.0, 3, restarts=None, growth=2)
    begins = [3 * (2**k - 1) for k in range(40)]  # the sum of the periods before
    assert all(endless(step) == 1.0 for step in begins)
    assert all(endless(step - 1) < 0.3 for step in begins[1:])


def test_warm_up():
    warm = WarmUp(StepDecay(0.8, 2, factor=0.5), 4, start_factor=0.5)
    assert rates(warm, 9) == pytest.approx([0.4, 0.5, 0.6, 0.7, 0.8, 0.8, 0.4, 0.4, 0.2])
    assert WarmUp(Constant(0.3), 5, start_factor=0.0)(0) == 0.0
    twice = WarmUp(warm, 2, start_factor=0.0)
    assert rates(twice, 4) == pytest.approx([0.0, 0.2, 0.4, 0.5])
    assert WarmUp(lambda step: 1.0 + step, 2)(5) == 4.0


def test_repr_names_what_was_given():
    shown = repr(WarmUp(CosineDecay(0.1, 50), 5))
    assert shown == (
        "WarmUp(schedule=CosineDecay(lr=0.1, period=50, restarts=0, growth=1, min_lr=0.0), "
        "steps=5, start_factor=0.1)"
    )
    assert (
        repr(StepDecay(0.1, milestones=[3])) == "StepDecay(lr=0.1, every=None, milestones=(3,), factor=0.1)"
    )
    assert hash(StepDecay(0.1, milestones=[3])) == hash(StepDecay(0.1, milestones=(3,)))


SCHEDULES = [
    Constant(0.05),
    StepDecay(0.1, 2),
    StepDecay(0.1, milestones=(3, 5)),
    ExponentialDecay(0.1, 0.7, every=2),
    PolynomialDecay(0.1, 5, 0.9, 0.01),
    CosineDecay(0.1, 2, None, 2, 0.01),
    OneCycle(0.1, 8),
    WarmUp(CosineDecay(0.1, 5), 3),
]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_fit_takes_each(schedule):
    seen = []

    class Spy(Callback):
        def batch_end(self, run):
            seen.append(run.optimizer.lr)

    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((16, 3)), rng.integers(0, 2, 16)
    options = {"epochs": 2, "batch_size": 4, "callbacks": [Spy()], "verbose": False}
    history = fit(Dense(2), x, y, optimizer=SGD(1.0), schedule=schedule, **options)
    assert seen == rates(schedule, 8)
    assert history["learning_rate"] == [seen[3], seen[7]]


def of_torch(make, steps):
    """Learning rates of a scheduler of PyTorch, made for an optimizer of rate 0.4."""
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.4)
    theirs, result = make(torch.optim.lr_scheduler, optimizer), []
    for _ in range(steps):
        result.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step()
    return result


def warm_of_torch(s, o):
    parts = [s.LinearLR(o, 0.25, total_iters=7), s.ExponentialLR(o, 0.9)]
    return s.SequentialLR(o, parts, milestones=[7])


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (StepDecay(0.4, 7, factor=0.3), lambda s, o: s.StepLR(o, 7, 0.3)),
        (StepDecay(0.4, milestones=(1, 9, 30)), lambda s, o: s.MultiStepLR(o, [1, 9, 30])),
        (ExponentialDecay(0.4, 0.93), lambda s, o: s.ExponentialLR(o, 0.93)),
        (PolynomialDecay(0.4, 31, 0.9), lambda s, o: s.PolynomialLR(o, 31, 0.9)),
        (
            CosineDecay(0.4, 5, None, 2, 0.01),
            lambda s, o: s.CosineAnnealingWarmRestarts(o, 5, 2, eta_min=0.01),
        ),
        (
            CosineDecay(0.4, 6, None, min_lr=0.01),
            lambda s, o: s.CosineAnnealingWarmRestarts(o, 6, eta_min=0.01),
        ),
        (CosineDecay(0.4, 40, min_lr=0.01), lambda s, o: s.CosineAnnealingLR(o, 40, eta_min=0.01)),
        (WarmUp(ExponentialDecay(0.4, 0.9), 7, 0.25), warm_of_torch),
    ],
)
def test_schedules_are_those_of_torch(ours, theirs):
    assert rates(ours, 41) == pytest.approx(of_torch(theirs, 41), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Constant(-1.0), "Constant: expected a finite lr"),
        (lambda: OneCycle(0.0, 10), "max_lr"),
        (lambda: OneCycle(float("inf"), 10), "max_lr"),
        (lambda: OneCycle(0.1, 0), "total_steps"),
        (lambda: OneCycle(0.1, 2.5), "total_steps"),
        (lambda: OneCycle(0.1, 10, rise=1.5), "rise"),
        (lambda: OneCycle(0.1, 10, start_factor=0.5), "start_factor"),
        (lambda: OneCycle(0.1, 10, end_factor=0.0), "end_factor"),
        (lambda: StepDecay(-0.1, 3), "StepDecay: expected a finite lr"),
        (lambda: StepDecay(0.1), "StepDecay: expected either every or milestones"),
        (lambda: StepDecay(0.1, 3, [4]), "either every or milestones"),
        (lambda: StepDecay(0.1, 0), "StepDecay: expected an integer every"),
        (lambda: StepDecay(0.1, True), "integer every"),
        (lambda: StepDecay(0.1, milestones=[3, 3]), "StepDecay: expected increasing integer milestones"),
        (lambda: StepDecay(0.1, milestones=[0, 3]), "milestones from 1 on"),
        (lambda: StepDecay(0.1, milestones=[1.5]), "integer milestones"),
        (lambda: StepDecay(0.1, 3, factor=1.5), "StepDecay: expected factor"),
        (lambda: ExponentialDecay(float("nan"), 0.5), "ExponentialDecay: expected a finite lr"),
        (lambda: ExponentialDecay(0.1, 0.0), "ExponentialDecay: expected factor"),
        (lambda: ExponentialDecay(0.1, 0.5, 0), "ExponentialDecay: expected an integer every"),
        (lambda: PolynomialDecay(0.1, 0), "PolynomialDecay: expected an integer total_steps"),
        (lambda: PolynomialDecay(0.1, 5, 0.0), "PolynomialDecay: expected power"),
        (lambda: PolynomialDecay(0.1, 5, min_lr=0.2), "PolynomialDecay: expected a finite lr of 0.2"),
        (lambda: PolynomialDecay(0.1, 5, min_lr=-0.2), "PolynomialDecay: expected a finite min_lr"),
        (lambda: CosineDecay(0.1, 0), "CosineDecay: expected an integer period"),
        (lambda: CosineDecay(0.1, 5, -1), "CosineDecay: expected an integer restarts"),
        (lambda: CosineDecay(0.1, 5, 1, 1.5), "CosineDecay: expected an integer growth"),
        (lambda: CosineDecay(0.1, 5, min_lr=0.2), "CosineDecay: expected a finite lr of 0.2"),
        (lambda: WarmUp(0.1, 5), "WarmUp: expected a callable schedule"),
        (lambda: WarmUp(Constant(0.1), 0), "WarmUp: expected an integer steps"),
        (lambda: WarmUp(Constant(0.1), 5, -0.1), "WarmUp: expected start_factor"),
    ],
)
def test_bad_arguments_are_refused(make, said):
    with pytest.raises(ArgumentError, match=said):
        make()

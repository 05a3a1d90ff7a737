"""Schedules: their ends and shape, and PyTorch's one-cycle where it is installed."""

import numpy as np
import pytest

from numbacnn.errors import ArgumentError
from numbacnn.schedules import Constant, OneCycle


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
    ],
)
def test_bad_arguments_are_refused(make, said):
    with pytest.raises(ArgumentError, match=said):
        make()

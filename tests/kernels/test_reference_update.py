"""The oracle of optimizer steps, against PyTorch, numbers by hand and finite differences."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numbacnn import update_rules
from numbacnn.kernels import reference
from numbacnn.update_rules import Numbers
from tests.strategies import arrays, dtypes, seeds

from .test_reference import slope

_MOMENTS = {"beta1": 0.8, "beta2": 0.95, "eps": 1e-6}

#: Rules with numbers, and PyTorch's optimizer of the same settings.
RULES = {
    "descent": ("descent", Numbers(0.1, l2=0.2), "SGD", {"lr": 0.1, "weight_decay": 0.2}),
    "sgd": (
        "sgd",
        Numbers(0.1, beta1=0.9, dampening=0.3),
        "SGD",
        {"lr": 0.1, "momentum": 0.9, "dampening": 0.3},
    ),
    "nesterov": (
        "sgd",
        Numbers(0.1, beta1=0.9, ahead=1.0),
        "SGD",
        {"lr": 0.1, "momentum": 0.9, "nesterov": True},
    ),
    "rmsprop": (
        "rmsprop",
        Numbers(0.01, beta2=0.8, eps=1e-6),
        "RMSprop",
        {"lr": 0.01, "alpha": 0.8, "eps": 1e-6},
    ),
    "rmsprop_momentum": (
        "rmsprop_momentum",
        Numbers(0.01, beta1=0.7, beta2=0.8, eps=1e-6),
        "RMSprop",
        {"lr": 0.01, "alpha": 0.8, "eps": 1e-6, "momentum": 0.7},
    ),
    "rmsprop_centered": (
        "rmsprop_centered",
        Numbers(0.01, beta1=0.7, beta2=0.8, eps=1e-3),
        "RMSprop",
        {"lr": 0.01, "alpha": 0.8, "eps": 1e-3, "momentum": 0.7, "centered": True},
    ),
    "adagrad": (
        "adagrad",
        Numbers(0.1, eps=1e-6, lr_decay=0.2),
        "Adagrad",
        {"lr": 0.1, "eps": 1e-6, "lr_decay": 0.2},
    ),
    "adadelta": (
        "adadelta",
        Numbers(0.7, beta2=0.8, eps=1e-4),
        "Adadelta",
        {"lr": 0.7, "rho": 0.8, "eps": 1e-4},
    ),
    "adam": ("adam", Numbers(0.01, **_MOMENTS), "Adam", {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-6}),
    "amsgrad": (
        "amsgrad",
        Numbers(0.01, **_MOMENTS),
        "Adam",
        {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-6, "amsgrad": True},
    ),
    "adamw": (
        "adam",
        Numbers(0.01, decay=0.3, **_MOMENTS),
        "AdamW",
        {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.3},
    ),
    "radam": ("radam", Numbers(0.01, **_MOMENTS), "RAdam", {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-6}),
}


def stepped(rule, numbers, start, gradients):
    """The weights after each gradient; the states start at 0."""
    w, path = start.astype(np.float64), []
    states = [*(np.zeros(start.shape) for _ in range(update_rules.RULES[rule])), None, None, None][:3]
    for step, g in enumerate(gradients, 1):
        before = g.copy()
        reference.optimizer_step(rule, w, g, *states, None, numbers._replace(step=float(step)))
        assert np.array_equal(g, before), "the gradient is read only"
        path.append(w.copy())
    return np.array(path)


@pytest.mark.parametrize("case", RULES)
def test_updates_are_pytorchs(case):
    torch = pytest.importorskip("torch")
    rule, numbers, kind, settings = RULES[case]
    start, *gradients = arrays(3, *itertools.repeat((50,), 9))
    weights = torch.tensor(start).requires_grad_()
    optimizer = getattr(torch.optim, kind)([weights], **settings)
    expected = []
    for g in gradients:
        weights.grad = torch.tensor(g)
        optimizer.step()
        expected.append(weights.detach().numpy().copy())
    np.testing.assert_allclose(stepped(rule, numbers, start, gradients), expected, rtol=1e-11, atol=1e-13)


def test_updates_of_one_weight_by_hand():
    start, gradients = np.array([1.0]), [np.array([0.5]), np.array([-0.25])]
    sgd = stepped("sgd", Numbers(0.1, beta1=0.9), start, gradients)
    np.testing.assert_allclose(sgd[:, 0], [1 - 0.05, 0.95 - 0.1 * (0.9 * 0.5 - 0.25)])
    nesterov = stepped(*RULES["nesterov"][:2], start, gradients)
    second = nesterov[0, 0] - 0.1 * (-0.25 + 0.9 * (0.9 * 0.5 - 0.25))
    np.testing.assert_allclose(nesterov[:, 0], [1 - 0.1 * (0.5 + 0.9 * 0.5), second])
    rmsprop = stepped(*RULES["rmsprop"][:2], start, gradients[:1])
    np.testing.assert_allclose(rmsprop[:, 0], 1 - 0.01 * 0.5 / (math.sqrt(0.2 * 0.25) + 1e-6))
    adam = stepped(*RULES["adam"][:2], start, gradients[:1])
    np.testing.assert_allclose(adam[:, 0], 1 - 0.01 * 0.5 / (0.5 + 1e-6))
    adamw = stepped(*RULES["adamw"][:2], start, gradients[:1])
    np.testing.assert_allclose(adamw[:, 0], adam[:, 0] - 0.01 * 0.3)
    lion = stepped("lion", Numbers(0.01, beta1=0.9, beta2=0.5, decay=0.3), start, gradients)
    first = 1 - 0.01 * 0.3 - 0.01
    np.testing.assert_allclose(lion[:, 0], [first, first * (1 - 0.003) - 0.01])  # 0.9 * 0.25 - 0.1 * 0.25 > 0
    lamb = stepped(
        "lamb", Numbers(0.01, beta1=0.9, beta2=0.5, decay=0.3), np.array([3.0, -4.0]), [np.ones(2)]
    )
    direction = np.array([1 + 0.9, 1 - 1.2])
    np.testing.assert_allclose(
        lamb[0], [3, -4] - 0.01 * 5 / np.linalg.norm(direction) * direction, rtol=1e-12
    )


def test_numbers_of_all_rules_change_the_gradient_in_their_order():
    w, average = np.array([2.0, -2.0]), np.array([1.0, 1.0])
    numbers = Numbers(0.1, gain=0.5, limit=3.0, l1=0.25, l2=0.5, decay=2.0, share=0.25)
    reference.optimizer_step("descent", w, np.array([4.0, -10.0]), None, None, None, average, numbers)
    expected = np.array([2 * 0.8 - 0.1 * (2 + 0.25 + 1), -2 * 0.8 - 0.1 * (-3 - 0.25 - 1)])
    np.testing.assert_allclose(w, expected)
    np.testing.assert_allclose(average, 1 + 0.25 * (expected - 1))


@given(st.integers(1, 9), st.floats(0, 2), st.floats(0, 2), dtypes, seeds)
def test_penalties_and_their_slope(size, l1, l2, dtype, seed):
    w, direction = arrays(seed, (size,), (size,), dtype=dtype)
    w[0] = 0
    value = l1 * sum(abs(float(v)) for v in w) + l2 / 2 * sum(float(v) ** 2 for v in w)
    assert reference.penalty_value(w, l1, l2) == pytest.approx(value)
    assert reference.square_sum(w) == pytest.approx(sum(float(v) ** 2 for v in w))
    added, w64, d64 = np.zeros(size), w.astype(np.float64), direction.astype(np.float64)
    moved = w64.copy()
    numbers = Numbers(1.0, l1=l1, l2=l2)
    reference.optimizer_step("descent", moved, added, None, None, None, None, numbers)
    assert moved[0] == 0
    numeric = slope(lambda w: reference.penalty_value(w, l1, l2), w64[1:], d64[1:], step=1e-8)
    assert np.vdot((w64 - moved)[1:], d64[1:]) == pytest.approx(numeric, rel=1e-4, abs=1e-4)

"""Optimizers against plain NumPy formulas over 50 steps, and what they do with parameters."""

import numpy as np
import pytest

from numbacnn.errors import ArgumentError
from numbacnn.optimizers import SGD, Adam, AdamW, RMSprop
from numbacnn.parameter import Parameter
from numbacnn.tensor import Tensor

STEPS = 50
SHAPES = [(3, 5, 7), (33,), (130, 129)]  # the last is large enough to be cut into parts


def sgd(w, g, state, t, lr=0.01, momentum=0.0, nesterov=False):
    v = state["v"] = momentum * state.get("v", 0) + g
    return w - lr * (g + momentum * v if nesterov else v)


def rmsprop(w, g, state, t, lr=1e-3, rho=0.99, eps=1e-8):
    s = state["s"] = rho * state.get("s", 0) + (1 - rho) * g * g
    return w - lr * g / (np.sqrt(s) + eps)


def adam(w, g, state, t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0):
    m = state["m"] = beta1 * state.get("m", 0) + (1 - beta1) * g
    v = state["v"] = beta2 * state.get("v", 0) + (1 - beta2) * g * g
    w = w * (1 - lr * weight_decay)
    return w - lr * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + eps)


def adamw(w, g, state, t, weight_decay=0.01, **arguments):
    return adam(w, g, state, t, weight_decay=weight_decay, **arguments)


CASES = [
    (SGD, sgd, {}),
    (SGD, sgd, {"lr": 0.05, "momentum": 0.8}),
    (SGD, sgd, {"lr": 0.05, "momentum": 0.8, "nesterov": True}),
    (RMSprop, rmsprop, {}),
    (RMSprop, rmsprop, {"lr": 0.02, "rho": 0.8, "eps": 1e-3}),
    (Adam, adam, {}),
    (Adam, adam, {"lr": 0.02, "beta1": 0.7, "beta2": 0.95, "eps": 1e-3}),
    (AdamW, adamw, {}),
    (AdamW, adamw, {"lr": 0.02, "beta1": 0.7, "beta2": 0.95, "eps": 1e-3, "weight_decay": 0.3}),
]
IDS = [f"{kind.__name__}-{len(arguments)}" for kind, _, arguments in CASES]


def starts(dtype):
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape).astype(dtype) for shape in SHAPES]


def gradients(dtype):
    """Gradients of each step, among them zeros and large ones."""
    rng = np.random.default_rng(1)
    for step in range(STEPS):
        scale = (0.0, 1.0, 30.0)[step % 3]
        yield [(scale * rng.standard_normal(shape)).astype(dtype) for shape in SHAPES]


def run(optimizer, dtype, lr=None):
    parameters = [Parameter(w) for w in starts(dtype)]
    for step, gs in enumerate(gradients(dtype)):
        for p, g in zip(parameters, gs, strict=True):
            p.grad = Tensor(g)
        if lr is not None:
            optimizer.lr = lr(step)
        optimizer.step(parameters)
    return [p.value.numpy() for p in parameters]


@pytest.mark.parametrize(("kind", "formula", "arguments"), CASES, ids=IDS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-11), (np.float32, 2e-4)])
def test_steps_follow_the_formula(kind, formula, arguments, dtype, tolerance):
    expected, states = starts(np.float64 if dtype == np.float64 else dtype), [{} for _ in SHAPES]
    expected = [w.astype(np.float64) for w in expected]
    for t, gs in enumerate(gradients(dtype), 1):
        for i, g in enumerate(gs):
            expected[i] = formula(expected[i], g.astype(np.float64), states[i], t, **arguments)
    for ours, theirs in zip(run(kind(**arguments), dtype), expected, strict=True):
        assert ours.dtype == dtype
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


def test_the_learning_rate_may_change_between_steps():
    def lr(step):
        return 0.1 / (1 + step)

    total = np.zeros(SHAPES[0])
    for step, gs in enumerate(gradients(np.float64)):
        total += lr(step) * gs[0]
    np.testing.assert_allclose(
        run(SGD(), np.float64, lr)[0], starts(np.float64)[0] - total, rtol=1e-10, atol=1e-12
    )


def test_frozen_parameters_and_those_without_a_gradient_stay():
    frozen, idle, trained = (Parameter(np.ones(4)) for _ in range(3))
    frozen.trainable = False
    frozen.grad = trained.grad = Tensor(np.ones(4))
    Adam(0.5).step([frozen, idle, trained])
    np.testing.assert_array_equal(frozen.value.numpy(), 1)
    np.testing.assert_array_equal(idle.value.numpy(), 1)
    np.testing.assert_allclose(trained.value.numpy(), 0.5)


def test_a_parameter_unfrozen_late_starts_like_a_new_one():
    late, optimizer = Parameter(np.ones(4)), Adam(0.5)
    early = Parameter(np.ones(4))
    for step in range(10):
        early.grad = Tensor(np.ones(4))
        late.grad = Tensor(np.ones(4)) if step == 9 else None
        optimizer.step([early, late])
    np.testing.assert_allclose(late.value.numpy(), 0.5)


def test_reset_forgets_the_velocity():
    p, optimizer = Parameter(np.zeros(2)), SGD(1.0, momentum=0.5)
    p.grad = Tensor(np.ones(2))
    optimizer.step([p])
    optimizer.reset()
    optimizer.step([p])
    np.testing.assert_allclose(p.value.numpy(), -2)


def test_repr_shows_the_settings():
    assert repr(SGD(0.1, momentum=0.9)) == "SGD(lr=0.1, momentum=0.9, nesterov=False)"
    assert repr(AdamW(weight_decay=0.5)).endswith("eps=1e-08, weight_decay=0.5)")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: SGD(-0.1), r"SGD: expected lr in \[0, inf\), got -0.1"),
        (lambda: SGD(float("nan")), "lr"),
        (lambda: SGD("0.1"), "lr"),
        (lambda: SGD(0.1, momentum=1.0), "momentum"),
        (lambda: SGD(0.1, nesterov=True), "momentum above 0"),
        (lambda: RMSprop(rho=-0.1), "rho"),
        (lambda: RMSprop(eps=0.0), "RMSprop: expected a finite eps above 0"),
        (lambda: Adam(beta1=1.0), "Adam: expected beta1"),
        (lambda: Adam(beta2=-1.0), "beta2"),
        (lambda: AdamW(weight_decay=-1.0), "AdamW: expected weight_decay"),
        (lambda: setattr(Adam(), "lr", float("inf")), "lr"),
    ],
)
def test_bad_arguments_are_refused(make, said):
    with pytest.raises(ArgumentError, match=said):
        make()

"""Every optimizer beside PyTorch's over 50 steps, with its options, weight decay, clipping and groups."""

import numpy as np
import pytest

from numbacnn import optimizers
from numbacnn.optimizers import SGD, AdamW, Group, RMSprop, is_norm_or_bias
from numbacnn.regularizers import L2

from .runs import assert_near, ours, torchs

DTYPES = [(np.float64, 1e-10), (np.float32, 1e-5)]
_MOMENTS = {"lr": 0.02, "beta1": 0.7, "beta2": 0.95, "eps": 1e-3}
#: Kind and our arguments; PyTorch's follow from them.
CASES = [
    ("SGD", {}),
    ("SGD", {"lr": 0.05, "momentum": 0.8, "weight_decay": 0.02}),
    ("SGD", {"lr": 0.05, "momentum": 0.8, "dampening": 0.3}),
    ("SGD", {"lr": 0.05, "momentum": 0.8, "nesterov": True, "weight_decay": 0.02}),
    ("RMSprop", {"lr": 0.02, "rho": 0.8, "eps": 1e-3, "weight_decay": 0.02}),
    ("RMSprop", {"lr": 0.02, "rho": 0.8, "eps": 1e-3, "momentum": 0.7}),
    (
        "RMSprop",
        {"rho": 0.8, "eps": 1e-3, "centered": True, "momentum": 0.7, "weight_decay": 0.1},
    ),
    ("RMSprop", {"lr": 0.02, "rho": 0.8, "eps": 1e-3, "centered": True}),
    ("Adagrad", {}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.05, "initial": 0.3, "eps": 1e-3, "weight_decay": 0.02}),
    ("Adadelta", {"lr": 0.7, "rho": 0.8, "eps": 1e-3, "weight_decay": 0.02}),
    ("Adam", {}),
    ("Adam", {**_MOMENTS, "weight_decay": 0.02}),
    ("Adam", {**_MOMENTS, "amsgrad": True}),
    ("AdamW", {**_MOMENTS, "weight_decay": 0.3}),
    ("AdamW", {**_MOMENTS, "weight_decay": 0.3, "amsgrad": True}),
    ("RAdam", {}),
    ("RAdam", {**_MOMENTS, "weight_decay": 0.02}),
]
_NAMES = {"rho": {"RMSprop": "alpha"}, "initial": {"Adagrad": "initial_accumulator_value"}}


def theirs(kind, settings):
    """PyTorch's names for ours."""
    given = {"lr": getattr(optimizers, kind)().lr, **settings}
    if "beta1" in given:
        given["betas"] = (given.pop("beta1"), given.pop("beta2"))
    return {_NAMES.get(name, {}).get(kind, name): value for name, value in given.items()}


@pytest.mark.parametrize(
    ("kind", "settings"), CASES, ids=[f"{kind}-{'-'.join(given) or 'plain'}" for kind, given in CASES]
)
@pytest.mark.parametrize(("dtype", "relative"), DTYPES, ids=["float64", "float32"])
def test_steps_are_those_of_torch(kind, settings, dtype, relative):
    expected = torchs(lambda torch, ws: getattr(torch.optim, kind)(ws, **theirs(kind, settings)))
    got = ours(getattr(optimizers, kind)(**settings), dtype)
    assert all(w.dtype == dtype for w in got)
    assert_near(got, expected, relative)


@pytest.mark.parametrize(("dtype", "relative"), DTYPES, ids=["float64", "float32"])
def test_clipping_by_norm_is_torchs(dtype, relative):
    def clip(torch, weights):
        torch.nn.utils.clip_grad_norm_(weights, 2.5)

    settings = {"lr": 0.05, "momentum": 0.8, "weight_decay": 0.02}
    expected = torchs(lambda torch, ws: torch.optim.SGD(ws, **settings), clip)
    assert_near(ours(SGD(**settings, clip_norm=2.5), dtype), expected, relative)


@pytest.mark.parametrize(("dtype", "relative"), DTYPES, ids=["float64", "float32"])
def test_clipping_by_value_is_torchs(dtype, relative):
    def clip(torch, weights):
        torch.nn.utils.clip_grad_value_(weights, 0.7)

    settings = {"lr": 0.02, "momentum": 0.8, "eps": 1e-3, "weight_decay": 0.02}
    expected = torchs(lambda torch, ws: torch.optim.RMSprop(ws, alpha=0.9, **settings), clip)
    assert_near(ours(RMSprop(rho=0.9, **settings, clip_value=0.7), dtype), expected, relative)


@pytest.mark.parametrize(("dtype", "relative"), DTYPES, ids=["float64", "float32"])
def test_groups_with_a_schedule_and_clipping_are_torchs(dtype, relative):
    def make(torch, ws):
        kernel, bias, gamma, dense = ws
        groups = [
            {"params": [bias, gamma], "weight_decay": 0.0},
            {"params": [dense], "lr": 0.001, "betas": (0.5, 0.9)},
            {"params": [kernel]},
        ]
        return torch.optim.AdamW(groups, 0.01, (0.9, 0.99), 1e-4, weight_decay=0.2)

    def clip(torch, weights):
        torch.nn.utils.clip_grad_norm_(weights, 4.0)

    groups = [Group(is_norm_or_bias, weight_decay=0.0), Group("dense.*", lr_scale=0.1, beta1=0.5, beta2=0.9)]
    optimizer = AdamW(0.01, 0.9, 0.99, 1e-4, 0.2, groups=groups, clip_norm=4.0)
    assert_near(ours(optimizer, dtype), torchs(make, clip), relative)


def test_norms_and_biases_may_go_without_decay():
    settings = {"momentum": 0.8, "lr": 0.05}

    def make(torch, ws):
        groups = [{"params": ws[1:3]}, {"params": [ws[0], ws[3]], "weight_decay": 0.1}]
        return torch.optim.SGD(groups, **settings)

    optimizer = SGD(**settings, weight_decay=0.1, decay_norms_and_biases=False)
    assert_near(ours(optimizer), torchs(make), 1e-12)


def test_penalties_are_weight_decay_of_the_parameters_that_have_them():
    def make(torch, ws):
        groups = [{"params": [w], "weight_decay": d} for w, d in zip(ws, (0.1, 0.3, 0.0, 0.2), strict=True)]
        return torch.optim.Adam(groups, 0.02, eps=1e-3)

    groups = [Group("norm.*", penalty=None), Group("dense.*", penalty=L2(0.2))]
    optimizer = optimizers.Adam(0.02, eps=1e-3, groups=groups)
    penalties = [L2(0.1), L2(0.3), L2(0.5), L2(0.5)]
    assert_near(ours(optimizer, penalties=penalties), torchs(make), 1e-12)

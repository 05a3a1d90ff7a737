"""Steps along drawn gradients, ours and PyTorch's."""

import numpy as np
import pytest

from numbacnn.parameter import Parameter
from numbacnn.tensor import Tensor

STEPS = 50
NAMES = ["conv.kernel", "conv.bias", "norm.gamma", "dense.kernel"]
SHAPES = [(3, 5, 7), (7,), (33,), (130, 129)]  # the last is large enough to be cut into parts


def starts(dtype=np.float64):
    """Initial weights on a grid, so that float32 holds what float64 does."""
    rng = np.random.default_rng(0)
    return [(rng.integers(-1024, 1025, shape) / 512).astype(dtype) for shape in SHAPES]


def gradients(dtype=np.float64, steps=STEPS):
    """Gradients of each step, among them zeros and large ones, on a grid likewise."""
    rng = np.random.default_rng(1)
    for step in range(steps):
        scale = (0.0, 1.0, 30.0)[step % 3]
        yield [(scale * rng.integers(-1024, 1025, shape) / 512).astype(dtype) for shape in SHAPES]


def parameters(dtype=np.float64):
    return [Parameter(w, name) for w, name in zip(starts(dtype), NAMES, strict=True)]


def feed(parameters, gradients):
    for p, g in zip(parameters, gradients, strict=True):
        p.grad = Tensor(g)


def ours(optimizer, dtype=np.float64, steps=STEPS, lr=None, penalties=()):
    """The weights after the steps; lr is a schedule, penalties are those of the parameters."""
    stepped = parameters(dtype)
    for p, penalty in zip(stepped, penalties, strict=False):
        p.penalty = penalty
    for step, gs in enumerate(gradients(dtype, steps)):
        feed(stepped, gs)
        if lr is not None:
            optimizer.lr = lr(step)
        optimizer.step(stepped)
    return [p.value.numpy() for p in stepped]


def torchs(make, clip=None, lr=None):
    """PyTorch's weights; make turns its parameters into an optimizer, clip changes their gradients."""
    torch = pytest.importorskip("torch")
    weights = [torch.tensor(w, requires_grad=True) for w in starts()]
    optimizer = make(torch, weights)
    for step, gs in enumerate(gradients()):
        for w, g in zip(weights, gs, strict=True):
            w.grad = torch.tensor(g)
        if clip is not None:
            clip(torch, weights)
        if lr is not None:
            for group in optimizer.param_groups:
                group["lr"] = lr(step)
        optimizer.step()
    return [w.detach().numpy() for w in weights]


def assert_near(got, expected, relative, err_msg=""):
    """Within a share of each array's largest magnitude."""
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=relative * np.abs(b).max(), err_msg=err_msg)

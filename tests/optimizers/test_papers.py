"""Lion and LAMB, which PyTorch has not, beside NumPy as their papers write them."""

import numpy as np
import pytest

from numbacnn.optimizers import LAMB, Lion

from .runs import assert_near, gradients, ours, starts


def followed(formula):
    """The weights of 50 steps by a formula of weights, gradient, state and number of the step."""
    weights, states = starts(), [{} for _ in starts()]
    for t, gs in enumerate(gradients(), 1):
        weights = [formula(w, g, s, t) for w, g, s in zip(weights, gs, states, strict=True)]
    return weights


@pytest.mark.parametrize(("dtype", "relative"), [(np.float64, 1e-10), (np.float32, 1e-5)])
def test_lion(dtype, relative):
    """Algorithm 2 of Chen et al., 2023; gradients lie on a grid, so that rounding decides few signs."""
    beta1, beta2, decay, lr = 0.75, 0.875, 0.3, 0.01

    def formula(w, g, state, t):
        m = state.get("m", np.zeros_like(w))
        update = np.sign(beta1 * m + (1 - beta1) * g)
        state["m"] = beta2 * m + (1 - beta2) * g
        return w - lr * (update + decay * w)

    expected = followed(formula)
    got = ours(Lion(lr, beta1, beta2, decay), dtype)
    if dtype == np.float64:
        assert_near(got, expected, relative)
    else:  # a sign that differs moves a weight by twice the rate: none of many
        far = [np.abs(a - b) > relative * np.abs(b).max() for a, b in zip(got, expected, strict=True)]
        assert sum(f.sum() for f in far) <= 2


@pytest.mark.parametrize(("dtype", "relative"), [(np.float64, 1e-10), (np.float32, 1e-5)])
@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_lamb(dtype, relative, decay):
    """Algorithm 2 of You et al., 2020, with phi(z) = z."""
    beta1, beta2, eps, lr = 0.8, 0.95, 1e-3, 0.02

    def formula(w, g, state, t):
        m = state["m"] = beta1 * state.get("m", 0) + (1 - beta1) * g
        v = state["v"] = beta2 * state.get("v", 0) + (1 - beta2) * g * g
        r = (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + eps) + decay * w
        size, length = np.linalg.norm(w), np.linalg.norm(r)
        return w - lr * (size / length if size and length else 1.0) * r

    assert_near(ours(LAMB(lr, beta1, beta2, eps, decay), dtype), followed(formula), relative)

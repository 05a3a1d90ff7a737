"""Activations against PyTorch's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbacnn import functional
from tests.strategies import arrays, dtypes, seeds

torch = pytest.importorskip("torch")

# ours as (forward, gradient by its output or input), PyTorch's, and which of both the gradient takes
ACTIVATIONS = {
    "leaky_relu": ({"slope": 0.2}, lambda x: torch.nn.functional.leaky_relu(x, 0.2), "y"),
    "clip": ({"low": 0.0, "high": 6.0}, torch.nn.functional.relu6, "y"),
    "silu": ({}, torch.nn.functional.silu, "x"),
    "relu": ({}, torch.nn.functional.relu, "y"),
    "sigmoid": ({}, torch.sigmoid, "y"),
    "tanh": ({}, torch.tanh, "y"),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
@settings(max_examples=15)
@given(st.lists(st.integers(1, 9), max_size=3).map(tuple), dtypes, seeds)
def test_activations_and_their_gradients_are_pytorchs(name, shape, dtype, seed):
    options, peer, taken = ACTIVATIONS[name]
    x, dy = arrays(seed, shape, shape, dtype=dtype)
    x *= 5
    theirs = torch.from_numpy(x.copy()).requires_grad_()
    value = peer(theirs)
    value.backward(torch.from_numpy(dy.copy()))
    y = getattr(functional, f"{name}_forward")(x, **options)
    tolerance = {"rtol": 20 * np.finfo(dtype).eps, "atol": 20 * np.finfo(dtype).eps}
    np.testing.assert_allclose(y.numpy(), value.detach().numpy(), **tolerance)
    dx = getattr(functional, f"{name}_backward")(dy, x if taken == "x" else y, **options)
    np.testing.assert_allclose(dx.numpy(), theirs.grad.numpy(), **tolerance)

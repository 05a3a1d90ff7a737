"""Activations, embeddings and their gradients against PyTorch's."""

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
    "elu": ({"alpha": 0.7}, lambda x: torch.nn.functional.elu(x, 0.7), "y"),
    "selu": ({}, torch.nn.functional.selu, "y"),
    "gelu": ({}, torch.nn.functional.gelu, "x"),
    "gelu tanh": (
        {"approximate": True},
        lambda x: torch.nn.functional.gelu(x, approximate="tanh"),
        "x",
    ),
    "hardsigmoid": ({}, torch.nn.functional.hardsigmoid, "y"),
    "hardswish": ({}, torch.nn.functional.hardswish, "x"),
    "mish": ({}, torch.nn.functional.mish, "x"),
    # PyTorch's is a straight line from 20 on, unless told another place
    "softplus": ({"beta": 1.5}, lambda x: torch.nn.functional.softplus(x, 1.5, 800), "y"),
    "log_softmax": ({}, lambda x: torch.nn.functional.log_softmax(x, -1), "y"),
    "relu": ({}, torch.nn.functional.relu, "y"),
    "sigmoid": ({}, torch.sigmoid, "y"),
    "tanh": ({}, torch.tanh, "y"),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
@settings(max_examples=15)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=3).map(tuple), dtypes, seeds)
def test_activations_and_their_gradients_are_pytorchs(name, shape, dtype, seed):
    options, peer, taken = ACTIVATIONS[name]
    name = name.partition(" ")[0]
    x, dy = arrays(seed, shape, shape, dtype=dtype)
    x *= 5
    theirs = torch.from_numpy(x.copy()).requires_grad_()
    value = peer(theirs)
    value.backward(torch.from_numpy(dy.copy()))
    y = getattr(functional, f"{name}_forward")(x, **options)
    tolerance = {"rtol": 20 * np.finfo(dtype).eps, "atol": 20 * np.finfo(dtype).eps}
    np.testing.assert_allclose(y.numpy(), value.detach().numpy(), **tolerance)
    dx = getattr(functional, f"{name}_backward")(dy, x if taken == "x" else y, **options)
    if name == "hardsigmoid":  # PyTorch's factor is 1 / 6 in float32
        tolerance = {"rtol": 1e-7}
    np.testing.assert_allclose(dx.numpy(), theirs.grad.numpy(), **tolerance)


@pytest.mark.parametrize("shared", [False, True])
@settings(max_examples=15)
@given(st.lists(st.integers(1, 9), max_size=2), st.integers(1, 9), dtypes, seeds)
def test_learned_slopes_and_their_gradients_are_pytorchs(shared, leading, channels, dtype, seed):
    shape = (1, *leading, channels)
    x, dy, slope = arrays(seed, shape, shape, (1 if shared else channels,), dtype=dtype)
    theirs, weight = (torch.from_numpy(a.copy()).requires_grad_() for a in (x, slope))
    value = torch.nn.functional.prelu(theirs.movedim(-1, 1), weight).movedim(1, -1)
    value.backward(torch.from_numpy(dy.copy()))
    tolerance = {"rtol": 20 * np.finfo(dtype).eps, "atol": 200 * np.finfo(dtype).eps}
    np.testing.assert_allclose(
        functional.prelu_forward(x, slope).numpy(), value.detach().numpy(), **tolerance
    )
    dx, dslope = functional.prelu_backward(dy, x, slope)
    np.testing.assert_allclose(dx.numpy(), theirs.grad.numpy(), **tolerance)
    np.testing.assert_allclose(dslope.numpy(), weight.grad.numpy(), **tolerance)


@settings(max_examples=15)
@given(st.lists(st.integers(0, 9), max_size=2).map(tuple), st.booleans(), dtypes, seeds)
def test_embeddings_and_their_gradients_are_pytorchs(shape, padded, dtype, seed):
    w, dy = arrays(seed, (8, 5), (*shape, 5), dtype=dtype)
    padding = 3 if padded else None
    if padded:
        w[3] = 0  # what PyTorch leaves to its users
    x = np.asarray(np.random.default_rng(seed).integers(0, 8, shape))
    table = torch.from_numpy(w.copy()).requires_grad_()
    value = torch.nn.functional.embedding(torch.from_numpy(x), table, padding_idx=padding)
    value.backward(torch.from_numpy(dy.copy()))
    got = functional.embedding_forward(x, w, padding_index=padding).numpy()
    np.testing.assert_array_equal(got, value.detach().numpy())
    dw = functional.embedding_backward(dy, x, 8, padding_index=padding).numpy()
    np.testing.assert_allclose(dw, table.grad.numpy(), atol=100 * np.finfo(dtype).eps)

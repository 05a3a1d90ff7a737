"""Attention and learned weights against PyTorch: outputs and all gradients."""

import numpy as np
import pytest

from numbacnn.layers import Multiply, SpatialAttention, SqueezeExcite, WeightedSum
from tests.layers.check import values

torch = pytest.importorskip("torch")
F = torch.nn.functional
CLOSE = {"rtol": 1e-9, "atol": 1e-11}


def agree(layer, inputs, compute):
    """Compare a layer, built here, with what `compute` makes of tensors and weights by name."""
    many = isinstance(inputs, list)
    given = inputs if many else [inputs]
    shapes = [x.shape[1:] for x in given]
    layer.build(shapes if many else shapes[0], np.random.default_rng(0), np.float64)
    for k, p in enumerate(layer.parameters):
        p.assign(values(p.shape, 10 + k))
    y, saved = layer.forward(inputs, training=True)
    dy = values(y.shape, 5)
    dx = layer.backward(dy, saved, input_gradient=True)
    theirs = [torch.from_numpy(x).requires_grad_() for x in given]
    weights = [torch.from_numpy(p.value.numpy().copy()).requires_grad_() for p in layer.parameters]
    result = compute(*theirs, *weights)
    result.backward(torch.from_numpy(dy))
    np.testing.assert_allclose(y.numpy(), result.detach().numpy(), **CLOSE)
    for mine, other in zip(dx if many else [dx], theirs, strict=True):
        np.testing.assert_allclose(mine.numpy(), other.grad.numpy(), **CLOSE)
    for p, other in zip(layer.parameters, weights, strict=True):
        np.testing.assert_allclose(p.grad.numpy(), other.grad.numpy(), **CLOSE, err_msg=p.name)


@pytest.mark.parametrize("shape", [(3, 9, 6), (2, 5, 4, 6), (2, 3, 2, 4, 6)])
def test_squeeze_and_excitation(shape):
    def compute(x, w1, b1, w2, b2):
        spatial = tuple(range(1, x.ndim - 1))
        hidden = F.silu(x.mean(spatial) @ w1 + b1)
        gates = torch.sigmoid(hidden @ w2 + b2)
        return x * gates.reshape(len(x), *[1] * len(spatial), -1)

    agree(SqueezeExcite(2, activation="silu"), values(shape), compute)


def test_spatial_attention():
    def compute(x, kernel, bias):
        pooled = torch.stack([x.mean(-1), x.amax(-1)], 1)
        z = F.conv2d(pooled, kernel.permute(3, 2, 0, 1), bias, padding=(3, 2))
        return x * torch.sigmoid(z).permute(0, 2, 3, 1)

    agree(SpatialAttention((7, 5), use_bias=True), values((2, 9, 8, 5)), compute)


@pytest.mark.parametrize("normalise", [False, True])
def test_weighted_sums(normalise):
    def compute(a, b, c, w):
        n = F.relu(w) / (1e-4 + F.relu(w).sum()) if normalise else w
        return n[0] * a + n[1] * b + n[2] * c

    agree(WeightedSum(normalise=normalise), [values((2, 5, 3), k) for k in range(3)], compute)


def test_products_of_repeated_factors():
    inputs = [values((2, 4, 3, 5)), values((2, 1, 1, 5), 1), values((2, 4, 3, 1), 2), values((2, 4, 3, 5), 3)]
    agree(Multiply(), inputs, lambda a, b, c, d: a * b * c * d)

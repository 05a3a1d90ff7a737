"""Normalisations of single examples against PyTorch's: outputs and all gradients."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbacnn.layers import GroupNorm, InstanceNorm, LayerNorm, LocalResponseNorm
from tests.strategies import arrays, dtypes, seeds

torch = pytest.importorskip("torch")
F = torch.nn.functional

pixels = st.lists(st.integers(2, 6), min_size=1, max_size=3)


def compare(layer, peer, shape, dtype, seed, first=True):
    """Outputs and gradients of a layer and of PyTorch's function of x, gamma and beta."""
    layer.build(shape[1:], np.random.default_rng(seed), dtype)
    x, dy = arrays(seed, shape, shape, dtype=dtype)
    for p in layer.parameters:
        p.value.numpy()[...] = np.random.default_rng(seed + 1).standard_normal(p.shape)
    y, saved = layer.forward(x, training=True)
    dx = layer.backward(dy, saved)

    def turned(array, to_first):
        if not first:
            return np.ascontiguousarray(array)
        return np.ascontiguousarray(np.moveaxis(array, -1, 1) if to_first else np.moveaxis(array, 1, -1))

    source = torch.from_numpy(turned(x, True)).requires_grad_()
    weights = [torch.from_numpy(p.value.numpy().copy()).requires_grad_() for p in layer.parameters]
    result = peer(source, *weights)
    result.backward(torch.from_numpy(turned(dy, True)))
    eps = np.finfo(dtype).eps
    close = {"rtol": 100 * eps, "atol": 100 * eps * max(1.0, x.size**0.5 / 4)}
    np.testing.assert_allclose(y.numpy(), turned(result.detach().numpy(), False), **close)
    np.testing.assert_allclose(dx.numpy(), turned(source.grad.numpy(), False), **close)
    for p, weight in zip(layer.parameters, weights, strict=True):
        np.testing.assert_allclose(p.grad.numpy(), weight.grad.numpy(), **close, err_msg=p.name)


@settings(max_examples=15)
@given(st.integers(1, 3), pixels, st.integers(1, 4), st.integers(1, 5), dtypes, seeds)
def test_group_norm(n, in_, groups, per, dtype, seed):
    shape = (n, *in_, groups * per)
    compare(
        GroupNorm(groups, 0.05),
        lambda x, w, b: F.group_norm(x, groups, w, b, 0.05),
        shape,
        dtype,
        seed,
    )


@settings(max_examples=15)
@given(st.integers(1, 3), pixels, st.integers(1, 7), st.booleans(), dtypes, seeds)
def test_instance_norm(n, in_, c, affine, dtype, seed):
    layer = InstanceNorm(0.05, scale=affine, shift=affine)
    compare(
        layer,
        lambda x, w=None, b=None: F.instance_norm(x, weight=w, bias=b, eps=0.05),
        (n, *in_, c),
        dtype,
        seed,
    )


@settings(max_examples=15)
@given(st.integers(1, 3), pixels, pixels, dtypes, seeds)
def test_layer_norm(n, lead, inner, dtype, seed):
    layer = LayerNorm(len(inner), 0.05)
    shape = (n, *lead, *inner)
    compare(layer, lambda x, w, b: F.layer_norm(x, inner, w, b, 0.05), shape, dtype, seed, first=False)


@settings(max_examples=15)
@given(
    st.integers(1, 3),
    pixels,
    st.integers(1, 9),
    st.integers(1, 8),
    st.sampled_from([0.5, 0.75, 1.0, 1.3]),
    dtypes,
    seeds,
)
def test_local_response_norm_with_windows_of_even_and_odd_sizes(n, in_, c, size, beta, dtype, seed):
    layer = LocalResponseNorm(size, 0.8, beta, 1.5)
    compare(layer, lambda x: F.local_response_norm(x, size, 0.8, beta, 1.5), (n, *in_, c), dtype, seed)


def test_epsilon_alpha_and_the_rest_default_to_pytorchs():
    for layer, peer in (
        (GroupNorm(2), torch.nn.GroupNorm(2, 4)),
        (LayerNorm(), torch.nn.LayerNorm(4)),
        (InstanceNorm(), torch.nn.InstanceNorm2d(4)),
    ):
        assert layer.epsilon == peer.eps
    ours, theirs = LocalResponseNorm(), torch.nn.LocalResponseNorm(5)
    assert (ours.size, ours.alpha, ours.beta, ours.k) == (theirs.size, theirs.alpha, theirs.beta, theirs.k)

"""Cosine embedding and triplets."""

import numpy as np
import pytest

from numbacnn.errors import ArgumentError, DTypeError, ShapeError, TargetError
from numbacnn.losses import CosineEmbedding, Triplet
from tests.layers.check import values
from tests.losses.check import assert_float32_agrees, assert_gradient

A, B, C = (values((6, 5), seed) for seed in range(3))
SIGNS = np.array([1, -1, 1, -1, -1, 1])


@pytest.mark.parametrize("margin", [-0.5, 0.0, 0.2])
def test_cosine_gradients_are_slopes(margin):
    loss, pair = CosineEmbedding(margin), (A.copy(), B.copy())
    value = assert_gradient(loss, pair, SIGNS)
    assert_float32_agrees(loss, pair, SIGNS)
    cosine = (A * B).sum(axis=1) / np.linalg.norm(A, axis=1) / np.linalg.norm(B, axis=1)
    expected = np.where(SIGNS == 1, 1 - cosine, np.maximum(0, cosine - margin)).mean()
    assert value == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("squared", [True, False])
@pytest.mark.parametrize("margin", [0.0, 0.3, 5.0])
def test_triplet_gradients_are_slopes(margin, squared):
    loss, triplet = Triplet(margin, squared), (A.copy(), B.copy(), C.copy())
    value = assert_gradient(loss, triplet, None)
    assert_float32_agrees(loss, triplet, None)
    near, far = (np.linalg.norm(A - other, axis=1) for other in (B, C))
    power = 2 if squared else 1
    expected = np.maximum(0, near**power - far**power + margin).mean()
    assert value == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_equal_and_empty_vectors():
    value, gradients = Triplet(0.5).value_and_gradient((A, A, A), None)
    assert value == pytest.approx(0.5)
    assert all(np.isfinite(g.numpy()).all() for g in gradients)
    value, gradients = CosineEmbedding().value_and_gradient((np.zeros((6, 5)), B), SIGNS)
    assert value == pytest.approx(0.5)
    assert all(np.isfinite(g.numpy()).all() for g in gradients)
    nothing = np.zeros((0, 5))
    assert Triplet()((nothing,) * 3) == 0.0
    assert CosineEmbedding()((nothing, nothing), np.zeros(0, int)) == 0.0


def test_what_does_not_fit_is_refused():
    with pytest.raises(ArgumentError, match="CosineEmbedding: expected a sequence of 2 predictions: a and b"):
        CosineEmbedding()(A, SIGNS)
    with pytest.raises(ArgumentError, match="Triplet: expected a sequence of 3 predictions"):
        Triplet()((A, B))
    with pytest.raises(TargetError, match="expected targets 1 or -1, got 0 at index 1"):
        CosineEmbedding()((A, B), np.array([1, 0, 1, 1, 1, 1]))
    with pytest.raises(DTypeError, match="targets of integers"):
        CosineEmbedding()((A, B), SIGNS.astype(float))
    with pytest.raises(ShapeError, match="the second vectors"):
        CosineEmbedding()((A, B[:, :4]), SIGNS)
    with pytest.raises(ShapeError, match=r"the anchors \(n, d\)"):
        Triplet()((A[0], B[0], C[0]))
    for bad in (-1.5, "0", np.nan):
        with pytest.raises(ArgumentError, match="margin"):
            CosineEmbedding(bad)
    with pytest.raises(ArgumentError, match="margin"):
        Triplet(-1.0)


def test_repr():
    assert repr(CosineEmbedding(0.1)) == "CosineEmbedding(margin=0.1)"
    assert repr(Triplet()) == "Triplet(margin=1.0, squared=False)"

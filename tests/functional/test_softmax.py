"""Softmax and losses on tensors against the reference, and what they refuse."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numbacnn import functional
from numbacnn.errors import ArgumentError, DTypeError, ShapeError, TargetError
from numbacnn.kernels import reference
from numbacnn.tensor import Tensor
from tests.functional.comparing import assert_matches, reference_of
from tests.strategies import arrays, dtypes, seeds

batches = st.integers(0, 40)
classes = st.integers(1, 40)
smoothings = st.sampled_from([0.0, 0.1, 1.0])


@given(st.lists(st.integers(0, 6), max_size=3), classes, dtypes, seeds, st.sampled_from([1.0, 50.0]))
def test_softmax_and_its_gradient_are_the_references(leading, k, dtype, seed, spread):
    shape = (*leading, k)
    x, dy = arrays(seed, shape, shape, dtype=dtype)
    x *= dtype(spread)
    y = functional.softmax_forward(x)
    assert_matches(y, reference_of(reference.softmax_forward, x, shape=shape), dtype)
    dx = functional.softmax_backward(dy, y)
    expected = reference_of(reference.softmax_backward, y.numpy(), dy, shape=shape)
    assert_matches(dx, expected, dtype)


def target_of(kind, rng, n, k, dtype):
    if kind == "classes":
        return rng.integers(0, k, n).astype(rng.choice(["i8", "i4", "u1"]))
    if kind == "one-hot":
        return np.eye(k, dtype=rng.choice(["i8", "?", np.dtype(dtype).str]))[rng.integers(0, k, n)]
    return rng.dirichlet(np.ones(k), n).astype(dtype)


@given(batches, classes, smoothings, st.sampled_from(["classes", "one-hot", "probabilities"]), dtypes, seeds)
def test_cross_entropy_and_its_gradient_are_the_references(n, k, smoothing, kind, dtype, seed):
    (x,) = arrays(seed, (n, k), dtype=dtype)
    target = target_of(kind, np.random.default_rng(seed), n, k, dtype)
    loss, p = functional.softmax_cross_entropy_forward(x, target, label_smoothing=smoothing)
    loss64, p64 = np.full(n, np.nan), np.full((n, k), np.nan)
    same = target.astype(np.int64) if kind == "classes" else target.astype(np.float64)
    reference.softmax_cross_entropy_forward(x, same, smoothing, loss64, p64)
    assert_matches(loss, loss64, dtype, 4 + np.abs(x))
    assert_matches(p, p64, dtype)
    dx = functional.softmax_cross_entropy_backward(p, target, label_smoothing=smoothing, scale=0.25)
    expected = reference_of(
        reference.softmax_cross_entropy_backward, p.numpy(), same, smoothing, 0.25, shape=(n, k)
    )
    assert_matches(dx, expected, dtype)


@given(batches, st.lists(st.integers(1, 8), max_size=3), dtypes, seeds)
def test_mean_squared_error_and_its_gradient_are_the_references(n, rest, dtype, seed):
    shape = (n, *rest)
    x, target = arrays(seed, shape, shape, dtype=dtype)
    loss = functional.mean_squared_error_forward(x, target)
    expected = reference_of(reference.mean_squared_error_forward, x, target, shape=(n,))
    assert_matches(loss, expected, dtype)
    dx = functional.mean_squared_error_backward(x, target, scale=0.25)
    expected = reference_of(reference.mean_squared_error_backward, x, target, 0.25, shape=shape)
    assert_matches(dx, expected, dtype)


LOSSES = [
    lambda x, target, **options: functional.softmax_cross_entropy_forward(x, target, **options),
    lambda x, target, **options: functional.softmax_cross_entropy_backward(x, target, **options),
]


@pytest.mark.parametrize("loss", LOSSES, ids=["forward", "backward"])
@pytest.mark.parametrize(
    ("error", "target", "says"),
    [
        (TargetError, [0, 3, 1], "expected classes from 0 to 2, got 3 at index 1"),
        (TargetError, [0, 1, -1], "got -1 at index 2"),
        (TargetError, np.array([0, 1, 2**64 - 1], np.uint64), "got 18446744073709551615 at index 2"),
        (TargetError, np.full((3, 3), 0.5), "that sum to 1, got row 0"),
        (TargetError, [[1.0, 0, 0], [0, 1, 0], [1.5, -0.5, 0]], "got row 2: [ 1.5 -0.5  0. ]"),
        (TargetError, np.full((3, 3), np.nan), "that sum to 1"),
        (TargetError, np.ones((3, 3), int), "that sum to 1"),
        (ShapeError, [0, 1], "expected classes of shape (3,), got (2,)"),
        (ShapeError, np.eye(3)[:2], "expected targets of shape (3, 3), got (2, 3)"),
        (ShapeError, np.eye(4)[:3], "expected targets of shape (3, 3), got (3, 4)"),
        (ShapeError, 1, "expected targets of shape (3, 3), got ()"),
        (DTypeError, [0.0, 1.0, 2.0], "expected classes of integers, got float64"),
        (DTypeError, np.eye(3, dtype=np.float32), "expected probabilities of float64"),
    ],
)
def test_cross_entropy_refuses_targets(loss, error, target, says):
    with pytest.raises(error) as caught:
        loss(np.full((3, 3), 1 / 3), target, name="loss")
    assert str(caught.value).startswith("loss: ")
    assert says in str(caught.value)


@pytest.mark.parametrize("loss", LOSSES, ids=["forward", "backward"])
def test_cross_entropy_refuses_scores_and_options(loss):
    with pytest.raises(ShapeError, match=r"expected scores \(n, classes\), got 3 axes"):
        loss(np.ones((3, 1, 3)), [0, 1, 2])
    with pytest.raises(ShapeError, match="give it a class axis"):
        loss(np.ones((3, 0)), [0, 0, 0])
    with pytest.raises(DTypeError, match="of float32 or float64, got int64"):
        loss(np.ones((3, 3), int), [0, 1, 2])
    for smoothing in (-0.1, 1.5, np.nan, "0.1", None):
        with pytest.raises(ArgumentError, match="expected label_smoothing from 0 to 1"):
            loss(np.ones((3, 3)), [0, 1, 2], label_smoothing=smoothing)


def test_softmax_refuses():
    for x in (np.ones((3, 0)), np.float64(1.0)):
        with pytest.raises(ShapeError, match=r"^softmax_forward: expected an input \(\.\.\., classes\)"):
            functional.softmax_forward(x)
    with pytest.raises(DTypeError, match="got int64"):
        functional.softmax_forward([1, 2])
    with pytest.raises(
        ShapeError, match=r"^softmax_backward: expected an output of shape \(2, 3\), got \(3,\)"
    ):
        functional.softmax_backward(np.ones((2, 3)), np.ones(3))
    with pytest.raises(DTypeError, match="expected the output of float64"):
        functional.softmax_backward(np.ones(3), np.ones(3, np.float32))


@pytest.mark.parametrize(
    "error_of", [functional.mean_squared_error_forward, functional.mean_squared_error_backward]
)
def test_mean_squared_error_refuses(error_of):
    with pytest.raises(ShapeError, match=r"expected targets of shape \(2, 3\), got \(2, 1\)"):
        error_of(np.ones((2, 3)), np.ones((2, 1)))
    for x in (np.float64(1.0), np.ones((2, 0))):
        with pytest.raises(ShapeError, match=r"expected predictions \(n, \.\.\.\)"):
            error_of(x, x)
    with pytest.raises(DTypeError, match="expected the targets of float64, the type of the predictions"):
        error_of(np.ones((2, 3)), np.ones((2, 3), np.float32))


def test_losses_are_tensors_per_item():
    loss, p = functional.softmax_cross_entropy_forward(np.zeros((4, 2), np.float32), [0, 1, 0, 1])
    assert type(loss) is Tensor
    np.testing.assert_allclose(loss.numpy(), np.log(2) * np.ones(4), rtol=1e-6)
    np.testing.assert_array_equal(p.numpy(), np.full((4, 2), 0.5))

"""Softmax and losses of classes on tensors against the reference, and what they refuse."""

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
    reference.softmax_cross_entropy_forward(x, same, None, -1, smoothing, loss64, p64)
    assert_matches(loss, loss64, dtype, 4 + np.abs(x))
    assert_matches(p, p64, dtype)
    dx = functional.softmax_cross_entropy_backward(p, target, label_smoothing=smoothing, scale=0.25)
    expected = reference_of(
        reference.softmax_cross_entropy_backward,
        *(p.numpy(), same, None, -1, smoothing, None, 0.25),
        shape=(n, k),
    )
    assert_matches(dx, expected, dtype)


@given(st.integers(0, 4), st.lists(st.integers(1, 4), max_size=3), classes, st.booleans(), dtypes, seeds)
def test_classes_of_pixels_some_of_them_ignored(n, rest, k, focal, dtype, seed):
    (x,) = arrays(seed, (n, *rest, k), dtype=dtype)
    rng = np.random.default_rng(seed)
    target = np.where(rng.random((n, *rest)) < 0.7, rng.integers(0, k, (n, *rest)), 255)
    weights, divisor = rng.uniform(0.1, 2, k).astype(dtype), np.array(1.5, dtype)
    stem, own = ("focal_cross_entropy", {"gamma": 1.5}) if focal else ("softmax_cross_entropy", {})
    options = {"class_weights": weights, "ignore_index": 255, **own}
    loss, p = getattr(functional, f"{stem}_forward")(x, target, **options)
    rows, flat = x.reshape(-1, k), target.reshape(-1)
    loss64, p64 = np.full(len(flat), np.nan), np.full(rows.shape, np.nan)
    given_ = flat, weights, 255, 1.5 if focal else 0.0
    getattr(reference, f"{stem}_forward")(rows, *given_, loss64, p64)
    assert_matches(loss, loss64.reshape(target.shape), dtype, 4 + np.abs(x))
    assert_matches(p, p64.reshape(x.shape), dtype)
    dx = getattr(functional, f"{stem}_backward")(p, target, scale=0.25, divisor=divisor, **options)
    last = p.numpy().reshape(-1, k), *given_, divisor, 0.25
    expected = reference_of(getattr(reference, f"{stem}_backward"), *last, shape=rows.shape)
    assert_matches(dx, expected.reshape(x.shape), dtype, 4.0)
    share = functional.target_weights(x, target, class_weights=weights, ignore_index=255)
    expected = np.where(target == 255, 0, weights[np.where(target == 255, 0, target)])
    np.testing.assert_array_equal(share.numpy(), expected)


def test_focal_cross_entropy_takes_classes_only():
    with pytest.raises(DTypeError, match="classes of integers"):
        functional.focal_cross_entropy_forward(np.ones((3, 3)), np.eye(3))
    with pytest.raises(ArgumentError, match="gamma"):
        functional.focal_cross_entropy_forward(np.ones((3, 3)), [0, 1, 2], gamma=-1.0)
    with pytest.raises(ShapeError, match="a divisor"):
        functional.focal_cross_entropy_backward(np.ones((3, 3)), [0, 1, 2], divisor=np.ones(3))


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
    with pytest.raises(ShapeError, match=r"expected scores \(n, ..., classes\), got 1 axes"):
        loss(np.ones(3), 0)
    with pytest.raises(ShapeError, match=r"expected targets of shape \(3, 1, 3\), got \(3,\)"):
        loss(np.ones((3, 1, 3)), [0, 1, 2])
    for ignore in (1.0, "0", True):
        with pytest.raises(ArgumentError, match="expected ignore_index as an integer"):
            loss(np.ones((3, 3)), [0, 1, 2], ignore_index=ignore)
    with pytest.raises(ArgumentError, match="leave out ignore_index"):
        loss(np.ones((3, 3)), np.eye(3), ignore_index=0)
    with pytest.raises(TargetError, match="from 0 to 2, got 3 at index 2"):
        loss(np.ones((4, 3)), [0, 9, 3, 9], ignore_index=9)
    with pytest.raises(ShapeError, match=r"expected class weights of shape \(3,\), got \(2,\)"):
        loss(np.ones((3, 3)), [0, 1, 2], class_weights=np.ones(2))
    with pytest.raises(DTypeError, match="expected class weights of float64, got float32"):
        loss(np.ones((3, 3)), [0, 1, 2], class_weights=np.ones(3, np.float32))
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


def test_losses_are_tensors_per_item():
    loss, p = functional.softmax_cross_entropy_forward(np.zeros((4, 2), np.float32), [0, 1, 0, 1])
    assert type(loss) is Tensor
    np.testing.assert_allclose(loss.numpy(), np.log(2) * np.ones(4), rtol=1e-6)
    np.testing.assert_array_equal(p.numpy(), np.full((4, 2), 0.5))

"""Losses of elements on tensors against the reference, and what they refuse."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbacnn import functional
from numbacnn.errors import ArgumentError, DTypeError, ShapeError, TargetError
from numbacnn.kernels import reference
from tests.functional.comparing import assert_matches, reference_of
from tests.strategies import arrays, dtypes, seeds

batches = st.integers(0, 12)

# Of each: options as the operation and as the kernel takes them, and the range of targets.
CASES = {
    "mean_squared_error": ({}, (), None),
    "mean_absolute_error": ({}, (), None),
    "huber": ({"delta": 0.6}, (0.6,), None),
    "binary_cross_entropy": ({}, (None,), (0, 1)),
    "focal": ({"alpha": 0.3, "gamma": 1.5}, (0.3, 0.7, 1.5), (0, 1)),
    "kl_divergence": ({}, (False,), (0, 1)),
}


@pytest.mark.parametrize("stem", CASES)
@settings(max_examples=25)
@given(batches, st.lists(st.integers(1, 8), max_size=3), dtypes, seeds)
def test_values_and_gradients_are_the_references(stem, n, rest, dtype, seed):
    options, given_, limits = CASES[stem]
    shape = (n, *rest)
    x, target = arrays(seed, shape, shape, dtype=dtype)
    if limits:
        target = np.random.default_rng(seed).random(shape).astype(dtype)
    loss = getattr(functional, f"{stem}_forward")(x, target, **options)
    size = max(1, x.size // max(1, n)) if stem == "kl_divergence" else 1
    expected = reference_of(getattr(reference, f"{stem}_forward"), x, target, *given_, shape=(n,))
    assert_matches(loss, expected, dtype, 4.0 * size)
    dx = getattr(functional, f"{stem}_backward")(x, target, scale=0.25, **options)
    both = (target,) if stem == "kl_divergence" else (x, target)
    expected = reference_of(getattr(reference, f"{stem}_backward"), *both, *given_, 0.25, shape=shape)
    assert_matches(dx, expected, dtype)


def test_weights_of_positives_follow_the_last_axis():
    x, target = np.zeros((2, 3, 2)), np.ones((2, 3, 2))
    loss = functional.binary_cross_entropy_forward(x, target, positive_weights=np.array([1.0, 3.0]))
    np.testing.assert_allclose(loss.numpy(), 2 * np.log(2))
    dx = functional.binary_cross_entropy_backward(x, target, positive_weights=np.array([3.0]), scale=6.0)
    np.testing.assert_allclose(dx.numpy(), -1.5)


@pytest.mark.parametrize("kind", [np.int64, bool, np.uint8])
@pytest.mark.parametrize("stem", ["binary_cross_entropy", "focal"])
def test_labels_may_be_integers(stem, kind):
    x, target = np.random.default_rng(0).standard_normal((4, 3)), np.array([[0, 1, 1]] * 4)
    for way in ("forward", "backward"):
        operation = getattr(functional, f"{stem}_{way}")
        expected = operation(x, target.astype(np.float64)).numpy()
        np.testing.assert_array_equal(operation(x, target.astype(kind)).numpy(), expected)


@pytest.mark.parametrize("way", ["forward", "backward"])
@pytest.mark.parametrize("stem", CASES)
def test_what_does_not_fit_is_refused(stem, way):
    operation = getattr(functional, f"{stem}_{way}")
    with pytest.raises(ShapeError, match=r"expected targets of shape \(2, 3\), got \(2, 1\)"):
        operation(np.ones((2, 3)), np.ones((2, 1)))
    for x in (np.float64(1.0), np.ones((2, 0))):
        with pytest.raises(ShapeError, match=r"expected (predictions|logits) \(n, \.\.\.\)"):
            operation(x, x)
    with pytest.raises(DTypeError, match=r"targets of float64, the type of the (predictions|scores)"):
        operation(np.ones((2, 3)), np.ones((2, 3), np.float32))


@pytest.mark.parametrize("way", ["forward", "backward"])
def test_options_out_of_range_are_refused(way):
    x = np.ones((2, 3))

    def operation(stem):
        return getattr(functional, f"{stem}_{way}")

    for delta in (0.0, -1.0, np.inf, "1"):
        with pytest.raises(ArgumentError, match="delta"):
            operation("huber")(x, x, delta=delta)
    for options in ({"alpha": 1.5}, {"alpha": -0.1}, {"gamma": -1.0}, {"gamma": np.nan}):
        with pytest.raises(ArgumentError, match=next(iter(options))):
            operation("focal")(x, x, **options)
    for target in (np.full((2, 3), 1.5), np.full((2, 3), -1), np.full((2, 3), np.nan)):
        for stem in ("focal", "binary_cross_entropy"):
            with pytest.raises(TargetError, match=r"targets from 0 to 1, got .* at element 0"):
                operation(stem)(x, target)
    with pytest.raises(ShapeError, match=r"positive weights of shape \(3,\) or \(1,\), got \(2,\)"):
        operation("binary_cross_entropy")(x, x, positive_weights=np.ones(2))
    with pytest.raises(DTypeError, match="positive weights of float64"):
        operation("binary_cross_entropy")(x, x, positive_weights=np.ones(3, np.float32))

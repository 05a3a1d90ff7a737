"""Losses of elements on a simulated GPU, against the reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbacnn.kernels import reference
from numbacnn.kernels.cuda import pointwise
from tests.strategies import seeds

from .arrays import computed
from .both import ROUNDING, TYPES, double, normal, types

F32, F64 = TYPES[:2]
RELATIVE = {kind: max(1.01 * ROUNDING[kind], 4e-6 if kind != F64 else 2e-14) for kind in TYPES}

# What follows predictions and targets, and whether targets are probabilities.
CASES = [
    ("mean_squared_error", (), False),
    ("mean_absolute_error", (), False),
    ("huber", (0.7,), False),
    ("binary_cross_entropy", ("weights",), True),
    ("binary_cross_entropy", (None,), True),
    ("focal", (0.3, 0.6, 1.5), True),
    ("kl_divergence", (False,), True),
    ("kl_divergence", (True,), False),
]


def check(name, options, chances, shape, seed, dtype):
    x, target = (3 * double(normal(seed, shape, dtype))).astype(dtype), normal(seed + 1, shape, dtype)
    rng, kept = np.random.default_rng(seed), F64 if dtype == F64 else F32  # 16 bits have float32 losses
    if chances:
        target = np.clip(rng.uniform(-0.3, 1.3, shape), 0, 1).astype(dtype)
    options = tuple(rng.uniform(0.2, 3, shape[-1]).astype(kept) if o == "weights" else o for o in options)
    loss = computed(getattr(pointwise, f"{name}_forward"), (x, target, *options), shape[:1], kept)
    exact, slope = np.empty(shape[0]), np.empty(shape)
    getattr(reference, f"{name}_forward")(double(x), double(target), *options, exact)
    size = 8 * x[0].size if name == "kl_divergence" else 8
    np.testing.assert_allclose(loss, exact, rtol=RELATIVE[kept], atol=size * RELATIVE[kept])
    both = (target,) if name == "kl_divergence" else (x, target)
    dx = computed(getattr(pointwise, f"{name}_backward"), (*both, *options, 0.75), shape, dtype)
    getattr(reference, f"{name}_backward")(*map(double, both), *options, 0.75, slope)
    np.testing.assert_allclose(double(dx), slope, rtol=RELATIVE[dtype], atol=RELATIVE[dtype])


@pytest.mark.parametrize("name, options, chances", CASES)
@settings(max_examples=6)
@given(st.integers(1, 5), st.lists(st.integers(1, 6), min_size=1, max_size=2), seeds, types)
def test_losses_of_any_shape_are_the_references(name, options, chances, n, rest, seed, dtype):
    check(name, options, chances, (n, *rest), seed, dtype)


@pytest.mark.parametrize("shape", [(9, 31), (3, 1024), (3, 1025), (2, 1028), (1, 20001), (2, 16388)])
def test_squared_error_of_each_layout(shape):
    """From groups of lanes to rows that several blocks sum, in vectors and in elements."""
    check("mean_squared_error", (), False, shape, 1, F32)


@pytest.mark.parametrize("shape", [(3, 1025), (2, 16390)])
def test_long_rows_are_summed_by_a_block_or_several(shape):
    check("binary_cross_entropy", ("weights",), True, (shape[0], shape[1] // 5, 5), 1, F32)


@pytest.mark.parametrize("dtype", TYPES[:2], ids=str)
def test_large_logits_do_not_overflow_and_keep_small_costs(dtype):
    x = np.array([[1e4], [-1e4], [1e4], [-1e4], [20.0], [-20.0], [np.nan]], dtype)
    target = np.array([[1], [0], [0], [1], [1], [0], [1]], dtype)
    tail = np.log1p(np.exp(-20.0))
    loss = computed(pointwise.binary_cross_entropy_forward, (x, target, None), (7,), dtype)
    np.testing.assert_allclose(loss, [0, 0, 1e4, 1e4, tail, tail, np.nan], rtol=1e-5)
    dx = computed(pointwise.binary_cross_entropy_backward, (x, target, None, 7.0), (7, 1), dtype)
    np.testing.assert_allclose(dx[:, 0] / 7, [0, 0, 1, -1, -tail, tail, np.nan], rtol=1e-5)
    loss = computed(pointwise.focal_forward, (x, target, 1.0, 1.0, 2.0), (7,), dtype)
    np.testing.assert_allclose(loss[:6], [0, 0, 1e4, 1e4, np.exp(-60.0), np.exp(-60.0)], rtol=1e-4)
    dx = computed(pointwise.focal_backward, (x, target, 1.0, 1.0, 0.5, 7.0), (7, 1), dtype)
    assert np.isfinite(dx[:6]).all()

"""Counting correct predictions on a simulated GPU, against NumPy's argmax."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbacnn.kernels.cuda import metrics
from tests.strategies import seeds

from .arrays import put
from .both import TYPES, both, double, types

VALUES = [-np.inf, -1.0, 0.0, 0.0, 1.0, 1.0, np.inf, np.nan]  # many equals, and what compares oddly


def check(n, k, one_hot, seed, dtype, most):
    rng = np.random.default_rng(seed)
    x = rng.choice(VALUES[:most], (n, k)).astype(dtype)
    labels = np.where(rng.random(n) < 0.5, double(x).argmax(axis=1), rng.integers(0, k, n))
    target, ignore = (np.eye(k)[labels].astype(dtype), -1) if one_hot else (labels, k // 2)

    def run():
        count = put(np.array([100, 200], np.int64))
        metrics.correct_count(put(x), put(target), ignore, count)
        metrics.correct_count(put(x), put(target), ignore, count)
        return [count.numpy()]

    (count,) = both(run)
    there = labels != ignore
    assert count[0] == 100 + 2 * ((double(x).argmax(axis=1) == labels) & there).sum()
    assert count[1] == 200 + 2 * there.sum()


@settings(max_examples=15)
@given(st.integers(0, 9), st.integers(1, 40), st.booleans(), st.integers(1, len(VALUES)), seeds, types)
def test_counts_what_argmax_finds(n, k, one_hot, most, seed, dtype):
    check(n, k, one_hot, seed, dtype, most)


@pytest.mark.parametrize("n, k, dtype", [(4100, 1, TYPES[0]), (600, 3, TYPES[3]), (18, 1100, TYPES[1])])
def test_counts_of_several_blocks_are_added(n, k, dtype):
    check(n, k, False, n, dtype, len(VALUES))

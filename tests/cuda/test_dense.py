"""Dense layers' kernels of the GPU in the simulator, against the reference in float64."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbacnn.kernels import reference
from numbacnn.kernels.cuda import dense

from .arrays import computed
from .products import KINDS, check, drawn

sizes = st.tuples(st.integers(0, 70), st.integers(1, 90), st.integers(1, 70))


def check_products(kind, n, inputs, outputs, seed):
    x, w, b, dy = drawn(seed, kind, (n, inputs), (inputs, outputs), (outputs,), (n, outputs))
    for name, arguments, shape in (
        ("dense_forward", (x, w, b), (n, outputs)),
        ("dense_forward", (x, w, None), (n, outputs)),
        ("dense_backward_data", (dy, w), (n, inputs)),
        ("dense_backward_weights", (x, dy), (inputs, outputs)),
    ):
        check(getattr(dense, name), getattr(reference, name), kind, arguments, shape)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=2)
@given(size=sizes, seed=st.integers(0, 99))
def test_products_are_the_references(kind, size, seed):
    check_products(kind, *size, seed)


@pytest.mark.parametrize(
    "kind", [k if k == "exact" else pytest.param(k, marks=pytest.mark.slow) for k in KINDS]
)
@pytest.mark.parametrize("size", [(1, 64, 32), (70, 16, 40), (0, 4, 8), (3, 1, 1), (5, 272, 8)])
def test_sizes_at_the_ends_of_tiles(kind, size):
    check_products(kind, *size, 7)


def test_dense_layers_are_exact_by_default():
    x, w = drawn(3, "exact", (8, 64), (64, 16))
    expected = np.empty((8, 16))
    reference.dense_forward(x, w, None, expected)
    got = computed(dense.dense_forward, (x, w, None), (8, 16), np.float32)
    assert np.abs(got - expected).max() < 2e-6 * np.abs(expected).max()
    rounded = check(dense.dense_forward, reference.dense_forward, "tf32", (x, w, None), (8, 16))
    assert np.abs(rounded - expected).max() > 2e-5 * np.abs(expected).max(), "TF32 was asked for"

"""Dense products of tensors against the reference, and what they refuse."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numbacnn import functional
from numbacnn.errors import DTypeError, ShapeError
from numbacnn.kernels import reference
from tests.functional.comparing import assert_matches, reference_of
from tests.strategies import arrays, dtypes, seeds

extents = st.integers(1, 70)


@given(st.integers(0, 40), extents, extents, dtypes, seeds)
def test_dense_and_its_gradients_are_the_references(n, f, k, dtype, seed):
    x, w, b, dy = arrays(seed, (n, f), (f, k), (k,), (n, k), dtype=dtype)
    for bias in (b, None):
        y = functional.dense_forward(x, w, bias)
        expected = reference_of(reference.dense_forward, x, w, bias, shape=(n, k))
        assert_matches(y, expected, dtype, abs(x) @ abs(w) + 1)
    dx = functional.dense_backward_data(dy, w)
    expected = reference_of(reference.dense_backward_data, dy, w, shape=(n, f))
    assert_matches(dx, expected, dtype, abs(dy) @ abs(w.T))
    dw = functional.dense_backward_weights(x, dy)
    expected = reference_of(reference.dense_backward_weights, x, dy, shape=(f, k))
    assert_matches(dw, expected, dtype, abs(x.T) @ abs(dy))


F4, F8 = np.float32, np.float64


@pytest.mark.parametrize(
    ("error", "call", "says"),
    [
        (ShapeError, lambda one: one.dense_forward(np.ones(3), np.ones((3, 2))), "an input (n, features)"),
        (ShapeError, lambda one: one.dense_forward(np.ones((2, 3, 1)), np.ones((3, 2))), "got 3 axes"),
        (
            ShapeError,
            lambda one: one.dense_forward(np.ones((2, 3)), np.ones(3)),
            "weights (features, outputs)",
        ),
        (ShapeError, lambda one: one.dense_forward(np.ones((2, 4)), np.ones((3, 2))), "expected 3 features"),
        (ShapeError, lambda one: one.dense_forward(np.ones((2, 0)), np.ones((0, 2))), "of positive size"),
        (ShapeError, lambda one: one.dense_forward(np.ones((2, 3)), np.ones((3, 0))), "of positive size"),
        (
            ShapeError,
            lambda one: one.dense_forward(np.ones((2, 3)), np.ones((3, 2)), np.ones(3)),
            "expected a bias of shape (2,), got (3,)",
        ),
        (
            DTypeError,
            lambda one: one.dense_forward(np.ones((2, 3), F4), np.ones((3, 2), F8)),
            "expected the weights of float32, the type of the input, got float64",
        ),
        (
            DTypeError,
            lambda one: one.dense_forward(np.ones((2, 3)), np.ones((3, 2)), np.ones(2, F4)),
            "expected the bias of float64, the type of the input, got float32",
        ),
        (DTypeError, lambda one: one.dense_forward([[1, 2]], [[1.0], [2.0]]), "got int64"),
        (
            ShapeError,
            lambda one: one.dense_backward_data(np.ones((2, 3)), np.ones((3, 2))),
            "expected an output gradient of shape (2, 2), got (2, 3)",
        ),
        (
            ShapeError,
            lambda one: one.dense_backward_data(np.ones(3), np.ones((3, 2))),
            "(n, outputs), got 1 axes",
        ),
        (
            DTypeError,
            lambda one: one.dense_backward_data(np.ones((2, 2), F4), np.ones((3, 2))),
            "the weights of float32",
        ),
        (
            ShapeError,
            lambda one: one.dense_backward_weights(np.ones((2, 3)), np.ones((3, 2))),
            "expected an output gradient of shape (2, 2), got (3, 2)",
        ),
        (ShapeError, lambda one: one.dense_backward_weights(np.ones(3), np.ones((3, 2))), "(n, features)"),
        (ShapeError, lambda one: one.dense_backward_weights(np.ones((3, 2)), np.ones(3)), "(n, outputs)"),
        (
            ShapeError,
            lambda one: one.dense_backward_weights(np.ones((3, 0)), np.ones((3, 1))),
            "positive size",
        ),
        (
            DTypeError,
            lambda one: one.dense_backward_weights(np.ones((2, 2), F4), np.ones((2, 2))),
            "the output gradient of float32",
        ),
    ],
)
def test_refusals(error, call, says):
    with pytest.raises(error) as caught:
        call(functional)
    assert says in str(caught.value)
    assert str(caught.value).startswith("dense_"), "names the operation"


def test_errors_name_the_layer():
    with pytest.raises(ShapeError, match=r"^head: "):
        functional.dense_forward(np.ones((2, 4)), np.ones((3, 2)), name="head")

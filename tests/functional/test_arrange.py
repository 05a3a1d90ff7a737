"""Permuting, slicing, joining and splitting against NumPy, and what they refuse."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numbacnn import functional
from numbacnn.errors import ArgumentError, DTypeError, ShapeError
from tests.strategies import arrays, dtypes, seeds

shapes = st.lists(st.integers(0, 5), min_size=1, max_size=5).map(tuple)


@given(shapes, st.randoms(use_true_random=False), dtypes, seeds)
def test_permuting_is_numpys_and_undone_by_its_gradient(shape, random, dtype, seed):
    (x,) = arrays(seed, shape, dtype=dtype)
    axes = random.sample(range(len(shape)), len(shape))
    negative = [a - len(shape) if random.random() < 0.5 else a for a in axes]
    y = functional.permute_forward(x, negative)
    assert y.numpy().flags.c_contiguous
    np.testing.assert_array_equal(y.numpy(), x.transpose(axes))
    np.testing.assert_array_equal(functional.permute_backward(y, negative).numpy(), x)


@given(shapes, st.data(), dtypes, seeds)
def test_slices_are_numpys_and_their_gradients_the_adjoint(shape, data, dtype, seed):
    starts, sizes, steps = [], [], []
    for extent in shape:
        starts.append(data.draw(st.integers(0, max(0, extent - 1))))
        steps.append(data.draw(st.integers(1, 3)))
        sizes.append(data.draw(st.integers(0, -(-(extent - starts[-1]) // steps[-1]))))
    (x,) = arrays(seed, shape, dtype=dtype)
    box = tuple(
        slice(a, a + n * s, s) if n else slice(0, 0) for a, n, s in zip(starts, sizes, steps, strict=True)
    )
    y = functional.slice_forward(x, starts, sizes, steps)
    np.testing.assert_array_equal(y.numpy(), x[box])
    dx = np.zeros_like(x)
    dx[box] = y.numpy()
    np.testing.assert_array_equal(functional.slice_backward(y, shape, starts, steps).numpy(), dx)


@given(shapes, st.data(), dtypes, seeds)
def test_joining_is_numpys_and_splitting_undoes_it(shape, data, dtype, seed):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    sizes = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=4))
    given_shapes = [(*shape[:axis], size, *shape[axis:][1:]) for size in sizes]
    parts = arrays(seed, *given_shapes, dtype=dtype)
    y = functional.concat(parts, axis=axis)
    np.testing.assert_array_equal(y.numpy(), np.concatenate(parts, axis=axis))
    for part, again in zip(parts, functional.split(y, sizes, axis=axis), strict=True):
        np.testing.assert_array_equal(again.numpy(), part)


X = np.zeros((2, 3, 4))


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: functional.permute_forward(X, (0, 1)), ArgumentError, "each of the axes 0 to 2 once"),
        (lambda: functional.permute_forward(X, (0, 1, 1)), ArgumentError, "once"),
        (lambda: functional.permute_backward(X, (0, 1, 3)), ArgumentError, "once"),
        (lambda: functional.permute_forward(np.zeros((1,) * 6), range(6)), ShapeError, "1 to 5 axes"),
        (lambda: functional.slice_forward(X, (0, 0), (1, 1)), ShapeError, "3 numbers"),
        (lambda: functional.slice_forward(X, (0, 0, 2), (2, 3, 3)), ShapeError, r"within \(2, 3, 4\)"),
        (lambda: functional.slice_forward(X, (0, 0, 0), (2, 3, 3), (1, 1, 2)), ShapeError, "within"),
        (lambda: functional.slice_forward(X, (0, -1, 0), (2, 1, 1)), ArgumentError, "0 or more"),
        (lambda: functional.slice_forward(X, (0, 0, 0), (2, 1, 1), (1, 0, 1)), ArgumentError, "1 or more"),
        (lambda: functional.slice_backward(X, (2, 3, 5), (0, 0, 2)), ShapeError, "within"),
        (lambda: functional.concat([]), ArgumentError, "at least one"),
        (lambda: functional.concat([X, X[:1]]), ShapeError, "axis 2 only"),
        (lambda: functional.concat([X, X[0]]), ShapeError, "axis 2 only"),
        (lambda: functional.concat([X, X.astype(np.float32)]), DTypeError, "not mixed"),
        (lambda: functional.concat([X], axis=3), ArgumentError, "from -3 to 2"),
        (lambda: functional.split(X, (1, 2)), ShapeError, "sum to 4"),
        (lambda: functional.split(X, (5, -1)), ShapeError, "sum to 4"),
    ],
)
def test_what_does_not_fit_is_refused(call, error, said):
    with pytest.raises(error, match=said):
        call()

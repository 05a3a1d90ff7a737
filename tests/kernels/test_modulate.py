"""Products with a repeated factor, and their sums, against the reference; bits over threads."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numbacnn.kernels import reference
from numbacnn.kernels.cpu import modulate
from tests.kernels.guard import assert_same_bits, threads, written
from tests.strategies import arrays, dtypes, seeds

ROUNDING = {np.dtype(np.float32): 2.0**-24, np.dtype(np.float64): 2.0**-53}
#: one row and many, runs of factors and single ones, more rows than are summed at once
SHAPES = [(3, 1, 5), (2, 200, 33), (40, 257, 1), (2, 9000, 1), (1, 700, 64), (5, 130, 3)]

shapes = st.tuples(st.integers(0, 5), st.integers(1, 9), st.integers(1, 9))


def check(shape, seed, dtype):
    a, m, b = shape
    x, dy, factor, shift = arrays(seed, shape, shape, (a, b), (a, b), dtype=dtype)
    unit = ROUNDING[np.dtype(dtype)]
    for more in (None, shift):
        got = written(modulate.modulate_forward, x, factor, more, shapes=shape, dtype=dtype)
        reference.modulate_forward(x, factor, more, expected := np.empty(shape))
        size = np.abs(x * factor[:, None]) + (0 if more is None else np.abs(more[:, None]))
        assert (np.abs(got - expected) <= 3 * unit * size).all()
    got = written(modulate.modulate_backward_scale, x, dy, shapes=(a, b), dtype=dtype)
    reference.modulate_backward_scale(x, dy, expected := np.empty((a, b)))
    # runs of some thousand elements are summed in lanes, rows by sixty-fours
    bound = 80 if b > 1 else 520
    assert (np.abs(got - expected) <= bound * unit * np.abs(x * dy).sum(axis=1)).all()


@given(shapes, seeds, dtypes)
def test_any_shape_gives_the_references_results(shape, seed, dtype):
    check(shape, seed, dtype)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("shape", SHAPES)
def test_many_parts_give_the_references_results(shape, count):
    with threads(count):
        check(shape, 1, np.float32)


@pytest.mark.parametrize("shape", [(2, 9000, 1), (600, 50, 1), (2, 700, 64)])
def test_bits_do_not_depend_on_the_threads(shape):
    a, _, b = shape
    x, dy, factor, shift = arrays(2, shape, shape, (a, b), (a, b), dtype=np.float32)

    def compute():
        y, dscale = np.empty_like(x), np.empty_like(factor)
        modulate.modulate_forward(x, factor, shift, y)
        modulate.modulate_backward_scale(x, dy, dscale)
        return [y, dscale]

    assert_same_bits(compute)


@pytest.mark.parametrize("shape", [(1, 2**20, 1), (1, 2**18, 2)])
def test_long_sums_keep_their_places(shape):
    x = np.full(shape, np.float32(0.1))
    got = written(
        modulate.modulate_backward_scale, x, np.ones_like(x), shapes=(1, shape[2]), dtype=np.float32
    )
    np.testing.assert_allclose(got, x.sum(axis=1, dtype=np.float64), rtol=2e-5)

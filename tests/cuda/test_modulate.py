"""Products with a repeated factor, and their sums, on a simulated GPU, against the reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbacnn.kernels import reference
from numbacnn.kernels.cuda import modulate
from tests.strategies import seeds

from .arrays import computed
from .both import ROUNDING, TINY, TYPES, double, normal, types

shapes = st.tuples(st.integers(0, 3), st.integers(1, 6), st.integers(1, 6))


def check(shape, seed, dtype):
    a, m, b = shape
    x, dy = normal(seed, shape, dtype), normal(seed + 1, shape, dtype)
    scale, shift = normal(seed + 2, (a, b), dtype), normal(seed + 3, (a, b), dtype)
    unit, last, tiny = min(ROUNDING[dtype], 2.0**-24), 1.001 * ROUNDING[dtype], TINY[dtype]
    for more in (None, shift):
        arguments = (x, scale) if more is None else (x, scale, more)

        def forward(x, scale, *rest):
            modulate.modulate_forward(x, scale, rest[0] if len(rest) > 1 else None, rest[-1])

        got = double(computed(forward, arguments, shape, dtype))
        wide = None if more is None else double(more)
        reference.modulate_forward(double(x), double(scale), wide, expected := np.empty(shape))
        size = np.abs(double(x) * double(scale)[:, None]) + (0 if wide is None else np.abs(wide[:, None]))
        assert (np.abs(got - expected) <= 2 * unit * size + last * np.abs(expected) + tiny).all()
    got = double(computed(modulate.modulate_backward_scale, (x, dy), (a, b), dtype))
    reference.modulate_backward_scale(double(x), double(dy), expected := np.empty((a, b)))
    size = np.abs(double(x) * double(dy)).sum(axis=1)
    assert (np.abs(got - expected) <= 40 * unit * size + last * np.abs(expected) + tiny).all()


@settings(max_examples=15)
@given(shapes, seeds, types)
def test_any_shape_gives_the_references_results(shape, seed, dtype):
    check(shape, seed, dtype)


@pytest.mark.parametrize("shape", [(2, 300, 64), (1, 40, 130), (2, 1100, 1), (3, 7, 100)])
def test_several_blocks_give_the_references_results(shape):
    check(shape, 1, TYPES[0])


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("shape", [(2, 12, 4), (5, 8, 1), (2, 270, 64)])
def test_each_type_gives_the_references_results(shape, dtype):
    check(shape, 2, dtype)

"""Activations on a simulated GPU, against the reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbacnn.kernels import reference
from numbacnn.kernels.cuda import activation
from tests.strategies import seeds

from .arrays import computed
from .both import ROUNDING, TINY, TYPES, double, normal, types

FUNCTIONS = {
    "elu": (1.3, 1.1),
    "gelu": (False,),
    "gelu tanh": (True,),
    "hardsigmoid": (),
    "hardswish": (),
    "mish": (),
    "softplus": (1.7,),
}
BY_OUTPUT = ("elu", "hardsigmoid", "softplus")

shapes = st.lists(st.integers(0, 9), max_size=3).map(tuple)


def run(case, way, *read):
    kernel = getattr(activation, f"{case.partition(' ')[0]}_{way}")
    return computed(kernel, (*read, *FUNCTIONS[case]), read[0].shape, read[0].dtype)


def check(case, way, size, *read):
    """Within some places of the result, or of what it is a difference of; of a 16-bit result it is one."""
    expected, dtype = np.empty(read[0].shape), read[0].dtype
    getattr(reference, f"{case.partition(' ')[0]}_{way}")(*map(double, read), *FUNCTIONS[case], expected)
    got = double(run(case, way, *read))
    single = 8 * max(ROUNDING[dtype], ROUNDING[TYPES[0]]) if dtype.itemsize > 2 else 8 * ROUNDING[TYPES[0]]
    most = 1.001 * ROUNDING[dtype] * abs(expected) + single * (abs(expected) + size) + TINY[dtype]
    assert (abs(got - expected) <= most).all()


@pytest.mark.parametrize("case", FUNCTIONS)
@settings(max_examples=12)
@given(shapes, seeds, types, st.sampled_from([0.1, 1.0, 3.0]))
def test_any_shape_gives_the_references_results(case, shape, seed, dtype, spread):
    x, dy = normal(seed, shape, dtype), normal(seed + 1, shape, dtype)
    x = np.asarray(double(x) * spread).astype(dtype)
    check(case, "forward", 0.2 * abs(double(x)), x)
    kept = run(case, "forward", x) if case in BY_OUTPUT else x
    check(case, "backward", abs(double(dy)), kept, dy)


LIMITS = {  # at minus infinity and at infinity: the value, and the slope
    "elu": (-1.3 * 1.1, np.inf, 0, 1.1),
    "gelu": (0, np.inf, 0, 1),
    "gelu tanh": (0, np.inf, 0, 1),
    "hardsigmoid": (0, 1, 0, 0),
    "hardswish": (0, np.inf, 0, 1),
    "mish": (0, np.inf, 0, 1),
    "softplus": (0, np.inf, 0, 1),
}


@pytest.mark.parametrize("case", FUNCTIONS)
@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_extremes(case, dtype):
    low, high, flat, steep = LIMITS[case]
    x = np.array([-np.inf, -2000, 2000, np.inf, np.nan], dtype)
    y = double(run(case, "forward", x))
    assert np.isnan(y[-1])
    places = 2 * ROUNDING[dtype] + 4 * ROUNDING[TYPES[0]]
    np.testing.assert_allclose(y[:2], low, rtol=places)
    assert y[3] == high
    np.testing.assert_allclose(y[2], {"elu": 2200, "hardsigmoid": 1}.get(case, 2000), rtol=places)
    kept = y.astype(dtype) if case in BY_OUTPUT else x
    dx = double(run(case, "backward", kept, np.ones(5, dtype)))
    np.testing.assert_allclose(dx[:4], [flat] * 2 + [steep] * 2, atol=max(1e-6, 2 * ROUNDING[dtype]))

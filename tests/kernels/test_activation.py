"""Activations against the reference; slopes; tails and extremes; bits over threads."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbacnn.kernels import reference
from numbacnn.kernels.cpu import activation
from tests.kernels.guard import assert_same_bits, written
from tests.strategies import arrays, dtypes, seeds

# With their options, which stand between the arrays read and those written.
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

shapes = st.lists(st.integers(0, 9), max_size=4).map(tuple)


def forward(case, x):
    name = f"{case.partition(' ')[0]}_forward"
    return written(getattr(activation, name), x, *FUNCTIONS[case], shapes=x.shape, dtype=x.dtype)


def backward(case, kept, dy):
    name = f"{case.partition(' ')[0]}_backward"
    return written(getattr(activation, name), kept, dy, *FUNCTIONS[case], shapes=dy.shape, dtype=dy.dtype)


def expected(case, way, *read):
    out = np.empty(read[0].shape)
    getattr(reference, f"{case.partition(' ')[0]}_{way}")(*read, *FUNCTIONS[case], out)
    return out


def assert_close(got, wanted, size, dtype):
    """Within some places of the result, or of what it is a difference of."""
    eps = np.finfo(dtype).eps
    np.testing.assert_array_less(abs(got - wanted), 6 * eps * (abs(wanted) + size) + np.finfo(dtype).tiny)


@pytest.mark.parametrize("case", FUNCTIONS)
@settings(max_examples=40)
@given(shapes, seeds, dtypes, st.sampled_from([1e-4, 1.0, 3.0]))
def test_any_shape_gives_the_references_results(case, shape, seed, dtype, spread):
    x, dy = arrays(seed, shape, shape, dtype=dtype)
    x *= dtype(spread)
    y = forward(case, x)
    assert_close(y, expected(case, "forward", x), abs(x) * 0.2, dtype)
    kept = y if case in BY_OUTPUT else x
    assert_close(backward(case, kept, dy), expected(case, "backward", kept, dy), abs(dy), dtype)


@pytest.mark.parametrize("case", FUNCTIONS)
def test_bits_do_not_depend_on_the_threads(case):
    x, dy = arrays(2, (100_003,), (100_003,), dtype=np.float32)

    def results():
        y = forward(case, x)
        return [y, backward(case, y if case in BY_OUTPUT else x, dy)]

    assert_same_bits(results)
    y, dx = results()
    assert_close(y, expected(case, "forward", x), abs(x) * 0.2, np.float32)
    assert_close(dx, expected(case, "backward", y if case in BY_OUTPUT else x, dy), abs(dy), np.float32)


@pytest.mark.parametrize("case", FUNCTIONS)
@given(seeds)
@settings(max_examples=10)
def test_gradients_are_slopes(case, seed):
    x, dy = arrays(seed, (50,), (50,))
    x *= 2
    corners = np.array({"elu": [0], "hardsigmoid": [-3, 3], "hardswish": [-3, 3]}.get(case, []))
    for corner in corners:
        x[abs(x - corner) < 1e-4] += 1e-3
    step = 1e-6
    dx = backward(case, forward(case, x) if case in BY_OUTPUT else x, dy)
    slope = (forward(case, x + step) - forward(case, x - step)) / (2 * step)
    np.testing.assert_allclose(dx, dy * slope, atol=1e-8)


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
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extremes(case, dtype):
    low, high, flat, steep = LIMITS[case]
    x = np.array([-np.inf, -1e30, -2000, 2000, 1e30, np.inf, np.nan], dtype)
    y = forward(case, x)
    assert np.isnan(y[-1])
    np.testing.assert_allclose(y[:3], low, rtol=1e-6)
    assert y[-2] == high
    grown = {"elu": 1.1 * x[3:5], "hardsigmoid": 1}.get(case, x[3:5])
    np.testing.assert_allclose(y[3:5], grown, rtol=3e-7)
    dx = backward(case, y if case in BY_OUTPUT else x, np.ones(7, dtype))
    np.testing.assert_allclose(dx[:6], [flat] * 3 + [steep] * 3, atol=1e-6)
    assert np.isnan(dx[-1]) == (case not in ("elu", "hardsigmoid"))  # these compare the output alone


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_small_arguments_keep_their_digits(dtype):
    x = np.array([-1e-30, -1e-12, -3e-7, 3e-7, 1e-12, 1e-30], dtype)
    eps, wide = np.finfo(dtype).eps, x.astype(np.float64)
    exact = 1.1 * np.where(x > 0, wide, 1.3 * np.expm1(wide))
    np.testing.assert_allclose(forward("elu", x), exact, rtol=3 * eps)
    tiny = [0, 1, 4, 5]  # those whose squares are nothing
    for case, slope in (("gelu", 0.5), ("gelu tanh", 0.5), ("hardswish", 0.5), ("mish", 0.6)):
        np.testing.assert_allclose(forward(case, x)[tiny], slope * wide[tiny], rtol=3 * eps + 1e-11)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tails_keep_their_digits(dtype):
    """The share below -x is no difference of 1/2 and an error function: it is right to its last places."""
    x = -np.linspace(3, 12 if dtype == np.float32 else 36, 500).astype(dtype)
    exact = np.array([v * 0.5 * math.erfc(-v / math.sqrt(2)) for v in x.tolist()])
    np.testing.assert_allclose(forward("gelu", x), exact, rtol=5e-7 if dtype == np.float32 else 1e-12)
    x = -np.linspace(3, 80, 500).astype(dtype)
    exact = np.log1p(np.exp(1.7 * x.astype(np.float64))) / 1.7
    got = forward("softplus", x)
    kept = exact > np.finfo(dtype).tiny
    rounding = np.finfo(dtype).eps * abs(1.7 * x)  # of the exponent
    assert (abs(got - exact) <= (4 * np.finfo(dtype).eps + rounding) * exact)[kept].all()
    exact = x * np.tanh(np.log1p(np.exp(x.astype(np.float64))))
    np.testing.assert_allclose(forward("mish", x), exact, rtol=8 * np.finfo(dtype).eps)


@pytest.mark.parametrize("case", ["elu", "hardsigmoid", "softplus"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rising_functions_never_fall(case, dtype):
    x = np.sort(np.random.default_rng(0).uniform(-60, 10, 200_000)).astype(dtype)
    assert (np.diff(forward(case, x)) >= 0).all()

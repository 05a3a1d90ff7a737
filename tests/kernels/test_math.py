"""exp, sigmoid and tanh: errors in units of the last place, limits, and that LLVM vectorises them."""

import decimal
import re

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numbacnn import _jit
from numbacnn._deferred import materialise
from numbacnn._jit import jit, kernel, run, split
from numbacnn.kernels.cpu import math

SINGLE = {"exp": 1.03, "sigmoid": 2.0, "tanh": 1.25}
DOUBLE = {"exp": 1.0, "sigmoid": 2.0, "tanh": 1.2}


@jit
def _exp_part(part, parts, x, y):
    lo, hi = split(part, parts, x.size)
    x, y = x[lo:hi], y[lo:hi]
    for i in range(x.size):
        y[i] = math.exp(x[i])


@jit
def _sigmoid_part(part, parts, x, y):
    lo, hi = split(part, parts, x.size)
    x, y = x[lo:hi], y[lo:hi]
    for i in range(x.size):
        y[i] = math.sigmoid(x[i])


@jit
def _tanh_part(part, parts, x, y):
    lo, hi = split(part, parts, x.size)
    x, y = x[lo:hi], y[lo:hi]
    for i in range(x.size):
        y[i] = math.tanh(x[i])


@kernel
def _exp(team, parts, x, y):
    run(team, _exp_part, parts, (x, y))


@kernel
def _sigmoid(team, parts, x, y):
    run(team, _sigmoid_part, parts, (x, y))


@kernel
def _tanh(team, parts, x, y):
    run(team, _tanh_part, parts, (x, y))


KERNELS = {"exp": _exp, "sigmoid": _sigmoid, "tanh": _tanh}


def evaluate(name, x):
    y = np.full_like(x, 1e30)
    KERNELS[name](x.size, 8, x, y)
    return y


def truth(name, x):
    """The function of float64 arrays, which is exact beside float32."""
    with np.errstate(over="ignore", under="ignore"):
        if name == "sigmoid":
            small = np.exp(-np.abs(x))
            return np.where(x < 0, small, 1.0) / (1.0 + small)
        return {"exp": np.exp, "tanh": np.tanh}[name](x)


def decimal_truth(name, x):
    x = decimal.Decimal(x)
    if name == "tanh" and abs(x) < decimal.Decimal("1e-5"):
        return x - x**3 / 3 + 2 * x**5 / 15  # the quotient would lose all its digits
    e = x.exp()
    if name == "sigmoid":
        return e / (1 + e)
    return e if name == "exp" else (e * e - 1) / (e * e + 1)


def assert_within(name, x, most):
    with np.errstate(over="ignore", invalid="ignore"):  # signalling NaN are among them
        exact = truth(name, x.astype(np.float64))
        rounded = exact.astype(np.float32)
    got, finite = evaluate(name, x), np.isfinite(rounded)
    np.testing.assert_array_equal(got[~finite], rounded[~finite])  # infinite or NaN
    unit = np.spacing(np.abs(rounded[finite])).astype(np.float64)
    errors = np.abs(got[finite].astype(np.float64) - exact[finite]) / unit
    worst = errors.max(initial=0)  # a range of inputs may have infinite results alone
    assert worst <= most, (worst, x[finite][errors.argmax()])


@pytest.mark.parametrize("name", KERNELS)
def test_float32_over_the_whole_range(name):
    """Denormals, infinities and NaN among them: every 2003rd bit pattern."""
    x = np.arange(0, 2**32, 2003, dtype=np.uint64).astype(np.uint32).view(np.float32)
    assert_within(name, x, SINGLE[name])


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("ends", [(-1.0, 1.0), (-20.0, 20.0), (-105.0, -85.0), (-85.0, 89.0)])
def test_float32_where_results_vary(name, ends):
    assert_within(name, np.linspace(*ends, 300_000).astype(np.float32), SINGLE[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", KERNELS)
def test_every_float32(name):
    for start in range(0, 2**32, 2**24):
        x = np.arange(start, start + 2**24, dtype=np.uint64).astype(np.uint32).view(np.float32)
        assert_within(name, x, SINGLE[name])


@pytest.mark.parametrize("name", KERNELS)
def test_float64(name):
    rng = np.random.default_rng(0)
    x = np.concatenate(
        [
            rng.uniform(-1, 1, 1500),
            rng.uniform(-22, 22, 1500),
            rng.uniform(-746, 710, 1000),
            rng.standard_normal(500) * 10.0 ** rng.uniform(-300, 0, 500),
        ]
    )
    got = evaluate(name, x)
    with decimal.localcontext(prec=50):
        for a, value in zip(x.tolist(), got.tolist(), strict=True):
            exact = decimal_truth(name, a)
            unit = decimal.Decimal(float(np.spacing(abs(float(exact)))))
            assert abs(decimal.Decimal(value) - exact) <= decimal.Decimal(DOUBLE[name]) * unit, a


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_limits(dtype):
    x = np.array([-np.inf, np.inf, np.nan, 0.0, -0.0], dtype)
    np.testing.assert_array_equal(evaluate("exp", x), [0, np.inf, np.nan, 1, 1])
    np.testing.assert_array_equal(evaluate("sigmoid", x), [0, 1, np.nan, 0.5, 0.5])
    y = evaluate("tanh", x)
    np.testing.assert_array_equal(y, [-1, 1, np.nan, 0, 0])
    assert np.signbit(y).tolist()[3:] == [False, True]


@given(st.floats(width=32), st.sampled_from([np.float32, np.float64]))
def test_tanh_is_odd_and_bounded(value, dtype):
    x = np.array([value, -value], dtype)
    y = evaluate("tanh", x)
    np.testing.assert_array_equal(y[0], -y[1])
    assert np.isnan(value) or abs(y[0]) <= min(1, abs(x[0]))


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize(("dtype", "element"), [(np.float32, "float"), (np.float64, "double")])
def test_llvm_vectorises(name, dtype, element):
    materialise()  # here Numba compiles by itself
    body = {"exp": _exp_part, "sigmoid": _sigmoid_part, "tanh": _tanh_part}[name].py_func
    fresh = numba.njit(**_jit.OPTIONS)(body)
    x = np.zeros(4, dtype)
    fresh(0, 1, x, x.copy())
    (code,) = fresh.inspect_llvm().values()
    assert re.search(rf"fmul contract <\d+ x {element}>", code)
    assert not re.search(r"call .*@(expf?|tanhf?|llvm\.exp\.\w+)\(", code)

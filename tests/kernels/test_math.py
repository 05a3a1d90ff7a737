"""Exponentials: errors in units of the last place, limits, and that LLVM vectorises them."""

import decimal
import re

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numbacnn import _jit
from numbacnn._deferred import materialise
from numbacnn._jit import inlined, jit, kernel, run, split
from numbacnn.kernels.cpu import math

SINGLE = {"exp": 1.03, "expm1": 0.94, "normal": 3.4, "sigmoid": 2.0, "softplus": 2.7, "tanh": 1.25}
DOUBLE = {"exp": 1.0, "expm1": 1.0, "normal": 2.7, "sigmoid": 2.0, "softplus": 1.9, "tanh": 1.2}


@inlined
def _exp(x):
    return math.exp(x)


@inlined
def _expm1(x):
    return math.expm1(x)


@inlined
def _normal(x):
    return math.normal(x)[0]


@inlined
def _sigmoid(x):
    return math.sigmoid(x)


@inlined
def _softplus(x):
    return math.softplus(x)


@inlined
def _tanh(x):
    return math.tanh(x)


def _loops(function):
    """The function over arrays: a kernel, and the loop within it."""

    @jit
    def part(part, parts, x, y):
        lo, hi = split(part, parts, x.size)
        x, y = x[lo:hi], y[lo:hi]
        for i in range(x.size):
            y[i] = function(x[i])

    def all_parts(team, parts, x, y):
        run(team, part, parts, (x, y))

    all_parts.__qualname__ = f"all_parts.{function.py_func.__name__}"  # by which the cache knows it
    return kernel(all_parts), part


LOOPS = {
    "exp": _loops(_exp),
    "expm1": _loops(_expm1),
    "normal": _loops(_normal),
    "sigmoid": _loops(_sigmoid),
    "softplus": _loops(_softplus),
    "tanh": _loops(_tanh),
}


def within_domain(name, x):
    return -np.abs(x) if name == "expm1" else x


def evaluate(name, x):
    y = np.full_like(x, 1e30)
    LOOPS[name][0](x.size, 8, x, y)
    return y


def truth(name, x):
    """The function of float64 arrays, which is exact beside float32."""
    with np.errstate(over="ignore", under="ignore"):
        if name == "sigmoid":
            small = np.exp(-np.abs(x))
            return np.where(x < 0, small, 1.0) / (1.0 + small)
        if name == "softplus":
            return np.logaddexp(0.0, x)
        if name == "normal":
            return pytest.importorskip("scipy.special").ndtr(x)
        return {"exp": np.exp, "expm1": np.expm1, "tanh": np.tanh}[name](x)


PI = decimal.Decimal("3.14159265358979323846264338327950288419716939937510582097494")


def normal_truth(x):
    """The normal distribution's share below x: a power series near 0, Laplace's continued fraction beyond."""
    if abs(x) < 3:
        term = total = x
        for k in range(1, 150):
            term = -term * x * x / (2 * k)
            total += term / (2 * k + 1)
        return decimal.Decimal("0.5") + total / (2 * PI).sqrt()
    rest = decimal.Decimal(0)
    for k in range(300, 0, -1):
        rest = k / (abs(x) + rest)
    share = (-x * x / 2).exp() / (2 * PI).sqrt() / (abs(x) + rest)
    return share if x < 0 else 1 - share


def decimal_truth(name, x):
    x = decimal.Decimal(x)
    if name == "tanh" and abs(x) < decimal.Decimal("1e-5"):
        return x - x**3 / 3 + 2 * x**5 / 15  # the quotient would lose all its digits
    if name == "expm1" and abs(x) < decimal.Decimal("1e-9"):
        return x + x**2 / 2 + x**3 / 6
    if name == "normal":
        return normal_truth(x)
    e = x.exp()
    if name == "sigmoid":
        return e / (1 + e)
    if name == "expm1":
        return e - 1
    if name == "softplus":
        return (1 + e).ln() if e > decimal.Decimal("1e-20") else e - e * e / 2
    return e if name == "exp" else (e * e - 1) / (e * e + 1)


def assert_within(name, x, most):
    x = within_domain(name, x)
    with np.errstate(over="ignore", invalid="ignore"):  # signalling NaN are among them
        exact = truth(name, x.astype(np.float64))
        rounded = exact.astype(np.float32)
    got, finite = evaluate(name, x), np.isfinite(rounded)
    np.testing.assert_array_equal(got[~finite], rounded[~finite])  # infinite or NaN
    unit = np.spacing(np.abs(rounded[finite])).astype(np.float64)
    errors = np.abs(got[finite].astype(np.float64) - exact[finite]) / unit
    worst = errors.max(initial=0)  # a range of inputs may have infinite results alone
    assert worst <= most, (worst, x[finite][errors.argmax()])


@pytest.mark.parametrize("name", LOOPS)
def test_float32_over_the_whole_range(name):
    """Denormals, infinities and NaN among them: every 2003rd bit pattern."""
    x = np.arange(0, 2**32, 2003, dtype=np.uint64).astype(np.uint32).view(np.float32)
    assert_within(name, x, SINGLE[name])


@pytest.mark.parametrize("name", LOOPS)
@pytest.mark.parametrize("ends", [(-1.0, 1.0), (-20.0, 20.0), (-105.0, -85.0), (-85.0, 89.0)])
def test_float32_where_results_vary(name, ends):
    assert_within(name, np.linspace(*ends, 300_000).astype(np.float32), SINGLE[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", LOOPS)
def test_every_float32(name):
    for start in range(0, 2**32, 2**24):
        x = np.arange(start, start + 2**24, dtype=np.uint64).astype(np.uint32).view(np.float32)
        assert_within(name, x, SINGLE[name])


@pytest.mark.parametrize("name", LOOPS)
def test_float64(name):
    rng = np.random.default_rng(0)
    x = np.concatenate(
        [
            rng.uniform(-1, 1, 1500),
            rng.uniform(-22, 22, 1500),
            rng.uniform(-746, 710, 1000),
            rng.uniform(-38, -5, 500),
            rng.standard_normal(500) * 10.0 ** rng.uniform(-300, 0, 500),
        ]
    )
    x = within_domain(name, x)
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
    np.testing.assert_array_equal(evaluate("normal", x), [0, 1, np.nan, 0.5, 0.5])
    np.testing.assert_array_equal(evaluate("expm1", x[[0, 2, 3, 4]]), [-1, np.nan, 0, 0])
    np.testing.assert_allclose(evaluate("softplus", x), [0, np.inf, np.nan, *[np.log(2)] * 2], rtol=1e-7)
    y = evaluate("tanh", x)
    np.testing.assert_array_equal(y, [-1, 1, np.nan, 0, 0])
    assert np.signbit(y).tolist()[3:] == [False, True]


@pytest.mark.parametrize("name", ["expm1", "normal", "softplus"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tails_are_monotone(name, dtype):
    """Down to where results are denormals, and 0 or -1 at last."""
    y = evaluate(name, np.linspace(-800 if name == "softplus" else -45, -3, 100_001, dtype=dtype))
    assert (np.diff(y) >= 0).all()
    assert y[0] == (-1 if name == "expm1" else 0)


@given(st.floats(width=32), st.sampled_from([np.float32, np.float64]))
def test_tanh_is_odd_and_bounded(value, dtype):
    x = np.array([value, -value], dtype)
    y = evaluate("tanh", x)
    np.testing.assert_array_equal(y[0], -y[1])
    assert np.isnan(value) or abs(y[0]) <= min(1, abs(x[0]))


@pytest.mark.parametrize("name", LOOPS)
@pytest.mark.parametrize(("dtype", "element"), [(np.float32, "float"), (np.float64, "double")])
def test_llvm_vectorises(name, dtype, element):
    materialise()  # here Numba compiles by itself
    fresh = numba.njit(**_jit.OPTIONS)(LOOPS[name][1].py_func)
    x = np.zeros(4, dtype)
    fresh(0, 1, x, x.copy())
    (code,) = fresh.inspect_llvm().values()
    assert re.search(rf"fmul contract <\d+ x {element}>", code)
    assert not re.search(r"call .*@(expf?|expm1f?|log1pf?|erfc?f?|tanhf?|llvm\.exp\.\w+)\(", code)

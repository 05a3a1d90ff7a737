"""Initializers: moments, fans, reproducibility, names."""

import math

import numpy as np
import pytest

from numbacnn import initializers
from numbacnn.errors import ArgumentError, ShapeError
from numbacnn.initializers import (
    Constant,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LeCunNormal,
    LeCunUniform,
    Normal,
    Uniform,
    Zeros,
    fans,
)

SHAPE = (3, 5, 40, 70)
FAN_IN, FAN_OUT = 3 * 5 * 40, 3 * 5 * 70
SCALED = [
    (GlorotNormal(), 2 / (FAN_IN + FAN_OUT)),
    (GlorotUniform(), 2 / (FAN_IN + FAN_OUT)),
    (HeNormal(), 2 / FAN_IN),
    (HeUniform(), 2 / FAN_IN),
    (LeCunNormal(), 1 / FAN_IN),
    (LeCunUniform(), 1 / FAN_IN),
    (HeNormal(gain=0.5), 0.5 / FAN_IN),
    (GlorotUniform(gain=2.0), 8 / (FAN_IN + FAN_OUT)),
]


@pytest.mark.parametrize(
    ("shape", "expected"), [((3, 5, 7, 11), (105, 165)), ((7, 11), (7, 11)), ((4, 7, 11), (28, 44))]
)
def test_fans(shape, expected):
    assert fans(shape) == expected


def test_fans_need_two_axes():
    with pytest.raises(ShapeError, match=r"fans: expected .*got \(7,\)"):
        fans((7,))
    with pytest.raises(ShapeError):
        HeNormal()((7,), np.random.default_rng(0))


@pytest.mark.parametrize(("initializer", "variance"), SCALED)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_moments_of_scaled_forms(initializer, variance, dtype):
    w = initializer(SHAPE, np.random.default_rng(0), dtype)
    assert w.shape == SHAPE
    assert w.dtype == dtype
    assert w.flags.c_contiguous
    deviation = math.sqrt(variance)
    assert abs(w.mean(dtype=np.float64)) < 5 * deviation / math.sqrt(w.size)
    assert w.var(dtype=np.float64) == pytest.approx(variance, rel=0.03)
    kurtosis = ((w / deviation) ** 4).mean(dtype=np.float64)
    if initializer.uniform:
        assert np.abs(w).max() <= math.sqrt(3) * deviation * (1 + 1e-6)
        assert np.abs(w).max() > 0.999 * math.sqrt(3) * deviation
        assert kurtosis == pytest.approx(9 / 5, rel=0.03)
    else:
        assert kurtosis == pytest.approx(3, rel=0.05)
        assert np.abs(w).max() > 3.5 * deviation  # not truncated


def test_moments_of_plain_forms():
    rng = np.random.default_rng(0)
    uniform, normal = Uniform(1.0, 3.0)((400, 300), rng), Normal(0.5, mean=-2.0)((400, 300), rng)
    assert 1 <= uniform.min() < 1.001
    assert 2.999 < uniform.max() <= 3
    assert uniform.var() == pytest.approx(4 / 12, rel=0.02)
    assert normal.mean() == pytest.approx(-2, abs=0.01)
    assert normal.std() == pytest.approx(0.5, rel=0.02)
    np.testing.assert_array_equal(Zeros()((3,), rng), np.zeros(3, np.float32))
    np.testing.assert_array_equal(Constant(2.5)((3,), rng, np.float64), [2.5, 2.5, 2.5])


@pytest.mark.parametrize("initializer", [i for i, _ in SCALED] + [Uniform(), Normal()])
def test_one_seed_gives_the_same_values_in_both_dtypes(initializer):
    single, again, double = (
        initializer((6, 7), np.random.default_rng(9), dtype) for dtype in (np.float32, np.float32, np.float64)
    )
    np.testing.assert_array_equal(single, again)
    np.testing.assert_array_equal(single, double.astype(np.float32))


@pytest.mark.parametrize(
    "initializer", [i for i, _ in SCALED] + [Uniform(-1, 2), Normal(0.1, 3), Zeros(), Constant(4)]
)
def test_configs_make_equal_initializers(initializer):
    assert initializers.get(initializer.config()) == initializer
    assert initializers.get(initializer) is initializer


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("zeros", Zeros()),
        ("uniform", Uniform()),
        ("normal", Normal()),
        ("glorot_uniform", GlorotUniform()),
        ("xavier_normal", GlorotNormal()),
        ("he_uniform", HeUniform()),
        ("kaiming_normal", HeNormal()),
        ("lecun_normal", LeCunNormal()),
        ("lecun_uniform", LeCunUniform()),
    ],
)
def test_names(name, expected):
    assert initializers.get(name) == expected
    assert type(initializers.get(name)) is type(expected)


@pytest.mark.parametrize("unknown", ["he", None, 3, {"class": "Layer"}, {}, HeNormal])
def test_unknown_ones_are_refused(unknown):
    with pytest.raises(ArgumentError, match=r"stem: expected an initializer, got .*he_normal"):
        initializers.get(unknown, "stem")


@pytest.mark.parametrize(
    "make",
    [lambda: HeNormal(gain=0), lambda: Normal(-1), lambda: Uniform(2, 1), lambda: Normal(float("nan"))],
)
def test_bad_arguments_are_refused(make):
    with pytest.raises(ArgumentError, match="expected"):
        make()

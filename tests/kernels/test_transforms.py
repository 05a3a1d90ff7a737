"""Winograd's transforms, exactly: what is emitted for vectors is run with fractions instead."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbacnn.kernels.cpu.transforms import (
    INPUTS,
    KERNEL,
    KERNEL_TURNED,
    OUTPUTS,
    OUTPUTS_TURNED,
    Filter,
    transform,
)

FILTERS = [Filter(4, 3), Filter(2, 3), Filter(2, 5), Filter(1, 1), Filter(3, 2), Filter(5, 2), Filter(3, 4)]
numbers = st.lists(st.fractions(-9, 9, max_denominator=7), min_size=16, max_size=16)


class Exact:
    """The arithmetic of fractions, and how many operations it took."""

    operations = 0

    def times(self, factor, x):
        self.operations += factor != 1
        return factor * x

    def plus(self, x, factor, y):
        self.operations += 1
        return x + factor * y


def of(kind, f, values):
    result = transform(Exact(), kind, f, values)
    assert all(isinstance(value, Fraction) for value in result)
    return result


def dot(x, y):
    return sum(a * b for a, b in zip(x, y, strict=True))


@pytest.mark.parametrize("f", FILTERS)
@settings(max_examples=20)
@given(d=numbers, g=numbers)
def test_products_at_the_points_give_the_correlation(f, d, g):
    d, g = d[: f.points], g[: f.taps]
    products = [a * b for a, b in zip(of(INPUTS, f, d), of(KERNEL, f, g), strict=True)]
    assert of(OUTPUTS, f, products) == [dot(d[i : i + f.taps], g) for i in range(f.outputs)]


@pytest.mark.parametrize("f", FILTERS)
@settings(max_examples=20)
@given(d=numbers, dy=numbers)
def test_turned_transforms_give_the_kernels_gradient(f, d, dy):
    d, dy = d[: f.points], dy[: f.outputs]
    products = [a * b for a, b in zip(of(INPUTS, f, d), of(OUTPUTS_TURNED, f, dy), strict=True)]
    assert of(KERNEL_TURNED, f, products) == [dot(d[t : t + f.outputs], dy) for t in range(f.taps)]


@pytest.mark.parametrize("kind", [INPUTS, OUTPUTS, OUTPUTS_TURNED, KERNEL, KERNEL_TURNED])
def test_six_points_take_no_more_operations_than_by_hand(kind):
    """Lavin and Gray's F(4, 3), with what rows of points p and -p share computed once."""
    values, arithmetic = [Fraction(1)] * 6, Exact()
    transform(arithmetic, kind, Filter(4, 3), values[: {OUTPUTS_TURNED: 4, KERNEL: 3}.get(kind, 6)])
    assert (
        arithmetic.operations
        <= {INPUTS: 12, OUTPUTS: 10, OUTPUTS_TURNED: 8, KERNEL: 9, KERNEL_TURNED: 11}[kind]
    )


def test_an_axis_of_one_tap_is_left_as_it_is():
    for kind in (INPUTS, OUTPUTS, OUTPUTS_TURNED, KERNEL, KERNEL_TURNED):
        assert transform(Exact(), kind, Filter(1, 1), [Fraction(3, 7)]) == [Fraction(3, 7)]


def test_filters_are_named_by_their_codes():
    assert {Filter.of(f.code) for f in FILTERS} == set(FILTERS)

"""Gradients of losses against central differences in float64."""

import numpy as np
import pytest

from tests.layers.check import difference


def assert_gradient(loss, prediction, target):
    """Value and gradient agree with the value alone; the gradient with differences of each element."""
    value, gradient = loss.value_and_gradient(prediction, target)
    assert isinstance(value, float)
    assert loss(prediction, target) == pytest.approx(value, rel=1e-12)
    several = isinstance(prediction, tuple)
    assert isinstance(gradient, tuple) is several
    pairs = zip(gradient, prediction, strict=True) if several else [(gradient, prediction)]
    for dx, x in pairs:
        assert dx.dtype == x.dtype == np.float64
        expected = difference(lambda: loss(prediction, target), x)
        np.testing.assert_allclose(dx.numpy(), expected, rtol=1e-6, atol=1e-8)
    return value


def assert_float32_agrees(loss, prediction, target):
    """The same in float32, but for rounding."""

    def single(a):
        return a.astype(np.float32) if getattr(a, "dtype", None) == np.float64 else a

    many = isinstance(prediction, tuple)
    x = tuple(map(single, prediction)) if many else single(prediction)
    value, gradient = loss.value_and_gradient(x, single(target))
    expected, exact = loss.value_and_gradient(prediction, target)
    assert value == pytest.approx(expected, rel=1e-5, abs=1e-6)
    for a, b in zip(gradient, exact, strict=True) if many else [(gradient, exact)]:
        assert a.dtype == np.float32
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-4, atol=1e-6)

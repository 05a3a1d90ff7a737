"""Batch normalisation: what is returned, what is refused, and that running statistics are tensors."""

import numpy as np
import pytest

from numbacnn import functional
from numbacnn.errors import ArgumentError, DTypeError, ShapeError
from numbacnn.tensor import Tensor
from tests.strategies import arrays

X, DY = arrays(0, (3, 4, 5), (3, 4, 5))
MEAN, VARIANCE, GAMMA = X.mean(axis=(0, 1)), X.var(axis=(0, 1)), np.arange(1.0, 6.0)


def test_statistics_and_output_are_numpys():
    mean, variance = functional.batch_norm_statistics(X)
    np.testing.assert_allclose(mean.numpy(), MEAN, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(variance.numpy(), VARIANCE, rtol=1e-12)
    y = functional.batch_norm_forward(X, mean, variance, GAMMA, epsilon=0.0, activation="relu")
    np.testing.assert_allclose(y.numpy(), np.maximum((X - MEAN) / np.sqrt(VARIANCE) * GAMMA, 0), atol=1e-12)


def test_running_statistics_are_updated_in_place():
    mean, variance = Tensor(np.zeros(5)), Tensor(np.ones(5))
    functional.batch_norm_statistics(X, running_mean=mean, running_variance=variance, momentum=0.5)
    np.testing.assert_allclose(mean.numpy(), MEAN / 2, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(variance.numpy(), 0.5 + VARIANCE * 12 / 11 / 2, rtol=1e-12)


def test_gradients_are_those_that_are_wanted():
    given = DY, X, MEAN, VARIANCE, GAMMA
    dx, dresidual, dgamma, dbeta = functional.batch_norm_backward(*given)
    assert dresidual is None and dbeta is None
    alone = functional.batch_norm_backward(*given, input_gradient=False)
    assert alone[0] is None
    np.testing.assert_array_equal(alone[2].numpy(), dgamma.numpy())
    other, more, *none = functional.batch_norm_backward(*given, residual=X, parameter_gradients=False)
    np.testing.assert_array_equal(other.numpy(), dx.numpy())
    np.testing.assert_array_equal(more.numpy(), DY)
    assert none == [None, None]


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"epsilon": -1.0}, ArgumentError, "epsilon"),
        ({"residual": X[0]}, ShapeError, "a residual of shape"),
        ({"activation": "gelu"}, ArgumentError, "activation"),
        ({"beta": np.ones(4)}, ShapeError, r"beta of shape \(5,\)"),
        ({"beta": np.ones(5, np.float32)}, DTypeError, "beta of float64 for an input of float64"),
    ],
)
def test_what_does_not_fit_is_refused(options, error, text):
    beta = options.get("beta")
    rest = {key: value for key, value in options.items() if key != "beta"}
    with pytest.raises(error, match=text):
        functional.batch_norm_forward(X, MEAN, VARIANCE, GAMMA, beta, **rest)
    with pytest.raises(error, match=text):
        functional.batch_norm_backward(DY, X, MEAN, VARIANCE, GAMMA, beta, **rest)


def test_gradients_and_statistics_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match="an output gradient of shape"):
        functional.batch_norm_backward(DY[:1], X, MEAN, VARIANCE)
    with pytest.raises(ShapeError, match="add the channel axis"):
        functional.batch_norm_statistics(np.float64(3.0))
    with pytest.raises(ArgumentError, match="momentum"):
        functional.batch_norm_statistics(X, momentum=1.5)
    for pair in ((Tensor(np.zeros(5)), None), (Tensor(np.zeros(5)), np.ones(5)), (np.zeros(5), np.ones(5))):
        with pytest.raises(ArgumentError, match="running mean and variance as tensors"):
            functional.batch_norm_statistics(X, running_mean=pair[0], running_variance=pair[1])

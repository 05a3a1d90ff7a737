"""Penalties: their value, and their gradient as the optimizers add it."""

import numpy as np
import pytest

from numbacnn.layers import Conv2D, Dense, Flatten, Sequential, Tanh
from numbacnn.losses import SoftmaxCrossEntropy
from numbacnn.optimizers import SGD
from numbacnn.parameter import Parameter, Penalty
from numbacnn.regularizers import L1, L1L2, L2, ElasticNet, penalty_value
from numbacnn.tensor import Tensor
from tests.layers.check import difference, values


def test_kinds():
    assert (L1(0.3).l1, L1(0.3).l2) == (0.3, 0.0)
    assert (L2(0.3).l1, L2(0.3).l2) == (0.0, 0.3)
    assert L1L2(0.1, 0.2).config() == {"l1": 0.1, "l2": 0.2}
    assert isinstance(Penalty.of(L1(0.3)), L1)
    assert ElasticNet(0.1, 0.2).config() == L1L2(0.1, 0.2).config()
    assert (ElasticNet().l1, ElasticNet().l2) == (L1().l1, L2().l2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_value(dtype):
    w = np.array([[1.0, -2.0], [0.0, 3.0]], dtype)
    assert penalty_value([Parameter(w, penalty=L1L2(0.5, 0.1))]) == pytest.approx(0.5 * 6 + 0.05 * 14)
    assert penalty_value(
        [Parameter(w), Parameter(w, penalty=L1(1.0)), Parameter(w, penalty=L2(2.0))]
    ) == pytest.approx(20)
    assert penalty_value([Parameter(w)]) == 0.0
    assert penalty_value([Parameter(w, penalty=ElasticNet(0.5, 0.1))]) == pytest.approx(3 + 0.7)


def test_steps_follow_the_gradient_of_the_penalised_loss():
    model = Sequential(
        [
            Conv2D(3, 2, kernel_regularizer=L1L2(0.03, 0.2)),
            Tanh(),
            Flatten(),
            Dense(4, kernel_regularizer={"l1": 0.0, "l2": 0.5}),
        ]
    )
    model.build((3, 4, 2), 0, np.float64)
    x, target, loss, lr = values((5, 3, 4, 2)), np.array([0, 3, 1, 1, 2]), SoftmaxCrossEntropy(), 1e-3

    def objective():
        return loss(model(x), target) + penalty_value(model.parameters)

    expected = [difference(objective, p.value.numpy()) for p in model.parameters]
    before = [p.value.numpy().copy() for p in model.parameters]
    y, saved = model.forward(x, training=True)
    model.backward(loss.value_and_gradient(y, target)[1], saved)
    SGD(lr).step(model.parameters)
    for p, old, gradient in zip(model.parameters, before, expected, strict=True):
        np.testing.assert_allclose(
            (old - p.value.numpy()) / lr, gradient, rtol=1e-5, atol=1e-8, err_msg=p.name
        )


def test_the_gradient_itself_is_left_alone():
    p = Parameter(np.array([1.0, -1.0, 0.0]), penalty=L1L2(0.5, 2.0))
    p.grad = Tensor(np.zeros(3))
    optimizer = SGD(0.1)
    optimizer.step([p])
    np.testing.assert_array_equal(p.grad.numpy(), 0)
    np.testing.assert_allclose(p.value.numpy(), [0.75, -0.75, 0.0])

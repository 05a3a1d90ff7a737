"""Batch normalisation against PyTorch: output, gradients and running statistics over many steps."""

import numpy as np
import pytest

from numbacnn.layers import BatchNorm
from tests.strategies import arrays

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("activation", "slope"), [(None, 1.0), ("relu", 0.0), (("leaky_relu", 0.2), 0.2)])
def test_output_gradients_and_running_statistics(dtype, activation, slope):
    shape, c, tight = (3, 5, 4, 6), 6, dtype == np.float64
    close = {"rtol": 1e-10, "atol": 1e-11} if tight else {"rtol": 1e-4, "atol": 1e-5}
    layer = BatchNorm(0.8, 1e-3, activation=activation)
    layer.build(shape[1:], 0, dtype)
    peer = torch.nn.BatchNorm2d(c, eps=1e-3, momentum=0.2, dtype=torch.float64 if tight else torch.float32)
    gamma, beta = arrays(1, (c,), (c,), dtype=dtype)
    for p, q, value in ((layer.gamma, peer.weight, gamma), (layer.beta, peer.bias, beta)):
        p.assign(value)
        q.data.copy_(torch.from_numpy(value))
    for step in range(30):
        x, dy = arrays(step, shape, shape, dtype=dtype)
        x = x * (1 + step) + step
        theirs = torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1))).requires_grad_()
        peer.zero_grad()
        z = torch.nn.functional.leaky_relu(peer(theirs), slope)
        z.backward(torch.from_numpy(np.ascontiguousarray(np.moveaxis(dy, -1, 1))))
        layer.zero_grad()
        y, saved = layer.forward(x, training=True)
        dx = layer.backward(dy, saved)
        np.testing.assert_allclose(y.numpy(), np.moveaxis(z.detach().numpy(), 1, -1), **close)
        np.testing.assert_allclose(dx.numpy(), np.moveaxis(theirs.grad.numpy(), 1, -1), **close)
        np.testing.assert_allclose(layer.gamma.grad.numpy(), peer.weight.grad.numpy(), **close)
        np.testing.assert_allclose(layer.beta.grad.numpy(), peer.bias.grad.numpy(), **close)
    np.testing.assert_allclose(layer.mean.value.numpy(), peer.running_mean.numpy(), rtol=1e-5)
    np.testing.assert_allclose(layer.variance.value.numpy(), peer.running_var.numpy(), rtol=1e-5)
    peer.eval()
    predicted = torch.nn.functional.leaky_relu(peer(theirs), slope).detach().numpy()
    np.testing.assert_allclose(layer(x).numpy(), np.moveaxis(predicted, 1, -1), **close)

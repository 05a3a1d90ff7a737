"""Layers and graphs against PyTorch: a small U-Net's output and all its gradients."""

import numpy as np
import pytest

from numbacnn.models import unet
from tests.strategies import arrays

torch = pytest.importorskip("torch")
F = torch.nn.functional


def by_torch(weights, x, depth):
    """The network of figure 1 with convolutions that keep the size, channels first."""

    def double(name, x):
        for k in (1, 2):
            w, b = weights[f"{name}.conv2d_{k}.kernel"], weights[f"{name}.conv2d_{k}.bias"]
            x = F.relu(F.conv2d(x, w.permute(3, 2, 0, 1), b, padding=1))
        return x

    skips = []
    for level in range(depth):
        skips.append(double(f"down_{level}", x))
        x = F.max_pool2d(skips[-1], 2)
    x = double("bottom", x)
    for level in reversed(range(depth)):
        w, b = weights[f"up_{level}.kernel"], weights[f"up_{level}.bias"]
        x = F.conv_transpose2d(x, w.permute(3, 2, 0, 1), b, stride=2)
        x = double(f"level_{level}", torch.cat([skips[level], x], 1))
    return F.conv2d(x, weights["logits.kernel"].permute(3, 2, 0, 1), weights["logits.bias"])


def test_a_u_net_and_its_gradients():
    model = unet(3, width=4, depth=2, padding="same")
    model.build((12, 8, 2), 0, np.float64)
    x, dy = arrays(1, (2, 12, 8, 2), (2, 12, 8, 3))
    y, saved = model.forward(x, training=True)
    dx = model.backward(dy, saved, input_gradient=True)
    weights = {p.name: torch.from_numpy(p.value.numpy().copy()).requires_grad_() for p in model.parameters}
    source = torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1))).requires_grad_()
    theirs = by_torch(weights, source, 2)
    theirs.backward(torch.from_numpy(np.ascontiguousarray(np.moveaxis(dy, -1, 1))))
    close = {"rtol": 1e-9, "atol": 1e-10}
    np.testing.assert_allclose(y.numpy(), np.moveaxis(theirs.detach().numpy(), 1, -1), **close)
    np.testing.assert_allclose(dx.numpy(), np.moveaxis(source.grad.numpy(), 1, -1), **close)
    for p in model.parameters:
        np.testing.assert_allclose(p.grad.numpy(), weights[p.name].grad.numpy(), **close, err_msg=p.name)

"""Convolutions of every form against PyTorch's, forward and gradients."""

import numpy as np
import pytest

from numbacnn import functional
from tests.strategies import arrays

torch = pytest.importorskip("torch")

LAYERS = {1: torch.nn.Conv1d, 2: torch.nn.Conv2d, 3: torch.nn.Conv3d}
TRANSPOSED = {1: torch.nn.ConvTranspose1d, 2: torch.nn.ConvTranspose2d, 3: torch.nn.ConvTranspose3d}
FORMS = [
    ((2, 30, 4), (3, 2, 6), {"stride": 2, "padding": (4,), "dilation": 3, "groups": 2}),
    ((2, 9, 11, 6), (3, 2, 6, 5), {"stride": (2, 3), "padding": (2, 1), "dilation": (1, 2)}),
    ((1, 7, 8, 9, 4), (3, 2, 3, 2, 6), {"stride": (1, 2, 1), "padding": (2, 0, 1), "groups": 2}),
]


def channels_first(a):
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(a, -1, 1)))


def by_torch(layer, x, w, b, dy):
    """A layer's output, and its gradients by input, kernel and bias, channels last."""
    rank = w.ndim - 2
    x, dy = channels_first(x).requires_grad_(), channels_first(dy)
    turned = np.ascontiguousarray(np.transpose(w, (rank + 1, rank, *range(rank))))
    layer.weight = torch.nn.Parameter(torch.from_numpy(turned))
    layer.bias = torch.nn.Parameter(torch.from_numpy(b.copy()))
    y = layer(x)
    y.backward(dy)
    dw = np.transpose(layer.weight.grad.numpy(), (*range(2, rank + 2), 1, 0))
    return *(np.moveaxis(t.detach().numpy(), 1, -1) for t in (y, x.grad)), dw


def assert_close(ours, theirs):
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine.numpy(), other, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize(("x_shape", "w_shape", "options"), FORMS)
def test_convolutions_of_every_rank_and_padding_mode(x_shape, w_shape, options, mode):
    layer = LAYERS[len(w_shape) - 2](
        x_shape[-1], w_shape[-1], w_shape[:-2], padding_mode=mode, dtype=torch.float64, **options
    )
    options = {**options, "padding_mode": mode}
    x, w, b = arrays(1, x_shape, w_shape, w_shape[-1:])
    y = functional.conv_forward(x, w, b, **options)
    (dy,) = arrays(2, y.shape)
    dx = functional.conv_backward_data(dy, w, x_shape, **options)
    dw = functional.conv_backward_weights(x, dy, w_shape, **options)
    assert_close((y, dx, dw), by_torch(layer, x, w, b, dy))


@pytest.mark.parametrize(
    ("x_shape", "w_shape", "options"),
    [
        ((2, 9, 6), (4, 2, 6), {"stride": 3, "padding": (2,), "output_padding": 2, "groups": 2}),
        ((2, 5, 6, 4), (3, 3, 5, 4), {"stride": 2, "padding": (1, 1), "output_padding": (1, 0)}),
        ((2, 5, 4, 4), (2, 3, 5, 4), {"stride": (1, 2), "output_padding": (2, 0), "dilation": (3, 2)}),
        ((1, 4, 3, 5, 4), (2, 3, 3, 3, 4), {"stride": 2, "padding": (0, 1, 1), "output_padding": 1}),
    ],
)
def test_transposed_convolutions_with_output_padding(x_shape, w_shape, options):
    groups = options.get("groups", 1)
    layer = TRANSPOSED[len(w_shape) - 2](
        x_shape[-1], w_shape[-2] * groups, w_shape[:-2], dtype=torch.float64, **options
    )
    x, w, b = arrays(3, x_shape, w_shape, (w_shape[-2] * groups,))
    options = {"padding": 0, **options}
    y = functional.conv_transpose_forward(x, w, b, **options)
    (dy,) = arrays(4, y.shape)
    dx = functional.conv_transpose_backward_data(dy, w, x_shape, **options)
    dw = functional.conv_transpose_backward_weights(x, dy, w_shape, **options)
    assert_close((y, dx, dw), by_torch(layer, x, w, b, dy))


def test_a_causal_convolution_is_one_padded_at_its_low_end():
    x, w, b = arrays(5, (2, 20, 3), (3, 3, 4), (4,))
    y = functional.conv_forward(x, w, b, padding="causal", dilation=2).numpy()
    padded = torch.nn.functional.pad(channels_first(x), (4, 0))
    turned = torch.from_numpy(np.ascontiguousarray(np.transpose(w, (2, 1, 0))))
    expected = torch.nn.functional.conv1d(padded, turned, torch.from_numpy(b.copy()), dilation=2)
    np.testing.assert_allclose(y, np.moveaxis(expected.numpy(), 1, -1), atol=1e-12)

"""Twins of models in PyTorch: they predict the same, and have the same gradients and parameters."""

import numpy as np
import pytest

from numbacnn.layers import (
    AdaptiveAvgPool2D,
    AdaptiveMaxPool1D,
    Add,
    AvgPool1D,
    AvgPool2D,
    Concat,
    Conv1D,
    Conv2D,
    Conv3D,
    ConvTranspose1D,
    ConvTranspose2D,
    Crop,
    Dense,
    DepthwiseConv2D,
    Flatten,
    GlobalAvgPool2D,
    GlobalAvgPool3D,
    GlobalMaxPool1D,
    Graph,
    LeakyReLU,
    MaxPool1D,
    MaxPool2D,
    MaxPool3D,
    Multiply,
    Pad,
    Parallel,
    ReLU,
    ReLU6,
    Residual,
    SeparableConv1D,
    SeparableConv2D,
    Sequential,
    Sigmoid,
    SiLU,
    Slice,
    Softmax,
    Split,
    Tanh,
    Upsample1D,
    Upsample2D,
)
from tests.layers.check import values

torch = pytest.importorskip("torch")
from bench.twin import channels_first, torch_twin  # noqa: E402


def shared():
    conv = Conv2D(4, 3, padding=1)
    nodes = {"a": (conv, "x"), "b": (ReLU(), "a"), "c": (conv, "b"), "d": (ReLU(), "c")}
    return Graph("x", {**nodes, "y": (Add(), ["a", "d", "b"])}, "y")


def split():
    nodes = {
        "two": (Split((1, 3)), "x"),
        "a": (Conv2D(3, 1), "two:0"),
        "m": (Multiply(), ["a", "two:1"]),
        "rows": (Split(2, axis=1), "m"),
        "y": (Concat(1), ["rows:1", "rows:0"]),
    }
    return Graph("x", nodes, "y")


MODELS = {
    "uneven padding": (
        [
            Conv2D(6, (3, 2), strides=2, padding="same", groups=2),
            Tanh(),
            AvgPool2D(2),
            Flatten(),
            Dense(5),
            Sigmoid(),
            Dense(3, use_bias=False),
        ],
        (10, 12, 4),
    ),
    "images": (
        [
            Conv2D(4, 3, padding_mode="reflect", padding=(1, 2)),
            SiLU(),
            MaxPool2D(3, strides=2, padding="same"),
            DepthwiseConv2D(3, depth_multiplier=2, dilation=2),
            ReLU6(),
            SeparableConv2D(5, 2, strides=2),
            Upsample2D(2),
            ConvTranspose2D(3, 3, strides=2, padding=1, output_padding=1),
            LeakyReLU(0.1),
            Pad(((1, 0), (2, 1))),
            Crop(((0, 2), (1, 0))),
            Slice([(1, None, 2), None, (0, 2)]),
            Upsample2D(size=(7, 5), mode="linear"),
            AdaptiveAvgPool2D(2),
            Softmax(),
        ],
        (13, 11, 4),
    ),
    "signals": (
        [
            Conv1D(4, 4, padding="same"),
            ReLU(),
            MaxPool1D(3, strides=1, padding=1),
            SeparableConv1D(6, 3),
            ConvTranspose1D(2, 4, strides=3),
            AvgPool1D(3, strides=2, padding=1, count_include_pad=True),
            Parallel([Slice([(1, 9)]), Crop(((1, 19),))], "add"),
            Upsample1D(2, mode="linear"),
            AdaptiveMaxPool1D(5),
            GlobalMaxPool1D(keepdims=True),
            Conv1D(3, 1, padding="causal"),
        ],
        (20, 2),
    ),
    "volumes": (
        [
            Conv3D(3, 3, padding="same", strides=(1, 2, 1)),
            ReLU(),
            MaxPool3D(2),
            Conv3D(2, 1),
            Flatten(),
            Dense(4),
        ],
        (5, 6, 4, 2),
    ),
    "means of volumes": ([Conv3D(3, 2), GlobalAvgPool3D(), Dense(2)], (4, 3, 5, 2)),
    "residual": (
        [
            Residual([Conv2D(4, 3, padding=1), ReLU(), Conv2D(4, 3, padding=1)], Conv2D(4, 1), ReLU()),
            Residual([ReLU(), Conv2D(4, 3, padding=1), Sigmoid()], None),
            shared(),
            split(),
            GlobalAvgPool2D(),
        ],
        (6, 4, 3),
    ),
}


@pytest.mark.parametrize("plane", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_they_agree(name, plane):
    layers, shape = MODELS[name]
    if plane and len(shape) != 2:
        pytest.skip("only signals can be images of one row")
    for layer in layers:
        layer.reset()
    model = Sequential(layers)
    model.build(shape, 0, np.float64)
    for p in model.parameters:
        p.assign(values(p.shape, 3))
    twin, pairs = torch_twin(model, plane)
    assert [p.ours.name for p in pairs] == [p.name for p in model.parameters]
    x = values((2, *shape))
    theirs = torch.from_numpy(channels_first(x, plane)).requires_grad_()
    y, saved = model.forward(x, training=True)
    result = twin(theirs)
    dy = values(y.shape, 1)
    result.backward(torch.from_numpy(channels_first(dy, plane)))
    dx = model.backward(dy, saved, input_gradient=True)
    close = {"rtol": 1e-9, "atol": 1e-10}
    np.testing.assert_allclose(channels_first(y.numpy(), plane), result.detach().numpy(), **close)
    np.testing.assert_allclose(channels_first(dx.numpy(), plane), theirs.grad.numpy(), **close)
    for p in pairs:
        gradient = p.arranged(p.ours.grad.numpy())
        np.testing.assert_allclose(gradient, p.theirs.grad.numpy(), **close, err_msg=p.ours.name)


def test_what_has_no_twin_is_refused():
    model = Sequential([AvgPool2D(2, divisor_override=3.0)])
    model.build((4, 4, 1))
    with pytest.raises(KeyError, match="avgpool2d_1: an average pool that PyTorch has not"):
        torch_twin(model)

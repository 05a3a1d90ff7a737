"""``numbacnn warmup``: compile the kernels of all layers once, so that later processes start fast."""

from __future__ import annotations

import argparse
import time

import numpy as np

from .._jit import cache_dir
from ..data import Augment
from ..functional import add
from ..layers import (
    AdaptiveMaxPool2D,
    AvgPool2D,
    BatchNorm,
    Conv2D,
    ConvTranspose2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Flatten,
    GaussianPool2D,
    GlobalAvgPool2D,
    LeakyReLU,
    LpPool2D,
    MaxPool2D,
    Multiply,
    Pad,
    Parallel,
    PixelShuffle,
    PixelUnshuffle,
    ReLU,
    ReLU6,
    Residual,
    Sequential,
    Sigmoid,
    SiLU,
    Softmax,
    Split,
    Tanh,
    Upsample2D,
)
from ..losses import MeanSquaredError, SoftmaxCrossEntropy
from ..optimizers import SGD, Adam, AdamW, RMSprop
from ..regularizers import L1L2
from ..training import fit, predict


def _model() -> Sequential:
    """Return a small network with a layer of every kind, the convolutions by every algorithm.

    Winograd's kernels for other taps than 3 by 3 are rarer: they are compiled when they are first used.
    """
    return Sequential(
        [
            Conv2D(32, 5, padding="same", kernel_regularizer=L1L2(1e-5, 1e-5)),
            Conv2D(32, 3, padding="same"),  # by Winograd's method in float32
            Conv2D(32, 3, padding="same", groups=32),
            Conv2D(6, 1),
            ReLU(),
            MaxPool2D(2),
            Conv2D(16, 3, groups=2),
            Sigmoid(),
            AvgPool2D(2),
            Conv2D(8, 1),
            Tanh(),
            Conv2D(8, 3, strides=2, dilation=2, padding="same", use_bias=False),
            Flatten(),
            Dropout(0.1),
            Dense(10),
        ]
    )


def _rest() -> Sequential:
    """Return a network of the layers whose kernels `_model` does not use."""
    return Sequential(
        [
            DepthwiseConv2D(3, depth_multiplier=4),
            Residual([LeakyReLU(), ReLU6()], SiLU()),
            Pad(1, mode="reflect"),
            Parallel([LpPool2D(2), LpPool2D(2, p=1), LpPool2D(2, p=3)]),
            Upsample2D(2, mode="linear"),
            Split(2),
            Multiply(),
            PixelUnshuffle(2),
            PixelShuffle(2),
            GaussianPool2D(3, sigma=1.0),
            AdaptiveMaxPool2D(4),
            ConvTranspose2D(4, 2, strides=2),
            BatchNorm(),
            GlobalAvgPool2D(),
            Dense(10),
        ]
    )


def compile_kernels(dtype: str) -> None:
    """Run every layer's kernels on arrays of a dtype: kernels are compiled per dtype, not per size."""
    rng = np.random.default_rng(0)
    # Batches of 20 and of 4: dense layers have kernels for many samples and for few.
    x = rng.standard_normal((24, 16, 16, 1)).astype(dtype)
    classes = rng.integers(0, 10, 24)
    values = np.eye(10, dtype=dtype)[classes]
    augment = Augment()
    add(x, x)  # sums gradients where a parameter gets two, which none does below
    for optimizer in (SGD(), SGD(0.01, momentum=0.9, nesterov=True), RMSprop(), Adam(), AdamW()):
        model = _model()
        fit(model, x, classes, optimizer=optimizer, epochs=1, batch_size=20, augment=augment, verbose=False)
    for loss in (MeanSquaredError(), SoftmaxCrossEntropy(label_smoothing=0.1)):
        fit(_model(), x, values, loss=loss, epochs=1, batch_size=20, verbose=False)
    probabilities = Sequential([Flatten(), Dense(10), Softmax()])
    fit(probabilities, x, values, loss=MeanSquaredError(), epochs=1, verbose=False)
    predict(probabilities, x)
    fit(_rest(), x, classes, epochs=1, batch_size=20, verbose=False)


def warmup(arguments: argparse.Namespace) -> int:
    """Compile the kernels and say where they are kept; return the exit code."""
    for dtype in ("float32", "float64") if arguments.dtype == "all" else (arguments.dtype,):
        begin = time.perf_counter()
        compile_kernels(dtype)
        print(f"{dtype}: kernels ready after {time.perf_counter() - begin:.1f} s", flush=True)
    folder = cache_dir()
    print(f"kept in {folder}" if folder else "not kept: no cache folder is writable")
    return 0

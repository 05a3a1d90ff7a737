"""``numbacnn warmup``: compile the kernels of all layers once, so that later processes start fast."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable

import numpy as np

from .._jit import cache_dir
from ..data import Augment
from ..functional import add
from ..layers import (
    ELU,
    GELU,
    AdaptiveMaxPool2D,
    AvgPool2D,
    BatchNorm,
    Conv2D,
    ConvTranspose2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Embedding,
    Flatten,
    GaussianPool2D,
    GlobalAvgPool2D,
    Hardsigmoid,
    Hardswish,
    LeakyReLU,
    LogSoftmax,
    LpPool2D,
    MaxPool2D,
    Mish,
    Multiply,
    Pad,
    Parallel,
    PixelShuffle,
    PixelUnshuffle,
    PReLU,
    ReLU,
    ReLU6,
    Residual,
    Sequential,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    SpatialDropout,
    Split,
    Tanh,
    Upsample2D,
)
from ..losses import MeanSquaredError, SoftmaxCrossEntropy
from ..optimizers import EMA, LAMB, SGD, Adadelta, Adagrad, Adam, Lion, RAdam, RMSprop
from ..parameter import Parameter
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


def _curves() -> Sequential:
    """Return a network of the other activations, and of dropout of channels."""
    curves = [ELU(), GELU(), GELU(approximate=True), Hardsigmoid(), Hardswish(), Mish(), Softplus(), PReLU()]
    return Sequential([Flatten(), Dense(8), *curves, SpatialDropout(0.1), LogSoftmax(), Dense(10)])


def _step(parameters: Iterable[Parameter]) -> None:
    """Run every rule of the optimizers, and what goes along with them, on a parameter that has a gradient."""
    p = next(p for p in parameters if p.grad is not None)
    kinds = [SGD(), SGD(momentum=0.9), RMSprop(), RMSprop(momentum=0.9), RMSprop(centered=True), Adagrad()]
    kinds += [Adadelta(), Adam(amsgrad=True), RAdam(), Lion(), LAMB(), SGD(clip_norm=1.0, ema=EMA([p]))]
    for optimizer in kinds:
        optimizer.step([p])
    EMA([p]).update()


def compile_kernels(dtype: str) -> None:
    """Run every layer's kernels on arrays of a dtype: kernels are compiled per dtype, not per size."""
    rng = np.random.default_rng(0)
    # Batches of 20 and of 4: dense layers have kernels for many samples and for few.
    x = rng.standard_normal((24, 16, 16, 1)).astype(dtype)
    classes = rng.integers(0, 10, 24)
    values = np.eye(10, dtype=dtype)[classes]
    augment = Augment()
    add(x, x)  # sums gradients where a parameter gets two, which none does below
    model = _model()
    fit(model, x, classes, optimizer=Adam(), epochs=1, batch_size=20, augment=augment, verbose=False)
    _step(model.parameters)
    for loss in (MeanSquaredError(), SoftmaxCrossEntropy(label_smoothing=0.1)):
        fit(_model(), x, values, loss=loss, epochs=1, batch_size=20, verbose=False)
    probabilities = Sequential([Flatten(), Dense(10), Softmax()])
    fit(probabilities, x, values, loss=MeanSquaredError(), epochs=1, verbose=False)
    predict(probabilities, x)
    fit(_rest(), x, classes, epochs=1, batch_size=20, verbose=False)
    fit(_curves(), x, classes, epochs=1, batch_size=20, verbose=False)
    words = Sequential([Embedding(10, 4), Flatten(), Dense(10)])
    words.build((3,), rng, dtype)
    fit(words, rng.integers(0, 10, (24, 3)), classes, epochs=1, verbose=False)


def warmup(arguments: argparse.Namespace) -> int:
    """Compile the kernels and say where they are kept; return the exit code."""
    for dtype in ("float32", "float64") if arguments.dtype == "all" else (arguments.dtype,):
        begin = time.perf_counter()
        compile_kernels(dtype)
        print(f"{dtype}: kernels ready after {time.perf_counter() - begin:.1f} s", flush=True)
    folder = cache_dir()
    print(f"kept in {folder}" if folder else "not kept: no cache folder is writable")
    return 0

"""InceptionTime."""

from __future__ import annotations

from typing import Any

from numbacnn.layers import (
    BatchNorm,
    Concat,
    Conv1D,
    Dense,
    GlobalAvgPool1D,
    Graph,
    Layer,
    MaxPool1D,
    ReLU,
    Residual,
    Sequential,
)

_INITIAL: dict[str, Any] = {"use_bias": False, "kernel_initializer": "glorot_uniform"}


def inception_time(
    classes: int = 2,
    *,
    channels: int = 1,
    width: int = 32,
    depth: int = 6,
    kernel_sizes: tuple[int, ...] = (40, 20, 10),
    name: str = "inception_time",
) -> Sequential:
    """Inception modules of long filters with a shortcut around every three, for series of any length.

    It ends in the logits of the classes. With `classes` K and one channel it has 420,192 + 129 K learned
    parameters, as the authors' published code (by arithmetic over it): 420,450 for two classes. Weights are
    drawn as Glorot and Bengio do, that code's default. The paper classifies by the mean of the predictions
    of five such networks.

    Args:
        classes: number of classes, the units of the last layer.
        channels: of the input; a series of one goes to the long filters without a bottleneck.
        width: filters of each convolution; 32 in the paper. A module gives one such part for each kernel and
            one more.
        depth: number of modules; 6 in the paper. Modules after the last three have no shortcut.
        kernel_sizes: taps of a module's convolutions.
        name: the model's name.

    Returns:
        The model, not yet built: call ``model.build((128, 1), rng=seed)``.

    Source:
        Fawaz et al., "InceptionTime: Finding AlexNet for Time Series Classification", Data Mining and
        Knowledge Discovery 34, 2020, section 3.

    """
    wide = width * (len(kernel_sizes) + 1)
    modules = [_module(width, kernel_sizes, bool(k) or channels > 1) for k in range(depth)]
    layers: list[Layer] = []
    for k in range(0, depth - depth % 3, 3):
        shortcut = [Conv1D(wide, 1, **_INITIAL), BatchNorm(momentum=0.99, epsilon=1e-3)]
        layers.append(Residual(modules[k : k + 3], shortcut, ReLU()))
    layers += modules[depth - depth % 3 :]
    dense = Dense(classes, kernel_initializer="glorot_uniform")
    return Sequential([*layers, GlobalAvgPool1D(), dense], name=name)


def _module(width: int, kernel_sizes: tuple[int, ...], bottleneck: bool) -> Graph:
    """Figure 2: filters of several lengths behind a bottleneck, and a max-pool beside them."""
    nodes: dict[str, Any] = {"bottleneck": (Conv1D(width, 1, **_INITIAL), "x")} if bottleneck else {}
    source = "bottleneck" if bottleneck else "x"
    for size in kernel_sizes:
        nodes[f"conv_{size}"] = (Conv1D(width, size, padding="same", **_INITIAL), source)
    nodes["pool"] = (MaxPool1D(3, strides=1, padding=1), "x")
    nodes["conv_pool"] = (Conv1D(width, 1, **_INITIAL), "pool")
    nodes["concat"] = (Concat(), [*(f"conv_{size}" for size in kernel_sizes), "conv_pool"])
    nodes["norm"] = (BatchNorm(momentum=0.99, epsilon=1e-3, activation="relu"), "concat")
    return Graph("x", nodes, "norm")

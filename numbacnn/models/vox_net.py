"""VoxNet, a small network for volumes."""

from __future__ import annotations

from numbacnn.initializers import Normal
from numbacnn.layers import (
    Conv3D,
    Dense,
    Dropout,
    Flatten,
    Layer,
    LeakyReLU,
    MaxPool3D,
    ReLU,
    Sequential,
)


def voxnet(
    classes: int = 40,
    *,
    width: int = 32,
    dense: int = 128,
    dropout: tuple[float, float, float] = (0.2, 0.3, 0.4),
    name: str = "voxnet",
) -> Sequential:
    """Two convolutions with leaky ReLU, a pool and two dense layers, which end in the classes' logits.

    On 32 x 32 x 32 x 1 volumes, such as occupancy grids, and 40 classes it has 921,736 parameters.
    Convolutions are drawn from He's normal distribution, dense layers from one of deviation 0.01.

    Args:
        classes: number of classes, the units of the last layer.
        width: channels of the convolutions; 32 in the paper.
        dense: units of the dense layer before the last; 128 in the paper.
        dropout: shares to drop in training after the first convolution, after the pool and before the last
            layer, each in [0, 1); those of the authors' published code.
        name: the model's name.

    Returns:
        The model, not yet built: call ``model.build((32, 32, 32, 1), rng=seed)``.

    Source:
        Maturana and Scherer, "VoxNet: A 3D Convolutional Neural Network for Real-Time Object Recognition",
        IROS 2015, section III.

    """
    drops: list[list[Layer]] = [[Dropout(rate)] if rate else [] for rate in dropout]
    layers = [Conv3D(width, 5, strides=2), LeakyReLU(0.1), *drops[0]]
    layers += [Conv3D(width, 3), LeakyReLU(0.1), MaxPool3D(2), *drops[1], Flatten()]
    layers += [Dense(dense, kernel_initializer=Normal(0.01)), ReLU(), *drops[2]]
    return Sequential([*layers, Dense(classes, kernel_initializer=Normal(0.01))], name=name)

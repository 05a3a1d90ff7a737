"""MobileNet-v2."""

from __future__ import annotations

from numbacnn.initializers import Normal
from numbacnn.layers import (
    BatchNorm,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    GlobalAvgPool2D,
    Layer,
    Residual,
    Sequential,
)

# table 2: expansion, channels, blocks, stride of the first
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def mobilenet_v2(
    classes: int = 1000, *, width: float = 1.0, dropout: float = 0.2, name: str = "mobilenet_v2"
) -> Sequential:
    """Inverted residuals: widened by 1 x 1, filtered depthwise, narrowed by 1 x 1 without an activation.

    On 224 x 224 x 3 images it has 3,504,872 learned parameters and ends in 1000 logits. Convolutions are
    drawn from He's normal distribution, the dense layer from one of deviation 0.01.

    Args:
        classes: number of classes, the units of the last layer.
        width: multiplier of all channels, which are then rounded to multiples of 8 (as the authors'
            published code does); that of the last convolution is 1 at least (section 6.1).
        dropout: share of the features before the last layer to drop in training, in [0, 1); 0.2 in the
            authors' code.
        name: the model's name.

    Returns:
        The model, not yet built: call ``model.build((224, 224, 3), rng=seed)``.

    Source:
        Sandler, Howard, Zhu, Zhmoginov and Chen, "MobileNetV2: Inverted Residuals and Linear Bottlenecks",
        CVPR 2018, table 2.

    """
    channels = _rounded(32 * width)
    layers = _conv_norm(channels, 3, 2)
    for stage, (expansion, filters, blocks, first) in enumerate(_STAGES, 1):
        after = _rounded(filters * width)
        for block in range(blocks):
            strides = 1 if block else first
            branch = _inverted(channels, expansion, after, strides)
            label = f"stage_{stage}_{block + 1}"
            same = strides == 1 and channels == after
            layers.append(Residual(branch, name=label) if same else Sequential(branch, name=label))
            channels = after
    layers += [*_conv_norm(_rounded(1280 * max(1.0, width)), 1), GlobalAvgPool2D()]
    layers += [Dropout(dropout)] if dropout else []
    return Sequential([*layers, Dense(classes, kernel_initializer=Normal(0.01))], name=name)


def _inverted(channels: int, expansion: int, filters: int, strides: int) -> list[Layer]:
    """Figure 3d, with a stride or without."""
    layers: list[Layer] = [] if expansion == 1 else _conv_norm(channels * expansion, 1)
    layers += [DepthwiseConv2D(3, strides=strides, padding=1, use_bias=False), BatchNorm(activation="relu6")]
    return [*layers, Conv2D(filters, 1, use_bias=False), BatchNorm()]


def _conv_norm(filters: int, size: int, strides: int = 1) -> list[Layer]:
    conv = Conv2D(filters, size, strides=strides, padding=size // 2, use_bias=False)
    return [conv, BatchNorm(activation="relu6")]


def _rounded(channels: float) -> int:
    """To a multiple of 8, which is never less than nine tenths."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * channels else nearest + 8

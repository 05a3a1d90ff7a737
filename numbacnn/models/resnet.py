"""Residual networks: ResNet-18, ResNet-34 and ResNet-50."""

from __future__ import annotations

from numbacnn.layers import (
    BatchNorm,
    Conv2D,
    Dense,
    GlobalAvgPool2D,
    Layer,
    MaxPool2D,
    ReLU,
    Residual,
    Sequential,
)

_BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}  # per stage: table 1


def resnet18(
    classes: int = 1000, *, width: int = 64, small_images: bool = False, name: str = "resnet18"
) -> Sequential:
    """A convolution, eight residual blocks of two 3 x 3 convolutions each, and a dense layer.

    On 224 x 224 x 3 images it has 11,689,512 learned parameters and ends in 1000 logits. Convolutions are
    drawn from He's normal distribution and have no biases, as batch normalisation follows each.

    Args:
        classes: number of classes, the units of the last layer.
        width: channels of the first stage; 64 in the paper. The others have 2, 4 and 8 times as many.
        small_images: begin with a 3 x 3 convolution of stride 1 and no pool, for images such as 32 x 32
            (section 4.2), instead of a 7 x 7 one of stride 2 and a max-pool.
        name: the model's name.

    Returns:
        The model, not yet built: call ``model.build((224, 224, 3), rng=seed)``.

    Source:
        He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition", CVPR 2016, table 1. Shortcuts
        are the input itself, or 1 x 1 convolutions where the shape changes (option B).

    """
    return _resnet(18, classes, width, small_images, name)


def resnet34(
    classes: int = 1000, *, width: int = 64, small_images: bool = False, name: str = "resnet34"
) -> Sequential:
    """As `resnet18` with sixteen blocks; 21,797,672 learned parameters on 224 x 224 x 3 images."""
    return _resnet(34, classes, width, small_images, name)


def resnet50(
    classes: int = 1000, *, width: int = 64, small_images: bool = False, name: str = "resnet50"
) -> Sequential:
    """Sixteen bottleneck blocks: 1 x 1 convolutions around a 3 x 3 one; else as `resnet18`.

    On 224 x 224 x 3 images it has 25,557,032 learned parameters. Where a stage halves the resolution, the
    3 x 3 convolution strides, not the 1 x 1 one before it as in the paper: no pixel is skipped so, and it is
    some half a percent more accurate on ImageNet. Others call that form version 1.5, and train it as
    "ResNet-50".
    """
    return _resnet(50, classes, width, small_images, name)


def _resnet(depth: int, classes: int, width: int, small_images: bool, name: str) -> Sequential:
    layers: list[Layer] = _conv_norm(width, 3, 1) if small_images else _conv_norm(width, 7, 2)
    if not small_images:
        layers.append(MaxPool2D(3, strides=2, padding=1))
    before = width
    for stage, blocks in enumerate(_BLOCKS[depth]):
        filters = width << stage
        after = 4 * filters if depth == 50 else filters
        for block in range(blocks):
            strides = 2 if stage and not block else 1
            if depth == 50:
                branch = [*_conv_norm(filters, 1), *_conv_norm(filters, 3, strides)]
            else:
                branch = _conv_norm(filters, 3, strides)
            branch += _conv_norm(after, 1 if depth == 50 else 3, activation=None)
            changed = strides > 1 or before != after
            shortcut = _conv_norm(after, 1, strides, None) if changed else None
            layers.append(Residual(branch, shortcut, ReLU(), name=f"stage_{stage + 1}_{block + 1}"))
            before = after
    layers += [GlobalAvgPool2D(), Dense(classes, kernel_initializer="glorot_uniform")]
    return Sequential(layers, name=name)


def _conv_norm(filters: int, size: int, strides: int = 1, activation: str | None = "relu") -> list[Layer]:
    """A convolution, padded alike on all sides, with its normalisation and activation."""
    conv = Conv2D(filters, size, strides=strides, padding=size // 2, use_bias=False)
    return [conv, BatchNorm(activation=activation)]

"""C3D, for video clips and volumes."""

from __future__ import annotations

from numbacnn.layers import Conv3D, Dense, Dropout, Flatten, Layer, MaxPool3D, ReLU, Sequential

_STAGES = ((1, 1), (2, 1), (4, 2), (8, 2), (8, 2))  # times the width, convolutions


def c3d(
    classes: int = 101, *, width: int = 64, dense: int = 4096, dropout: float = 0.5, name: str = "c3d"
) -> Sequential:
    """Eight convolutions of 3 x 3 x 3, five pools and three dense layers, which end in the classes' logits.

    On clips of 16 x 112 x 112 x 3 (frames, height, width, channels) it has 78,409,573 parameters (by
    arithmetic). The last pool pads a pixel of height and width, as the authors' published network does.

    Args:
        classes: number of classes, the units of the last layer.
        width: channels of the first convolution; 64 in the paper. The others have 2, 4, 8 and 8 times as
            many.
        dense: units of the two dense layers before the last; 4096 in the paper.
        dropout: share of their outputs to drop in training, in [0, 1).
        name: the model's name.

    Returns:
        The model, not yet built: call ``model.build((16, 112, 112, 3), rng=seed)``.

    Source:
        Tran, Bourdev, Fergus, Torresani and Paluri, "Learning Spatiotemporal Features with 3D Convolutional
        Networks", ICCV 2015, section 3.2.

    """
    layers: list[Layer] = []
    for stage, (times, convolutions) in enumerate(_STAGES):
        for _ in range(convolutions):
            layers += [Conv3D(width * times, 3, padding="same"), ReLU()]
        last = stage == len(_STAGES) - 1
        layers.append(MaxPool3D((1, 2, 2) if stage == 0 else 2, padding=(0, 1, 1) if last else "valid"))
    layers.append(Flatten())
    for _ in range(2):
        layers += [Dense(dense), ReLU(), *([Dropout(dropout)] if dropout else [])]
    return Sequential([*layers, Dense(classes, kernel_initializer="glorot_uniform")], name=name)

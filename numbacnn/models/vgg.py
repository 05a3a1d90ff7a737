"""VGG networks."""

from __future__ import annotations

from numbacnn.layers import Conv2D, Dense, Dropout, Flatten, Layer, MaxPool2D, ReLU, Sequential

_CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 19: (2, 2, 4, 4, 4)}  # between pools: configurations A and E


def vgg11(
    classes: int = 1000, *, width: int = 64, dense: int = 4096, dropout: float = 0.5, name: str = "vgg11"
) -> Sequential:
    """Eight convolutions of 3 x 3 and three dense layers: configuration A.

    On 224 x 224 x 3 images it has 132,863,336 parameters. It ends in the logits of the classes. Weights are
    drawn as Glorot and Bengio do, which the authors recommend (section 3.1).

    Args:
        classes: number of classes, the units of the last layer.
        width: channels of the first convolutions; 64 in the paper. The others have 2, 4, 8 and 8 times as
            many.
        dense: units of the two dense layers before the last; 4096 in the paper.
        dropout: share of their outputs to drop in training, in [0, 1).
        name: the model's name.

    Returns:
        The model, not yet built: call ``model.build((224, 224, 3), rng=seed)``. Images may be of any size
        from 32 x 32 pixels on.

    Source:
        Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR
        2015, table 1.

    """
    return _vgg(11, classes, width, dense, dropout, name)


def vgg19(
    classes: int = 1000, *, width: int = 64, dense: int = 4096, dropout: float = 0.5, name: str = "vgg19"
) -> Sequential:
    """Sixteen convolutions of 3 x 3 and three dense layers: configuration E.

    On 224 x 224 x 3 images it has 143,667,240 parameters.

    Args, returns and source: as `vgg11`.
    """
    return _vgg(19, classes, width, dense, dropout, name)


def _vgg(depth: int, classes: int, width: int, dense: int, dropout: float, name: str) -> Sequential:
    layers: list[Layer] = []
    for stage, convolutions in enumerate(_CONVOLUTIONS[depth]):
        for _ in range(convolutions):
            filters = width * min(8, 2**stage)
            layers += [Conv2D(filters, 3, padding="same", kernel_initializer="glorot_uniform"), ReLU()]
        layers.append(MaxPool2D(2))
    layers.append(Flatten())
    for _ in range(2):
        layers += [Dense(dense, kernel_initializer="glorot_uniform"), ReLU()]
        layers += [Dropout(dropout)] if dropout else []
    return Sequential([*layers, Dense(classes, kernel_initializer="glorot_uniform")], name=name)

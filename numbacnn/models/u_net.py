"""U-Net."""

from __future__ import annotations

from typing import Any

from numbacnn.dims import Padding
from numbacnn.layers import (
    Concat,
    Conv2D,
    ConvTranspose2D,
    Crop,
    Dropout,
    Graph,
    Layer,
    MaxPool2D,
    ReLU,
    Sequential,
)


def unet(
    classes: int = 2,
    *,
    width: int = 64,
    depth: int = 4,
    padding: Padding = "valid",
    dropout: float = 0.0,
    name: str = "unet",
) -> Graph:
    """A path that contracts, one that expands, and skips between them: logits of the classes per pixel.

    On 572 x 572 x 1 images it gives 388 x 388 x 2 logits and has 31,030,658 parameters (by arithmetic over
    figure 1 of the paper, whose 23 convolutions these are). Weights are drawn from He's normal distribution,
    as in section 3.

    Args:
        classes: number of classes, channels of the output.
        width: channels of the first level; each level below has twice as many.
        depth: times that the resolution is halved.
        padding: of the convolutions: ``"valid"`` as in the paper, whose skips are cropped, or ``"same"``,
            which gives outputs of the input's size.
        dropout: share of the features of the lowest level to drop in training, in [0, 1).
        name: the model's name.

    Returns:
        The model, not yet built: call ``model.build((572, 572, 1), rng=seed)``. Each level's size must be
        even: with ``"same"``, sizes in multiples of ``2^depth``.

    Source:
        Ronneberger, Fischer and Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation",
        MICCAI 2015, figure 1.

    """
    nodes: dict[str, Any] = {}
    last, crops, lost = "image", {}, 0
    for level in range(depth):
        nodes[f"down_{level}"] = (_double(width << level, padding), last)
        nodes[f"pool_{level}"] = (MaxPool2D(2), f"down_{level}")
        last = f"pool_{level}"
    nodes["bottom"] = (_double(width << depth, padding, dropout), last)
    last = "bottom"
    for level in reversed(range(depth)):
        lost = 2 * (
            lost + 4
        )  # pixels that the levels below take from the skip's size, as two convolutions do 4
        crops[level], lost = lost, lost + 4
        nodes[f"up_{level}"] = (ConvTranspose2D(width << level, 2, strides=2), last)
        skip = f"down_{level}"
        if padding == "valid":
            nodes[f"crop_{level}"] = (Crop(crops[level] // 2), skip)
            skip = f"crop_{level}"
        nodes[f"join_{level}"] = (Concat(), [skip, f"up_{level}"])
        nodes[f"level_{level}"] = (_double(width << level, padding), f"join_{level}")
        last = f"level_{level}"
    nodes["logits"] = (Conv2D(classes, 1), last)
    return Graph("image", nodes, "logits", name=name)


def _double(filters: int, padding: Padding, dropout: float = 0.0) -> Sequential:
    """Two convolutions with their activations."""
    layers: list[Layer] = [
        Conv2D(filters, 3, padding=padding),
        ReLU(),
        Conv2D(filters, 3, padding=padding),
        ReLU(),
    ]
    return Sequential([*layers, *([Dropout(dropout)] if dropout else [])])

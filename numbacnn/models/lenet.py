"""LeNet-5."""

from __future__ import annotations

from collections.abc import Callable

from numbacnn.dims import Padding
from numbacnn.errors import ArgumentError, message
from numbacnn.layers import (
    AvgPool2D,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    Layer,
    MaxPool2D,
    ReLU,
    Sequential,
    Sigmoid,
    Tanh,
)

_ACTIVATIONS: dict[str, Callable[..., Layer]] = {"relu": ReLU, "sigmoid": Sigmoid, "tanh": Tanh}
_POOLS: dict[str, Callable[..., Layer]] = {"max": MaxPool2D, "average": AvgPool2D}


def lenet5(
    classes: int = 10,
    *,
    activation: str = "relu",
    pool: str = "max",
    padding: tuple[Padding, Padding] = ("same", "valid"),
    dropout: float = 0.0,
    name: str = "lenet5",
) -> Sequential:
    """Two convolutions with pooling and three dense layers, which end in the logits of the classes.

    On 28 x 28 x 1 images it has 61,706 parameters and takes 416,520 multiply-adds. The paper's connection
    table between the maps is left out, as is its output layer of radial basis functions; with
    ``activation="tanh", pool="average"`` the rest follows the paper up to the scale of its squashing
    function.

    Args:
        classes: number of classes, the units of the last layer.
        activation: ``"relu"``, ``"tanh"`` or ``"sigmoid"``.
        pool: ``"max"`` or ``"average"``, of 2 x 2 windows.
        padding: of the two convolutions; ``("same", "same")`` lets images from 4 x 4 pixels on through,
            such as 8 x 8 digits.
        dropout: share of the features before the last layer to drop in training, in [0, 1).
        name: the model's name.

    Returns:
        The model, not yet built: call ``model.build((28, 28, 1), rng=seed)``.

    Raises:
        ArgumentError: a choice is not one of those named.

    Source:
        LeCun, Bottou, Bengio and Haffner, "Gradient-Based Learning Applied to Document Recognition",
        Proceedings of the IEEE 86(11), 1998, section II.B.

    """
    act, pooling = _choice(name, "activation", activation, _ACTIVATIONS), _choice(name, "pool", pool, _POOLS)
    weights = "he_normal" if activation == "relu" else "glorot_uniform"
    layers: list[Layer] = [
        Conv2D(6, 5, padding=padding[0], kernel_initializer=weights),
        act(),
        pooling(2),
        Conv2D(16, 5, padding=padding[1], kernel_initializer=weights),
        act(),
        pooling(2),
        Flatten(),
        Dense(120, kernel_initializer=weights),
        act(),
        Dense(84, kernel_initializer=weights),
        act(),
        *([Dropout(dropout)] if dropout else []),
        Dense(classes, kernel_initializer="glorot_uniform"),
    ]
    return Sequential(layers, name=name)


def _choice(
    name: str, argument: str, value: str, known: dict[str, Callable[..., Layer]]
) -> Callable[..., Layer]:
    if value not in known:
        expected = f"{argument} as one of {', '.join(known)}"
        raise ArgumentError(message(name, expected, repr(value), "choose one of them"))
    return known[value]

"""numbacnn: convolutional neural networks in plain Python, compiled by Numba.

Importing the package loads nothing but its settings: each name below is imported when it is first used, so
that a program pays for what it uses. The names are listed twice, for people and type checkers, and for the
import at run time; a test holds the two together.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

# At once: loaded later, the module of the same name would take the place of the object in this namespace.
from numbacnn.config import config

if TYPE_CHECKING:
    from numbacnn._jit import cache_dir, get_num_threads, set_num_threads, threading_layer
    from numbacnn.errors import (
        ArgumentError,
        CacheWarning,
        DeviceError,
        DeviceMemoryError,
        DTypeError,
        FileFormatError,
        MissingExtraError,
        NumbaCNNError,
        NumericsError,
        ShapeError,
        TargetError,
    )
    from numbacnn.functional.explain import explain
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
        Softmax,
        Tanh,
    )
    from numbacnn.losses import MeanSquaredError, SoftmaxCrossEntropy
    from numbacnn.models import lenet5
    from numbacnn.optimizers import SGD, Adam, AdamW, RMSprop
    from numbacnn.parameter import Parameter
    from numbacnn.regularizers import L1, L1L2, L2
    from numbacnn.schedules import Constant, OneCycle
    from numbacnn.serialization import load, save
    from numbacnn.tensor import Tensor, as_tensor
    from numbacnn.training import History, evaluate, fit, predict

__version__ = "0.1.0"

_NAMES = {
    "numbacnn._jit": ("cache_dir", "get_num_threads", "set_num_threads", "threading_layer"),
    "numbacnn.errors": (
        "ArgumentError",
        "CacheWarning",
        "DTypeError",
        "DeviceError",
        "DeviceMemoryError",
        "FileFormatError",
        "MissingExtraError",
        "NumbaCNNError",
        "NumericsError",
        "ShapeError",
        "TargetError",
    ),
    "numbacnn.functional.explain": ("explain",),
    "numbacnn.layers": (
        "AvgPool2D",
        "Conv2D",
        "Dense",
        "Dropout",
        "Flatten",
        "Layer",
        "MaxPool2D",
        "ReLU",
        "Sequential",
        "Sigmoid",
        "Softmax",
        "Tanh",
    ),
    "numbacnn.losses": ("MeanSquaredError", "SoftmaxCrossEntropy"),
    "numbacnn.models": ("lenet5",),
    "numbacnn.optimizers": ("SGD", "Adam", "AdamW", "RMSprop"),
    "numbacnn.parameter": ("Parameter",),
    "numbacnn.regularizers": ("L1", "L1L2", "L2"),
    "numbacnn.schedules": ("Constant", "OneCycle"),
    "numbacnn.serialization": ("load", "save"),
    "numbacnn.tensor": ("Tensor", "as_tensor"),
    "numbacnn.training": ("History", "evaluate", "fit", "predict"),
}
_MODULES = (
    "data",
    "dims",
    "errors",
    "functional",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "regularizers",
    "schedules",
    "training",
)
_HOME = {name: module for module, names in _NAMES.items() for name in names}

__all__ = [
    "Adam",
    "AdamW",
    "ArgumentError",
    "AvgPool2D",
    "CacheWarning",
    "Constant",
    "Conv2D",
    "DTypeError",
    "Dense",
    "DeviceError",
    "DeviceMemoryError",
    "Dropout",
    "FileFormatError",
    "Flatten",
    "History",
    "L1",
    "L1L2",
    "L2",
    "Layer",
    "MaxPool2D",
    "MeanSquaredError",
    "MissingExtraError",
    "NumbaCNNError",
    "NumericsError",
    "OneCycle",
    "Parameter",
    "RMSprop",
    "ReLU",
    "SGD",
    "Sequential",
    "ShapeError",
    "Sigmoid",
    "Softmax",
    "SoftmaxCrossEntropy",
    "Tanh",
    "TargetError",
    "Tensor",
    "as_tensor",
    "cache_dir",
    "config",
    "data",
    "dims",
    "errors",
    "evaluate",
    "explain",
    "fit",
    "functional",
    "get_num_threads",
    "initializers",
    "layers",
    "lenet5",
    "load",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "predict",
    "regularizers",
    "save",
    "schedules",
    "set_num_threads",
    "threading_layer",
    "training",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"numbacnn.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'numbacnn' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value  # found here from the next time on
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

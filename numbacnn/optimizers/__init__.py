"""Optimizers: each reads the gradients of parameters and updates their values in place, in one fused pass."""

from .adam import Adam, AdamW, RAdam
from .adaptive import Adadelta, Adagrad, RMSprop
from .base import Optimizer
from .ema import EMA
from .groups import Group, is_norm_or_bias
from .lamb import LAMB
from .lion import Lion
from .sgd import SGD

__all__ = [
    "EMA",
    "LAMB",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Group",
    "Lion",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "is_norm_or_bias",
]

"""Losses: a number to minimise, the mean over the examples of a batch, with its gradient.

A loss is called with predictions and targets, or gives value and gradient by ``value_and_gradient``. Of
predictions on a GPU the value stays there, as a tensor ().
"""

from .base import Loss, Value
from .binary import BinaryCrossEntropy, Focal
from .classes import KLDivergence, SoftmaxCrossEntropy, SoftmaxFocal
from .combined import Sum
from .regression import Huber, MeanAbsoluteError, MeanSquaredError
from .segmentation import Dice
from .sequence import CTC
from .similarity import CosineEmbedding, Triplet

__all__ = [
    "CTC",
    "BinaryCrossEntropy",
    "CosineEmbedding",
    "Dice",
    "Focal",
    "Huber",
    "KLDivergence",
    "Loss",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "SoftmaxCrossEntropy",
    "SoftmaxFocal",
    "Sum",
    "Triplet",
    "Value",
]

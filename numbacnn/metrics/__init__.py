"""Metrics: how well predictions agree with targets. They take arrays or tensors and return plain numbers.

One file a subject: classes, ranking of scores, label maps, boxes.
"""

from .classes import accuracy, confusion_matrix, f1, precision, recall, top_k
from .detection import average_precision, box_iou, mean_average_precision
from .ranking import roc_auc
from .segmentation import dice, iou

__all__ = [
    "accuracy",
    "average_precision",
    "box_iou",
    "confusion_matrix",
    "dice",
    "f1",
    "iou",
    "mean_average_precision",
    "precision",
    "recall",
    "roc_auc",
    "top_k",
]

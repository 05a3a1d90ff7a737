"""Training: fit, evaluate, predict; the history they return and the callbacks they take."""

from .callbacks import (
    AveragedWeights,
    Callback,
    Checkpoint,
    HistoryFile,
    ProgressBar,
    ReduceOnPlateau,
    Run,
)
from .captured import CapturedStep
from .history import History
from .loop import evaluate, fit, predict

__all__ = [
    "AveragedWeights",
    "Callback",
    "CapturedStep",
    "Checkpoint",
    "History",
    "HistoryFile",
    "ProgressBar",
    "ReduceOnPlateau",
    "Run",
    "evaluate",
    "fit",
    "predict",
]

"""The kernels of one file, on the device where an array lies."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import numpy as np


class Twins:
    """The two files of kernels of one name: on the CPU, and on GPUs, loaded where one is first used.

    Args:
        cpu: the CPU's file.

    """

    def __init__(self, cpu: ModuleType) -> None:
        self._cpu: Any = cpu
        self._cuda: Any = None

    def on(self, array: Any) -> Any:
        """The file for the device of an array, of NumPy or of a GPU."""
        return self._cpu if type(array) is np.ndarray else self._cuda or self._load()

    def _load(self) -> Any:
        stem = self._cpu.__name__.rpartition(".")[2]
        self._cuda = importlib.import_module(f"numbacnn.kernels.cuda.{stem}")
        return self._cuda

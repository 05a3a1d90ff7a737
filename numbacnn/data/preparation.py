"""What a model must know of its images, kept in its file: prediction prepares them as training did."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import FileFormatError, ShapeError, message
from .dataset import Dataset, Normalization
from .images import prepare_image, read_image

_KEY = "images"  # the entry of a model's metadata


@dataclass(frozen=True)
class Preparation:
    """From images to a model's inputs and back to names: size, background, centring, normalisation, classes.

    Attributes:
        shape: (H, W, C) of the training images.
        normalization: of their pixels.
        class_names: one per output of the model.
        background: "dark" or "light", what the training images are drawn on.
        content: pixels along a drawing's longer side, see `Dataset.content`.

    """

    shape: tuple[int, int, int]
    normalization: Normalization
    class_names: tuple[str, ...]
    background: str = "dark"
    content: int | None = None

    @classmethod
    def of(cls, train: Dataset) -> Preparation:
        """Measure the training images."""
        normalization = Normalization.of(train.images)
        height, width, channels = train.images.shape[1:]
        # Most of a drawing is paper, so the mean tells which side of grey the paper is on
        background = "light" if normalization.mean > 0.5 else "dark"
        return cls((height, width, channels), normalization, train.class_names, background, train.content)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Normalise images that have the training images' form: (N, H, W, C) uint8 or 0..255, to float32."""
        if images.shape[1:] != self.shape:
            expected = f"images of shape (N, {', '.join(map(str, self.shape))})"
            raise ShapeError(
                message("Preparation", expected, str(images.shape), "use read() for files of any size")
            )
        return self.normalization.apply(images)

    def read(self, paths: Sequence[str | os.PathLike[str]]) -> np.ndarray:
        """Read image files of any size, grey or colour, dark on light or light on dark.

        Args:
            paths: one file or more.

        Returns:
            (N, H, W, C) float32, ready for the model.

        Raises:
            FileFormatError: a file is no readable image.
            OSError: a file cannot be opened.

        """
        height, width, channels = self.shape
        prepared = [
            prepare_image(
                read_image(path, channels), height, width, background=self.background, content=self.content
            )
            for path in paths
        ]
        return self(np.stack(prepared))

    def to_metadata(self) -> dict[str, Any]:
        """Return the entries for ``model.metadata.update(...)``, in types that JSON knows."""
        entries = {
            "shape": list(self.shape),
            "normalization": self.normalization.to_dict(),
            "classes": list(self.class_names),
            "background": self.background,
            "content": self.content,
        }
        return {_KEY: entries}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> Preparation:
        """Return what `to_metadata` described.

        Args:
            metadata: of a loaded model.

        Raises:
            FileFormatError: it holds no such entry, or a damaged one.

        """
        try:
            entry = metadata[_KEY]
            height, width, channels = (int(extent) for extent in entry["shape"])
            return cls(
                (height, width, channels),
                Normalization.from_dict(entry["normalization"]),
                tuple(str(name) for name in entry["classes"]),
                str(entry["background"]),
                None if entry["content"] is None else int(entry["content"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise FileFormatError(
                message(
                    "the model's metadata",
                    "how its images were prepared",
                    f"none that is whole ({type(error).__name__}: {error})",
                    "take a model of `numbacnn train`, or prepare the images in Python",
                )
            ) from error

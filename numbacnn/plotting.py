"""Pictures of a training: its curves, and the images that the model misread."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from .errors import ShapeError, message, require
from .training import History

_DPI = 120
_COLUMNS = 8  # pictures in a row of the mistakes


def _figure(width: float, height: float) -> Any:
    """Return a figure of its own, in inches: without pyplot no window, no state of the user's is touched."""
    figure = require("matplotlib.figure", extra="demo", purpose="plotting")
    require("matplotlib.backends.backend_agg", extra="demo", purpose="plotting")
    return figure.Figure(figsize=(width, height), layout="constrained")


def plot_curves(history: History, path: str | os.PathLike[str]) -> None:
    """Draw loss and, where there are classes, accuracy over the epochs, into an image file.

    Args:
        history: from `fit`; empty draws empty axes.
        path: the file; its suffix chooses the format, such as ``.png`` or ``.svg``.

    Raises:
        MissingExtraError: matplotlib is not installed.
        OSError: the file cannot be written.

    """
    panels = [name for name in ("loss", "accuracy") if name == "loss" or name in history]
    figure = _figure(4.5 * len(panels), 3.4)
    for axes, name in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        percent = 100 if name == "accuracy" else 1
        for column, label in ((name, "training"), (f"val_{name}", "validation")):
            if column in history:
                values = percent * np.array(history[column])
                axes.plot(history["epoch"], values, marker="o", markersize=3, label=label)
        axes.set_xlabel("epoch")
        axes.set_ylabel("accuracy [%]" if name == "accuracy" else "loss")
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend()
            axes.xaxis.get_major_locator().set_params(integer=True)
    figure.savefig(path, dpi=_DPI)


def plot_mistakes(
    images: np.ndarray,
    labels: np.ndarray,
    probabilities: np.ndarray,
    class_names: tuple[str, ...],
    path: str | os.PathLike[str],
    limit: int = 64,
) -> int:
    """Draw the images whose most probable class is not their label, the surest mistakes first.

    Args:
        images: (N, H, W, 1 or 3) uint8.
        labels: (N,) integers, the true classes.
        probabilities: (N, K), of each class.
        class_names: K names.
        path: the image file to write; its suffix chooses the format.
        limit: at most so many are drawn.

    Returns:
        How many images are misread, drawn or not.

    Raises:
        ShapeError: the arrays do not belong together.
        MissingExtraError: matplotlib is not installed.
        OSError: the file cannot be written.

    """
    if len(images) != len(labels) or probabilities.shape != (len(labels), len(class_names)):
        raise ShapeError(
            message(
                "plot_mistakes",
                f"{len(images)} labels and probabilities ({len(images)}, {len(class_names)})",
                f"{len(labels)} and {probabilities.shape}",
                "give one of each per image",
            )
        )
    answers = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(answers != labels)
    order = wrong[np.argsort(-probabilities[wrong, answers[wrong]], kind="stable")][:limit]
    rows = max(1, -(-len(order) // _COLUMNS))
    figure = _figure(1.2 * _COLUMNS, 1.5 * rows + 0.5)
    figure.suptitle(f"{len(wrong)} of {len(labels)} misread: true class → answer (its probability)")
    for k, axes in enumerate(figure.subplots(rows, _COLUMNS, squeeze=False).flat):
        axes.axis("off")
        if k < len(order):
            i = order[k]
            grey = {"cmap": "gray", "vmin": 0, "vmax": 255} if images.shape[-1] == 1 else {}
            axes.imshow(images[i, ..., 0] if grey else images[i], **grey)
            share = probabilities[i, answers[i]]
            axes.set_title(f"{class_names[labels[i]]} → {class_names[answers[i]]} ({share:.0%})", fontsize=8)
    figure.savefig(path, dpi=_DPI)
    return len(wrong)

"""``numbacnn predict``: image files in, classes out."""

from __future__ import annotations

import argparse

from ..data import Preparation
from ..functional import softmax_forward
from ..serialization import load
from ..training import predict as outputs


def predict(arguments: argparse.Namespace) -> int:
    """Print the most probable classes of each image; return the exit code."""
    model = load(arguments.model)
    preparation = Preparation.from_metadata(model.metadata)
    # All files are read before the first answer: one unreadable file is told at once, and by its name
    x = preparation.read(arguments.images)
    probabilities = softmax_forward(outputs(model, x)).numpy()
    width = max(len(str(path)) for path in arguments.images)
    for path, row in zip(arguments.images, probabilities, strict=True):
        best = (-row).argsort(kind="stable")[: arguments.top]
        answers = "   ".join(f"{preparation.class_names[k]} {row[k]:6.1%}" for k in best)
        print(f"{path:<{width}}   {answers}")
    return 0

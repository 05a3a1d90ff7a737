"""``numbacnn train``: LeNet-5 learns handwritten digits."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .. import metrics
from ..data import Augment, Dataset, Preparation, load_digits, load_mnist, load_mnist_5k, stratified_split
from ..errors import ArgumentError, MissingExtraError, message
from ..functional import softmax_forward
from ..layers import Sequential
from ..losses import SoftmaxCrossEntropy
from ..models import lenet5
from ..optimizers import SGD, Adam, AdamW, Optimizer, RMSprop
from ..schedules import OneCycle
from ..training import Checkpoint, History, HistoryFile, fit, predict
from . import EXIT_INTERRUPTED

SPLIT_SEED = 0  # the test set is the same for every training seed

# The peak of the one-cycle schedule that suits each optimizer on 28x28 digits
_PEAKS = {"adam": 3e-3, "adamw": 5e-3, "sgd": 5e-2, "rmsprop": 1e-3}


@dataclass(frozen=True)
class Recipe:
    """What is trained how: the defaults suit 4,000 digits of 28x28 pixels."""

    epochs: int = 15
    batch_size: int = 32
    optimizer: str = "adamw"
    lr: float = _PEAKS["adamw"]
    weight_decay: float = 0.3  # of AdamW; so much holds back what 4,000 images let a network learn by heart
    rise: float = 0.15  # share of the steps in which the learning rate rises
    shift: float = 2.0  # pixels of a 28x28 image; other sizes in proportion
    rotation: float = 10.0  # degrees
    scale: float = 0.1

    def make_optimizer(self) -> Optimizer:
        """Return the optimizer, its learning rate at the schedule's peak."""
        if self.optimizer == "adamw":
            return AdamW(self.lr, weight_decay=self.weight_decay)
        if self.optimizer == "sgd":
            return SGD(self.lr, momentum=0.9, nesterov=True)
        return {"adam": Adam, "rmsprop": RMSprop}[self.optimizer](self.lr)

    def augment(self, preparation: Preparation) -> Augment:
        """Return the augmentation for images of the preparation's size."""
        pixels = self.shift * max(preparation.shape[:2]) / 28
        fill = preparation.normalization.black
        return Augment(shift=pixels, rotation=self.rotation, scale=self.scale, fill=fill)


def _recipe(arguments: argparse.Namespace) -> Recipe:
    optimizer = arguments.optimizer or Recipe.optimizer
    chosen = {name: getattr(arguments, name) for name in ("epochs", "batch_size", "lr")}
    given = {name: value for name, value in chosen.items() if value is not None}
    return Recipe(**{"lr": _PEAKS[optimizer], **given, "optimizer": optimizer})


def _load(data: str, root: str | None) -> tuple[Dataset, Dataset]:
    """Return the training and the test set."""
    if (data == "mnist") != (root is not None):
        raise ArgumentError(
            message(
                "numbacnn train",
                "--root DIR with --data mnist, and only there",
                f"--data {data} {'with' if root is not None else 'without'} --root",
                "name the folder of the four IDX files",
            )
        )
    if root is not None:
        return load_mnist(root)
    return stratified_split(load_digits() if data == "digits" else load_mnist_5k(), 0.2, SPLIT_SEED)


def _run_folder(out: str | None, data: str, seed: int) -> Path:
    """Make the run folder before anything is computed, so that one that cannot be made costs no training."""
    if out is not None:
        folder = Path(out)
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    stem = f"{data}-seed{seed}-{time.strftime('%Y%m%d-%H%M%S')}"
    for ending in ["", *(f"-{n}" for n in range(2, 100))]:
        folder = Path("runs") / (stem + ending)
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:  # another run began in the same second
            continue
    raise ArgumentError(message("--out", "a free name under runs/", stem, "name a folder"))


def confusion_table(matrix: np.ndarray, class_names: tuple[str, ...]) -> str:
    """Return a confusion matrix (rows: true class, columns: answer) as text, with each class's recall."""
    width = max(4, *(len(name) for name in class_names), len(str(matrix.max(initial=0)))) + 1
    stem = max(len("true"), *(len(name) for name in class_names))
    lines = [" " * stem + "".join(f"{name:>{width}}" for name in class_names) + "   right"]
    for name, row, right in zip(class_names, matrix, matrix.diagonal(), strict=True):
        cells = "".join(f"{n if n else '.':>{width}}" for n in row.tolist())
        share = f"{right / row.sum():.1%}" if row.sum() else "-"
        lines.append(f"{name:>{stem}}{cells}  {share:>6}")
    return "\n".join(lines)


def _report(model: Sequential, test: Dataset, x_test: np.ndarray, history: History, folder: Path) -> None:
    """Print the confusion matrix and draw the pictures, where they can be drawn."""
    logits = predict(model, x_test)
    matrix = metrics.confusion_matrix(logits, test.labels, len(test.class_names))
    print("\nconfusion matrix of the test set (rows: true class, columns: answer)")
    print(confusion_table(matrix, test.class_names))
    wrong = len(test) - int(matrix.trace())
    accuracy = matrix.trace() / len(test)
    print(f"\ntest accuracy {accuracy:.2%} ({wrong} of {len(test)} misread)")
    from ..plotting import plot_curves, plot_mistakes

    try:
        plot_curves(history, folder / "curves.png")
        probabilities = softmax_forward(logits).numpy()
        plot_mistakes(test.images, test.labels, probabilities, test.class_names, folder / "mistakes.png")
    except MissingExtraError as error:  # the model is trained: pictures are no reason to fail
        print(f"numbacnn: note: no pictures drawn: {error}", file=sys.stderr)


def train(arguments: argparse.Namespace) -> int:
    """Train, report and save; return the exit code."""
    begin = time.perf_counter()
    recipe = _recipe(arguments)
    train_set, test_set = _load(arguments.data, arguments.root)
    preparation = Preparation.of(train_set)
    x_train, x_test = preparation(train_set.images), preparation(test_set.images)
    folder = _run_folder(arguments.out, arguments.data, arguments.seed)

    # Small images, such as 8x8 digits, leave nothing to a second convolution without padding
    small = min(preparation.shape[:2]) < 20
    model = lenet5(len(train_set.class_names), padding=("same", "same" if small else "valid"))
    model.metadata.update(preparation.to_metadata())
    model.build(x_train.shape[1:], arguments.seed)
    model.to(arguments.device, arguments.compute_dtype)
    print(f"{train_set.name}: {len(train_set)} images to train, {len(test_set)} to test\n")
    print(model.summary(), flush=True)

    steps = recipe.epochs * -(-len(train_set) // recipe.batch_size)
    history = fit(
        model,
        x_train,
        train_set.labels,
        loss=SoftmaxCrossEntropy(),
        optimizer=recipe.make_optimizer(),
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        validation_data=(x_test, test_set.labels),
        schedule=OneCycle(recipe.lr, steps, rise=recipe.rise),
        augment=None if arguments.no_augment else recipe.augment(preparation),
        callbacks=[Checkpoint(folder / "model.safetensors"), HistoryFile(folder / "history.csv")],
        seed=arguments.seed,
    )
    if history.interrupted:
        done = f"after epoch {len(history)}" if len(history) else "amid the first epoch"
        print(f"numbacnn: interrupted: the model {done} is saved in {folder}", file=sys.stderr)
        return EXIT_INTERRUPTED
    _report(model, test_set, x_test, history, folder)
    print(
        f"model.safetensors, history.csv and pictures are in {folder} ({time.perf_counter() - begin:.1f} s)"
    )
    return 0

"""Callbacks: what `fit` calls as it goes. The progress bar, checkpoints and the history file are such."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .. import serialization
from .history import History

if TYPE_CHECKING:
    from ..data.loader import Batches
    from ..layers import Layer
    from ..loss_scale import LossScale


@dataclass
class Run:
    """The state of a training, as callbacks see it.

    Attributes:
        model: being trained; its parameters change with every step.
        optimizer: steps it.
        batches: the training data.
        epochs: how many are wanted.
        scale: of the loss, where the model computes in 16 bits, else None.
        history: a row for each finished epoch.
        epoch: the running epoch, from 0.
        step: optimizer steps taken since the training began.
        seen: samples of the running epoch that were stepped over.
        loss: the running epoch's mean loss so far. On a GPU it lags some steps behind, as does the accuracy,
            until the epoch ends: no step waits for the GPU.
        accuracy: its share of right answers so far, 0..1, or None where there are no classes.
        stop: set it, and the training ends after this step.

    """

    model: Layer
    optimizer: Any
    batches: Batches
    epochs: int
    scale: LossScale | None = None
    history: History = field(default_factory=History)
    epoch: int = 0
    step: int = 0
    seen: int = 0
    loss: float = 0.0
    accuracy: float | None = None
    stop: bool = False


class Callback:
    """Does nothing at each point: override what is needed."""

    def train_begin(self, run: Run) -> None:
        """Run once, before the first epoch."""

    def epoch_begin(self, run: Run) -> None:
        """Run before each epoch."""

    def batch_end(self, run: Run) -> None:
        """Run after each optimizer step."""

    def epoch_end(self, run: Run) -> None:
        """Run after each finished epoch: its row is the last of ``run.history``."""

    def train_end(self, run: Run) -> None:
        """Run once at the end, also after an interrupt (``run.history.interrupted``), not after an error."""


class Checkpoint(Callback):
    """Save the whole model after each epoch, so that an interrupt or an error loses one epoch at most.

    Args:
        path: the safetensors file; each save replaces it as a whole, or leaves the old one.

    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path
        self.saved_epochs = 0

    def train_begin(self, run: Run) -> None:
        """Forget an earlier training's count."""
        self.saved_epochs = 0

    def epoch_end(self, run: Run) -> None:
        """Save the epoch's model."""
        serialization.save(run.model, self.path)
        self.saved_epochs = len(run.history)

    def train_end(self, run: Run) -> None:
        """Where no epoch was finished, save the model as it stands: something loadable is left."""
        if not self.saved_epochs:
            serialization.save(run.model, self.path)


class HistoryFile(Callback):
    """Keep ``run.history`` in a CSV file, up to date after each epoch.

    Args:
        path: the file; each write replaces it as a whole.

    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path

    def epoch_end(self, run: Run) -> None:
        """Write the rows so far."""
        run.history.to_csv(self.path)


class ProgressBar(Callback):
    """One bar per epoch: loss, accuracy, images per second, and the time left of the whole training."""

    _FORMAT = "{desc} {percentage:3.0f}%|{bar:24}| {n_fmt}/{total_fmt}{postfix}"

    def __init__(self) -> None:
        self._bar: Any = None
        self._start = self._counted = self._shown = 0.0

    def train_begin(self, run: Run) -> None:
        """Start the clock."""
        self._start, self._counted = time.perf_counter(), 0.0

    def epoch_begin(self, run: Run) -> None:
        """Open the epoch's bar."""
        from tqdm import tqdm

        # Into a file or a pipe goes the finished bar alone, one line per epoch
        terminal = sys.stderr.isatty()
        self._bar = tqdm(
            total=run.batches.samples,
            desc=f"epoch {run.epoch + 1:>{len(str(run.epochs))}}/{run.epochs}",
            bar_format=self._FORMAT,
            mininterval=0.1 if terminal else 1e9,
            miniters=1,
            delay=0.0 if terminal else 1e-9,
            file=sys.stderr,
        )
        self._began = time.perf_counter()

    def batch_end(self, run: Run) -> None:
        """Move the bar."""
        now = time.perf_counter()
        self._counted += run.seen - self._bar.n
        if run.step == 1:  # the first step compiles, or loads, the kernels: it says nothing about the rest
            self._start, self._counted = now, 0.0
        if now - self._shown > 0.1:
            self._shown = now
            left = run.epochs * run.batches.samples - run.epoch * run.batches.samples - run.seen
            rate = self._counted / max(now - self._start, 1e-9)
            self._bar.set_postfix_str(self._text(run, rate, left / rate if rate else None), refresh=False)
        self._bar.update(run.seen - self._bar.n)

    def _text(self, run: Run, rate: float, left: float | None) -> str:
        parts = [f"loss {run.loss:.4f}"]
        if run.accuracy is not None:
            parts.append(f"accuracy {run.accuracy:.2%}")
        parts.append(f"{rate:.0f} images/s")
        if left is not None:
            parts.append(f"{int(left) // 60}:{int(left) % 60:02d} left")
        return ", ".join(parts)

    def epoch_end(self, run: Run) -> None:
        """Leave the finished bar with the epoch's results."""
        row = run.history.rows[-1]
        left = (run.epochs - run.epoch - 1) * row["seconds"]
        text = self._text(run, row["images_per_second"], left)
        if "val_accuracy" in row:
            text += f", validation {row['val_accuracy']:.2%}"
        elif "val_loss" in row:
            text += f", validation loss {row['val_loss']:.4f}"
        self._bar.set_postfix_str(text, refresh=False)
        self._close()

    def train_end(self, run: Run) -> None:
        """Close the bar of an epoch that was cut short."""
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

"""Callbacks: what `fit` calls as it goes. The progress bar, checkpoints and the history file are such."""

from __future__ import annotations

import math
import os
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .. import serialization
from ..errors import ArgumentError, message
from ..optimizers import EMA
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


class AveragedWeights(Callback):
    """Average the weights over the steps, and leave the averages in the model at the end.

    The averages are moved in the optimizer's pass. The losses and accuracies of the history are those of the
    weights themselves; in a callback of one's own, measure by the averages::

        with averaged.ema.applied():
            evaluate(run.model, x, y)

    Args:
        decay: share of the average that a step keeps, in [0, 1); see `numbacnn.optimizers.EMA`.
        warmup: keep less in the first steps.
        apply: whether the averages take the weights' place for good when the training ends.

    Attributes:
        ema: the averages, from the beginning of the training.

    Raises:
        ArgumentError: the decay is out of its range; in training, the optimizer has averages already.

    """

    def __init__(self, decay: float = 0.999, warmup: bool = False, apply: bool = True) -> None:
        _require(0.0 <= decay < 1.0, "decay in [0, 1)", decay, "pass such as 0.999", "AveragedWeights")
        self.decay, self.warmup, self.apply = decay, warmup, apply
        self.ema: EMA | None = None

    def train_begin(self, run: Run) -> None:
        """Begin with the weights as they are."""
        if run.optimizer.ema not in (None, self.ema):  # its own is left by a training that an error ended
            expected, remedy = "an optimizer without averages", "leave out one of the two"
            raise ArgumentError(message("AveragedWeights", expected, repr(run.optimizer), remedy))
        self.ema = run.optimizer.ema = EMA(run.model, self.decay, self.warmup)

    def train_end(self, run: Run) -> None:
        """Give the optimizer back as it was; apply the averages."""
        run.optimizer.ema = None
        if self.ema is not None and self.apply:
            self.ema.apply()


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


class ReduceOnPlateau(Callback):
    """``lr = max(lr * factor, min_lr)`` after an epoch that is one too many without a better value.

    Better is below ``best - min_change``, or with mode "max" above ``best + min_change``; NaN never is.
    `fit` must have no schedule beside it, as that would set the rate again at the next step.

    Args:
        metric: a column of the history, such as "val_loss", "loss" or "val_accuracy".
        factor: in (0, 1).
        patience: epochs without a better value that are borne in a row, 0 or more.
        cooldown: epochs after a change that are not counted, 0 or more.
        min_lr: 0 or more.
        mode: "min" where a lower value is better, else "max".
        min_change: 0 or more, in the metric's unit.

    Raises:
        ArgumentError: a value out of its range; in training, that the history lacks the metric, or that
            something else set the rate.

    Source:
        PyTorch's ReduceLROnPlateau (with ``threshold_mode="abs"``), whose rules these are.

    """

    def __init__(
        self,
        metric: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        cooldown: int = 0,
        min_lr: float = 0.0,
        mode: str = "min",
        min_change: float = 0.0,
    ) -> None:
        _require(0.0 < factor < 1.0, "factor in (0, 1)", factor, "pass such as 0.1")
        for name, count in (("patience", patience), ("cooldown", cooldown)):
            good = isinstance(count, int) and not isinstance(count, bool) and count >= 0
            _require(good, f"an integer {name} of 0 or more", count, "pass such as 5")
        for name, value in (("min_lr", min_lr), ("min_change", min_change)):
            _require(0.0 <= value < math.inf, f"a finite {name} of 0 or more", value, "pass such as 0.0")
        _require(mode in ("min", "max"), 'mode "min" or "max"', mode, 'pass "min" for losses')
        self.metric, self.factor, self.patience, self.cooldown = metric, factor, patience, cooldown
        self.min_lr, self.mode, self.min_change = min_lr, mode, min_change
        self._forget()

    def __repr__(self) -> str:
        names = ("metric", "factor", "patience", "cooldown", "min_lr", "mode", "min_change")
        return f"ReduceOnPlateau({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"

    def _forget(self) -> None:
        self._best = math.inf  # of the metric, negated with mode "max"
        self._bad = self._cooling = 0

    def train_begin(self, run: Run) -> None:
        """Forget an earlier training; note the rate."""
        self._forget()
        self._lr = float(run.optimizer.lr)

    def batch_end(self, run: Run) -> None:
        """Refuse a rate that something else has set."""
        if float(run.optimizer.lr) != self._lr:
            expected, got = "no schedule beside it", f"lr {run.optimizer.lr} instead of {self._lr}"
            raise ArgumentError(message("ReduceOnPlateau", expected, got, "leave out one of the two"))

    def epoch_end(self, run: Run) -> None:
        """Judge the epoch; lower the rate where patience has run out."""
        row = run.history.rows[-1]
        if self.metric not in row:
            remedy = "name one of them; those with val_ need validation_data"
            known = f"a metric among {', '.join(row)}"
            raise ArgumentError(message("ReduceOnPlateau", known, repr(self.metric), remedy))
        value = row[self.metric] if self.mode == "min" else -row[self.metric]
        if value < self._best - self.min_change:
            self._best, self._bad = value, 0
        else:
            self._bad += 1
        if self._cooling:
            self._cooling, self._bad = self._cooling - 1, 0
        if self._bad > self.patience:
            self._bad, self._cooling = 0, self.cooldown
            run.optimizer.lr = min(self._lr, max(self._lr * self.factor, self.min_lr))
            self._lr = float(run.optimizer.lr)


def _require(good: bool, expected: str, got: object, remedy: str, name: str = "ReduceOnPlateau") -> None:
    if not good:
        raise ArgumentError(message(name, expected, repr(got), remedy))


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

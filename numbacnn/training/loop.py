"""The training loop, evaluation and prediction."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..data.loader import Batches, Transform
from ..errors import ArgumentError, NumericsError, message
from ..layers import Layer
from ..loss_scale import LossScale
from ..losses import Loss
from ..optimizers import Adam
from ..regularizers import penalty_value
from ..tensor import Tensor
from .callbacks import Callback, ProgressBar, Run
from .checks import Data, arrays_of, first_of, has_classes, loss_for, mapped, prepared
from .history import History
from .staging import staged
from .tally import Tally

# Streams of random numbers that one seed feeds, kept apart so that none depends on how much another draws
_INITIAL_VALUES, _ORDER, _LAYERS = 0, 1, 2


def fit(
    model: Layer,
    x: ArrayLike | tuple[np.ndarray, ...],
    y: ArrayLike | tuple[np.ndarray, ...],
    *,
    loss: Any = None,
    optimizer: Any = None,
    epochs: int = 10,
    batch_size: int = 32,
    validation_data: tuple[Any, Any] | None = None,
    schedule: Callable[[int], float] | None = None,
    augment: Transform | None = None,
    callbacks: Iterable[Callback] = (),
    seed: int = 0,
    verbose: bool = True,
) -> History:
    """Train a model: ``w = w - step(mean gradient of a batch)``, batch by batch, epoch by epoch.

    One seed gives the same bits every time, for any number of threads: it decides the initial values of a
    model that is not built yet, the order of the samples, the augmentation and the masks of dropout.

    Ctrl-C ends the training after the running step and returns the history with ``interrupted`` set; a second
    Ctrl-C breaks off at once.

    Args:
        model: a layer or container; built for ``x.shape[1:]`` if it is not built. Trained where it is: on a
            GPU after ``model.to("cuda")``, to which each batch is sent while the one before is computed. One
            that computes in 16 bits is trained with a `LossScale`.
        x: (N, ...) float32 or float64 inputs, as the model's parameters; finite. Integers where the model
            begins with an `Embedding`. For a model of several inputs a tuple of arrays.
        y: (N,) integer class labels, (N, ...) maps of a class for each pixel, or an array of x's dtype: class
            probabilities or values. A tuple of arrays gives each loss of a `losses.Sum` its own.
        loss: has ``value_and_gradient(prediction, target)``. By default SoftmaxCrossEntropy for integer
            targets, MeanSquaredError otherwise. A model of several outputs takes a `losses.Sum`, whose first
            loss the accuracy is reported for, or a loss of several predictions. The history's loss is the
            mean of the batches' losses, weighted by their samples.
        optimizer: steps the parameters; by default Adam with its default learning rate.
        epochs: passes over the data, at least 1.
        batch_size: samples in a step, at least 1; an epoch's last step takes what is left.
        validation_data: (x, y) measured after each epoch, or None.
        schedule: learning rate of each step, counted from 0; None leaves the optimizer's.
        augment: ``augment(batch, rng)`` changes each batch of inputs, such as `numbacnn.data.Augment`.
        callbacks: called as the training goes; see `numbacnn.training.Callback`.
        seed: an integer, 0 or more.
        verbose: show a progress bar per epoch.

    Returns:
        The history, a row per finished epoch.

    Raises:
        ShapeError, DTypeError, TargetError: the data do not fit the model, or each other.
        NumericsError: NaN or infinity in the data, or a loss that is not finite.
        ArgumentError: epochs, batch_size or seed out of range.

    """
    epochs, seed = _integer("epochs", epochs, 1), _integer("seed", seed, 0)
    inputs, targets = arrays_of("fit", x, y, model.takes_integers)
    dtype = _values_of(model, inputs)
    if not model.built:
        rng = np.random.default_rng([seed, _INITIAL_VALUES])
        shape: Any = mapped(lambda a: a.shape[1:], inputs)
        model.build(shape, rng, dtype=dtype)
    loss = loss_for("fit", targets) if loss is None else loss
    targets = prepared("fit", model, targets, loss, dtype)
    batches = Batches(inputs, targets, batch_size, augment=augment, seed=_derive(seed, _ORDER))
    validation = None
    if validation_data is not None:
        validation = arrays_of("validation_data", *validation_data, model.takes_integers)
        validation = validation[0], prepared("validation_data", model, validation[1], loss, dtype)
    run = Run(model, Adam() if optimizer is None else optimizer, batches, epochs, scale=scale_for(model))
    listeners = [*([ProgressBar()] if verbose else []), *callbacks]
    with _deferred_interrupt(run):
        _train(run, loss, schedule, validation, listeners, seed)
    return run.history


def _train(
    run: Run,
    loss: Any,
    schedule: Callable[[int], float] | None,
    validation: tuple[Data, Data] | None,
    listeners: list[Callback],
    seed: int,
) -> None:
    _tell(listeners, "train_begin", run)
    try:
        for epoch in range(run.epochs):
            run.epoch = epoch
            start = time.perf_counter()
            _tell(listeners, "epoch_begin", run)
            if not _epoch(run, loss, schedule, listeners, seed):
                break
            seconds = time.perf_counter() - start
            row: dict[str, float] = {"epoch": run.epoch + 1, "loss": run.loss}
            if run.accuracy is not None:
                row["accuracy"] = run.accuracy
            if validation is not None:
                measured = evaluate(run.model, *validation, loss=loss)
                row.update({f"val_{name}": value for name, value in measured.items()})
            row["learning_rate"] = float(run.optimizer.lr)
            row["seconds"], row["images_per_second"] = seconds, run.seen / seconds
            run.history.rows.append(row)
            _tell(listeners, "epoch_end", run)
            if run.stop:
                break
    except KeyboardInterrupt:  # raised by a callback, or where no handler could be set
        run.history.interrupted = True
    _tell(listeners, "train_end", run)


def _epoch(
    run: Run, loss: Any, schedule: Callable[[int], float] | None, listeners: list[Callback], seed: int
) -> bool:
    """Train for one epoch; tell whether it came to its end."""
    rng = np.random.default_rng([seed, _LAYERS, run.epoch])
    first = run.step

    def report(number: int, value: float) -> None:
        if not np.isfinite(value):
            raise NumericsError(
                message(
                    "fit",
                    "a finite loss",
                    f"{value} in epoch {run.epoch + 1}, step {first + number}",
                    "lower the learning rate; NUMBACNN_CHECK_FINITE=1 names the first layer concerned",
                )
            )

    tally = Tally(has_classes(run.batches.y, loss), report, ignored=_ignored(loss))
    run.seen, run.loss, run.accuracy = 0, 0.0, None
    for x, y in staged(run.batches.epoch(run.epoch), run.model.device):
        if schedule is not None:
            run.optimizer.lr = float(schedule(run.step))
        prediction, *terms = _step(run.model, x, y, loss, run.optimizer, rng, run.scale)
        run.step += 1
        tally.add(prediction, y, *terms)
        run.seen, run.loss, run.accuracy = tally.seen, tally.loss, tally.accuracy
        _tell(listeners, "batch_end", run)
        if run.stop and run.seen < run.batches.samples:
            return False
    tally.finish()
    run.loss, run.accuracy = tally.loss, tally.accuracy
    return True


def _step(
    model: Layer, x: Any, y: Any, loss: Any, optimizer: Any, rng: np.random.Generator, scale: LossScale | None
) -> tuple[Any, Any, Any]:
    """One step: the predictions, the loss and the penalties.

    Its buffers are free for the next one when it returns.
    """
    model.zero_grad()  # first: the last step's gradients need not lie beside the activations
    prediction, saved = model.forward(x, training=rng)
    value, gradient = loss.value_and_gradient(prediction, y)
    penalty = penalty_value(model.parameters)  # its gradient is the optimizer's to add
    model.backward(gradient if scale is None else mapped(scale.up, gradient), saved)
    if scale is None:
        optimizer.step(model.parameters)
    else:
        optimizer.step(model.parameters, scale)
    return prediction, value, penalty


def scale_for(model: Layer) -> LossScale | None:
    """The loss scale of a model that computes in 16 bits."""
    name = getattr(model, "compute_dtype", np.dtype(np.float32)).name
    if name == "float16":
        return LossScale(model.device)
    return LossScale(model.device, 1.0, dynamic=False) if name == "bfloat16" else None


def evaluate(
    model: Layer,
    x: ArrayLike | tuple[np.ndarray, ...],
    y: ArrayLike | tuple[np.ndarray, ...],
    *,
    loss: Any = None,
    batch_size: int = 256,
) -> dict[str, float]:
    """Measure the mean loss over samples, penalties included, and the accuracy where the targets are classes.

    Args:
        model: built.
        x: (N, ...) inputs as in `fit`.
        y: (N, ...) targets as in `fit`.
        loss: as in `fit`.
        batch_size: samples that go through the model at a time, at least 1; no influence on the result but
            for rounding (of a Sum, where its losses weight samples alike).

    Returns:
        ``{"loss": ..., "accuracy": ...}``; accuracy from 0 to 1: of the samples, or of the pixels of maps,
        whose class is not ignored.

    Raises:
        ShapeError, DTypeError, TargetError, NumericsError, ArgumentError: as `fit`.

    """
    inputs, targets = arrays_of("evaluate", x, y, model.takes_integers)
    loss = loss_for("evaluate", targets) if loss is None else loss
    targets = prepared("evaluate", model, targets, loss, _values_of(model, inputs))
    tally = Tally(has_classes(targets, loss), ignored=_ignored(loss))
    batches = Batches(inputs, targets, batch_size, shuffle=False)
    weights: Any = None
    if isinstance(loss, Loss):  # what each batch's mean divides by, of targets on the host
        weights = iter([loss.weight_of(target) for _, target in batches.epoch(0)])
    for batch, target in staged(batches.epoch(0), model.device):
        prediction = model(batch)
        weight = None if weights is None else next(weights)
        tally.add(prediction, target, loss(prediction, target), weight=weight)
    tally.finish()
    penalty = penalty_value(model.parameters)
    results = {"loss": tally.loss + (penalty.item() if isinstance(penalty, Tensor) else penalty)}
    if tally.accuracy is not None:
        results["accuracy"] = tally.accuracy
    return results


def predict(model: Layer, x: ArrayLike | tuple[np.ndarray, ...], *, batch_size: int = 256) -> Any:
    """Return the model's outputs ``model(x)``, computed batch by batch.

    Args:
        model: built.
        x: (N, ...) inputs of the parameters' dtype, or integers where an `Embedding` takes them; N may be 0.
            Of several inputs a tuple of arrays.
        batch_size: samples that go through the model at a time, at least 1.

    Returns:
        (N, ...) the outputs, in the parameters' dtype: logits where the model ends without a softmax. Of
        several outputs a tuple of arrays.

    Raises:
        ShapeError, DTypeError: the inputs do not fit the model.
        ArgumentError: batch_size is below 1.

    """
    batch_size = _integer("batch_size", batch_size, 1)
    inputs: Any = x if isinstance(x, tuple) and isinstance(x[0], np.ndarray) else np.asarray(x)
    if model.takes_integers and inputs.dtype.kind in "iu":
        inputs = inputs.astype(np.int64, copy=False)  # which GPUs take
    main, kind = first_of(inputs), _values_of(model, inputs)
    # An empty batch goes through like any other: it has an output shape too
    starts = range(0, max(1, len(main)), batch_size)
    parts = (_slice(inputs, i, i + batch_size) for i in starts)
    sent = staged(((part, first_of(part)[:0]) for part in parts), model.device)
    found = [mapped(lambda y: _on_host(y, kind), model(part)) for part, _ in sent]
    if isinstance(found[0], tuple):
        return tuple(map(_joined, zip(*found, strict=True)))
    return _joined(found)


def _slice(value: Any, start: int, stop: int) -> Any:
    return mapped(lambda array: np.ascontiguousarray(array[start:stop]), value)


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate(parts) if len(parts) > 1 else parts[0].copy()


def _ignored(loss: Any) -> int | None:
    return loss.ignored if isinstance(loss, Loss) else None


def _values_of(model: Layer, inputs: Data) -> np.dtype[Any]:
    """The element type of values: of integer inputs float32."""
    return np.dtype(np.float32) if model.takes_integers else first_of(inputs).dtype


def _on_host(prediction: Tensor, dtype: np.dtype[Any]) -> np.ndarray:
    """The predictions as an array; those in 16 bits in the inputs' type."""
    return (prediction if prediction.dtype.itemsize > 2 else prediction.astype(dtype)).numpy()


def _tell(listeners: list[Callback], event: str, run: Run) -> None:
    for listener in listeners:
        getattr(listener, event)(run)


@contextmanager
def _deferred_interrupt(run: Run) -> Iterator[None]:
    """Turn the first Ctrl-C into ``run.stop``, so that it ends the training between two steps.

    Raised anywhere, it could leave half of the parameters stepped, or be swallowed where Python cannot pass
    it on, as in the finalizers that give buffers back.
    """
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return

    def stop(number: int, frame: Any) -> None:
        run.stop = run.history.interrupted = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _derive(seed: int, stream: int) -> int:
    return int(np.random.SeedSequence([seed, stream]).generate_state(1, np.uint64)[0])


def _integer(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ArgumentError(
            message(name, f"an integer from {least} on", repr(value), f"give at least {least}")
        )
    return int(value)

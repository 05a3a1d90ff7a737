"""What training takes: inputs and targets, an array each or a tuple of them, checked before it begins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..data.dataset import check_labels
from ..errors import ArgumentError, DTypeError, NumericsError, ShapeError, message
from ..layers import Layer
from ..layers.base import several
from ..losses import Loss, MeanSquaredError, SoftmaxCrossEntropy, Sum

Data = np.ndarray | tuple[np.ndarray, ...]
_CHUNK = 1 << 22  # elements looked at in one go when searching for NaN: bounds the temporary array


def mapped(function: Callable[[Any], Any], value: Any) -> Any:
    """The function of a value, or of each of a tuple."""
    return tuple(function(each) for each in value) if isinstance(value, tuple) else function(value)


def first_of(value: Any) -> Any:
    """The value, or the first of a sequence of them."""
    return value[0] if isinstance(value, (tuple, list)) else value


def _contiguous(value: Any) -> Data:
    many = isinstance(value, tuple) and value and all(isinstance(each, np.ndarray) for each in value)
    return mapped(np.ascontiguousarray, value) if many else np.ascontiguousarray(value)


def _each(value: Data) -> tuple[np.ndarray, ...]:
    return value if isinstance(value, tuple) else (value,)


def arrays_of(name: str, x: Any, y: Any, integers: bool = False) -> tuple[Data, Data]:
    """Inputs, which may have to be integers, and targets as contiguous arrays, finite and of one length."""
    inputs, targets = _contiguous(x), _contiguous(y)
    for array in _each(inputs):
        if integers:
            if array.dtype.kind not in "iu":
                expected = "integer inputs, as the model's first layer takes"
                raise DTypeError(message(name, expected, str(array.dtype), "number categories from 0"))
        elif array.dtype not in (np.float32, np.float64):
            expected, got = "float32 or float64 inputs", str(array.dtype)
            remedy = "scale them to about zero mean and unit variance, as numbacnn.data.Normalization does"
            raise DTypeError(message(name, expected, got, remedy))
    shapes = [[array.shape for array in _each(value)] for value in (inputs, targets)]
    lengths = {shape[0] if shape else -1 for kind in shapes for shape in kind}
    if len(lengths) > 1 or not lengths - {0, -1} or any(len(shape) < 2 - integers for shape in shapes[0]):
        inputs_are, targets_are = (shapes[k][0] if len(shapes[k]) == 1 else shapes[k] for k in (0, 1))
        expected = "inputs (N, ...) with one target each, N at least 1"
        got = f"inputs {inputs_are} and targets {targets_are}"
        raise ShapeError(message(name, expected, got, "pair them along the first axis"))
    for kind, value in (("inputs", inputs), ("targets", targets)):
        for array in _each(value):
            if array.dtype.kind == "f":
                _check_finite(name, kind, array)
    return mapped(_wide, inputs), mapped(_wide, targets)


def _wide(array: np.ndarray) -> np.ndarray:
    """Integers as int64, which GPUs take."""
    return array.astype(np.int64, copy=False) if array.dtype.kind in "iu" else array


def _check_finite(name: str, kind: str, array: np.ndarray) -> None:
    flat = array.reshape(-1)
    for start in range(0, flat.size, _CHUNK):
        finite = np.isfinite(flat[start : start + _CHUNK])
        if not finite.all():
            first = start + int(np.flatnonzero(~finite)[0])
            sample = first // max(1, flat.size // len(array))
            got = f"{flat[first]} in sample {sample}"
            raise NumericsError(message(name, f"finite {kind}", got, "drop or repair the sample"))


def loss_for(name: str, targets: Data) -> Any:
    """The loss where none is given."""
    if isinstance(targets, tuple):
        got = f"{len(targets)} targets and no loss"
        raise ArgumentError(message(name, "a loss for several targets", got, "pass losses.Sum"))
    return SoftmaxCrossEntropy() if targets.dtype.kind in "iu" else MeanSquaredError()


def has_classes(targets: Data, loss: Any) -> bool:
    """Whether the first targets are classes, so that there is an accuracy."""
    if isinstance(loss, Loss):
        return loss.classes_of(targets)
    return first_of(targets).dtype.kind in "iu"


def prepared(name: str, model: Layer, targets: Data, loss: Any, dtype: np.dtype) -> Data:
    """The targets as the loss takes them, where they fit the model's outputs.

    Class labels that the model has no output for are refused, as are maps of another size.
    """
    outputs: Any = model.output_shape
    heads = list(outputs) if several(outputs) else [outputs]
    if isinstance(loss, Sum) and (len(heads) > 1 or isinstance(targets, tuple)):
        count = len(loss.losses)
        if len(heads) not in (1, count) or (isinstance(targets, tuple) and len(targets) != count):
            got = f"{len(heads)} outputs, {len(targets) if isinstance(targets, tuple) else 1} targets"
            expected = f"an output and a target for each of {count} losses, or one for all"
            raise ArgumentError(message(name, expected, got, "pair them one to one"))
        parts = loss.parts(targets)
        shapes = heads if len(heads) > 1 else heads * count
    else:
        parts, shapes = [(loss, targets)], heads[:1]
    for (part, target), shape in zip(parts, shapes, strict=True):
        if (
            shape
            and isinstance(target, np.ndarray)
            and target.dtype.kind in "iu"
            and has_classes(target, part)
        ):
            _check_classes(name, target, shape, part)
    return loss.prepared(targets, dtype) if isinstance(loss, Loss) else targets


def _check_classes(name: str, target: np.ndarray, shape: Any, loss: Any) -> None:
    """Classes of each output, or one-hot rows, from 0 to the last one or ignored."""
    if isinstance(loss, Loss) and target.shape[1:] not in (shape[:-1], shape):
        expected = f"classes {('N', *shape[:-1])} for outputs {('N', *shape)}".replace("'", "")
        remedy = "give one class per output, or one-hot rows"
        raise ShapeError(message(name, expected, str(target.shape), remedy))
    ignored = loss.ignored if isinstance(loss, Loss) else None
    check_labels(target if ignored is None else np.where(target == ignored, 0, target), shape[-1], name)

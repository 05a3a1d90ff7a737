"""Connectionist temporal classification: a loss of labels that are not aligned with the time steps."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numbacnn.errors import ArgumentError, DTypeError, TargetError, message
from numbacnn.functional._checks import Operand, companion, fresh, operands, require_rank, require_shape
from numbacnn.functional._targets import loss_dtype, require_classes
from numbacnn.functional._twins import Twins
from numbacnn.kernels.cpu import ctc as _cpu
from numbacnn.tensor import Tensor

kernels = Twins(_cpu)

_F64, _INT64 = np.dtype(np.float64), np.dtype(np.int64)


def ctc_forward(
    x: Operand,  # (n, t, k)
    labels: Operand,  # (n, s)
    label_lengths: Operand | None = None,  # (n,)
    input_lengths: Operand | None = None,  # (n,)
    *,
    blank: int = 0,
    by_length: bool = False,
    zero_infinity: bool = False,
    name: str = "ctc_forward",
) -> tuple[Tensor, Tensor, Tensor]:
    """``loss[n] = -log(sum over paths of prod over t of softmax(x[n, t])[path[t]])``.

    The paths are those of ``input_lengths[n]`` steps which, once equal neighbours are merged and blanks then
    removed, are the labels. There is none where the steps are fewer than the labels and the blanks that part
    equal neighbours: such a loss is infinite.

    Args:
        x: scores ``(n, t, k)`` before any softmax, float32 or float64.
        labels: ``(n, s)`` integers from 0 to k - 1, without the blank.
        label_lengths: ``(n,)`` integers from 0 to s, how many labels count; None: those before the first one
            below 0, which only others below 0 may follow.
        input_lengths: ``(n,)`` integers from 0 to t, how many steps count; None for all.
        blank: the class that stands for no label.
        by_length: divide each loss by the number of its labels, or by 1.
        zero_infinity: infinite losses are 0.
        name: the layer or operation that errors name.

    Returns:
        The loss of each example ``(n,)``, and what the gradient needs, in float64: the logarithms of each
        step's sum of exponentials ``(n, t)`` and of the probability of all paths to each label or blank
        ``(n, t, 2 s + 1)``. What is beyond an example's lengths is undefined.

    Raises:
        ShapeError: ranks or extents do not fit, or there is no class.
        DTypeError: x is neither float32 nor float64; labels or lengths are no integers (on a GPU: of int64).
        TargetError: a label is out of range or blank, or a length out of range. On a GPU they are not looked
            at: lengths are cut, and a label that is no class makes the loss infinite.
        ArgumentError: blank is no class.

    Source:
        Graves, Fernandez, Gomez and Schmidhuber, "Connectionist Temporal Classification: Labelling
        Unsegmented Sequence Data with Recurrent Neural Networks", ICML 2006, sections 3 and 4.

    """
    x, wanted = _checked(name, x, labels, label_lengths, input_lengths, blank)
    n, t, _ = x.shape
    loss, norm = fresh((n,), x, loss_dtype(x)), fresh((n, t), x, _F64)
    prefixes = fresh((n, t, 2 * wanted.labels.shape[1] + 1), x, _F64)
    kinds = int(blank), bool(by_length), bool(zero_infinity)
    kernels.on(x).ctc_forward(x, *wanted, *kinds, loss, norm, prefixes)
    return Tensor(loss), Tensor(norm), Tensor(prefixes)


def ctc_backward(
    x: Operand,  # (n, t, k)
    labels: Operand,  # (n, s)
    norm: Operand,  # (n, t)
    prefixes: Operand,  # (n, t, 2 s + 1)
    label_lengths: Operand | None = None,  # (n,)
    input_lengths: Operand | None = None,  # (n,)
    *,
    blank: int = 0,
    by_length: bool = False,
    scale: float = 1.0,
    name: str = "ctc_backward",
) -> Tensor:
    """The gradient of ``scale sum(loss)`` by the scores: softmax less the probability that a step is k.

    Args:
        x: scores ``(n, t, k)``, as in the forward pass.
        labels: as in the forward pass.
        norm: the logarithms of sums that the forward pass returned, ``(n, t)``.
        prefixes: the logarithms of probabilities that it returned, ``(n, t, 2 s + 1)``.
        label_lengths: as in the forward pass.
        input_lengths: as in the forward pass.
        blank: as in the forward pass.
        by_length: as in the forward pass.
        scale: the gradient of what is minimised by each example's loss: ``1 / n`` for the mean.
        name: the layer or operation that errors name.

    Returns:
        Gradient by the scores, of their shape and type; 0 beyond an input's length and where the loss is
        infinite, as there no score makes the labels likelier (PyTorch's is NaN, unless infinities are 0).

    Raises:
        ShapeError, DTypeError, TargetError, ArgumentError: as the forward pass.

    """
    x, wanted = _checked(name, x, labels, label_lengths, input_lengths, blank)
    n, t, _ = x.shape
    kept = []
    for label, value, shape in (
        ("the logarithms of sums", norm, (n, t)),
        ("the logarithms of probabilities", prefixes, (n, t, 2 * wanted.labels.shape[1] + 1)),
    ):
        array = companion(name, label, value, x)
        require_shape(name, label, array, shape, "pass what the forward pass returned")
        if array.dtype != _F64:
            got, remedy = str(array.dtype), "pass what the forward pass returned"
            raise DTypeError(message(name, f"{label} of float64", got, remedy))
        kept.append(array)
    dx = fresh(x.shape, x)
    kernels.on(x).ctc_backward(x, *wanted, *kept, int(blank), bool(by_length), float(scale), dx)
    return Tensor(dx)


class _Wanted(NamedTuple):
    """The targets, as kernels take them."""

    labels: Any
    label_lengths: Any
    input_lengths: Any


def _checked(
    name: str, x: Any, labels: Any, label_lengths: Any, input_lengths: Any, blank: int
) -> tuple[NDArray, _Wanted]:
    (x,) = operands(name, ("the scores",), x)
    require_rank(name, "scores", x, "(n, steps, classes)", "give it axes of time and of classes")
    require_classes(name, x)
    (n, t, k), number = x.shape, isinstance(blank, (int, np.integer)) and not isinstance(blank, bool)
    if not number or not 0 <= blank < k:
        expected = f"blank as a class from 0 to {k - 1}"
        raise ArgumentError(message(name, expected, repr(blank), "name the class of no label"))
    found = _integers(name, "labels", labels, x)
    require_rank(name, "labels", found, "(n, labels)", "pad them to one length, by -1")
    s = found.shape[1]
    require_shape(name, "labels", found, (n, s), "give a row of labels per example")
    counts = _lengths(name, "label lengths", label_lengths, x, s, "labels")
    times = _lengths(name, "input lengths", input_lengths, x, t, "steps")
    if type(found) is np.ndarray:
        _check_labels(name, found, counts, k, int(blank))
    return x, _Wanted(found, counts, times)


def _integers(name: str, label: str, value: Any, x: Any) -> Any:
    """The array as int64; on a GPU it must be so."""
    array = companion(name, label, value, x)
    host = type(array) is np.ndarray
    if not host and array.dtype != _INT64:
        got, remedy = str(array.dtype), "convert them before .to()"
        raise DTypeError(message(name, f"{label} of int64 on a GPU", got, remedy))
    if host and array.dtype.kind not in "iu":
        raise DTypeError(message(name, f"{label} of integers", str(array.dtype), "convert them"))
    return array.astype(_INT64, copy=False) if host else array


def _lengths(name: str, label: str, value: Any, x: Any, most: int, what: str) -> Any:
    if value is None:
        return None
    array = _integers(name, label, value, x)
    require_shape(name, label, array, x.shape[:1], "give one per example")
    if type(array) is np.ndarray:
        wrong = (array < 0) | (array > most)
        if wrong.any():
            at = int(np.flatnonzero(wrong)[0])
            got, remedy = f"{array[at]} for example {at}", f"give no more than there are {what}"
            raise TargetError(message(name, f"{label} from 0 to {most}", got, remedy))
    return array


def _check_labels(name: str, labels: Any, counts: Any, k: int, blank: int) -> None:
    """TargetError where a label that counts is no class, or blank."""
    if counts is None:
        count = np.logical_and.accumulate(labels >= 0, axis=1)
        late = (labels >= 0) & ~count
        if late.any():
            row, at = np.argwhere(late)[0]
            got = f"label {labels[row, at]} after one below 0 in example {row}"
            raise TargetError(message(name, "labels padded at their end", got, "give label_lengths"))
    else:
        count = np.arange(labels.shape[1]) < counts[:, None]
    wrong = count & ((labels < 0) | (labels >= k) | (labels == blank))
    if wrong.any():
        row, at = np.argwhere(wrong)[0]
        value = labels[row, at]
        got = f"{'the blank ' if value == blank else ''}{value} as label {at} of example {row}"
        expected = f"labels from 0 to {k - 1} but for the blank, {blank}"
        raise TargetError(message(name, expected, got, "check labels, classes and lengths"))

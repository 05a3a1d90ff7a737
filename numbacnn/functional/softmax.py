"""Softmax, and the losses: softmax cross-entropy and mean squared error."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from numbacnn.errors import DTypeError, ShapeError, TargetError, message
from numbacnn.functional._checks import (
    Operand,
    companion,
    fresh,
    number_within,
    operands,
    require_rank,
    require_shape,
)
from numbacnn.functional._twins import Twins
from numbacnn.kernels.cpu import softmax as _cpu
from numbacnn.tensor import Tensor

kernels = Twins(_cpu)

_INT64 = np.dtype(np.int64)
_SUM_TOLERANCE = 1e-3  # of target rows: far above rounding, far below a mistake


def softmax_forward(x: Operand, *, name: str = "softmax_forward") -> Tensor:
    """``y[..., j] = exp(x[..., j]) / sum over l of exp(x[..., l])``, over the last axis.

    Args:
        x: ``(..., k)``, float32 or float64.
        name: the layer or operation that errors name.

    Returns:
        The shape and type of x; each row sums to 1.

    Raises:
        ShapeError: x has no axis, or no class.
        DTypeError: another type than float32 and float64.

    """
    (x,) = operands(name, ("the input",), x)
    _require_classes(name, x)
    y = fresh(x.shape, x)
    kernels.on(x).softmax_forward(x, y)
    return Tensor(y)


def softmax_backward(dy: Operand, y: Operand, *, name: str = "softmax_backward") -> Tensor:
    """``dx[..., j] = y[..., j] (dy[..., j] - sum over l of dy[..., l] y[..., l])``.

    Args:
        dy: gradient by the output, ``(..., k)``, float32 or float64.
        y: output of the forward pass, of the shape and type of dy.
        name: the layer or operation that errors name.

    Returns:
        Gradient by the input, of the same shape and type.

    Raises:
        ShapeError: the shapes differ, or there is no class.
        DTypeError: other types than float32 and float64, or a mix of them.

    """
    dy, y = operands(name, ("the output gradient", "the output"), dy, y)
    _require_classes(name, dy)
    require_shape(name, "an output", y, dy.shape, "pass what the forward pass returned")
    dx = fresh(dy.shape, dy)
    kernels.on(dy).softmax_backward(y, dy, dx)
    return Tensor(dx)


def softmax_cross_entropy_forward(
    x: Operand,  # (n, k)
    target: Operand,  # (n,) or (n, k)
    *,
    label_smoothing: float = 0.0,
    name: str = "softmax_cross_entropy_forward",
) -> tuple[Tensor, Tensor]:
    """``loss[n] = -sum over j of t[n, j] log softmax(x)[n, j]``, ``t = (1 - s) target + s / k``.

    Args:
        x: scores ``(n, k)`` before the softmax, float32 or float64.
        target: classes ``(n,)``, integers from 0 to k - 1; or probabilities ``(n, k)``, such as one-hot rows,
            of the type of x or integers.
        label_smoothing: the share s of each target that is spread over all classes, 0 to 1.
        name: the layer or operation that errors name.

    Returns:
        The loss of each item ``(n,)``, and ``softmax(x)`` ``(n, k)``, which the gradient needs.

    Raises:
        ShapeError: ranks or extents do not fit.
        DTypeError: x is neither float32 nor float64; classes are no integers; probabilities of another type.
        TargetError: a class is out of range, a probability negative, or a row does not sum to 1.
        ArgumentError: label_smoothing is outside 0 to 1.

    Source:
        Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016, section 7.

    """
    (x,) = operands(name, ("the scores",), x)
    classes = _targets(name, target, x)
    smoothing = number_within(name, "label_smoothing", label_smoothing, 1.0)
    loss, p = fresh(x.shape[:1], x, _loss_dtype(x)), fresh(x.shape, x)
    kernels.on(x).softmax_cross_entropy_forward(x, classes, smoothing, loss, p)
    return Tensor(loss), Tensor(p)


def softmax_cross_entropy_backward(
    p: Operand,  # (n, k)
    target: Operand,  # (n,) or (n, k)
    *,
    label_smoothing: float = 0.0,
    scale: float = 1.0,
    name: str = "softmax_cross_entropy_backward",
) -> Tensor:
    """``dx = scale (p - t)``: the gradient of ``scale sum(loss)`` by the scores.

    Args:
        p: the probabilities that the forward pass returned, ``(n, k)``.
        target: as in the forward pass.
        label_smoothing: as in the forward pass.
        scale: the gradient of what is minimised by each item's loss: ``1 / n`` for the mean.
        name: the layer or operation that errors name.

    Returns:
        Gradient by the scores, ``(n, k)``.

    Raises:
        ShapeError, DTypeError, TargetError, ArgumentError: as the forward pass.

    """
    (p,) = operands(name, ("the probabilities",), p)
    classes = _targets(name, target, p)
    smoothing = number_within(name, "label_smoothing", label_smoothing, 1.0)
    dx = fresh(p.shape, p)
    kernels.on(p).softmax_cross_entropy_backward(p, classes, smoothing, float(scale), dx)
    return Tensor(dx)


def mean_squared_error_forward(
    x: Operand,  # (n, ...)
    target: Operand,  # (n, ...)
    *,
    name: str = "mean_squared_error_forward",
) -> Tensor:
    """``loss[n] = mean of (x[n, ...] - target[n, ...])^2``.

    Args:
        x: predictions ``(n, ...)``, float32 or float64.
        target: of the shape and type of x.
        name: the layer or operation that errors name.

    Returns:
        The loss of each item, ``(n,)``.

    Raises:
        ShapeError: the shapes differ, there is no batch axis, or an item holds no value.
        DTypeError: other types than float32 and float64, or a mix of them.

    """
    x, target = _predictions(name, x, target)
    loss = fresh(x.shape[:1], x, _loss_dtype(x))
    kernels.on(x).mean_squared_error_forward(x, target, loss)
    return Tensor(loss)


def mean_squared_error_backward(
    x: Operand,  # (n, ...)
    target: Operand,  # (n, ...)
    *,
    scale: float = 1.0,
    name: str = "mean_squared_error_backward",
) -> Tensor:
    """``dx = 2 scale (x - target) / m``, m values per item: the gradient of ``scale sum(loss)``.

    Args:
        x: predictions ``(n, ...)``, float32 or float64.
        target: of the shape and type of x.
        scale: the gradient of what is minimised by each item's loss: ``1 / n`` for the mean.
        name: the layer or operation that errors name.

    Returns:
        Gradient by the predictions, of their shape.

    Raises:
        ShapeError, DTypeError: as the forward pass.

    """
    x, target = _predictions(name, x, target)
    dx = fresh(x.shape, x)
    kernels.on(x).mean_squared_error_backward(x, target, float(scale), dx)
    return Tensor(dx)


def _loss_dtype(x: NDArray) -> np.dtype:
    """Losses of 16-bit scores are float32: they are added up."""
    return x.dtype if x.dtype.itemsize >= 4 else np.dtype(np.float32)


def _require_classes(name: str, x: NDArray) -> None:
    if x.ndim == 0 or x.shape[-1] == 0:
        raise ShapeError(message(name, "an input (..., classes)", str(x.shape), "give it a class axis"))


def _predictions(name: str, x: Operand, target: Operand) -> list[NDArray]:
    x, target = operands(name, ("the predictions", "the targets"), x, target)
    if x.ndim == 0 or 0 in x.shape[1:]:
        raise ShapeError(message(name, "predictions (n, ...)", str(x.shape), "give them a batch axis"))
    require_shape(name, "targets", target, x.shape, "give one target per prediction")
    return [x, target]


def _targets(name: str, target: Any, scores: NDArray) -> NDArray:
    """Classes as int64 ``(n,)``, or probabilities ``(n, k)`` of the type of the scores."""
    require_rank(name, "scores", scores, "(n, classes)", "flatten all axes but the batch")
    _require_classes(name, scores)
    n, k = scores.shape
    array = companion(name, "targets", target, scores)
    if type(array) is not np.ndarray:
        return _device_targets(name, array, scores)
    if array.ndim == 1:
        if array.dtype.kind not in "iu":
            raise DTypeError(message(name, "classes of integers", str(array.dtype), "convert them"))
        require_shape(name, "classes", array, (n,), "give one class per item")
        # Seen as unsigned, a negative class is out of range too: one pass finds both.
        if n and array.astype(_INT64, copy=False).view(np.uint64).max() >= k:
            at = int(np.flatnonzero((array < 0) | (array >= k))[0])
            got = f"{array[at]} at index {at}"
            raise TargetError(message(name, f"classes from 0 to {k - 1}", got, "check labels and classes"))
        return array.astype(_INT64, copy=False)
    require_shape(name, "targets", array, (n, k), "give one class, or one row of probabilities, per item")
    if array.dtype.kind != "f":  # one-hot rows of integers or booleans
        array = array.astype(scores.dtype)
    elif array.dtype != scores.dtype:
        expected = f"probabilities of {scores.dtype}, the type of the scores"
        raise DTypeError(message(name, expected, str(array.dtype), "convert one; types are not mixed"))
    fair = (array >= 0.0).all(axis=1) & (np.abs(array.sum(axis=1) - 1.0) <= _SUM_TOLERANCE)
    if not fair.all():
        at = int(np.flatnonzero(~fair)[0])
        expected = "rows of probabilities, 0 or more, that sum to 1"
        got = f"row {at}: {np.array2string(array[at], threshold=8)}"
        raise TargetError(message(name, expected, got, "normalise the targets"))
    return array


def _device_targets(name: str, target: Any, scores: NDArray) -> Any:
    """Targets on a GPU. Their values are not looked at, which would wait for it."""
    n, k = scores.shape
    if target.ndim == 1:
        if target.dtype != _INT64:
            remedy = "convert them before .to()"
            raise DTypeError(message(name, "classes of int64 on a GPU", str(target.dtype), remedy))
        require_shape(name, "classes", target, (n,), "give one class per item")
        return target
    require_shape(name, "targets", target, (n, k), "give one class, or one row of probabilities, per item")
    if target.dtype != scores.dtype:
        expected = f"probabilities of {scores.dtype}, the type of the scores"
        raise DTypeError(message(name, expected, str(target.dtype), "convert one; types are not mixed"))
    return target

"""Losses of elements: squared, absolute and Huber's error, binary cross-entropy, focal loss, divergence."""

from __future__ import annotations

import math
from typing import Any

from numpy.typing import NDArray

from numbacnn.errors import ArgumentError, DTypeError, ShapeError, message
from numbacnn.functional._checks import Operand, companion, fresh, number_within, operands, require_shape
from numbacnn.functional._targets import chances_of, loss_dtype
from numbacnn.functional._twins import Twins
from numbacnn.kernels.cpu import pointwise as _cpu
from numbacnn.tensor import Tensor

kernels = Twins(_cpu)


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
    loss = fresh(x.shape[:1], x, loss_dtype(x))
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


def mean_absolute_error_forward(
    x: Operand,  # (n, ...)
    target: Operand,  # (n, ...)
    *,
    name: str = "mean_absolute_error_forward",
) -> Tensor:
    """``loss[n] = mean of |x[n, ...] - target[n, ...]|``.

    Args:
        x: predictions ``(n, ...)``, float32 or float64.
        target: of the shape and type of x.
        name: the layer or operation that errors name.

    Returns:
        The loss of each item, ``(n,)``.

    Raises:
        ShapeError, DTypeError: as `mean_squared_error_forward`.

    """
    x, target = _predictions(name, x, target)
    loss = fresh(x.shape[:1], x, loss_dtype(x))
    kernels.on(x).mean_absolute_error_forward(x, target, loss)
    return Tensor(loss)


def mean_absolute_error_backward(
    x: Operand,  # (n, ...)
    target: Operand,  # (n, ...)
    *,
    scale: float = 1.0,
    name: str = "mean_absolute_error_backward",
) -> Tensor:
    """``dx = scale sign(x - target) / m``, m values per item; 0 where they are equal.

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
    kernels.on(x).mean_absolute_error_backward(x, target, float(scale), dx)
    return Tensor(dx)


def huber_forward(
    x: Operand,  # (n, ...)
    target: Operand,  # (n, ...)
    *,
    delta: float = 1.0,
    name: str = "huber_forward",
) -> Tensor:
    """``loss[n] = mean of h(x - t)``, ``h(r) = r^2 / 2 where |r| < delta, else delta (|r| - delta / 2)``.

    Args:
        x: predictions ``(n, ...)``, float32 or float64.
        target: of the shape and type of x.
        delta: where the square ends and the straight line begins, above 0.
        name: the layer or operation that errors name.

    Returns:
        The loss of each item, ``(n,)``.

    Raises:
        ShapeError, DTypeError: as `mean_squared_error_forward`.
        ArgumentError: delta is no finite number above 0.

    Source:
        Huber, "Robust Estimation of a Location Parameter", Annals of Mathematical Statistics, 1964.

    """
    x, target = _predictions(name, x, target)
    delta, loss = _positive(name, "delta", delta), fresh(x.shape[:1], x, loss_dtype(x))
    kernels.on(x).huber_forward(x, target, delta, loss)
    return Tensor(loss)


def huber_backward(
    x: Operand,  # (n, ...)
    target: Operand,  # (n, ...)
    *,
    delta: float = 1.0,
    scale: float = 1.0,
    name: str = "huber_backward",
) -> Tensor:
    """``dx = scale min(max(x - target, -delta), delta) / m``, m values per item.

    Args:
        x: predictions ``(n, ...)``, float32 or float64.
        target: of the shape and type of x.
        delta: as in the forward pass.
        scale: the gradient of what is minimised by each item's loss: ``1 / n`` for the mean.
        name: the layer or operation that errors name.

    Returns:
        Gradient by the predictions, of their shape.

    Raises:
        ShapeError, DTypeError, ArgumentError: as the forward pass.

    """
    x, target = _predictions(name, x, target)
    delta, dx = _positive(name, "delta", delta), fresh(x.shape, x)
    kernels.on(x).huber_backward(x, target, delta, float(scale), dx)
    return Tensor(dx)


def binary_cross_entropy_forward(
    x: Operand,  # (n, ..., c)
    target: Operand,  # (n, ..., c)
    *,
    positive_weights: Operand | None = None,
    name: str = "binary_cross_entropy_forward",
) -> Tensor:
    """``loss[n] = mean of w t log(1 + exp(-x)) + (1 - t) log(1 + exp(x))``; no exponential overflows.

    Args:
        x: logits ``(n, ..., c)``, float32 or float64.
        target: t, ``(n, ..., c)`` from 0 to 1, of the type of x; on the CPU also integers.
        positive_weights: w, of the classes along the last axis: ``(c,)`` or ``(1,)``, of the type of x; None
            for 1.
        name: the layer or operation that errors name.

    Returns:
        The loss of each item, ``(n,)``.

    Raises:
        ShapeError: the shapes do not fit, there is no batch axis, or an item holds no value.
        DTypeError: other types than float32 and float64, or a mix of them.
        TargetError: a target is not from 0 to 1 (seen on the CPU only).

    """
    x, target, weights = _logits(name, x, target, positive_weights)
    loss = fresh(x.shape[:1], x, loss_dtype(x))
    kernels.on(x).binary_cross_entropy_forward(x, target, weights, loss)
    return Tensor(loss)


def binary_cross_entropy_backward(
    x: Operand,  # (n, ..., c)
    target: Operand,  # (n, ..., c)
    *,
    positive_weights: Operand | None = None,
    scale: float = 1.0,
    name: str = "binary_cross_entropy_backward",
) -> Tensor:
    """``dx = scale ((1 - t) s(x) - w t s(-x)) / m``, s the sigmoid, m values per item.

    Args:
        x: logits ``(n, ..., c)``, float32 or float64.
        target: as in the forward pass.
        positive_weights: as in the forward pass.
        scale: the gradient of what is minimised by each item's loss: ``1 / n`` for the mean.
        name: the layer or operation that errors name.

    Returns:
        Gradient by the logits, of their shape.

    Raises:
        ShapeError, DTypeError, TargetError: as the forward pass.

    """
    x, target, weights = _logits(name, x, target, positive_weights)
    dx = fresh(x.shape, x)
    kernels.on(x).binary_cross_entropy_backward(x, target, weights, float(scale), dx)
    return Tensor(dx)


def focal_forward(
    x: Operand,  # (n, ...)
    target: Operand,  # (n, ...)
    *,
    alpha: float | None = 0.25,
    gamma: float = 2.0,
    name: str = "focal_forward",
) -> Tensor:
    """``loss[n] = mean of a q^gamma e``: e the binary cross-entropy, q the probability of being wrong.

    ``q = t s(-x) + (1 - t) s(x)`` with the sigmoid s, ``a = alpha t + (1 - alpha) (1 - t)``.

    Args:
        x: logits ``(n, ...)``, float32 or float64.
        target: t, of the shape of x, from 0 to 1, of the type of x; on the CPU also integers.
        alpha: weight of what is to be 1, from 0 to 1; None for ``a = 1``.
        gamma: how far what is right already is discounted, 0 or more.
        name: the layer or operation that errors name.

    Returns:
        The loss of each item, ``(n,)``.

    Raises:
        ShapeError, DTypeError, TargetError: as `binary_cross_entropy_forward`.
        ArgumentError: alpha or gamma is out of its range.

    Source:
        Lin, Goyal, Girshick, He and Dollar, "Focal Loss for Dense Object Detection", ICCV 2017, section 3.

    """
    x, target, _ = _logits(name, x, target, None)
    numbers, loss = _focus(name, alpha, gamma), fresh(x.shape[:1], x, loss_dtype(x))
    kernels.on(x).focal_forward(x, target, *numbers, loss)
    return Tensor(loss)


def focal_backward(
    x: Operand,  # (n, ...)
    target: Operand,  # (n, ...)
    *,
    alpha: float | None = 0.25,
    gamma: float = 2.0,
    scale: float = 1.0,
    name: str = "focal_backward",
) -> Tensor:
    """``dx = scale a (q^gamma e' + gamma q^(gamma - 1) q' e) / m``, m values per item.

    ``e' = (1 - t) s(x) - t s(-x)``, ``q' = (1 - 2 t) s(x) s(-x)``; the rest as in the forward pass.

    Args:
        x: logits ``(n, ...)``, float32 or float64.
        target: as in the forward pass.
        alpha: as in the forward pass.
        gamma: as in the forward pass.
        scale: the gradient of what is minimised by each item's loss: ``1 / n`` for the mean.
        name: the layer or operation that errors name.

    Returns:
        Gradient by the logits, of their shape.

    Raises:
        ShapeError, DTypeError, TargetError, ArgumentError: as the forward pass.

    """
    x, target, _ = _logits(name, x, target, None)
    numbers, dx = _focus(name, alpha, gamma), fresh(x.shape, x)
    kernels.on(x).focal_backward(x, target, *numbers, float(scale), dx)
    return Tensor(dx)


def kl_divergence_forward(
    x: Operand,  # (n, ...)
    target: Operand,  # (n, ...)
    *,
    log_target: bool = False,
    name: str = "kl_divergence_forward",
) -> Tensor:
    """``loss[n] = sum of t (log t - x)``, 0 where t is 0.

    Args:
        x: log-probabilities ``(n, ...)``, float32 or float64.
        target: t, of the shape and type of x; or its logarithm.
        log_target: the target is log t.
        name: the layer or operation that errors name.

    Returns:
        The divergence of each item, ``(n,)``.

    Raises:
        ShapeError, DTypeError: as `mean_squared_error_forward`.

    Source:
        Kullback and Leibler, "On Information and Sufficiency", Annals of Mathematical Statistics, 1951.

    """
    x, target = _predictions(name, x, target)
    loss = fresh(x.shape[:1], x, loss_dtype(x))
    kernels.on(x).kl_divergence_forward(x, target, bool(log_target), loss)
    return Tensor(loss)


def kl_divergence_backward(
    x: Operand,  # (n, ...)
    target: Operand,  # (n, ...)
    *,
    log_target: bool = False,
    scale: float = 1.0,
    name: str = "kl_divergence_backward",
) -> Tensor:
    """``dx = -scale t``.

    Args:
        x: log-probabilities ``(n, ...)``, of which only shape, type and place count.
        target: as in the forward pass.
        log_target: as in the forward pass.
        scale: the gradient of what is minimised by each item's divergence: ``1 / n`` for the mean.
        name: the layer or operation that errors name.

    Returns:
        Gradient by the log-probabilities, of their shape.

    Raises:
        ShapeError, DTypeError: as the forward pass.

    """
    x, target = _predictions(name, x, target)
    dx = fresh(x.shape, x)
    kernels.on(x).kl_divergence_backward(target, bool(log_target), float(scale), dx)
    return Tensor(dx)


def _predictions(name: str, x: Operand, target: Operand) -> list[NDArray]:
    x, target = operands(name, ("the predictions", "the targets"), x, target)
    if x.ndim == 0 or 0 in x.shape[1:]:
        raise ShapeError(message(name, "predictions (n, ...)", str(x.shape), "give them a batch axis"))
    require_shape(name, "targets", target, x.shape, "give one target per prediction")
    return [x, target]


def _logits(name: str, x: Operand, target: Operand, weights: Any) -> list[NDArray]:
    """Logits, their targets and the weights of the classes."""
    (x,) = operands(name, ("the logits",), x)
    if x.ndim == 0 or 0 in x.shape[1:]:
        raise ShapeError(message(name, "logits (n, ...)", str(x.shape), "give them a batch axis"))
    wanted: Any = chances_of(name, target, x)
    if weights is None:
        return [x, wanted, weights]
    array = companion(name, "positive weights", weights, x)
    if array.shape not in ((1,), x.shape[-1:]):
        expected = f"positive weights of shape {x.shape[-1:]} or (1,)"
        raise ShapeError(message(name, expected, str(array.shape), "give one weight per class"))
    if array.dtype != loss_dtype(x):
        expected = f"positive weights of {loss_dtype(x)}"
        raise DTypeError(message(name, expected, str(array.dtype), "convert them; types are not mixed"))
    return [x, wanted, array]


def _positive(name: str, label: str, value: float) -> float:
    number = number_within(name, label, value, math.inf)
    if number == 0.0:
        raise ArgumentError(message(name, f"{label} above 0", repr(value), "pass such as 1.0"))
    return number


def _focus(name: str, alpha: float | None, gamma: float) -> tuple[float, float, float]:
    """Weights of what is to be 1 and of what is to be 0, and the exponent."""
    gamma = number_within(name, "gamma", gamma, math.inf)
    if alpha is None:
        return 1.0, 1.0, gamma
    alpha = number_within(name, "alpha", alpha, 1.0)
    return alpha, 1.0 - alpha, gamma

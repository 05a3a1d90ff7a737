"""Softmax, and the losses of classes: cross-entropy with it, plain and focal."""

from __future__ import annotations

import math
from typing import Any

from numbacnn.functional._checks import Operand, companion, fresh, number_within, operands, require_shape
from numbacnn.functional._targets import class_weights_of, ignored, loss_dtype, require_classes, targets_of
from numbacnn.functional._twins import Twins
from numbacnn.kernels.cpu import softmax as _cpu
from numbacnn.tensor import Tensor

kernels = Twins(_cpu)


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
    require_classes(name, x)
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
    require_classes(name, dy)
    require_shape(name, "an output", y, dy.shape, "pass what the forward pass returned")
    dx = fresh(dy.shape, dy)
    kernels.on(dy).softmax_backward(y, dy, dx)
    return Tensor(dx)


def softmax_cross_entropy_forward(
    x: Operand,  # (n, ..., k)
    target: Operand,  # (n, ...) or (n, ..., k)
    *,
    label_smoothing: float = 0.0,
    class_weights: Operand | None = None,
    ignore_index: int | None = None,
    name: str = "softmax_cross_entropy_forward",
) -> tuple[Tensor, Tensor]:
    """``loss[n] = -sum over j of w[j] t[n, j] log softmax(x)[n, j]``, ``t = (1 - s) target + s / k``.

    Args:
        x: scores ``(n, ..., k)`` before the softmax, float32 or float64; n counts pixels too.
        target: classes ``(n, ...)``, integers from 0 to k - 1; or probabilities ``(n, ..., k)``, such as
            one-hot rows, of the type of x or integers.
        label_smoothing: the share s of each target that is spread over all classes, 0 to 1.
        class_weights: w, ``(k,)`` of the type of x (of float32 for 16-bit x); None for ones.
        ignore_index: a class, in or out of the range, whose items cost nothing.
        name: the layer or operation that errors name.

    Returns:
        The loss of each item ``(n, ...)``, and ``softmax(x)`` ``(n, ..., k)``, which the gradient needs.

    Raises:
        ShapeError: ranks or extents do not fit.
        DTypeError: x is neither float32 nor float64; classes are no integers; probabilities of another type.
        TargetError: a class is out of range, a probability negative, or a row does not sum to 1.
        ArgumentError: label_smoothing is outside 0 to 1, or classes are to be ignored among probabilities.

    Source:
        Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016, section 7;
        PyTorch's CrossEntropyLoss for the weights.

    """
    (x,) = operands(name, ("the scores",), x)
    ignore = ignored(name, ignore_index)
    classes = targets_of(name, target, x, ignore)
    weights = class_weights_of(name, class_weights, x)
    smoothing = number_within(name, "label_smoothing", label_smoothing, 1.0)
    loss, p = fresh(x.shape[:-1], x, loss_dtype(x)), fresh(x.shape, x)
    run = kernels.on(x).softmax_cross_entropy_forward
    run(_rows(x), classes, weights, ignore, smoothing, loss.reshape(-1), _rows(p))
    return Tensor(loss), Tensor(p)


def softmax_cross_entropy_backward(
    p: Operand,  # (n, ..., k)
    target: Operand,  # (n, ...) or (n, ..., k)
    *,
    label_smoothing: float = 0.0,
    class_weights: Operand | None = None,
    ignore_index: int | None = None,
    divisor: Operand | None = None,  # ()
    scale: float = 1.0,
    name: str = "softmax_cross_entropy_backward",
) -> Tensor:
    """``dx = scale / divisor (p sum(w t) - w t)``: the gradient of ``scale / divisor sum(loss)``.

    Args:
        p: the probabilities that the forward pass returned, ``(n, ..., k)``.
        target: as in the forward pass.
        label_smoothing: as in the forward pass.
        class_weights: as in the forward pass.
        ignore_index: as in the forward pass.
        divisor: a tensor () where p lies, such as the sum of `target_weights`; 0 gives zeros. None for 1.
        scale: the gradient of what is minimised by each item's loss: ``1 / n`` for the mean.
        name: the layer or operation that errors name.

    Returns:
        Gradient by the scores, ``(n, ..., k)``.

    Raises:
        ShapeError, DTypeError, TargetError, ArgumentError: as the forward pass.

    """
    (p,) = operands(name, ("the probabilities",), p)
    ignore = ignored(name, ignore_index)
    classes = targets_of(name, target, p, ignore)
    weights = class_weights_of(name, class_weights, p)
    smoothing = number_within(name, "label_smoothing", label_smoothing, 1.0)
    dx = fresh(p.shape, p)
    run, whole = kernels.on(p).softmax_cross_entropy_backward, _divisor(name, divisor, p)
    run(_rows(p), classes, weights, ignore, smoothing, whole, float(scale), _rows(dx))
    return Tensor(dx)


def focal_cross_entropy_forward(
    x: Operand,  # (n, ..., k)
    target: Operand,  # (n, ...)
    *,
    gamma: float = 2.0,
    class_weights: Operand | None = None,
    ignore_index: int | None = None,
    name: str = "focal_cross_entropy_forward",
) -> tuple[Tensor, Tensor]:
    """``loss[n] = -w[c] (1 - p[n, c])^gamma log p[n, c]``, ``p = softmax(x)``, c the target's class.

    Args:
        x: scores ``(n, ..., k)`` before the softmax, float32 or float64; n counts pixels too.
        target: classes ``(n, ...)``, integers from 0 to k - 1.
        gamma: how far what is right already is discounted, 0 or more; 0 is cross-entropy.
        class_weights: w, ``(k,)`` of the type of x (of float32 for 16-bit x); None for ones.
        ignore_index: a class, in or out of the range, whose items cost nothing.
        name: the layer or operation that errors name.

    Returns:
        The loss of each item ``(n, ...)``, and p ``(n, ..., k)``, which the gradient needs.

    Raises:
        ShapeError, DTypeError, TargetError: as `softmax_cross_entropy_forward`.
        ArgumentError: gamma is no finite number of 0 or more.

    Source:
        Lin, Goyal, Girshick, He and Dollar, "Focal Loss for Dense Object Detection", ICCV 2017, section 3.

    """
    (x,) = operands(name, ("the scores",), x)
    ignore, gamma = ignored(name, ignore_index), number_within(name, "gamma", gamma, math.inf)
    classes = targets_of(name, target, x, ignore, classes=True)
    weights = class_weights_of(name, class_weights, x)
    loss, p = fresh(x.shape[:-1], x, loss_dtype(x)), fresh(x.shape, x)
    run = kernels.on(x).focal_cross_entropy_forward
    run(_rows(x), classes, weights, ignore, gamma, loss.reshape(-1), _rows(p))
    return Tensor(loss), Tensor(p)


def focal_cross_entropy_backward(
    p: Operand,  # (n, ..., k)
    target: Operand,  # (n, ...)
    *,
    gamma: float = 2.0,
    class_weights: Operand | None = None,
    ignore_index: int | None = None,
    divisor: Operand | None = None,  # ()
    scale: float = 1.0,
    name: str = "focal_cross_entropy_backward",
) -> Tensor:
    """``dx = scale / divisor w[c] ((1 - q)^g - g (1 - q)^(g - 1) q log q) (p - [j = c])``, ``q = p[n, c]``.

    Args:
        p: the probabilities that the forward pass returned, ``(n, ..., k)``.
        target: as in the forward pass.
        gamma: g, as in the forward pass.
        class_weights: as in the forward pass.
        ignore_index: as in the forward pass.
        divisor: a tensor () where p lies, such as the sum of `target_weights`; 0 gives zeros. None for 1.
        scale: the gradient of what is minimised by each item's loss: ``1 / n`` for the mean.
        name: the layer or operation that errors name.

    Returns:
        Gradient by the scores, ``(n, ..., k)``.

    Raises:
        ShapeError, DTypeError, TargetError, ArgumentError: as the forward pass.

    """
    (p,) = operands(name, ("the probabilities",), p)
    ignore, gamma = ignored(name, ignore_index), number_within(name, "gamma", gamma, math.inf)
    classes = targets_of(name, target, p, ignore, classes=True)
    weights = class_weights_of(name, class_weights, p)
    dx = fresh(p.shape, p)
    run, whole = kernels.on(p).focal_cross_entropy_backward, _divisor(name, divisor, p)
    run(_rows(p), classes, weights, ignore, gamma, whole, float(scale), _rows(dx))
    return Tensor(dx)


def target_weights(
    x: Operand,  # (n, ..., k)
    target: Operand,  # (n, ...)
    *,
    class_weights: Operand | None = None,
    ignore_index: int | None = None,
    name: str = "target_weights",
) -> Tensor:
    """``share[n] = w[target[n]]``, 0 where the target is ignored: a weighted mean divides by their sum.

    Args:
        x: scores ``(n, ..., k)``, of which only shape, type and place count.
        target: classes ``(n, ...)``, integers from 0 to k - 1.
        class_weights: w, ``(k,)`` of the type of x (of float32 for 16-bit x); None for ones.
        ignore_index: a class, in or out of the range, that weighs nothing.
        name: the layer or operation that errors name.

    Returns:
        ``(n, ...)``, of the type of x (float32 for 16-bit x).

    Raises:
        ShapeError, DTypeError, TargetError: as `softmax_cross_entropy_forward`.

    """
    (x,) = operands(name, ("the scores",), x)
    ignore = ignored(name, ignore_index)
    classes = targets_of(name, target, x, ignore, classes=True)
    weights = class_weights_of(name, class_weights, x)
    share = fresh(x.shape[:-1], x, loss_dtype(x))
    kernels.on(x).target_weights(classes, weights, ignore, share.reshape(-1))
    return Tensor(share)


def _rows(x: Any) -> Any:
    return x if x.ndim == 2 else x.reshape(-1, x.shape[-1])


def _divisor(name: str, divisor: Any, p: Any) -> Any:
    if divisor is None:
        return None
    array = companion(name, "a divisor", divisor, p)
    require_shape(name, "a divisor", array, (), "pass a tensor of shape ()")
    return array

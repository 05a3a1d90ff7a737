"""The Dice coefficient of soft masks as a loss."""

from __future__ import annotations

import math
from typing import Any

from numbacnn.errors import ArgumentError, ShapeError, message
from numbacnn.functional._checks import Operand, companion, fresh, number_within, operands, require_shape
from numbacnn.functional._targets import chances_of, ignored, loss_dtype, targets_of
from numbacnn.functional._twins import Twins
from numbacnn.kernels.cpu import dice as _cpu
from numbacnn.tensor import Tensor

kernels = Twins(_cpu)


def dice_forward(
    x: Operand,  # (n, ..., k)
    target: Operand,  # (n, ...) or (n, ..., k)
    *,
    exclusive: bool = True,
    squared: bool = False,
    smooth: float = 1.0,
    ignore_index: int | None = None,
    name: str = "dice_forward",
) -> tuple[Tensor, Tensor, Tensor]:
    """``loss[n] = 1 - mean over classes of (2 sum(p t) + s) / (sum(p) + sum(t) + s)``, sums over pixels.

    Args:
        x: scores ``(n, ..., k)``, float32 or float64; p is their softmax, or their sigmoid.
        target: t, ``(n, ..., k)`` from 0 to 1, of the type of x; or, of exclusive classes, their numbers
            ``(n, ...)``.
        exclusive: a pixel has one class, so p is the softmax over the classes; else the sigmoid of each.
        squared: divide by ``sum(p^2) + sum(t^2) + s``, as Milletari et al. do.
        smooth: s, 0 or more; a quotient of 0 / 0 is 1.
        ignore_index: a class outside of 0 to k - 1 whose pixels do not count.
        name: the layer or operation that errors name.

    Returns:
        The loss of each item ``(n,)``, and what the gradient needs: p, and numerators and denominators
        ``(n, 2, k)``.

    Raises:
        ShapeError: ranks or extents do not fit, or there is no pixel or class.
        DTypeError: x is neither float32 nor float64; targets of another type.
        TargetError: a class is out of range, or a target not from 0 to 1.
        ArgumentError: smooth is negative, or ignore_index is a class of the scores.

    Source:
        Milletari, Navab and Ahmadi, "V-Net: Fully Convolutional Neural Networks for Volumetric Medical Image
        Segmentation", 3DV 2016, section 3.

    """
    (x,) = operands(name, ("the scores",), x)
    masks = _masks(name, target, x, exclusive, ignore_index)
    smooth = number_within(name, "smooth", smooth, math.inf)
    kind = loss_dtype(x)
    loss, p, sums = fresh(x.shape[:1], x, kind), fresh(x.shape, x), fresh((len(x), 2, x.shape[-1]), x, kind)
    run = kernels.on(x).dice_forward
    run(_pixels(x), masks, bool(exclusive), bool(squared), smooth, loss, _pixels(p), sums)
    return Tensor(loss), Tensor(p), Tensor(sums)


def dice_backward(
    p: Operand,  # (n, ..., k)
    target: Operand,  # (n, ...) or (n, ..., k)
    sums: Operand,  # (n, 2, k)
    *,
    exclusive: bool = True,
    squared: bool = False,
    scale: float = 1.0,
    ignore_index: int | None = None,
    name: str = "dice_backward",
) -> Tensor:
    """The gradient of ``scale sum(loss)`` by the scores: of the quotients, through softmax or sigmoid.

    Args:
        p: the probabilities that the forward pass returned, ``(n, ..., k)``.
        target: as in the forward pass.
        sums: numerators and denominators that the forward pass returned.
        exclusive: as in the forward pass.
        squared: as in the forward pass.
        scale: the gradient of what is minimised by each item's loss: ``1 / n`` for the mean.
        ignore_index: as in the forward pass.
        name: the layer or operation that errors name.

    Returns:
        Gradient by the scores, of their shape.

    Raises:
        ShapeError, DTypeError, TargetError, ArgumentError: as the forward pass.

    """
    (p,) = operands(name, ("the probabilities",), p)
    masks = _masks(name, target, p, exclusive, ignore_index)
    given = companion(name, "the sums", sums, p)
    require_shape(name, "the sums", given, (len(p), 2, p.shape[-1]), "pass what the forward pass returned")
    dx = fresh(p.shape, p)
    run = kernels.on(p).dice_backward
    run(_pixels(p), masks, given, bool(exclusive), bool(squared), float(scale), _pixels(dx))
    return Tensor(dx)


def _pixels(x: Any) -> Any:
    """``(n, pixels, k)``."""
    return x.reshape(len(x), math.prod(x.shape[1:-1]), x.shape[-1])


def _masks(name: str, target: Any, x: Any, exclusive: bool, ignore_index: int | None) -> Any:
    if x.ndim < 2 or 0 in x.shape[1:]:
        raise ShapeError(
            message(name, "scores (n, ..., classes)", str(x.shape), "give it pixels and classes")
        )
    ignore, k = ignored(name, ignore_index), x.shape[-1]
    if 0 <= ignore < k:
        expected = f"ignore_index outside of 0 to {k - 1}"
        raise ArgumentError(message(name, expected, str(ignore), "mark such pixels by another number"))
    array = companion(name, "targets", target, x)
    if exclusive and array.ndim == x.ndim - 1:
        return targets_of(name, array, x, ignore, classes=True).reshape(len(x), -1 if len(x) else 0)
    return _pixels(chances_of(name, array, x))

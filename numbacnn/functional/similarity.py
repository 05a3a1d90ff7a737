"""Losses of vectors by their distances: cosine embedding and triplets."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numbacnn.errors import ArgumentError, DTypeError, ShapeError, TargetError, message
from numbacnn.functional._checks import Operand, companion, fresh, number_within, operands, require_shape
from numbacnn.functional._targets import loss_dtype
from numbacnn.functional._twins import Twins
from numbacnn.kernels.cpu import similarity as _cpu
from numbacnn.tensor import Tensor

kernels = Twins(_cpu)


def cosine_embedding_forward(
    a: Operand,  # (n, d)
    b: Operand,  # (n, d)
    target: Operand,  # (n,)
    *,
    margin: float = 0.0,
    name: str = "cosine_embedding_forward",
) -> Tensor:
    """``loss[n] = 1 - cos(a[n], b[n])`` where target is 1, else ``max(0, cos(a[n], b[n]) - margin)``.

    Args:
        a: vectors ``(n, d)``, float32 or float64. To squared lengths 1e-12 is added.
        b: vectors of the shape and type of a.
        target: ``(n,)`` integers: 1 for pairs that are to be alike, -1 for others.
        margin: the cosine below which others cost nothing, from -1 to 1.
        name: the layer or operation that errors name.

    Returns:
        The loss of each pair, ``(n,)``.

    Raises:
        ShapeError: the shapes do not fit.
        DTypeError: other types than float32 and float64, a mix of them, or targets that are no integers.
        TargetError: a target is neither 1 nor -1 (seen on the CPU only).
        ArgumentError: margin is not from -1 to 1.

    """
    a, b = _vectors(name, ("the first vectors", "the second vectors"), a, b)
    signs, margin = _signs(name, target, a), _cosine(name, margin)
    loss = fresh(a.shape[:1], a, loss_dtype(a))
    kernels.on(a).cosine_embedding_forward(a, b, signs, margin, loss)
    return Tensor(loss)


def cosine_embedding_backward(
    a: Operand,  # (n, d)
    b: Operand,  # (n, d)
    target: Operand,  # (n,)
    *,
    margin: float = 0.0,
    scale: float = 1.0,
    name: str = "cosine_embedding_backward",
) -> tuple[Tensor, Tensor]:
    """The gradients of ``scale sum(loss)`` by both vectors.

    Args:
        a: vectors ``(n, d)``, float32 or float64.
        b: vectors of the shape and type of a.
        target: as in the forward pass.
        margin: as in the forward pass; at it there is no gradient.
        scale: the gradient of what is minimised by each pair's loss: ``1 / n`` for the mean.
        name: the layer or operation that errors name.

    Returns:
        Gradients by a and by b, ``(n, d)``.

    Raises:
        ShapeError, DTypeError, TargetError, ArgumentError: as the forward pass.

    """
    a, b = _vectors(name, ("the first vectors", "the second vectors"), a, b)
    signs, margin = _signs(name, target, a), _cosine(name, margin)
    da, db = fresh(a.shape, a), fresh(a.shape, a)
    kernels.on(a).cosine_embedding_backward(a, b, signs, margin, float(scale), da, db)
    return Tensor(da), Tensor(db)


def triplet_forward(
    anchor: Operand,  # (n, d)
    positive: Operand,  # (n, d)
    negative: Operand,  # (n, d)
    *,
    margin: float = 1.0,
    squared: bool = False,
    name: str = "triplet_forward",
) -> Tensor:
    """``loss[n] = max(0, d(anchor, positive) - d(anchor, negative) + margin)``, d the Euclidean distance.

    Args:
        anchor: vectors ``(n, d)``, float32 or float64.
        positive: of the same shape and type: what is to be near.
        negative: of the same shape and type: what is to be far.
        margin: how much nearer the positive is to be, 0 or more.
        squared: d is the squared distance; else 1e-6 is added to each difference, as PyTorch does.
        name: the layer or operation that errors name.

    Returns:
        The loss of each triplet, ``(n,)``.

    Raises:
        ShapeError: the shapes differ, or are not ``(n, d)``.
        DTypeError: other types than float32 and float64, or a mix of them.
        ArgumentError: margin is no finite number of 0 or more.

    Source:
        Schroff, Kalenichenko and Philbin, "FaceNet: A Unified Embedding for Face Recognition and Clustering",
        CVPR 2015, section 3.1, for the squared distance.

    """
    arrays = _vectors(name, _TRIPLET, anchor, positive, negative)
    margin, first = number_within(name, "margin", margin, math.inf), arrays[0]
    loss = fresh(first.shape[:1], first, loss_dtype(first))
    kernels.on(first).triplet_forward(*arrays, margin, bool(squared), loss)
    return Tensor(loss)


def triplet_backward(
    anchor: Operand,  # (n, d)
    positive: Operand,  # (n, d)
    negative: Operand,  # (n, d)
    *,
    margin: float = 1.0,
    squared: bool = False,
    scale: float = 1.0,
    name: str = "triplet_backward",
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of ``scale sum(loss)`` by the three vectors, 0 where the loss is 0.

    Args:
        anchor: vectors ``(n, d)``, float32 or float64.
        positive: as in the forward pass.
        negative: as in the forward pass.
        margin: as in the forward pass.
        squared: as in the forward pass.
        scale: the gradient of what is minimised by each triplet's loss: ``1 / n`` for the mean.
        name: the layer or operation that errors name.

    Returns:
        Gradients by anchor, positive and negative, ``(n, d)``.

    Raises:
        ShapeError, DTypeError, ArgumentError: as the forward pass.

    """
    arrays = _vectors(name, _TRIPLET, anchor, positive, negative)
    margin, first = number_within(name, "margin", margin, math.inf), arrays[0]
    da, dp, dn = (fresh(first.shape, first) for _ in range(3))
    kernels.on(first).triplet_backward(*arrays, margin, bool(squared), float(scale), da, dp, dn)
    return Tensor(da), Tensor(dp), Tensor(dn)


_TRIPLET = "the anchors", "the positives", "the negatives"


def _vectors(name: str, labels: tuple[str, ...], *values: Operand) -> list[NDArray]:
    arrays = operands(name, labels, *values)
    shape = arrays[0].shape
    if len(shape) != 2 or shape[1] == 0:
        raise ShapeError(message(name, f"{labels[0]} (n, d)", str(shape), "flatten all axes but the batch"))
    for label, array in zip(labels, arrays, strict=True):
        require_shape(name, label, array, shape, f"give as many as {labels[0]}")
    return arrays


def _signs(name: str, target: Any, a: Any) -> Any:
    array = companion(name, "targets", target, a)
    require_shape(name, "targets", array, a.shape[:1], "give 1 or -1 for each pair")
    if type(array) is not np.ndarray:
        if array.dtype != np.int64:
            got, remedy = str(array.dtype), "convert them before .to()"
            raise DTypeError(message(name, "targets of int64 on a GPU", got, remedy))
        return array
    if array.dtype.kind not in "iu":
        raise DTypeError(message(name, "targets of integers", str(array.dtype), "convert them"))
    wrong = (array != 1) & (array != -1)
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        got = f"{array[at]} at index {at}"
        raise TargetError(message(name, "targets 1 or -1", got, "mark pairs as alike or not"))
    return array.astype(np.int64, copy=False)


def _cosine(name: str, margin: float) -> float:
    number = isinstance(margin, (int, float, np.integer, np.floating))
    if not number or not -1.0 <= margin <= 1.0:
        raise ArgumentError(message(name, "margin from -1 to 1", repr(margin), "pass such as 0.0"))
    return float(margin)

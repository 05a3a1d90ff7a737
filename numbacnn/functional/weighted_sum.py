"""Sums of arrays with a weight each, as they are or normalised."""

from __future__ import annotations

import math
from collections.abc import Sequence

from numpy.typing import NDArray

from numbacnn.errors import ArgumentError, message
from numbacnn.functional._checks import Operand, fresh, operands, require_shape
from numbacnn.functional._twins import Twins
from numbacnn.kernels.cpu import weighted_sum as _cpu
from numbacnn.tensor import Tensor

kernels = Twins(_cpu)


def weighted_sum_forward(
    inputs: Sequence[Operand],
    weights: Operand,
    *,
    epsilon: float | None = None,
    name: str = "weighted_sum_forward",
) -> Tensor:
    """``y = sum of n_k x_k``, ``n = weights``; or ``n_k = relu(w_k) / (epsilon + sum of relu(w_j))``.

    Args:
        inputs: one or more of one shape, float32 or float64.
        weights: ``(len(inputs),)``, of their type.
        epsilon: None for the weights as they are; above 0 for normalised ones.
        name: the layer or operation that errors name.

    Returns:
        The shape and type of the inputs.

    Raises:
        ShapeError: the shapes differ, or there is not one weight for each.
        DTypeError: other types than float32 and float64, or a mix of them.
        ArgumentError: no inputs, or an epsilon that is not above 0.

    Source:
        Tan, Pang and Le, "EfficientDet: Scalable and Efficient Object Detection", CVPR 2020, section 3.3.

    """
    arrays, factors = _checked(name, inputs, weights)
    y = fresh(arrays[0].shape, arrays[0])
    kernels.on(y).weighted_sum_forward(arrays, factors, _epsilon(name, epsilon), y)
    return Tensor(y)


def weighted_sum_backward(
    dy: Operand, weights: Operand, *, epsilon: float | None = None, name: str = "weighted_sum_backward"
) -> list[Tensor]:
    """``dx_k = n_k dy``: the gradient by each input.

    Args:
        dy: gradient by the output, float32 or float64.
        weights: as in `weighted_sum_forward`.
        epsilon: as in `weighted_sum_forward`.
        name: the layer or operation that errors name.

    Returns:
        A gradient of the shape of dy for each weight.

    Raises:
        ShapeError, DTypeError, ArgumentError: as `weighted_sum_forward`.

    """
    dy, factors = operands(name, ("the output gradient", "the weights"), dy, weights)
    require_shape(name, "weights", factors, (factors.size,), "give one number for each input")
    gradients = tuple(fresh(dy.shape, dy) for _ in range(factors.size))
    kernels.on(dy).weighted_sum_backward(dy, factors, _epsilon(name, epsilon), gradients)
    return [Tensor(dx) for dx in gradients]


def weighted_sum_backward_weights(
    inputs: Sequence[Operand],
    dy: Operand,
    weights: Operand,
    *,
    epsilon: float | None = None,
    name: str = "weighted_sum_backward_weights",
) -> Tensor:
    """``dw_k = dn_k = sum(x_k dy)``; normalised ``(dn_k - sum of n_j dn_j) / (epsilon + sum of relu(w_j))``.

    The latter is 0 for a weight that is not above 0.

    Args:
        inputs: those of the forward pass.
        dy: gradient by the output, of their shape and type.
        weights: as in `weighted_sum_forward`.
        epsilon: as in `weighted_sum_forward`.
        name: the layer or operation that errors name.

    Returns:
        Gradient by the weights.

    Raises:
        ShapeError, DTypeError, ArgumentError: as `weighted_sum_forward`.

    """
    arrays, factors = _checked(name, [dy, *inputs], weights, 1)
    dw = fresh(factors.shape, factors)
    number = _epsilon(name, epsilon)
    kernels.on(dw).weighted_sum_backward_weights(arrays[1:], arrays[0], factors, number, dw)
    return Tensor(dw)


def _checked(
    name: str, given: Sequence[Operand], weights: Operand, others: int = 0
) -> tuple[tuple[NDArray, ...], NDArray]:
    """Arrays of one shape, of which all but the first `others` have a weight, and the weights."""
    if len(given) <= others:
        raise ArgumentError(message(name, "one input or more", "none", "pass a list of arrays"))
    labels = [*(f"input {k}" for k in range(1, len(given) + 1)), "the weights"]
    *arrays, factors = operands(name, labels, *given, weights)
    for array in arrays[1:]:
        require_shape(name, "inputs", array, arrays[0].shape, "give all of them one shape")
    require_shape(name, "weights", factors, (len(given) - others,), "give one number for each input")
    return tuple(arrays), factors


def _epsilon(name: str, epsilon: float | None) -> float | None:
    if epsilon is None:
        return None
    if isinstance(epsilon, bool) or not isinstance(epsilon, (int, float)) or not 0 < epsilon < math.inf:
        expected = "epsilon as a finite number above 0, or None"
        raise ArgumentError(message(name, expected, repr(epsilon), "pass such as epsilon=1e-4"))
    return float(epsilon)

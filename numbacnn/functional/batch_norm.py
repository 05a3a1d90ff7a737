"""Batch normalisation, with a residual and an activation in the same pass, and its gradients."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numbacnn.epilogue import Activation, ActivationLike
from numbacnn.errors import ArgumentError, DeviceError, DTypeError, ShapeError, message
from numbacnn.functional._checks import Operand, fresh, number_within, operands, require_shape
from numbacnn.functional._twins import Twins
from numbacnn.kernels.cpu import batch_norm as _cpu
from numbacnn.tensor import Tensor, device_name

kernels = Twins(_cpu)

_F32, _F64 = np.dtype(np.float32), np.dtype(np.float64)
_STATISTICS = ("the mean", "the variance", "gamma", "beta")


def batch_norm_statistics(
    x: Operand,  # (..., c)
    *,
    running_mean: Tensor | None = None,  # (c,)
    running_variance: Tensor | None = None,  # (c,)
    momentum: float = 0.9,
    name: str = "batch_norm_statistics",
) -> tuple[Tensor, Tensor]:
    """``mean[j] = E[x[..., j]]`` and ``variance[j] = E[(x[..., j] - mean[j])^2]``, of all pixels.

    Sums do not cancel: a mean far larger than the deviation costs no places of the variance.

    Args:
        x: ``(..., c)``, float32 or float64.
        running_mean: ``(c,)``, updated in place to ``momentum running_mean + (1 - momentum) mean``; or None.
        running_variance: likewise, by the unbiased ``variance m / (m - 1)`` of m values per channel, as
            PyTorch does. Of less than two values neither changes.
        momentum: share of the running statistics that is kept, 0 to 1: 0.9 is PyTorch's momentum of 0.1.
        name: the layer or operation that errors name.

    Returns:
        Mean and variance ``(c,)`` of the type of x, or float32 where x has 16 bits; 0 where x is empty.

    Raises:
        ShapeError: x has no axis or no channel, or the running statistics do not fit it.
        DTypeError: other types than float32 and float64, or a mix of them.
        ArgumentError: the momentum is outside its domain; one of the running statistics without the other, or
            as something else than a tensor.

    Source:
        Ioffe and Szegedy, "Batch Normalization: Accelerating Deep Network Training by Reducing Internal
        Covariate Shift", ICML 2015, section 3.

    """
    (x,) = operands(name, ("the input",), x)
    c = _channels(name, x)
    momentum = number_within(name, "momentum", momentum, 1.0)
    running: list[Any] = [running_mean, running_variance]
    if any(not isinstance(r, Tensor) for r in running) and any(r is not None for r in running):
        got = " and ".join(type(r).__name__ for r in running)
        expected = "running mean and variance as tensors, which are updated in place, or none of them"
        raise ArgumentError(message(name, expected, got, "make tensors of arrays by as_tensor"))
    _, old_mean, old_variance = _by_channel(name, x, ("the running mean", "the running variance"), *running)
    mean, variance = fresh((c,), x, _computed(x)), fresh((c,), x, _computed(x))
    kernels.on(x).batch_norm_statistics(x, momentum, old_mean, old_variance, mean, variance)
    return Tensor(mean), Tensor(variance)


def batch_norm_forward(
    x: Operand,  # (..., c)
    mean: Operand,  # (c,)
    variance: Operand,  # (c,)
    gamma: Operand | None = None,  # (c,)
    beta: Operand | None = None,  # (c,)
    *,
    epsilon: float = 1e-5,
    residual: Operand | None = None,
    activation: ActivationLike = None,
    name: str = "batch_norm_forward",
) -> Tensor:
    """``y = activation(gamma (x - mean) / sqrt(variance + epsilon) + beta + residual)``, in one pass.

    Args:
        x: ``(..., c)``, float32 or float64.
        mean: ``(c,)`` of the batch, to train, or running, to predict; of the type of x, or float32 where x
            has 16 bits, as are the next three.
        variance: likewise.
        gamma: scale ``(c,)``, or None for 1.
        beta: shift ``(c,)``, or None for 0.
        epsilon: added to the variance, 0 or more.
        residual: of the shape and type of x, added before the activation; or None.
        activation: applied last: None, ``"relu"``, ``"relu6"``, ``"silu"``, ``("leaky_relu", slope)`` or
            ``("clip", low, high)``.
        name: the layer or operation that errors name.

    Returns:
        The shape and type of x.

    Raises:
        ShapeError: x has no axis or no channel, or others do not fit it.
        DTypeError: other types than float32 and float64, or a mix of them.
        ArgumentError: epsilon or activation are outside their domain.

    Source:
        Ioffe and Szegedy, ICML 2015, section 3, algorithms 1 and 2; of the residual, He, Zhang, Ren and Sun,
        "Deep Residual Learning for Image Recognition", CVPR 2016, section 3.2.

    """
    x, residual = operands(name, ("the input", "the residual"), x, residual)
    c, *arrays = _by_channel(name, x, _STATISTICS, mean, variance, gamma, beta)
    epsilon = number_within(name, "epsilon", epsilon, math.inf)
    if residual is not None:
        require_shape(name, "a residual", residual, x.shape, "it is added to the output")
    y = fresh(x.shape, x)
    kernels.on(x).batch_norm_forward(x, *arrays, epsilon, residual, Activation.of(activation, name), y)
    return Tensor(y)


def batch_norm_backward(
    dy: Operand,  # (..., c)
    x: Operand,  # (..., c)
    mean: Operand,  # (c,)
    variance: Operand,  # (c,)
    gamma: Operand | None = None,  # (c,)
    beta: Operand | None = None,  # (c,)
    *,
    epsilon: float = 1e-5,
    residual: Operand | None = None,
    activation: ActivationLike = None,
    constant: bool = False,
    input_gradient: bool = True,
    parameter_gradients: bool = True,
    name: str = "batch_norm_backward",
) -> tuple[Tensor | None, Tensor | None, Tensor | None, Tensor | None]:
    """Gradients of `batch_norm_forward`, in two passes: one that sums, one that writes.

    With ``g = dy activation'`` and n the normalised x, ``dresidual = g``, ``dbeta = sum(g)``,
    ``dgamma = sum(g n)`` and ``dx = gamma (g - mean(g) - n mean(g n)) / sqrt(variance + epsilon)``. What the
    activation was applied to is computed anew from x, so the output need not be kept.

    Args:
        dy: gradient by the output, of the shape and type of x.
        x: input of the forward pass.
        mean: what the forward pass was given, as are the next three.
        variance: likewise.
        gamma: likewise.
        beta: likewise.
        epsilon: as in the forward pass.
        residual: as in the forward pass.
        activation: as in the forward pass.
        constant: whether mean and variance were constants, such as running statistics, rather than those of
            x. Then ``dx = gamma g / sqrt(variance + epsilon)``.
        input_gradient: whether dx and dresidual are wanted.
        parameter_gradients: whether dgamma and dbeta are wanted.
        name: the layer or operation that errors name.

    Returns:
        dx, dresidual, dgamma and dbeta; None for what is not wanted, and of what is not given.

    Raises:
        ShapeError, DTypeError, ArgumentError: as `batch_norm_forward`.

    Source:
        Ioffe and Szegedy, ICML 2015, section 3.

    """
    x, dy, residual = operands(name, ("the input", "the output gradient", "the residual"), x, dy, residual)
    c, *arrays = _by_channel(name, x, _STATISTICS, mean, variance, gamma, beta)
    epsilon = number_within(name, "epsilon", epsilon, math.inf)
    require_shape(
        name, "an output gradient", dy, x.shape, "pass the gradient by what the forward pass returned"
    )
    if residual is not None:
        require_shape(name, "a residual", residual, x.shape, "pass what the forward pass was given")
    dx = fresh(x.shape, x) if input_gradient else None
    dresidual = fresh(x.shape, x) if input_gradient and residual is not None else None
    dgamma, dbeta = (
        fresh((c,), x, _computed(x)) if parameter_gradients and p is not None else None for p in arrays[2:]
    )
    kernels.on(x).batch_norm_backward(
        x, *arrays, epsilon, residual, Activation.of(activation, name), constant, dy,
        dx, dresidual, dgamma, dbeta,
    )  # fmt: skip
    return _tensor(dx), _tensor(dresidual), _tensor(dgamma), _tensor(dbeta)


def _tensor(array: Any) -> Tensor | None:
    return None if array is None else Tensor(array)


def _computed(x: NDArray) -> np.dtype[Any]:
    """The type of statistics and parameters: that of x, or float32 where that has 16 bits."""
    return _F64 if x.dtype == _F64 else _F32


def _channels(name: str, x: NDArray) -> int:
    """The extent of the last axis; ShapeError where there is none."""
    if not x.ndim or not x.shape[-1]:
        raise ShapeError(message(name, "an input (..., channels)", str(x.shape), "add the channel axis"))
    return x.shape[-1]


def _by_channel(name: str, x: NDArray, labels: tuple[str, ...], *values: Any) -> list[Any]:
    """The number of channels, and the arrays of what there is one of per channel, or None."""
    c = _channels(name, x)
    found: list[Any] = [None] * len(values)
    for k, (label, value) in enumerate(zip(labels, values, strict=True)):
        if value is None:
            continue
        (array,) = operands(name, (label,), value)
        if device_name(array) != device_name(x):
            place, got = device_name(x), repr(device_name(array))
            expected = f"{label} on {place!r}, where the input is"
            raise DeviceError(message(name, expected, got, f"move one, as by .to({place!r})"))
        if array.dtype != _computed(x):
            expected = f"{label} of {_computed(x)} for an input of {x.dtype}"
            raise DTypeError(message(name, expected, str(array.dtype), "convert one"))
        require_shape(name, label, array, (c,), "give one value per channel")
        found[k] = array
    return [c, *found]

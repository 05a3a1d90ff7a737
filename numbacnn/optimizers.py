"""Optimizers: each reads the gradients of parameters and updates their values in place, in one fused pass."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from numbacnn.errors import ArgumentError, message
from numbacnn.functional._checks import fresh, operands
from numbacnn.functional._twins import Twins
from numbacnn.kernels.cpu import update as _cpu
from numbacnn.loss_scale import LossScale
from numbacnn.parameter import Parameter, Penalty

_update = Twins(_cpu)


class Optimizer:
    """The base: a learning rate that may be assigned between steps, and state per parameter.

    Subclasses say how many arrays of state a parameter needs, and define `_update`.

    Attributes:
        lr: learning rate of the next step; schedules assign it.

    """

    _slots = 0

    def __init__(self, lr: float) -> None:
        self.lr = lr
        self._state: dict[Parameter, _State] = {}

    @property
    def lr(self) -> float:
        """Learning rate of the next step, finite and 0 or more."""
        return self._lr

    @lr.setter
    def lr(self, value: float) -> None:
        self._lr = _within(self, "lr", value, 0.0, math.inf)

    def step(self, parameters: Iterable[Parameter], scale: LossScale | None = None) -> None:
        """Update each parameter that is trainable and has a gradient.

        The gradient of a parameter's penalty is added on the way. Gradients stay as they are: call
        `zero_grad` before the next backward pass.

        Args:
            parameters: usually ``model.parameters``.
            scale: what the loss's gradient was scaled by: models that compute in 16 bits need one. Where
                gradients overflowed, nothing changes but the scale.

        Raises:
            ArgumentError: parameters that a 16-bit copy follows are stepped without a scale.

        """
        self._step(parameters, scale, None)

    def _step(self, parameters: Iterable[Parameter], scale: LossScale | None, held: Any) -> None:
        """`step`; where factors are held on the GPU, by parameter, by those, and `held` counts the steps."""
        stepped = [(p, p.grad._array) for p in parameters if p.grad is not None and p.trainable]
        if scale is not None:
            scale.check(g for _, g in stepped)
        for p, gradient in stepped:
            w, g = operands(p.name, ("the parameter",), p.value)[0].reshape(-1), gradient.reshape(-1)
            state = self._state_of(p)
            if held is None:
                state.step += 1
            if p.penalty is not None:
                g = _penalised(w, g, p.penalty, scale)
            if held is not None:
                copy = None if p.copy is None else p.copy._array.reshape(-1)
                self._update_held(w, g, state, copy, scale, held.row(p))
            elif scale is not None:
                copy = None if p.copy is None else p.copy._array.reshape(-1)
                self._update_scaled(w, g, state, copy, scale)
            elif p.copy is not None:
                remedy = "pass the LossScale by which the loss's gradient was scaled"
                raise ArgumentError(
                    message(p.name, "a loss scale, as the model computes in 16 bits", "none", remedy)
                )
            else:
                self._update(w, g, state)
        if scale is not None:
            scale.update()

    def reset(self) -> None:
        """Forget the state of all parameters, as if no step had been made."""
        self._state.clear()

    def _update(self, w: Any, g: Any, state: _State) -> None:
        """Update the flat array w by the gradient g."""
        raise NotImplementedError

    def _update_scaled(self, w: Any, g: Any, state: _State, copy: Any, scale: LossScale) -> None:
        """Update w on a GPU, and its copy in 16 bits, by the gradient of a scaled loss."""
        raise NotImplementedError

    def _state_of(self, p: Parameter) -> _State:
        """What is remembered of a parameter, new where there is nothing of its device."""
        state = self._state.get(p)
        if state is None or state.device != p.value.device:
            w = p.value._array.reshape(-1)
            state = self._state[p] = _State(w, p.value.device, self._slots)
        return state

    def _update_held(
        self, w: Any, g: Any, state: _State, copy: Any, scale: LossScale | None, row: Any
    ) -> None:
        """Update w on a GPU by factors that lie there, as `kernels.cuda.held` says."""
        raise NotImplementedError

    def _factors(self, state: _State) -> tuple[float, float, float, float]:
        """What steps change of a rule, at the step that the state has counted: rate, root, keep, lr."""
        return self.lr, 0.0, 0.0, self.lr

    def __repr__(self) -> str:
        settings = {key.lstrip("_"): value for key, value in vars(self).items() if key != "_state"}
        return f"{type(self).__name__}({', '.join(f'{key}={value!r}' for key, value in settings.items())})"


def _penalised(w: Any, g: Any, penalty: Penalty, scale: LossScale | None) -> Any:
    """The gradient plus the penalty's, in another buffer: each step by one gradient adds it once."""
    total = fresh(w.shape, w)
    if scale is None:
        if type(g) is np.ndarray:
            np.copyto(total, g)
        else:
            total = g.copy()
        _update.on(w).add_penalty(w, total, penalty.l1, penalty.l2)
        return total
    scale.down(g, total)
    _update.on(w).add_penalty(w, total, penalty.l1, penalty.l2)
    scale.scaled(total)
    return total


class _State:
    """What an optimizer remembers of a parameter: flat arrays, zero at first, and the steps made.

    Counting per parameter keeps Adam's bias correction right for one that is unfrozen late.
    """

    __slots__ = ("arrays", "device", "made", "step")

    def __init__(self, w: Any, device: str, slots: int) -> None:
        self.arrays = tuple(_zeros(w) for _ in range(slots))
        self.device = device
        self.step = 0
        self.made: Any = None  # steps that a loss scale did not skip: an int32 array on the GPU


def _zeros(w: Any) -> Any:
    if type(w) is np.ndarray:
        return np.zeros(w.shape, w.dtype)
    array: Any = fresh(w.shape, w)
    array.fill_zero()
    return array


class SGD(Optimizer):
    """``v = momentum * v + g``; ``w -= lr * v``, or with Nesterov ``w -= lr * (g + momentum * v)``.

    Args:
        lr: learning rate.
        momentum: share of the velocity that a step keeps, in [0, 1).
        nesterov: look ahead along the velocity; needs momentum.

    Source:
        Sutskever, Martens, Dahl and Hinton, "On the importance of initialization and momentum in deep
        learning", ICML 2013, section 2, in the form of PyTorch, whose velocity leaves out the learning rate.

    """

    _slots = 1

    def __init__(self, lr: float = 0.01, momentum: float = 0.0, nesterov: bool = False) -> None:
        super().__init__(lr)
        self.momentum = _within(self, "momentum", momentum, 0.0, 1.0)
        self.nesterov = bool(nesterov)
        if self.nesterov and self.momentum == 0.0:
            raise ArgumentError(
                message("SGD", "momentum above 0 with nesterov", "0.0", "pass such as momentum=0.9")
            )

    def _update(self, w: Any, g: Any, state: _State) -> None:
        (velocity,) = state.arrays
        _update.on(w).sgd_update(w, g, velocity, self.lr, self.momentum, self.nesterov)

    def _update_scaled(self, w: Any, g: Any, state: _State, copy: Any, scale: LossScale) -> None:
        (velocity,) = state.arrays
        scale.sgd_update(w, g, velocity, self.lr, self.momentum, self.nesterov, copy)

    def _update_held(
        self, w: Any, g: Any, state: _State, copy: Any, scale: LossScale | None, row: Any
    ) -> None:
        from numbacnn.kernels.cuda import held

        held.sgd_update_held(w, g, *state.arrays, row, self.momentum, self.nesterov, copy, *_arrays(scale))


class RMSprop(Optimizer):
    """``s = rho * s + (1 - rho) * g^2``; ``w -= lr * g / (sqrt(s) + eps)``.

    Args:
        lr: learning rate.
        rho: share of the mean square that a step keeps, in [0, 1).
        eps: keeps the division finite, above 0.

    Source:
        Hinton, "Neural Networks for Machine Learning", lecture 6e, 2012.

    """

    _slots = 1

    def __init__(self, lr: float = 1e-3, rho: float = 0.99, eps: float = 1e-8) -> None:
        super().__init__(lr)
        self.rho = _within(self, "rho", rho, 0.0, 1.0)
        self.eps = _above_zero(self, "eps", eps)

    def _update(self, w: Any, g: Any, state: _State) -> None:
        (square,) = state.arrays
        _update.on(w).rmsprop_update(w, g, square, self.lr, self.rho, self.eps)

    def _update_scaled(self, w: Any, g: Any, state: _State, copy: Any, scale: LossScale) -> None:
        (square,) = state.arrays
        scale.rmsprop_update(w, g, square, self.lr, self.rho, self.eps, copy)

    def _update_held(
        self, w: Any, g: Any, state: _State, copy: Any, scale: LossScale | None, row: Any
    ) -> None:
        from numbacnn.kernels.cuda import held

        held.rmsprop_update_held(w, g, *state.arrays, row, self.rho, self.eps, copy, *_arrays(scale))


class Adam(Optimizer):
    """``w -= lr * m' / (sqrt(v') + eps)``, with the moments m of g and v of g^2 freed of their start at 0.

    ``m = beta1 * m + (1 - beta1) * g``; ``v = beta2 * v + (1 - beta2) * g^2``; ``m' = m / (1 - beta1^t)``;
    ``v' = v / (1 - beta2^t)``; t counts the parameter's steps from 1.

    Args:
        lr: learning rate.
        beta1: share of the first moment that a step keeps, in [0, 1).
        beta2: share of the second moment that a step keeps, in [0, 1).
        eps: keeps the division finite, above 0.

    Source:
        Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, algorithm 1.

    """

    _slots = 2

    def __init__(self, lr: float = 1e-3, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> None:
        super().__init__(lr)
        self.beta1 = _within(self, "beta1", beta1, 0.0, 1.0)
        self.beta2 = _within(self, "beta2", beta2, 0.0, 1.0)
        self.eps = _above_zero(self, "eps", eps)

    def _decay(self) -> float:
        return 0.0

    def _update(self, w: Any, g: Any, state: _State) -> None:
        m, v = state.arrays
        shares = self.lr, self.beta1, self.beta2, self.eps, self._decay()
        _update.on(w).adam_update(w, g, m, v, *shares, state.step)

    def _update_scaled(self, w: Any, g: Any, state: _State, copy: Any, scale: LossScale) -> None:
        m, v = state.arrays
        if state.made is None:
            state.made = scale.counter()
        shares = self.lr, self.beta1, self.beta2, self.eps, self._decay()
        scale.adam_update(w, g, m, v, *shares, state.made, copy)

    def _update_held(
        self, w: Any, g: Any, state: _State, copy: Any, scale: LossScale | None, row: Any
    ) -> None:
        from numbacnn.kernels.cuda import held

        if scale is not None and state.made is None:
            state.made = scale.counter()
        shares = self.beta1, self.beta2, self.eps
        held.adam_update_held(w, g, *state.arrays, row, *shares, state.made, copy, *_arrays(scale))

    def _factors(self, state: _State) -> tuple[float, float, float, float]:
        root = 1.0 / math.sqrt(1.0 - self.beta2**state.step)
        rate = self.lr / (1.0 - self.beta1**state.step)
        return rate, root, 1.0 - self.lr * self._decay(), self.lr


class AdamW(Adam):
    """``w *= 1 - lr * weight_decay``, then the step of `Adam`: decay apart from the adaptive step.

    The decay acts on every parameter given to `step`, biases included.

    Args:
        lr: learning rate.
        beta1: share of the first moment that a step keeps, in [0, 1).
        beta2: share of the second moment that a step keeps, in [0, 1).
        eps: keeps the division finite, above 0.
        weight_decay: 0 or more.

    Source:
        Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019, algorithm 2, with the decay
        scaled by the learning rate as in PyTorch.

    """

    def __init__(
        self,
        lr: float = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(lr, beta1, beta2, eps)
        self.weight_decay = _within(self, "weight_decay", weight_decay, 0.0, math.inf)

    def _decay(self) -> float:
        return self.weight_decay


def _arrays(scale: LossScale | None) -> tuple[Any, Any]:
    return (None, None) if scale is None else scale.arrays


def _within(owner: object, argument: str, value: float, low: float, high: float) -> float:
    """The value as a float in [low, high), or ArgumentError."""
    if isinstance(value, (int, float, np.number)) and low <= value < high:
        return float(value)
    expected = f"{argument} in [{low:g}, {high:g})"
    remedy = f"pass a number of this range as {argument}"
    raise ArgumentError(message(type(owner).__name__, expected, repr(value), remedy))


def _above_zero(owner: object, argument: str, value: float) -> float:
    """The value as a finite float above 0, or ArgumentError."""
    if isinstance(value, (int, float, np.number)) and 0.0 < value < math.inf:
        return float(value)
    expected = f"a finite {argument} above 0"
    raise ArgumentError(message(type(owner).__name__, expected, repr(value), "pass such as 1e-8"))

"""The optimizer: settings, groups, clipping, state per parameter, and the step over all of them."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from numbacnn.errors import ArgumentError, message
from numbacnn.functional._checks import fresh, operands
from numbacnn.kernels.cpu import update as _cpu
from numbacnn.loss_scale import LossScale
from numbacnn.parameter import Parameter
from numbacnn.update_rules import RULES, Numbers

from ._checks import above_zero, within
from .groups import Group, assign, is_norm_or_bias

if TYPE_CHECKING:
    from .ema import EMA

_TINY = 1e-6  # added to a norm that is divided by, as PyTorch does


class Optimizer:
    """The base: a learning rate that may be assigned between steps, and state per parameter.

    Before the rule sees a gradient it is unscaled (with a `LossScale`), clipped, and the gradient of the
    parameter's penalty and a coupled weight decay are added to it, all within the pass that updates.

    A subclass names its rule of `update_rules.RULES` in `_rule`, and its settings that the rule is told in
    `_told`. What it takes besides is passed on to this class.

    Args:
        lr: learning rate.
        weight_decay: 0 or more. Coupled, ``g + weight_decay w`` takes the gradient's place; decoupled,
            ``w (1 - lr weight_decay)`` that of w.
        decay_norms_and_biases: False leaves `is_norm_or_bias` parameters without weight decay.
        clip_value: limits gradients to -clip_value .. clip_value, element by element; None does not.
        clip_norm: multiplies all gradients by ``min(1, clip_norm / (norm + 1e-6))``, where norm is the root
            of the sum of squares of all gradients of the step, summed in float64 in a fixed order (Pascanu,
            Mikolov and Bengio, "On the difficulty of training recurrent neural networks", ICML 2013). Where
            it is infinite, finite gradients become 0 and infinite ones NaN; where it is NaN, all do: the next
            loss tells. None does not clip.
        groups: parameters with settings of their own.
        ema: an `EMA` of the weights, which then moves in the same pass.

    Attributes:
        lr: learning rate of the next step; schedules assign it.

    Raises:
        ArgumentError: a value out of its range; both ways of clipping at once.

    """

    _rule: str
    _told: ClassVar[Mapping[str, str]] = {}  # field of Numbers: attribute
    _coupled: ClassVar[bool] = True  # how weight decay acts
    _start = 0.0  # of the first state

    def __init__(
        self,
        lr: float,
        *,
        weight_decay: float = 0.0,
        decay_norms_and_biases: bool = True,
        clip_value: float | None = None,
        clip_norm: float | None = None,
        groups: Sequence[Group] = (),
        ema: EMA | None = None,
    ) -> None:
        self.lr = lr
        self.weight_decay = within(self, "weight_decay", weight_decay, 0.0, math.inf)
        self.decay_norms_and_biases = bool(decay_norms_and_biases)
        self.clip_value = None if clip_value is None else above_zero(self, "clip_value", clip_value, "1.0")
        self.clip_norm = None if clip_norm is None else above_zero(self, "clip_norm", clip_norm, "1.0")
        if clip_value is not None and clip_norm is not None:
            expected, remedy = "clip_value or clip_norm", "leave out one of them"
            raise ArgumentError(message(type(self).__name__, expected, "both", remedy))
        self.groups = tuple(groups)
        self.ema = ema
        self._state: dict[Parameter, State] = {}
        self._known: dict[Parameter, Treatment] = {}
        self._boards: list[Any] = []  # of the step's parameters on a GPU

    @property
    def lr(self) -> float:
        """Learning rate of the next step, finite and 0 or more."""
        return self._lr

    @lr.setter
    def lr(self, value: float) -> None:
        self._lr = within(self, "lr", value, 0.0, math.inf)

    def step(self, parameters: Iterable[Parameter], scale: LossScale | None = None) -> None:
        """Update each parameter that is trainable and has a gradient.

        Gradients stay as they are: call `zero_grad` before the next backward pass.

        Args:
            parameters: usually ``model.parameters``.
            scale: what the loss's gradient was scaled by: models that compute in 16 bits need one. Where
                gradients overflowed, nothing changes but the scale.

        Raises:
            ArgumentError: parameters that a 16-bit copy follows are stepped without a scale; a group holds
                no parameter, or a parameter is in two; the average of weights is in their place.

        """
        parameters = list(parameters)
        self._prepare(parameters, scale)
        self._launch(parameters, scale)

    def reset(self) -> None:
        """Forget the state of all parameters, as if no step had been made."""
        self._state.clear()
        self._boards = []

    def state(self) -> dict[str, np.ndarray]:
        """Copies of what is remembered, to continue from: plain arrays, which ``np.savez`` keeps.

        They are ``"lr"``, and for each parameter that was stepped ``"<name>/step"`` and ``"<name>/0"`` and so
        on, in its shape. Waits for the GPU.

        Raises:
            ArgumentError: two parameters have one name.

        """
        for board in self._boards:
            board.recall()
        found: dict[str, np.ndarray] = {"lr": np.array(self.lr)}
        for p, state in self._state.items():
            if f"{p.name}/step" in found:
                remedy = "name the models apart, or keep an optimizer for each"
                raise ArgumentError(message(type(self).__name__, "one parameter of a name", p.name, remedy))
            found[f"{p.name}/step"] = np.array(state.step)
            for k, array in enumerate(state.arrays):
                found[f"{p.name}/{k}"] = np.array(array.numpy() if state.device != "cpu" else array).reshape(
                    p.shape
                )
        return found

    def load_state(self, state: Mapping[str, np.ndarray], parameters: Iterable[Parameter]) -> None:
        """Go on from what `state` returned: the next steps have the bits that they would have had.

        Args:
            state: of an optimizer with the same settings.
            parameters: those that it stepped, under the same names.

        Raises:
            ArgumentError: the state is of other parameters, or of another kind of optimizer.

        """
        parameters = list(parameters)
        self._assign(parameters)
        made: dict[Parameter, State] = {}
        left = set(state) - {"lr"}
        for p in parameters:
            if f"{p.name}/step" not in state:
                continue
            made[p] = State(p, self._known[p])
            made[p].step = int(state[f"{p.name}/step"])
            keys = [f"{p.name}/{k}" for k in range(len(made[p].arrays))]
            if any(key not in state or state[key].shape != p.shape for key in keys):
                expected = f"{len(keys)} arrays of shape {p.shape} for {p.name}"
                remedy = "load what an optimizer of the same kind returned"
                raise ArgumentError(message(type(self).__name__, expected, "others", remedy))
            for key, array in zip(keys, made[p].arrays, strict=True):
                _write(array, state[key])
            left -= {f"{p.name}/step", *keys}
        if left:
            remedy = "load what the same model's optimizer returned"
            expected, got = "a state of these parameters", f"also {', '.join(sorted(left))}"
            raise ArgumentError(message(type(self).__name__, expected, got, remedy))
        self._state, self._boards, self.lr = made, [], float(state["lr"])

    def settings(self) -> dict[str, Any]:
        """The constructor's arguments, by name."""
        return {p.name: getattr(self, p.name) for p in _arguments(type(self))}

    def __repr__(self) -> str:
        shown = []
        for p in _arguments(type(self)):
            value = getattr(self, p.name)
            if p.kind is not p.KEYWORD_ONLY or value != p.default:
                shown.append(f"{p.name}={value!r}")
        return f"{type(self).__name__}({', '.join(shown)})"

    # What a step is made of. Steps that are captured are prepared anew and launched again as they are.

    def _prepare(self, parameters: Sequence[Parameter], scale: LossScale | None) -> None:
        """Count the step, and let GPUs have what it changes of the numbers."""
        if any(p not in self._known for p in parameters):
            self._assign(parameters)
        if self.ema is not None:
            self.ema._begin(type(self).__name__)
        states = [self._state_of(p) for p in _stepped(parameters)]
        on_gpu = any(state.device != "cpu" for state in states)
        if on_gpu:
            from ._gpu import boards_for

            self._boards = boards_for(self._boards, states, scale)
        for state in states:
            state.step += 1
        for board in self._boards if on_gpu else ():
            board.write([self._numbers(state) for state in board.states])

    def _launch(self, parameters: Sequence[Parameter], scale: LossScale | None) -> None:
        """Update the parameters; nothing here differs from step to step but the gradients."""
        states = [self._state_of(p) for p in _stepped(parameters)]
        if scale is not None:
            scale.check(state.gradient for state in states)
        if states and states[0].device != "cpu":
            from ._gpu import launch

            launch(self, self._boards, scale)
        elif states:
            gain = self._clipping([state.gradient for state in states])
            for state in states:
                a, b, c = [*state.arrays, None, None, None][:3]
                numbers = self._numbers(state, gain)
                w, g = state.w, state.gradient.reshape(-1)
                _cpu.optimizer_step(state.by.rule, w, g, a, b, c, self._average(state), numbers)
        if self.ema is not None:
            self.ema._follow(state.parameter for state in states)
        if scale is not None:
            scale.update()

    def _clipping(self, gradients: Sequence[Any]) -> float:
        """The factor of all gradients, on the CPU."""
        if self.clip_norm is None:
            return 1.0
        norm = math.sqrt(math.fsum(_cpu.square_sum(g.reshape(-1)) for g in gradients))
        factor = self.clip_norm / (norm + _TINY)
        return 1.0 if factor > 1.0 else factor

    def _average(self, state: State) -> Any:
        return None if self.ema is None else self.ema._flat(state.parameter)

    def _numbers(self, state: State, gain: float = 1.0) -> Any:
        """What the rule is told of a parameter's step: the fields of Numbers."""
        by, p = state.by, state.parameter
        penalty = p.penalty if by.group is None or by.group.keeps_penalty else by.group.penalty
        l1, l2 = (0.0, by.coupled) if penalty is None else (penalty.l1, penalty.l2 + by.coupled)
        share = 0.0 if self.ema is None else self.ema.share
        return self._lr * by.lr_scale, state.step, gain, by.limit, l1, l2, by.decay, share, *by.own

    def _assign(self, parameters: Sequence[Parameter]) -> None:
        """Look up the groups of parameters that were not met before."""
        known = dict.fromkeys([*self._known, *parameters])
        groups = assign(type(self).__name__, self.groups, known)
        variants = {group: group.variant(self) for group in self.groups}
        for p in known:
            group = groups.get(p)
            variant = self if group is None else variants[group]
            self._known[p] = variant._treatment(p, group)

    def _treatment(self, p: Parameter, group: Group | None) -> Treatment:
        decay = self.weight_decay if self.decay_norms_and_biases or not is_norm_or_bias(p) else 0.0
        own = Numbers(0.0, **{field: float(getattr(self, name)) for field, name in self._told.items()})
        return Treatment(
            group,
            self._rule,
            self._start,
            1.0 if group is None else group.lr_scale,
            math.inf if self.clip_value is None else self.clip_value,
            decay if self._coupled else 0.0,
            0.0 if self._coupled else decay,
            own[8:],
        )

    def _state_of(self, p: Parameter) -> State:
        """What is remembered of a parameter, new where there is nothing of its device."""
        state = self._state.get(p)
        if state is None or state.device != p.value.device:
            state = self._state[p] = State(p, self._known[p])
        if state.source is not p.value._array:
            state.follow(p)
        return state


class Treatment(NamedTuple):
    """How a parameter is stepped: the settings of the optimizer, or of the parameter's group."""

    group: Group | None
    rule: str
    start: float
    lr_scale: float
    limit: float
    coupled: float
    decay: float
    own: tuple[float, ...]


class State:
    """What an optimizer remembers of a parameter: flat arrays, and the steps made.

    Counting per parameter keeps Adam's bias correction right for one that is unfrozen late.
    """

    __slots__ = ("arrays", "by", "device", "parameter", "source", "step", "w")

    def __init__(self, p: Parameter, by: Treatment) -> None:
        self.parameter, self.by, self.device, self.step = p, by, p.value.device, 0
        self.follow(p)
        starts = [by.start, 0.0, 0.0][: RULES[by.rule]]
        self.arrays = tuple(_filled(self.w, start) for start in starts)

    def follow(self, p: Parameter) -> None:
        """Step the array that is the parameter's value now."""
        self.source = p.value._array
        self.w: Any = operands(p.name, ("the parameter",), p.value)[0].reshape(-1)

    @property
    def gradient(self) -> Any:
        """The parameter's gradient, as an array."""
        grad = self.parameter.grad
        assert grad is not None
        return grad._array


def _arguments(kind: type[Optimizer]) -> list[inspect.Parameter]:
    """The arguments of a kind of optimizer, those that it passes on included."""
    own = list(inspect.signature(kind).parameters.values())
    if own[-1].kind is inspect.Parameter.VAR_KEYWORD:
        names = {p.name for p in own}
        shared = inspect.signature(Optimizer).parameters.values()
        own[-1:] = [p for p in shared if p.name not in names]
    return own


def _stepped(parameters: Iterable[Parameter]) -> list[Parameter]:
    return [p for p in parameters if p.trainable and p.grad is not None]


def _filled(w: Any, value: float) -> Any:
    if type(w) is np.ndarray:
        return np.full(w.shape, value, w.dtype)
    array: Any = fresh(w.shape, w)
    if value == 0.0:
        array.fill_zero()
    else:
        _write(array, np.full(w.shape, value, w.dtype))
    return array


def _write(array: Any, values: np.ndarray) -> None:
    """Overwrite a flat array, wherever it lies."""
    typed = np.ascontiguousarray(values, array.dtype).reshape(-1)
    if type(array) is np.ndarray:
        np.copyto(array, typed)
    else:
        array.write(typed)

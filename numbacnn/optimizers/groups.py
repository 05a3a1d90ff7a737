"""Groups of parameters that an optimizer treats otherwise than the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from numbacnn.errors import ArgumentError, message
from numbacnn.parameter import Parameter, Penalty

from ._checks import within

_KEEP: Any = "as the layer has it"
_OF_ALL = ("clip_norm", "ema", "groups", "lr")  # settings that groups share


def is_norm_or_bias(parameter: Parameter) -> bool:
    """Whether weight decay is best left off: a bias, the scale or shift of a norm, a slope; of one axis.

    Told by the last part of its name (``bias``, ``beta``, ``gamma``), or that it has less than two axes.
    """
    return len(parameter.shape) < 2 or parameter.name.rpartition(".")[2] in ("bias", "beta", "gamma")


class Group:
    """Parameters with settings of their own: ``AdamW(groups=[Group("*.bias", weight_decay=0.0)])``.

    A parameter may be in one group. Those in none follow the optimizer's settings.

    Args:
        select: parameters, such as ``model.layers[0].parameters``; or a pattern that their names match, such
            as ``"encoder.*"``; or a function of a parameter, such as `is_norm_or_bias`.
        lr_scale: factor of the optimizer's learning rate, which schedules go on to set.
        penalty: a penalty, such as ``L2(1e-4)``, or None for none, in the place of that of the layers.
        settings: arguments of the optimizer but ``lr``, ``clip_norm``, ``groups`` and ``ema``, such as
            ``weight_decay=0.0`` or ``momentum=0.8``.

    """

    def __init__(
        self,
        select: str | Iterable[Parameter] | Callable[[Parameter], bool],
        *,
        lr_scale: float = 1.0,
        penalty: Penalty | Mapping[str, float] | None = _KEEP,
        **settings: Any,
    ) -> None:
        self.select = select if isinstance(select, str) or callable(select) else tuple(select)
        self.lr_scale = within(self, "lr_scale", lr_scale, 0.0, float("inf"))
        self.keeps_penalty = penalty is _KEEP
        self.penalty = None if self.keeps_penalty else Penalty.of(penalty, "Group")
        self.settings = settings

    def holds(self, parameter: Parameter) -> bool:
        """Whether it selects the parameter."""
        if isinstance(self.select, str):
            return fnmatchcase(parameter.name, self.select)
        if callable(self.select):
            return bool(self.select(parameter))
        return any(p is parameter for p in self.select)

    def variant(self, optimizer: Any) -> Any:
        """An optimizer of the same kind with the group's settings."""
        known = optimizer.settings()
        for name in self.settings:
            if name in _OF_ALL or name not in known:
                possible = ", ".join(sorted(set(known) - set(_OF_ALL)))
                remedy = "scale the rate by lr_scale" if name == "lr" else "leave it out, or set it for all"
                expected = f"settings of a group among {possible}"
                raise ArgumentError(message(type(optimizer).__name__, expected, repr(name), remedy))
        return type(optimizer)(**{**known, "groups": (), "ema": None, **self.settings})

    def __repr__(self) -> str:
        given = {"lr_scale": self.lr_scale, **self.settings}
        if not self.keeps_penalty:
            given["penalty"] = self.penalty
        what = f"<{len(self.select)} parameters>" if isinstance(self.select, tuple) else repr(self.select)
        return f"Group({', '.join([what, *(f'{name}={value!r}' for name, value in given.items())])})"


def assign(name: str, groups: Iterable[Group], parameters: Iterable[Parameter]) -> dict[Parameter, Group]:
    """The group of each parameter that is in one.

    Args:
        name: that errors name.
        groups: of the optimizer.
        parameters: all that it has been given.

    Raises:
        ArgumentError: a parameter is in two groups, or a group holds none.

    """
    found: dict[Parameter, Group] = {}
    parameters = list(parameters)
    for group in groups:
        held = [p for p in parameters if group.holds(p)]
        if not held:
            got, remedy = f"{group!r} of none of them", "print the names in model.parameters"
            raise ArgumentError(message(name, "groups of some parameters of the step", got, remedy))
        for p in held:
            if p in found:
                got = f"{found[p]!r} and {group!r}"
                remedy = "let their patterns or lists not overlap"
                raise ArgumentError(message(name, f"one group for {p.name or 'a parameter'}", got, remedy))
            found[p] = group
    return found

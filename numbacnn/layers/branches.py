"""Layers side by side: residual and parallel branches, each a small `Graph`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from numbacnn.errors import ArgumentError, message
from numbacnn.layers.base import Layer
from numbacnn.layers.containers import from_config, to_config
from numbacnn.layers.graph import Graph
from numbacnn.layers.merge import Add, Concat
from numbacnn.layers.sequential import Sequential

_MERGES = {"concat": Concat, "add": Add}


class Residual(Graph):
    """``y = activation(branch(x) + shortcut(x))``; the gradients of both are summed.

    Args:
        branch: a layer, or a list of layers one after the other.
        shortcut: a projection, such as a 1 x 1 convolution, where the branch changes the shape; None for x
            itself.
        activation: a layer after the sum, or None.
        name: the layer's name.

    Source:
        He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition", CVPR 2016, section 3.2.

    """

    def __init__(
        self,
        branch: Layer | Sequence[Layer],
        shortcut: Layer | Sequence[Layer] | None = None,
        activation: Layer | None = None,
        *,
        name: str | None = None,
    ) -> None:
        self._branch = _one(branch)
        self._shortcut = None if shortcut is None else _one(shortcut)
        self._activation = activation
        nodes: dict[str, Any] = {"branch": (self._branch, "x")}
        if self._shortcut is not None:
            nodes["shortcut"] = (self._shortcut, "x")
        nodes["add"] = (Add(), ["branch", "x" if self._shortcut is None else "shortcut"])
        if activation is not None:
            nodes["activation"] = (activation, "add")
        super().__init__("x", nodes, "add" if activation is None else "activation", name=name)

    def config(self) -> dict[str, Any]:
        """The classes and arguments of the layers, and the name."""
        return {
            "branch": to_config(self._branch),
            "shortcut": self._shortcut and to_config(self._shortcut),
            "activation": self._activation and to_config(self._activation),
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Residual:
        """An unbuilt layer with the layers that `config` gave."""
        layers = [config[key] and from_config(config[key]) for key in ("branch", "shortcut", "activation")]
        return cls(*layers, name=config["name"])


class Parallel(Graph):
    """``y = merge(branch_1(x), branch_2(x), ..)``; the gradients of all branches are summed.

    Args:
        branches: two or more, each a layer or a list of layers one after the other.
        merge: ``"concat"``, along the channels, or ``"add"``.
        name: the layer's name.

    Source:
        Szegedy et al., "Going Deeper with Convolutions", CVPR 2015, section 4.

    """

    def __init__(
        self, branches: Sequence[Layer | Sequence[Layer]], merge: str = "concat", *, name: str | None = None
    ) -> None:
        label = name or self.default_name()
        if merge not in _MERGES:
            expected = "merge as one of " + ", ".join(map(repr, _MERGES))
            raise ArgumentError(message(label, expected, repr(merge), "choose one of them"))
        self._branches = [_one(branch) for branch in branches]
        self._merge = merge
        if len(self._branches) < 2:
            raise ArgumentError(
                message(label, "two branches or more", str(len(branches)), "use a Sequential")
            )
        nodes: dict[str, Any] = {f"branch_{k}": (branch, "x") for k, branch in enumerate(self._branches, 1)}
        nodes["merge"] = (_MERGES[merge](), list(nodes))
        super().__init__("x", nodes, "merge", name=name)

    def config(self) -> dict[str, Any]:
        """The classes and arguments of the branches, and how they are merged."""
        branches = [to_config(branch) for branch in self._branches]
        return {"branches": branches, "merge": self._merge, "name": self.name}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Parallel:
        """An unbuilt layer with the branches that `config` gave."""
        branches = [from_config(branch) for branch in config["branches"]]
        return cls(branches, config["merge"], name=config["name"])


def _one(given: Layer | Sequence[Layer]) -> Layer:
    """A layer of one or several."""
    return Sequential(given) if isinstance(given, (tuple, list)) else given  # type: ignore[return-value]

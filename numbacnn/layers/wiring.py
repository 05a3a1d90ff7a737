"""How the nodes of a graph are wired: names, order, and what cannot be."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from numbacnn.errors import ArgumentError, message
from numbacnn.layers.base import Layer

Names = str | Sequence[str]


class Node(NamedTuple):
    """One use of a layer.

    Attributes:
        name: the node's name.
        layer: what it computes with; the same object in another node is the same parameters.
        sources: the values that it takes: names of inputs and nodes, or ``"node:k"`` for output k of a node
            of several.
        single: whether the layer takes its one source itself rather than a list of them.

    """

    name: str
    layer: Layer
    sources: tuple[str, ...]
    single: bool


def names(label: str, what: str, given: Names) -> tuple[str, ...]:
    """One name or several as a tuple; ArgumentError where they are no different names."""
    names = (given,) if isinstance(given, str) else tuple(given)
    if not names or not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise ArgumentError(
            message(label, f"different names as {what}", repr(given), "pass a name or several")
        )
    return names


def node_of(label: str, key: str, value: Any) -> Node:
    """The node that a layer and what it takes make; ArgumentError where the value is no such pair."""
    shaped = isinstance(value, (tuple, list)) and len(value) == 2 and isinstance(value[0], Layer)
    if not shaped:
        expected = f"a layer and what it takes as node {key!r}"
        raise ArgumentError(message(label, expected, repr(value), "pass such as (ReLU(), 'x')"))
    layer, given = value
    sources = (given,) if isinstance(given, str) else tuple(given)
    if not sources or not all(isinstance(source, str) for source in sources):
        expected = f"a name or several that node {key!r} takes"
        raise ArgumentError(message(label, expected, repr(given), "name inputs or nodes"))
    return Node(key, layer, sources, isinstance(given, str))


def require_known(label: str, inputs: tuple[str, ...], nodes: list[Node], outputs: tuple[str, ...]) -> None:
    """ArgumentError where a name comes twice, is none, or is taken and nobody has it."""
    names = [node.name for node in nodes]
    for key in (*inputs, *names):
        if not isinstance(key, str) or not re.fullmatch(r"\w[\w-]*", key):
            expected = "names of letters, digits, '_' and '-'"
            raise ArgumentError(message(label, expected, repr(key), "choose another name"))
    if twice := set(inputs) & set(names):
        expected = "different names for inputs and nodes"
        raise ArgumentError(message(label, expected, f"{min(twice)!r} twice", "rename one of them"))
    for node in nodes:
        for source in node.sources:
            if source.partition(":")[0] not in (*names, *inputs):
                expected = f"inputs or nodes as what {node.name!r} takes"
                raise ArgumentError(message(label, expected, f"the unknown {source!r}", "check the names"))
    for output in outputs:
        if output.partition(":")[0] not in names:
            raise ArgumentError(
                message(label, "nodes as outputs", f"the unknown {output!r}", "check the names")
            )


def ordered(label: str, inputs: tuple[str, ...], nodes: list[Node]) -> list[Node]:
    """The nodes, each after those that it takes, else as they stand."""
    done, order, left = set(inputs), [], nodes
    while left:
        waiting = []
        for node in left:
            if all(source.partition(":")[0] in done for source in node.sources):
                order.append(node)
                done.add(node.name)
            else:
                waiting.append(node)
        if len(waiting) == len(left):
            circle = " -> ".join(map(repr, _circle(waiting)))
            raise ArgumentError(message(label, "nodes that form no circle", circle, "break it somewhere"))
        left = waiting
    return order


def _circle(nodes: list[Node]) -> list[str]:
    """Names of nodes that each take the one before, and the first the last; all given nodes wait for some."""
    by_name = {node.name: node for node in nodes}
    path = [nodes[0].name]
    while path.count(path[-1]) < 2:
        stems = (source.partition(":")[0] for source in by_name[path[-1]].sources)
        path.append(next(stem for stem in stems if stem in by_name))
    return path[path.index(path[-1]) :][::-1]


def require_used(label: str, inputs: tuple[str, ...], nodes: list[Node], outputs: tuple[str, ...]) -> None:
    """ArgumentError where an input or a node leads to no output."""
    used = {output.partition(":")[0] for output in outputs}
    for node in reversed(nodes):
        if node.name in used:
            used |= {source.partition(":")[0] for source in node.sources}
    for key in (*inputs, *(node.name for node in nodes)):
        if key not in used:
            expected = "inputs and nodes that lead to an output"
            raise ArgumentError(message(label, expected, f"the unused {key!r}", "take it out, or use it"))

"""Imports run down the floors of docs/design.md, and never in a circle."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "numbacnn"

# From the ground up; a unit is a module or a package. On one floor a unit may import those to its left.
FLOORS = [
    ["errors", "config", "memory", "_deferred", "_native", "_compile", "_threads", "_jit"],
    ["_sizes", "dims", "pool_dims", "axis_maps", "receptive", "epilogue", "update_rules", "memory"],
    ["kernels.reference", "kernels.cpu", "kernels.cuda"],
    ["tensor"],
    ["functional"],
    ["parameter", "initializers"],
    ["layers", "losses", "metrics"],
    ["loss_scale", "optimizers", "schedules", "regularizers"],
    ["serialization", "data"],
    ["training", "models"],
    ["plotting", "cli", "__main__"],
]
HEIGHT = {unit: (floor, place) for floor, units in enumerate(FLOORS) for place, unit in enumerate(units)}
ROOT_NAMES = {"__version__"}  # what the package itself defines; all else it only forwards


def modules() -> dict[str, Path]:
    """Each file of the package by its dotted name below the package; the package itself is ""."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def unit_of(module: str) -> str | None:
    return next((u for u in HEIGHT if module == u or module.startswith(u + ".")), None)


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def run_time_nodes(nodes: list[ast.AST], late: bool) -> Iterator[ast.AST]:
    """All nodes but those that only type checkers see; with `late` also those in bodies of functions."""
    for node in nodes:
        if is_type_checking(node):
            yield from run_time_nodes(node.orelse, late)
        elif late or not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield node
            yield from run_time_nodes(list(ast.iter_child_nodes(node)), late)


def below(module: str, names: list[str]) -> set[str]:
    """The modules that ``from module import names`` loads: submodules where the names are such."""
    inner = {f"{module}.{name}".lstrip(".") for name in names}
    own = {module} if any(f"{module}.{name}".lstrip(".") not in MODULES for name in names) else set()
    return {m for m in inner if m in MODULES} | own


def imports(module: str, path: Path, source: str, late: bool = True) -> set[str]:
    """The modules of the package that a file imports, as dotted names below the package."""
    found: set[str] = set()
    parents = module.split(".") if module else []
    folder = parents if path.name == "__init__.py" else parents[:-1]
    for node in run_time_nodes(ast.parse(source).body, late):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name == "numbacnn" or alias.name.startswith("numbacnn."):
                    found.add(alias.name.removeprefix("numbacnn").lstrip("."))
        elif isinstance(node, ast.ImportFrom):
            source = (node.module or "").split(".")
            if node.level:
                target = [*folder[: len(folder) - node.level + 1], *filter(None, source)]
            elif source[0] == "numbacnn":
                target = source[1:]
            else:
                continue
            names = [alias.name for alias in node.names if target or alias.name not in ROOT_NAMES]
            found |= below(".".join(target), names)
    return found


SOURCES = {name: path.read_text(encoding="utf-8") for name, path in MODULES.items()}
IMPORTS = {name: imports(name, path, SOURCES[name]) for name, path in MODULES.items()}


@pytest.mark.parametrize("module", [m for m in MODULES if m not in ("", "kernels")])
def test_each_file_has_a_floor_and_imports_from_below(module):
    unit = unit_of(module)
    assert unit is not None, f"numbacnn/{module} stands on no floor: add it to FLOORS and to docs/design.md"
    for imported in IMPORTS[module]:
        other = unit_of(imported)
        assert other is not None, f"{module} imports numbacnn.{imported}, which stands on no floor"
        assert other == unit or HEIGHT[other] < HEIGHT[unit], f"{module} imports {imported} from above"


@pytest.mark.parametrize("module", ["", "kernels"])
def test_the_packages_above_all_import_nothing_but_settings(module):
    assert IMPORTS[module] <= {"config"}


def test_no_file_imports_itself_by_a_circle():
    """On being loaded: a function may import what loaded it."""
    at_once = {name: imports(name, path, SOURCES[name], late=False) for name, path in MODULES.items()}
    try:
        order = list(TopologicalSorter(at_once).static_order())
    except CycleError as error:
        pytest.fail(f"imports in a circle: {error.args[1]}")
    assert set(MODULES) <= set(order)


def test_every_floor_is_inhabited():
    assert {unit_of(m) for m in MODULES} - {None} == set(HEIGHT)


def test_the_walk_sees_each_form_of_import():
    source = """
from __future__ import annotations
import numbacnn.dims
import numbacnn
from numbacnn import errors, __version__
from ... import __version__
from ...tensor import Tensor
from . import pool
from .simd import load
if TYPE_CHECKING:
    from numbacnn.training import fit
else:
    from numbacnn import config
def late():
    from numbacnn.functional import conv, conv_forward
"""
    path = PACKAGE / "kernels/cpu/conv.py"
    at_once = {"dims", "", "errors", "tensor", "kernels.cpu.pool", "kernels.cpu.simd", "config"}
    assert imports("kernels.cpu.conv", path, source, late=False) == at_once
    assert imports("kernels.cpu.conv", path, source) == at_once | {"functional.conv", "functional"}

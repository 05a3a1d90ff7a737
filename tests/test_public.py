"""The public names: what is listed is there, lists agree, and importing stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import numbacnn

ROOT = Path(numbacnn.__file__).parents[1]
HEAVY = {
    "PIL",
    "llvmlite",
    "matplotlib",
    "mlxtend",
    "numba",
    "safetensors",
    "scipy",
    "sklearn",
    "torch",
    "tqdm",
}


def typed_names():
    """The names imported for type checkers, by module."""
    tree = ast.parse(Path(numbacnn.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    return {
        node.module: {alias.name for alias in node.names}
        for node in block.body
        if isinstance(node, ast.ImportFrom)
    }


def test_both_lists_of_names_agree():
    assert typed_names() == {module: set(names) for module, names in numbacnn._NAMES.items()}
    assert sorted(numbacnn.__all__) == sorted([*numbacnn._HOME, *numbacnn._MODULES, "config"])


@pytest.mark.parametrize("name", numbacnn.__all__)
def test_every_public_name_is_there(name):
    assert getattr(numbacnn, name) is not None
    assert name in dir(numbacnn)


def test_config_is_the_object():
    import numbacnn.layers  # loads the module of the same name

    assert numbacnn.config.check_finite is False


def test_unknown_names_are_refused():
    with pytest.raises(AttributeError, match="no attribute 'Conv4D'"):
        numbacnn.Conv4D


def loaded(code):
    script = f"{code}\nimport sys\nprint(*sorted({{m.partition('.')[0] for m in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(done.stdout.split())


def test_importing_loads_nothing_heavy():
    assert not loaded("import numbacnn") & HEAVY


def test_a_model_loads_not_even_the_compiler():
    code = "import numbacnn as n; m = n.lenet5(); m.build((28, 28, 1)); m.summary()"
    # llvmlite is what loads compiled kernels
    assert loaded(code) & (HEAVY | {"numba"}) <= {"numpy", "llvmlite"}

"""Importing is light: what only some people need is imported when they need it."""

import subprocess
import sys

import pytest

HEAVY = [
    "PIL",
    "matplotlib",
    "mlxtend",
    "pandas",
    "safetensors",
    "sklearn",
    "torch",
    "tqdm",
]


def loaded_by(statement: str) -> set[str]:
    """The modules in memory after a statement in a fresh interpreter."""
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import numbacnn",
        "import numbacnn.functional",
        "import numbacnn.layers, numbacnn.losses, numbacnn.optimizers",
        "import numbacnn.models, numbacnn.data, numbacnn.serialization",
        "import numbacnn.training",
        "import numbacnn.cli",
    ],
)
def test_nothing_heavy_is_imported(statement):
    loaded = loaded_by(statement)
    assert not {name.partition(".")[0] for name in loaded} & set(HEAVY)
    # Not even Numba, which only compiling needs: it is half the time to a first prediction.
    assert not {"numba", "scipy"} & {name.partition(".")[0] for name in loaded}


def test_the_package_alone_imports_neither_numba_nor_numpy():
    loaded = loaded_by("import numbacnn")
    assert not {"numba", "numpy"} & loaded
    assert "numbacnn.config" in loaded


def test_geometry_needs_no_numpy():
    assert "numpy" not in loaded_by("import numbacnn.dims")

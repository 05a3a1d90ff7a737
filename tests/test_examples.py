"""The examples run, and the README shows what they are."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"


def run(name, folder):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, EXAMPLES / name],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=folder,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_example_has_a_test():
    assert sorted(path.name for path in EXAMPLES.glob("*.py")) == ["embed.py", "train_digits.py"]


def test_embedding(tmp_path):
    share = int(run("embed.py", tmp_path).split("%")[0])
    assert share >= 95
    assert (tmp_path / "bars.safetensors").exists()


def test_training(tmp_path):
    pytest.importorskip("sklearn")
    out = run("train_digits.py", tmp_path)
    answers, truth = (line.split()[1:] for line in out.splitlines()[-2:])
    assert sum(a == b for a, b in zip(answers, truth, strict=True)) >= 9


def test_the_readme_shows_the_embedding_example():
    source = (EXAMPLES / "embed.py").read_text()
    body = source[source.index("import numpy") :].strip()
    blocks = (ROOT / "README.md").read_text().split("```python\n")[1:]
    assert body in [block.partition("```")[0].strip() for block in blocks]
    assert len(ast.parse(body).body) == 10

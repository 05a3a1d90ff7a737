"""The real bindings take what `_cuda_driver` gives them: over a driver in C that needs no GPU."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
WORKS = ["devices", "copies", "events", "functions", "graphs", "sharing", "memory_runs_out", "loops"]

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux" or not shutil.which("cc"), reason="no C compiler"),
    pytest.mark.skipif(importlib.util.find_spec("cuda") is None, reason="cuda-bindings is not installed"),
]


@pytest.fixture(scope="module")
def child(tmp_path_factory):
    folder = tmp_path_factory.mktemp("driver")
    library = folder / "libcuda.so.1"
    command = ["cc", "-shared", "-fPIC", "-o", str(library), str(HERE / "fake_driver.c"), "-ldl"]
    subprocess.run(command, check=True, capture_output=True)
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "0", "LD_LIBRARY_PATH": str(folder)}

    def run(work):
        command = [sys.executable, "-m", f"{__package__}.bindings_child", work]
        return subprocess.run(
            command, capture_output=True, text=True, env=environment, timeout=120, cwd=HERE.parents[1]
        )

    return run


@pytest.mark.parametrize("work", WORKS)
def test_the_bindings_work(child, work):
    done = child(work)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [work]
    assert not done.stderr

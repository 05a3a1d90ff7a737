"""The script for a GPU, in the simulator: it checks, it notices what is wrong, it measures."""

import importlib
import inspect
import json
import os
import pkgutil
from pathlib import Path

os.environ.setdefault("NUMBA_ENABLE_CUDASIM", "1")  # before anything asks, as in tests/cuda/conftest.py

import numpy as np
import pytest

from bench import gpu, gpu_case, gpu_check, gpu_intrinsics, gpu_speed, gpu_stack
from numbacnn.kernels import cuda, reference
from numbacnn.kernels.cuda import _driver, intrinsics, update
from numbacnn.update_rules import RULES

pytestmark = pytest.mark.skipif(not _driver.simulated(), reason="shown in the simulator")


def test_checks_print_a_line_each_and_a_table_last(capsys, tmp_path):
    path = tmp_path / "rows.json"
    assert gpu.main(["--check", "--small", "--only", "memory", "update", "--json", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("device: SIMULATED")
    rows = json.loads(path.read_text())["rows"]
    assert len(rows) == 3 + 2 * (len(RULES) + 3) and {row["state"] for row in rows} == {"ok"}
    assert sum(line.startswith("ok ") for line in lines) == len(rows)
    assert lines[-1].split()[:4] == ["all", str(len(rows)), "0", "0"]


def test_a_wrong_kernel_a_race_and_a_crash_fail(monkeypatch, capsys):
    right, calls = update.optimizer_step, []

    def wrong(*given):
        right(*given[:-1], given[-1]._replace(lr=1.1 * given[-1].lr))

    def other(*given):
        calls.append(1)
        right(*given[:-1], given[-1]._replace(lr=given[-1].lr * (1 + 1e-4 * len(calls))))

    case = next(gpu_check.update_cases(True))
    monkeypatch.setattr(update, "optimizer_step", wrong)
    with pytest.raises(AssertionError, match="more than"):
        gpu_case.compare(case, "exact")
    monkeypatch.setattr(update, "optimizer_step", other)
    with pytest.raises(AssertionError, match="two runs differ"):
        gpu_case.compare(case, "exact")

    def crash():
        raise ValueError("broken\noff")

    def absent():
        raise gpu_stack.SkippedError("not here")

    checks = [("one", crash), ("two", absent), ("three", lambda: "fine")]
    monkeypatch.setitem(gpu.CHECKS, "some", lambda small: iter(checks))
    assert gpu.main(["--check", "--only", "some"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "FAILED  some: one: ValueError: broken off" in lines
    assert lines[-1].split()[:4] == ["all", "1", "1", "1"]


def test_every_intrinsic_is_tried():
    text = Path(gpu_intrinsics.__file__).read_text(encoding="utf-8")
    body = text[text.index("if TYPE_CHECKING") :]
    assert [word for word in intrinsics.__all__ if f"{word}(" not in body] == []


def test_intrinsics_equal_their_twins_and_a_difference_is_seen():
    trials = {trial.name: trial for trial in gpu_intrinsics.trials(64 << 10)}
    for name in (
        "exp float32",
        "load4 and store4 bfloat16",
        "shuffles float32",
        "copy_async 4 float32",
        "mma_bf16",
    ):
        gpu_intrinsics.compare(trials[name])
    trial = trials["barriers float32"]
    other = trial.variant.kernel.of()
    right = other.simulate

    class Wrong:
        def __call__(self, grid, x, out):
            other(grid, x, out)

        def simulate(self, grid, x, out):
            right(grid, x, out)
            out[5] += np.float32(1e-3)

    with pytest.raises(AssertionError, match="1 of 128 differ, first at 5"):
        gpu_intrinsics.compare(trial._replace(variant=Wrong()))


def test_every_kernel_of_every_file_has_a_case():
    named = {(case.file, case.name) for cases in gpu_check.SECTIONS.values() for case in cases(True)}
    for file in pkgutil.iter_modules(cuda.__path__):
        if file.name.startswith(("_", "ptx")):
            continue
        module = importlib.import_module(f"{cuda.__name__}.{file.name}")
        for name, value in vars(module).items():
            if inspect.isfunction(value) and value.__module__ == module.__name__:
                assert (file.name, name) in named or not hasattr(reference, name), f"{file.name}.{name}"


@pytest.mark.slow
def test_speeds_are_measured_and_summed_up(capsys, tmp_path):
    path = tmp_path / "speeds.json"
    options = ["--small", "--rounds", "1", "--json", str(path)]
    assert gpu.main(["--bench", "--only", "launch", "gemm", "memory", *options]) == 0
    report = json.loads(path.read_text())
    assert all(row["ours"] > 0 for row in report["rows"])
    assert {row["section"] for row in report["rows"]} == {"launch", "gemm", "memory"}
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == f"rows: {len(report['rows'])}, wrong or broken off: 0"
    assert any(line.startswith("SIMULATED") for line in lines)


def test_a_wrong_result_has_no_speed(monkeypatch):
    pytest.importorskip("torch")
    from numbacnn import functional

    right = functional.dense_forward
    monkeypatch.setattr(functional, "dense_forward", lambda x, w: functional.add(right(x, w), right(x, w)))
    settings = gpu_speed.Settings(small=True, rounds=1)
    rows = gpu_speed.measure(["gemm"], settings, lambda rows: None)
    assert all("differs from the peer" in row["error"] and "ratio" not in row for row in rows)


@pytest.mark.slow
@pytest.mark.parametrize(
    "section",
    [
        "intrinsics",
        "pool",
        "gather",
        "elementwise",
        "activation",
        "layers",
        "norm",
        "losses",
        "conv",
        "training",
    ],
)
def test_all_small_checks_pass(section):
    assert gpu.main(["--check", "--small", "--only", section]) == 0


@pytest.mark.slow
def test_convolutions_and_steps_are_measured():
    assert gpu.main(["--bench", "--small", "--rounds", "1", "--only", "conv", "steps"]) == 0


def test_what_is_launched_is_known_without_running_it():
    from bench import gpu_compile

    settings = gpu_speed.Settings(small=True)
    kernels = gpu_compile.wanted(["update", "intrinsics"], settings)
    assert kernels == gpu_compile.wanted(["intrinsics", "update"], settings)
    rules = {dict(k.constants)["RULE"] for k in kernels if k.kernel == "step"}
    assert rules == set(RULES)
    assert {k.real for k in kernels} == {"f32", "f64"}
    assert gpu_compile._compile(kernels.pop()._replace(kernel="absent"), (8, 0)).count("AttributeError") == 1
    gpu_case.compare(next(gpu_check.update_cases(True)), "exact")  # kernels run again afterwards

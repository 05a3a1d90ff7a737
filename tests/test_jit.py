"""Compilation, the cache on disk, and the thread pool."""

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from numbacnn import _jit, _threads
from numbacnn._jit import jit, kernel, parts_for, run, run_slots, split
from numbacnn.errors import ArgumentError

PACKAGE = Path(_jit.__file__).parent
LAYERS = ["omp", "workqueue"]


def child(code, cwd=None, **environment):
    """The output of a Python process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done


@jit
def _mark(slot, part, parts, visits, slots):
    visits[part] += 1
    slots[part] = slot


@kernel
def _visit(team, parts, visits, slots):
    run_slots(team, _mark, parts, (visits, slots))


@pytest.mark.parametrize("parts", [0, 1, 2, 7, 1000])
@pytest.mark.parametrize("work", [0.0, 1e9])
def test_every_part_runs_once_in_a_slot_of_the_team(parts, work):
    visits, slots = np.zeros(parts, np.int64), np.full(parts, -1)
    _visit(work, parts, visits, slots)
    assert (visits == 1).all()
    assert ((slots >= 0) & (slots < _jit.get_num_threads())).all()
    if work == 0:
        assert (slots == 0).all()


def test_small_work_stays_serial_and_large_work_takes_the_pool():
    assert _threads.POOL.team(_threads.SERIAL_NS - 1) is _threads.SERIAL
    if _jit.get_num_threads() > 1:
        entry, threads = _threads.POOL.team(_threads.SERIAL_NS)
        assert entry != 0
        assert threads == _jit.get_num_threads()


@kernel
def _bounds(team, n, ranges):
    for part in range(ranges.shape[0]):
        ranges[part, 0], ranges[part, 1] = split(part, ranges.shape[0], n)


@pytest.mark.parametrize(("n", "parts"), [(0, 1), (10, 3), (3, 10), (1 << 40, 7)])
def test_split_covers_every_item_once(n, parts):
    ranges = np.full((parts, 2), -1)
    _bounds(0.0, n, ranges)
    assert ranges[0, 0] == 0
    assert ranges[-1, 1] == n
    assert (ranges[1:, 0] == ranges[:-1, 1]).all()


@pytest.mark.parametrize(("n", "grain", "parts"), [(0, 10, 1), (1, 10, 1), (10, 10, 1), (11, 10, 2)])
def test_parts_depend_on_sizes_alone(n, grain, parts):
    assert parts_for(n, grain) == parts


@pytest.mark.parametrize("threads", [0, -1, 10_000, 1.5, "2", True])
def test_a_bad_number_of_threads_is_refused(threads):
    with pytest.raises(ArgumentError, match="set_num_threads: expected"):
        _jit.set_num_threads(threads)


def test_threads_default_to_the_affinity_mask(monkeypatch):
    monkeypatch.setattr(_threads.os, "sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    monkeypatch.setattr(_threads, "_cgroup_quota", lambda: float("inf"))
    assert _threads._available_cpus() == 3


@pytest.mark.parametrize(("quota", "cpus"), [(0.5, 1), (1.5, 2), (2.0, 2), (64.0, 3)])
def test_threads_are_capped_by_the_containers_quota(quota, cpus, monkeypatch):
    monkeypatch.setattr(_threads.os, "sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    monkeypatch.setattr(_threads, "_cgroup_quota", lambda: quota)
    assert _threads._available_cpus() == cpus


CONVOLVE = """
import numpy as np, threading, os, sys
from numbacnn import _jit, _threads
from numbacnn.dims import ConvDims
from numbacnn.kernels.cpu import conv

rng = np.random.default_rng(0)
dims = ConvDims.of((4, 30, 30, 16), (3, 3, 16, 40), padding="same")
x, w = (rng.standard_normal(s, dtype=np.float32) for s in (dims.input_shape, dims.kernel_shape))

def forward():
    y = np.empty(dims.output_shape, np.float32)
    conv.conv_forward(dims, x, w, None, y)
    return y
"""


@pytest.mark.parametrize("layer", LAYERS)
def test_eight_python_threads_may_call_kernels_at_once(layer):
    code = """
    expected, wrong = forward(), []

    def work():
        for _ in range(50):
            if not np.array_equal(forward(), expected):
                wrong.append(1)

    callers = [threading.Thread(target=work) for _ in range(8)]
    for c in callers:
        c.start()
    for c in callers:
        c.join()
    print(_jit.threading_layer(), len(wrong))
    """
    done = child(CONVOLVE + textwrap.dedent(code), NUMBA_THREADING_LAYER=layer, NUMBA_NUM_THREADS="2")
    assert done.stdout == f"{layer} 0\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.parametrize("layer", LAYERS)
def test_a_forked_child_computes_serially_and_lives(layer):
    code = """
    expected = forward()
    assert _threads.POOL.layer is not None
    child = os.fork()
    if child == 0:
        same = np.array_equal(forward(), expected) and _jit.get_num_threads() == 1
        os._exit(0 if same else 3)
    _, status = os.waitpid(child, 0)
    assert np.array_equal(forward(), expected)
    print(os.waitstatus_to_exitcode(status))
    """
    done = child(CONVOLVE + textwrap.dedent(code), NUMBA_THREADING_LAYER=layer, NUMBA_NUM_THREADS="2")
    assert done.stdout == "0\n"


REPORT = """
import warnings
warnings.simplefilter("always")
from numbacnn import _jit
import numpy as np
from numbacnn.kernels.cpu.elementwise import relu_forward
x = np.array([-1.0, 2.0], np.float32)
y = np.full_like(x, 7)
relu_forward(x, y)
relu_forward(x, y)
print(_jit.cache_dir(), y.tolist())
"""


def copied_package(tmp_path):
    """A copy of the package, which a process started beside it imports."""
    shutil.copytree(PACKAGE, tmp_path / "numbacnn", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def compiled(folder):
    return sorted(p.name for p in Path(folder).rglob("*.o"))


def test_an_edited_kernel_never_runs_stale_code(tmp_path):
    root = copied_package(tmp_path)
    environment = {"PYTHONPATH": str(root), "NUMBACNN_CACHE_DIR": str(tmp_path / "cache")}
    first = child(REPORT, cwd=root, **environment).stdout
    assert first.endswith("[0.0, 2.0]\n")
    assert child(REPORT, cwd=root, **environment).stdout == first  # from the cache
    # what the kernel calls, in another file than the kernel: Numba's own index would not look there
    source = root / "numbacnn" / "_jit.py"
    text = source.read_text()
    edited = text.replace("return n * part // parts, n * (part + 1) // parts", "return 0, 0")
    assert edited != text
    source.write_text(edited)
    assert child(REPORT, cwd=root, **environment).stdout.endswith("[7.0, 7.0]\n")


def test_a_second_process_compiles_nothing(tmp_path):
    environment = {"NUMBACNN_CACHE_DIR": str(tmp_path)}
    child(REPORT, **environment)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()}
    assert any(p.suffix == ".o" for p in before)
    child(REPORT, **environment)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()} == before


READ_ONLY = """
from numbacnn import _jit

real = _jit._writable
_jit._writable = lambda folder: real(folder) and not any(str(folder).startswith(b) for b in {blocked!r})
"""


def test_an_unwritable_folder_gives_way_to_the_users(tmp_path):
    root = copied_package(tmp_path)
    home = tmp_path / "home"
    code = READ_ONLY.format(blocked=[str(root / "numbacnn")]) + REPORT
    done = child(code, cwd=root, PYTHONPATH=str(root), XDG_CACHE_HOME=str(home), NUMBACNN_CACHE_DIR="")
    assert done.stdout.startswith(str(home / "numbacnn"))
    assert "CacheWarning" not in done.stderr
    assert compiled(home)


def test_without_any_writable_folder_one_warning_says_so(tmp_path):
    root = copied_package(tmp_path)
    home = tmp_path / "home"
    code = READ_ONLY.format(blocked=[str(tmp_path)]) + REPORT
    done = child(code, cwd=root, PYTHONPATH=str(root), XDG_CACHE_HOME=str(home), NUMBACNN_CACHE_DIR="")
    assert done.stdout == "None [0.0, 2.0]\n"
    assert done.stderr.count("CacheWarning") == 1
    assert "set NUMBACNN_CACHE_DIR to a writable folder" in done.stderr
    assert not compiled(home)


def test_old_caches_are_removed_but_the_newest(tmp_path):
    for age in range(12):
        folder = tmp_path / f"kernels-{age:02}"
        folder.mkdir()
        os.utime(folder, (1000 - age, 1000 - age))
    keep = tmp_path / "kernels-new"
    keep.mkdir()
    _jit._prune(tmp_path, keep)
    kept = sorted(p.name for p in tmp_path.iterdir())
    assert kept == [f"kernels-{age:02}" for age in range(_jit._KEPT_CACHES - 1)] + ["kernels-new"]


@jit
def _sum_part(part, parts, x, partial):
    lo, hi = split(part, parts, x.size)
    total = 0.0
    for i in range(lo, hi):
        total += x[i]
    partial[part] = total


@kernel
def _sum(team, x, partial):
    run(team, _sum_part, partial.size, (x, partial))
    return partial.sum()


def test_a_kernel_returns_what_its_function_returns():
    x = np.arange(1000.0)
    assert _sum(1e9, x, np.empty(7)) == x.sum()

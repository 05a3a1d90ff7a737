"""Object files of kernels: loaded and called without Numba, and never the wrong ones."""

import os
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from numbacnn import _native
from numbacnn._deferred import intrinsic, types
from numbacnn._jit import cache_dir, jit, kernel, run, run_slots, split
from numbacnn.errors import ArgumentError

PREDICT = """
import sys, hashlib
import numpy as np
from numbacnn.models import lenet5
model = lenet5()
model.build((28, 28, 1), 0)
x = np.random.default_rng(0).standard_normal((2, 28, 28, 1), dtype=np.float32)
result = model(x).numpy()
print(hashlib.sha256(result.tobytes()).hexdigest(), "numba" in sys.modules)
"""


def start(folder, code=PREDICT, **environment):
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "NUMBACNN_CACHE_DIR": str(folder), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def said(process):
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return output.split()


def objects(folder):
    return sorted(Path(folder).rglob("*.o"))


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A folder of LeNet-5's kernels, and what it predicts."""
    folder = tmp_path_factory.mktemp("filled")
    result, numba = said(start(folder))
    assert numba == "True"
    return folder, result


def test_a_prediction_from_the_cache_does_not_import_numba(filled):
    folder, result = filled
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    assert said(start(folder)) == [result, "False"]
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*")} == before


@pytest.mark.parametrize("damage", ["truncated", "empty", "foreign", "flipped", "renamed"])
def test_a_damaged_object_is_compiled_anew(filled, tmp_path, damage):
    folder, result = filled
    for path in objects(folder):
        target = tmp_path / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    victim = next(p for p in objects(tmp_path) if "._relu-" in p.name)
    whole = victim.read_bytes()
    other = next(p for p in objects(tmp_path) if "._max-" in p.name).read_bytes()
    flipped = whole[:1000] + bytes([whole[1000] ^ 1]) + whole[1001:]
    damaged = {"truncated": whole[:-100], "empty": b"", "foreign": b"MZ" * 999, "flipped": flipped}
    victim.write_bytes(damaged.get(damage, other))
    assert said(start(tmp_path)) == [result, "True"]
    assert said(start(tmp_path)) == [result, "False"]


@pytest.mark.slow
def test_another_cpus_objects_are_left_alone(filled, tmp_path):
    code = "import llvmlite.binding as b; print(int(b.get_host_cpu_features().get('avx2', False)))" + PREDICT
    host = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx2,+fma"}
    avx2, _, numba = said(start(tmp_path, code, **host))
    if avx2 == "0":
        pytest.skip("the host cannot run Haswell's code")
    assert numba == "True"
    other = objects(tmp_path)
    assert said(start(tmp_path))[1] == "True"
    assert len(objects(tmp_path)) == 2 * len(other)  # side by side in one folder
    assert said(start(tmp_path, code, **host))[2] == "False"
    assert said(start(tmp_path)) == [filled[1], "False"]


def test_processes_may_fill_a_folder_at_once(filled, tmp_path):
    running = [start(tmp_path) for _ in range(3)]
    assert {said(process)[0] for process in running} == {filled[1]}
    assert {p.suffix for p in tmp_path.rglob("*") if p.is_file()} == {".o"}  # nothing half written is left
    assert said(start(tmp_path)) == [filled[1], "False"]


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path):
    _native.write(tmp_path / "lost", "name", b"code")
    assert _native.read(tmp_path / "lost", "name") is None


@jit
def _fill_part(part, parts, y, value):
    lo, hi = split(part, parts, y.size)
    for i in range(lo, hi):
        y[i] = value


@kernel
def _fill(team, parts, y, value):
    run(team, _fill_part, parts, (y, value))


def test_threads_may_compile_a_kernel_at_once():
    outs = [np.zeros(1000) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda y: _fill(0.0, 4, y, 2.5), outs))
    assert all((y == 2.5).all() for y in outs)


@kernel
def _everything(team, flag, whole, small, single, double, nested, table, out):
    (a, (b, c)) = nested
    out[0], out[1], out[2] = flag, whole, small
    out[3], out[4] = single, double
    out[5], out[6], out[7] = a, b, c
    out[8], out[9] = table.shape[0], table.shape[1]
    out[10], out[11], out[12] = table[0, 1], table[-1, 0], team[1]
    return 7 if flag else 0


@pytest.mark.parametrize("flag", [True, False])
def test_each_kind_of_argument_arrives(flag):
    table, out = np.arange(12, dtype=np.uint8).reshape(4, 3), np.zeros(13)
    nested = (-5, (np.float32(0.1), 2.5))
    result = _everything(0.0, flag, -(1 << 40), np.int32(-3), np.float32(0.1), 0.1, nested, table, out)
    assert result == (7 if flag else 0)
    single = float(np.float32(0.1))
    assert out.tolist() == [flag, -(1 << 40), -3, single, 0.1, -5, single, 2.5, 4, 3, 1, 9, 1]


def test_each_signature_has_code_of_its_own():
    for dtype in (np.float32, np.float64, np.int64):
        y = np.zeros(10, dtype)
        _fill(0.0, 2, y, dtype(3))
        assert (y == 3).all()
    assert len({p.name for p in objects(cache_dir()) if "._fill-" in p.name}) >= 3


@intrinsic(prefer_literal=True)
def _literal(typingctx, value):
    """The value, where it is known when the kernel is compiled, else -1."""

    def codegen(context, builder, signature, args):
        return context.get_constant(types.intp, getattr(value, "literal_value", -1))

    return types.intp(value), codegen


@jit
def _write_part(slot, part, parts, value, y):
    y[part] = _literal(value)


@kernel
def _write_literal(team, value, y):
    run_slots(team, _write_part, y.size, (value, y))


def test_a_literal_is_known_to_all_that_a_kernel_calls_and_is_told_from_an_integer():
    for value, known in ((_native.Literal(4), 4), (_native.Literal(3), 3), (4, -1)):
        y = np.zeros(3, np.int64)
        for arguments in ((value, y), (_native.Flat((value, y)),)):
            y.fill(0)
            _write_literal(0.0, *arguments)
            assert (y == known).all()
    assert _native.signature((_native.Literal(4), 4)) != _native.signature((4, 4))


def test_arrays_with_gaps_are_refused():
    with pytest.raises(ArgumentError, match="array 1 of the arguments is not C-contiguous"):
        _fill(0.0, 1, np.zeros(20)[::2], 1.0)


@kernel
def _allocating(team, x):
    x[:] = np.sort(x)


def test_code_that_an_object_file_cannot_hold_is_refused():
    with pytest.raises(RuntimeError, match=r"calls what an object file does not bring: .*NRT_"):
        _allocating(0.0, np.zeros(3))

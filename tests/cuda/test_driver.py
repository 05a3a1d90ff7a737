"""Devices, streams and events, and that the simulated driver has the functions of the real one."""

import ast
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from numbacnn.errors import ArgumentError, DeviceError
from numbacnn.kernels.cuda import _driver
from numbacnn.kernels.cuda._driver import Event, Stream

PACKAGE = Path(_driver.__file__).parent


def functions(name):
    """The public functions of a module with their parameters, read without loading it."""
    tree = ast.parse((PACKAGE / f"{name}.py").read_text(encoding="utf-8"))
    return {
        node.name: [a.arg for a in node.args.args]
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    }


def test_the_simulated_driver_has_the_functions_of_the_real_one():
    real, simulated = functions("_cuda_driver"), functions("_simulated_driver")
    assert real == simulated
    assert {"allocate", "launch", "record"} <= set(real)


def test_the_real_driver_calls_what_the_bindings_have():
    driver = pytest.importorskip("cuda.bindings.driver")
    source = (PACKAGE / "_cuda_driver.py").read_text(encoding="utf-8")
    names = [n.attr for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Attribute)]
    used = [name for name in names if name.startswith(("cu", "CU"))]
    assert len(used) > 30
    for name in used:
        parents = [driver, *vars(driver).values()]
        assert any(hasattr(parent, name) for parent in parents), name


def test_only_one_file_knows_the_driver():
    owners = {
        path.name
        for path in PACKAGE.parent.parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        and any("cuda.bindings.driver" in f"{getattr(node, 'module', '')}.{a.name}" for a in node.names)
    }
    assert owners == {"_cuda_driver.py"}


def test_a_device_says_what_it_is():
    device = _driver.device()
    assert device.index == 0
    assert device is _driver.device(0)
    major, minor = device.capability
    assert major >= 7 and minor >= 0
    assert device.multiprocessors > 0 and device.memory_bytes > 1 << 20
    assert 48 << 10 <= device.shared_limit <= 1 << 20
    assert device.name
    assert len(_driver.driver_version()) == 2


def test_a_device_that_is_not_there_is_named():
    with pytest.raises(DeviceError, match=r"device: expected 'cuda.*', got 'cuda:99'"):
        _driver.device(99)
    with pytest.raises(DeviceError, match="cuda:-1"):
        _driver.use(-1)


def test_streams_nest_and_restore():
    start = _driver.current_stream()
    assert start is _driver.default_stream(0)
    a, b = Stream(), Stream()
    with a:
        assert _driver.current_stream() is a
        with b, a:
            assert _driver.current_stream() is a
        assert _driver.current_stream() is a
    with pytest.raises(ZeroDivisionError), b:
        1 / 0
    assert _driver.current_stream() is start
    assert a.handle != b.handle
    for stream in (a, b):
        stream.synchronize()
        stream.wait(start)
        stream.wait(stream)
    assert "Stream(handle=" in repr(a)


def test_each_device_has_a_current_stream_of_its_own(simulator):
    other = Stream(1)
    with other:
        assert _driver.device().index == 1
        with _driver.on(0):
            assert _driver.current_stream() is _driver.default_stream(0)
        assert _driver.current_stream() is other
        with Stream(0) as inner:
            assert _driver.current_stream() is inner
            with _driver.on(1):
                assert _driver.current_stream() is other
    assert _driver.device().index == 0
    with _driver.on(1):
        assert _driver.current_stream() is _driver.default_stream(1)


def test_a_thread_starts_on_the_first_device(simulator):
    seen = []
    with Stream(1):
        thread = threading.Thread(target=lambda: seen.append(_driver.current_stream()))
        thread.start()
        thread.join()
    assert seen == [_driver.default_stream(0)]


def test_a_stream_that_died_lends_its_handle_to_the_next():
    first = Stream()
    handle = first.handle
    del first
    handles = {Stream().handle for _ in range(20)}
    assert handles == {handle} or handle in handles
    assert len(handles) <= 2


def test_events_follow_their_stream(simulator):
    stream = Stream()
    simulator.held.add(stream.handle)
    event = stream.record()
    assert not event.done()
    other = _driver.current_stream().record()
    assert other.done()
    event.synchronize()
    assert event.done()
    assert event.elapsed_ms(event) == 0


def test_an_event_records_the_current_stream():
    event = Event(timing=True)
    event.record()
    event.synchronize()
    assert event.done()


def test_foreign_streams_are_taken_by_handle():
    assert Stream.foreign(1) is _driver.default_stream(0)
    assert Stream.foreign(7).handle == 7
    for handle in (0, -1, "1", None):
        with pytest.raises(ArgumentError, match="a handle of 1 or more"):
            Stream.foreign(handle)


def test_the_simulator_runs_no_compiled_code(simulator):
    for attempt in (lambda: _driver.load(b"", "k", 0), lambda: _driver.launch(None, (1, 1, 1), 1, 0, [])):
        with pytest.raises(DeviceError, match="unset NUMBA_ENABLE_CUDASIM"):
            attempt()


def test_importing_loads_neither_numba_nor_the_bindings():
    code = """
import sys
import numbacnn.kernels.cuda.memory, numbacnn.kernels.cuda.foreign, numbacnn.kernels.cuda.launch
print(*sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {"numba", "cuda", "numba_cuda", "ml_dtypes", "greenlet"}


def test_the_cpu_side_does_not_load_the_gpu_side():
    code = """
import sys
import numbacnn as nn, numpy as np
x = np.ones((2, 3), np.float32)
nn.functional.relu_forward(nn.tensor.as_tensor([[1.0]])), nn.functional.add(x, x)
print(*sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "numbacnn.tensor" in done.stdout
    assert "numbacnn.kernels.cuda" not in done.stdout


def test_simulation_is_decided_once(monkeypatch):
    monkeypatch.setattr(_driver, "_state", _driver._State())
    monkeypatch.setenv("NUMBA_ENABLE_CUDASIM", "0")
    assert not _driver.simulated()
    monkeypatch.setenv("NUMBA_ENABLE_CUDASIM", "1")
    assert not _driver.simulated()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_keeps_the_simulator_and_may_not_use_a_gpu():
    code = """
import os, warnings
warnings.simplefilter("ignore")
import numpy as np
from numbacnn.errors import DeviceError
from numbacnn.kernels.cuda import _allocator, _driver, memory
kept = memory.from_numpy(np.arange(3.0))
with _allocator.allocator()._lock, _allocator.pinned_pool._lock, _driver._state.lock:
    child = os.fork()
    if child == 0:
        ok = memory.empty((3,), "f4").numpy().shape == (3,) and kept.numpy().tolist() == [0, 1, 2]
        _driver._state.simulated = False  # as on a GPU
        _driver._after_fork()
        try:
            _driver.device()
        except DeviceError as error:
            ok = ok and "spawn" in str(error)
        else:
            ok = False
        os._exit(0 if ok else 1)
    assert os.waitpid(child, 0)[1] == 0
"""
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, env=environment)


def test_devices_are_plain_facts():
    assert pickle.loads(pickle.dumps(_driver.device())) == _driver.device()

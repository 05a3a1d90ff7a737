"""What test_bindings runs: `_cuda_driver` on the real bindings, over the driver of fake_driver.c."""

import ctypes
import gc
import sys
import threading

import numpy as np

from numbacnn.errors import DeviceError, DeviceMemoryError
from numbacnn.kernels.cuda import _driver, _staging, foreign, memory
from numbacnn.kernels.cuda._graph import capture
from numbacnn.tensor import as_tensor

LIBRARY = ctypes.CDLL("libcuda.so.1")
RAMP = np.arange(12, dtype=np.float32).reshape(3, 4)


def refused(work, kind=DeviceError):
    try:
        work()
    except kind as error:
        return str(error)
    raise AssertionError("not refused")


def devices():
    assert _driver.device() == _driver.Device(0, "Fake GPU", (9, 0), 132, 232448, 64 << 20)
    assert _driver.driver_version() == (13, 0)
    assert "got 'cuda:1'" in refused(lambda: _driver.device(1))


def copies():
    array = memory.from_numpy(RAMP)
    assert array.numpy().tolist() == RAMP.tolist()
    with _driver.Stream() as stream:
        again = array.copy()
        again.fill_zero()
        assert not again.numpy().any()
    stream.synchronize()
    _driver.synchronize()
    assert "expected the simulator" in refused(lambda: array.host)
    seen = []
    thread = threading.Thread(target=lambda: seen.append(memory.from_numpy(np.ones(3 << 20)).numpy().sum()))
    thread.start()
    thread.join()
    assert seen == [3 << 20], "a thread of its own has a context too"


def events():
    stream = _driver.Stream()
    _driver.current_stream().wait(stream)
    start, end = _driver.Event(timing=True), _driver.Event(timing=True)
    start.record()
    end.record(stream)
    end.synchronize()
    assert end.elapsed_ms(start) == 1.5
    assert sorted(end.done() for _ in range(3)) == [False, True, True]


def functions():
    function = _driver.load(b"\x7fELF", "entry", 100 << 10)
    assert ctypes.c_int.in_dll(LIBRARY, "shared_allowed").value == 100 << 10
    array = memory.from_numpy(RAMP)
    words = [
        ctypes.c_void_p(array.pointer),
        ctypes.c_int32(-7),
        ctypes.c_float(1.5),
        ctypes.c_int64(1 << 40),
    ]
    with _driver.Stream() as stream:
        _driver.launch(function, (3, 2, 1), 128, 5000, words)
    launched = list((ctypes.c_int64 * 12).in_dll(LIBRARY, "launched"))
    assert launched == [3, 2, 1, 128, 1, 1, 5000, stream.handle, array.pointer, -7, 3, 1 << 40]
    assert "CUDA_ERROR_INVALID_IMAGE (a reason)" in refused(lambda: _driver.load(b"none", "entry", 0))
    assert "finding the kernel other" in refused(lambda: _driver.load(b"\x7fELF", "other", 0))


def graphs():
    def number(name):
        return ctypes.c_int.in_dll(LIBRARY, name).value

    array = memory.from_numpy(RAMP)
    with capture() as graph:
        array.copy()
    assert number("graphs") == 1, "what is launched; the graph it was made of is gone"
    graph.launch()
    with _driver.Stream():
        graph.launch()
    assert number("graph_launches") == 2
    refused(lambda: broken(array))
    del graph
    assert number("graphs") == 0


def broken(array):
    with capture():
        array.numpy()


def sharing():
    array = memory.from_numpy(RAMP)

    class Interface:
        __cuda_array_interface__ = array.__cuda_array_interface__

    class Exporter:
        def __dlpack_device__(self):
            return array.__dlpack_device__()

        def __dlpack__(self, **options):
            return array.__dlpack__(**options)

    for other in (Interface(), Exporter()):
        assert foreign.from_foreign(other).pointer == array.pointer
        assert as_tensor(other).device == "cuda"
    host = {**array.__cuda_array_interface__, "data": (RAMP.ctypes.data, False)}
    Interface.__cuda_array_interface__ = host
    assert "memory of an NVIDIA GPU" in refused(lambda: foreign.from_foreign(Interface()))


def memory_runs_out():
    gc.collect()
    kept = memory.empty((40 << 20,), np.uint8)
    del kept
    kept = memory.empty((50 << 20,), np.uint8)
    line = refused(lambda: memory.empty((60 << 20,), np.uint8), DeviceMemoryError)
    assert "free of 67,108,864" in line, line
    del kept
    memory.allocator().clear()


def loops():
    large = np.ones((1000, 1000), np.float32)

    def turn():
        assert memory.from_numpy(large).numpy()[-1, -1] == 1

    for _ in range(5):
        turn()
    before = memory.allocator().misses, _staging.pinned_pool.misses
    for _ in range(20):
        turn()
    assert (memory.allocator().misses, _staging.pinned_pool.misses) == before


for name in sys.argv[1:]:
    globals()[name]()
    print(name)

"""The simulator computes what a GPU would, and refuses what a GPU leaves undefined."""

import ml_dtypes
import numpy as np
import pytest

from numbacnn.kernels.cuda import memory
from numbacnn.kernels.cuda.intrinsics import (
    block_x,
    div,
    dynamic_shared,
    f32,
    fma,
    i32,
    i64,
    is_nan,
    lane,
    load,
    load4,
    local_array,
    maximum,
    real,
    shared_array,
    shuffle_down,
    shuffle_xor,
    static_range,
    store,
    store4,
    sync,
    sync_warp,
    thread,
)
from numbacnn.kernels.cuda.launch import Kernel, ceil_div, device, kernel
from numbacnn.kernels.cuda.simulator import SimulationError, descending_order
from tests.cuda.arrays import computed, put

pytestmark = pytest.mark.usefixtures("simulator")


@device
def scaled(value):
    return value * real(FACTOR)  # noqa: F821


@kernel("x y n:i64", threads=64)
def scale(x, y, n):
    i = (i64(block_x()) * 64 + thread()) * 4
    if i + 4 <= n:
        a = load4(x, i)
        store4(y, i, (scaled(a[0]), scaled(a[1]), scaled(a[2]), scaled(a[3])))
    else:
        for k in static_range(4):
            if i + k < n:
                store(y, i + k, scaled(load(x, i + k)))


def scale_all(x, y):
    scale.of(FACTOR=3)(ceil_div(x.size, 256), x, y, x.size)


@kernel("x y n:i32", threads=64)
def add_up(x, y, n):
    part, own = shared_array(64, real), local_array(1, real)
    own[0] = real(0)
    for i in range(thread(), n, 64):
        own[0] = fma(load(x, i), real(1), own[0])
    store(part, thread(), own[0])
    sync()
    if thread() < 32:
        total = load(part, thread()) + load(part, thread() + 32)
        for step in static_range(5):
            total = total + shuffle_xor(total, 1 << step)
        if thread() == 0:
            store(y, 0, total)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", ml_dtypes.bfloat16])
@pytest.mark.parametrize("n", [1, 4, 255, 256, 259])
def test_kernels_compute(dtype, n):
    x = np.random.default_rng(0).standard_normal(n).astype(dtype)
    y = computed(scale_all, (x,), (n,), dtype)
    computing = np.float64 if dtype == "float64" else np.float32
    np.testing.assert_array_equal(y, (x.astype(computing) * computing(3)).astype(dtype))
    total = computed(lambda a, out: add_up(1, a, out, n), (x,), (1,), dtype)
    np.testing.assert_allclose(float(total[0]), x.astype(np.float64).sum(), rtol=2e-2, atol=2e-2)


def lone(threads=32, shared=0):
    """A kernel of one array out of a function, and a call of it."""

    def make(function):
        made = Kernel(function, "y", threads, shared, 0)
        out = memory.empty((64,), np.float32)
        made(1, out)
        return out.numpy()

    return make


def refused(match, threads=32, shared=0):
    def make(function):
        with pytest.raises(SimulationError, match=match):
            lone(threads, shared)(function)

    return make


def test_shuffles_give_the_values_of_other_lanes():
    @lone(40)
    def y(y):
        store(y, thread(), real(shuffle_down(lane(), 3)))

    # the second warp has 8 lanes; past the end a lane keeps its own
    assert y[:40].tolist() == [*range(3, 32), 29, 30, 31, *range(3, 8), 5, 6, 7]


def test_nan_and_comparisons():
    @lone()
    def y(y):
        if thread() == 0:
            store(y, 0, maximum(real(1), real(2)))
            store(y, 1, maximum(real("nan"), real(2)))
            store(y, 2, real(is_nan(real("nan"))) + real(div(7, 2)))

    assert y[:3].tolist() == [2, 2, 4]


def test_memory_that_nobody_wrote_is_nan():
    @lone()
    def y(y):
        own, block = local_array(2, f32), shared_array(2, f32)
        if thread() == 0:
            store(y, 0, own[0])
            store(y, 1, block[1])

    assert np.isnan(y[:2]).all()


def test_what_a_gpu_leaves_undefined_is_an_error():
    @refused(r"\[64:65\] of 64 elements")
    def past_the_end(y):
        store(y, 64, real(1))

    @refused(r"\[-1:0\]")
    def negative(y):
        store(y, i32(thread() - 1), real(1))

    @refused("not aligned")
    def crooked(y):
        store4(y, 2, (real(0), real(0), real(0), real(0)))

    @refused("overflows")
    def overflow(y):
        store(y, 0, real(i32(65536 * 65536)))

    @refused("unsigned 32-bit")
    def division(y):
        store(y, 0, real(div(-1, 2)))

    @refused("the index is a float")
    def index(y):
        store(y, f32(1), real(1))

    @refused("some threads of a block ended")
    def barrier(y):
        if thread() < 5:
            sync()

    @refused("some lanes of a warp")
    def warp(y):
        if thread() < 5:
            sync_warp()

    @refused("different places")
    def places(y):
        if thread() < 5:
            sync_warp()
        else:
            shuffle_xor(thread(), 1)


def test_races_are_seen_by_the_order_of_threads():
    def racing(y):
        block = dynamic_shared(f32)
        block[0] = f32(thread())
        sync()
        store(y, thread(), block[0])

    made, results = Kernel(racing, "y", 32, 64, 0), []
    for context in (None, descending_order()):
        out = memory.empty((32,), np.float32)
        if context is None:
            made(1, out)
        else:
            with context:
                made(1, out)
        results.append(out.numpy()[0])
    assert results == [31, 0]


def test_kernels_are_called_as_they_were_declared():
    x = put(np.zeros(4, np.float32))
    with pytest.raises(TypeError, match=r"constants missing \['FACTOR'\]"):
        scale.of()
    with pytest.raises(TypeError, match=r"unknown \['OTHER'\]"):
        scale.of(FACTOR=1, OTHER=2)
    with pytest.raises(AssertionError, match="number of arguments"):
        scale.of(FACTOR=1)(1, x)
    with pytest.raises(AssertionError, match="signature"):
        kernel("a b")(lambda a: None)
    with pytest.raises(TypeError, match="within kernels only"):
        thread()
    with pytest.raises(TypeError, match="called by kernels"):
        scaled(1)
    scale.of(FACTOR=1)(0, x, None, 0)  # an empty grid runs nothing


def test_two_threads_may_run_kernels_at_once():
    import threading

    x, results = np.arange(130, dtype=np.float32), {}

    def work(number):
        given, out = put(x + number), memory.empty((1,), np.float32)
        for _ in range(3):
            add_up(1, given, out, 130)
        results[number] = out.numpy()[0]

    threads = [threading.Thread(target=work, args=(k,)) for k in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results == {k: (x + k).sum() for k in range(3)}

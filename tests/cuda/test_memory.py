"""Arrays on a device: their memory, and copies to and from the host."""

import copy
import gc
import pickle
import threading
from itertools import pairwise

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numbacnn.config import config
from numbacnn.errors import ArgumentError, DeviceError, DeviceMemoryError, DTypeError, ShapeError
from numbacnn.kernels.cuda import _driver, _staging, memory
from numbacnn.kernels.cuda._allocator import Allocator, PinnedPool, pinned_pool
from numbacnn.kernels.cuda._driver import Stream
from numbacnn.kernels.cuda.memory import DeviceArray, empty, from_numpy, pinned
from numbacnn.memory import size_class

BF16 = np.dtype(ml_dtypes.bfloat16)
DTYPES = ["float32", "float64", "float16", BF16, "int64", "int32", "int8", "uint8", "bool"]
F32 = np.dtype(np.float32)


@pytest.fixture
def allocator():
    return Allocator(0)


def ramp(*shape, dtype=F32):
    return np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)


# --- arrays


@given(
    st.lists(st.integers(0, 5), max_size=4).map(tuple),
    st.sampled_from(DTYPES),
    st.sampled_from(["C", "F", "reversed", "big-endian"]),
)
def test_arrays_come_back_as_they_went(shape, dtype, layout):
    array = ramp(*shape, dtype=dtype)
    given_ = {
        "C": array,
        "F": np.asfortranarray(array) if shape else array,
        "reversed": array[..., ::-1] if shape else array,
        "big-endian": array.astype(array.dtype.newbyteorder(">")) if array.dtype != BF16 else array,
    }[layout]
    on_device = from_numpy(given_)
    assert (on_device.shape, on_device.dtype, on_device.size) == (shape, array.dtype, array.size)
    assert (on_device.ndim, on_device.nbytes, on_device.device) == (array.ndim, array.nbytes, 0)
    back = on_device.numpy()
    assert back.dtype == array.dtype and back.shape == shape
    expected = array[..., ::-1] if shape and layout == "reversed" else array
    assert back.tobytes() == expected.tobytes()


def test_the_copy_on_the_host_is_a_copy():
    on_device = from_numpy(ramp(3))
    on_device.numpy()[:] = 7
    assert on_device.numpy().tolist() == [0, 1, 2]
    array = ramp(3)
    on_device = from_numpy(array)
    array[:] = 9
    assert on_device.numpy().tolist() == [0, 1, 2]


@pytest.mark.parametrize("chunk", [16, 64, 1 << 20])
def test_large_arrays_travel_in_chunks(monkeypatch, chunk):
    monkeypatch.setattr(_staging, "_CHUNK", chunk)
    for size in (1, 15, 16, 17, 40, 1000):
        array = np.random.default_rng(size).integers(0, 256, size, np.uint8)
        assert from_numpy(array).numpy().tolist() == array.tolist()


def test_reshape_and_view_share_memory():
    array = from_numpy(ramp(2, 6))
    for shape in [(3, 4), (-1,), (2, 2, 3), (12, -1), (4, -1)]:
        again = array.reshape(*shape)
        assert again.shape == ramp(2, 6).reshape(shape).shape == array.reshape(shape).shape
        assert again.pointer == array.pointer
    assert array.reshape([4, 3]).shape == (4, 3)
    for shape in [(5, 2), (-1, 5), (-1, -1), (-12, -1), (0, -1)]:
        with pytest.raises(ShapeError, match="reshape: expected a shape of 12 elements"):
            array.reshape(*shape)
    empty_ = empty((0, 3), F32)
    assert empty_.reshape(3, 0).shape == (3, 0)
    assert array.view(np.int32).numpy().tolist() == ramp(2, 6).view(np.int32).tolist()
    assert array.view(np.float64).numpy().tolist() == ramp(2, 6).view(np.float64).tolist()
    assert array.view(np.uint8).shape == (2, 24)
    with pytest.raises(DTypeError, match="view: expected a last axis of whole elements of float64"):
        from_numpy(ramp(2, 3)).view(np.float64)


@pytest.mark.parametrize("index", [0, -1, np.int64(2), (1,), slice(1, 3), slice(3), slice(2, 9), slice(3, 1)])
def test_parts_of_the_first_axis_share_memory(index):
    array = ramp(4, 3, 2)
    part = from_numpy(array)[index]
    assert part.shape == array[index].shape
    assert part.numpy().tolist() == array[index].tolist()


def test_a_part_is_not_a_copy():
    array = from_numpy(ramp(4, 3))
    array[2].fill_zero()
    assert array.numpy()[2].tolist() == [0, 0, 0]
    assert array.numpy()[1].tolist() == [3, 4, 5]
    del array
    part = from_numpy(ramp(4, 3))[1]
    gc.collect()
    for _ in range(3):
        from_numpy(np.full((4, 3), 9, F32))
    assert part.numpy().tolist() == [3, 4, 5]


@pytest.mark.parametrize(
    "index", [slice(None, None, 2), slice(None, None, -1), (slice(None), 1), [0, 1], None, ..., True, 1.0]
)
def test_other_parts_are_refused(index):
    with pytest.raises(ArgumentError, match="a number or a slice of step 1"):
        from_numpy(ramp(4, 3))[index]


def test_indices_end():
    array = from_numpy(ramp(2, 3))
    for index in (2, -3):
        with pytest.raises(IndexError, match="out of range"):
            array[index]
    with pytest.raises(IndexError, match="without axes"):
        array[0][0][0]
    assert len(array) == 2
    with pytest.raises(TypeError):
        len(array[0][0])
    assert [row.numpy().tolist() for row in array] == [[0, 1, 2], [3, 4, 5]]


def test_copies_have_memory_of_their_own():
    array = from_numpy(ramp(3))
    for again in (array.copy(), copy.deepcopy(array)):
        array.fill_zero()
        assert again.numpy().tolist() == [0, 1, 2]
        array.write(ramp(3))


def test_write_overwrites():
    array = empty((2, 3), F32)
    array.write(ramp(6, 1).reshape(3, 2).T.copy())
    array.write(np.asfortranarray(ramp(2, 3)))
    assert array.numpy().tolist() == ramp(2, 3).tolist()
    for wrong in (ramp(3, 2), ramp(2, 3, dtype=np.float64)):
        with pytest.raises(ShapeError, match=r"write: expected float32 of shape \(2, 3\)"):
            array.write(wrong)


def test_nothing_reads_a_device_by_accident():
    array = from_numpy(ramp(3))
    with pytest.raises(
        DeviceError, match=r"array: expected memory on the CPU, got 'cuda:0'; copy it .* by .numpy"
    ):
        np.asarray(array)
    with pytest.raises(DeviceError, match="memory on the CPU"):
        np.add(array, 1)
    with pytest.raises(DeviceError, match="pickle: expected memory on the CPU"):
        pickle.dumps(array)
    assert repr(array) == "DeviceArray(shape=(3,), dtype=float32, device=0)"


def test_fresh_memory_is_poison_in_the_simulator(simulator):
    for dtype in ("float32", "float64", "float16", BF16):
        for _ in range(2):  # fresh, and used before
            array = empty((5, 3), dtype)
            assert np.isnan(array.numpy().astype(float)).all()
            array.fill_zero()
            del array


def test_the_simulator_shows_memory(simulator):
    array = from_numpy(ramp(2, 3))
    assert array.host.shape == (6,)
    array.host[4] = 9
    assert array.numpy()[1, 1] == 9
    host = array.host
    part = array[1]
    del array
    gc.collect()
    part.host[0] = 8
    assert host[3] == 8
    del part
    for _ in range(3):
        from_numpy(np.zeros((2, 3), F32))
    assert host[3] == 8, "an array over the memory keeps it"
    assert empty((0,), BF16).host.dtype == BF16


def test_the_host_alias_is_the_simulators(monkeypatch):
    array = from_numpy(ramp(2))
    monkeypatch.setattr(_driver._state, "simulated", False)
    with pytest.raises(DeviceError, match="host: expected the simulator"):
        array.host


def test_devices_do_not_mix(simulator):
    there = from_numpy(ramp(3), device=1)
    assert there.device == 1 and _driver.device().index == 0
    assert there.numpy().tolist() == [0, 1, 2]
    with pytest.raises(DeviceError, match="expected 'cuda:1', where the array lies, got 'cuda:0'"):
        there.pointer
    here = there.to(0)
    assert (here.device, here.numpy().tolist()) == (0, [0, 1, 2])
    assert here.to(0) is here
    there.fill_zero()
    there[1:].write(np.ones(2, F32))
    assert there.copy().numpy().tolist() == [0, 1, 1]
    assert empty((3,), F32, device=1).device == 1
    assert from_numpy(ramp(2), stream=Stream(1)).device == 1


# --- the allocator


def test_a_loop_asks_the_driver_for_nothing_after_its_first_turns(allocator, monkeypatch):
    monkeypatch.setattr(memory, "allocator", lambda device=None: allocator)
    copies = Stream()

    def step(images):
        with copies:  # a loader sends the next batch on a stream of its own
            x = from_numpy(images)
        _driver.current_stream().wait(copies)
        h = empty((8, 30, 30, 6), F32)
        y = empty((8, 10), F32)
        for array in (x, h, y):
            array.pointer
        dh = empty(h.shape, F32)
        dw = empty((3, 3, 3, 6), F32)
        assert dw.pointer != dh.pointer != y.pointer
        return y

    images = ramp(8, 32, 32, 3)
    kept = step(images)
    kept = step(images)
    misses, staging = allocator.misses, pinned_pool.misses
    for _ in range(20):
        kept = step(images)
    assert kept.size == 80
    assert allocator.misses == misses <= 10
    assert pinned_pool.misses == staging
    assert allocator.hits >= 100


@given(st.lists(st.tuples(st.integers(0, 1 << 20), st.booleans()), max_size=30))
def test_live_blocks_never_overlap_and_sums_hold(requests):
    allocator = Allocator(0)
    live = []
    for nbytes, free_one in requests:
        if free_one and live:
            live.pop(nbytes % len(live))
        live.append(allocator.take(nbytes))
        spans = sorted((lease.address, lease.address + lease.size) for lease in live)
        assert all(end <= start for (_, end), (start, _) in pairwise(spans))
        assert all(lease.size >= 512 for lease in live)
        in_use = sum(lease.size for lease in live)
        assert allocator.taken_bytes == in_use + allocator.held_bytes
    live.clear()
    allocator.clear()
    assert allocator.taken_bytes == allocator.held_bytes == 0


def test_a_block_is_reused_on_its_stream_at_once(allocator, simulator):
    stream = Stream()
    simulator.held.add(stream.handle)
    with stream:
        lease = allocator.take(5000)
        address = lease.address
        del lease
        assert allocator.take(5000).address == address
    assert (allocator.hits, allocator.misses) == (1, 1)


def test_a_block_is_reused_on_another_stream_only_after_an_event(allocator, simulator):
    stream = Stream()
    with stream:
        lease = allocator.take(5000)
        address = lease.address
    simulator.held.add(stream.handle)
    del lease
    other = allocator.take(5000)
    assert other.address != address
    del other
    simulator.held.clear()
    first, second = allocator.take(5000), allocator.take(5000)
    assert address in (first.address, second.address)
    assert allocator.misses == 2


def test_a_block_used_elsewhere_waits_for_that(allocator, simulator):
    busy = Stream()
    lease = allocator.take(5000)
    address = lease.address
    with busy:
        DeviceArray(lease, address, (1250,), F32).pointer
    simulator.held.add(busy.handle)
    del lease
    kept = allocator.take(5000)
    assert kept.address != address
    assert allocator.held_bytes == size_class(5000)
    simulator.held.clear()
    assert allocator.take(5000).address == address


def test_copies_between_devices_hold_the_source(simulator):
    source = from_numpy(ramp(3000))
    address = source.pointer
    simulator.held.add(_driver.DEFAULT_STREAM)  # of either device
    target = source.to(1)
    del source
    assert from_numpy(ramp(3000)).pointer != address
    simulator.held.clear()
    assert target.numpy().tolist() == ramp(3000).tolist()


def test_a_block_goes_back_to_its_device(simulator):
    allocator = Allocator(1)
    lease = allocator.take(100)
    assert lease.stream.device == 1 and _driver.device().index == 0
    address = lease.address
    del lease
    assert allocator.take(100).address == address


def test_memory_that_runs_out_is_taken_from_what_is_held(allocator, simulator, monkeypatch):
    with _driver.on(0):
        used = simulator.memory_bytes - simulator.memory_info()[0]
    monkeypatch.setattr(simulator, "memory_bytes", used + 100_000)
    busy = Stream()
    lease = allocator.take(60_000)
    lease.use(busy)
    simulator.held.add(busy.handle)  # clearing waits for it
    del lease
    kept = allocator.take(80_000)
    assert allocator.held_bytes == 0
    with pytest.raises(DeviceMemoryError) as raised:
        allocator.take(30_000)
    line = str(raised.value)
    taken, free = size_class(80_000), 100_000 - size_class(80_000)
    assert line == (
        f"device memory: expected 30,000 bytes on 'cuda:0', got {free:,} free of {used + 100_000:,} "
        f"(numbacnn holds {taken:,}, 0 of them for reuse); use a smaller batch or free tensors"
    )
    assert isinstance(raised.value, MemoryError) and isinstance(raised.value, DeviceError)
    assert allocator.taken_bytes == taken
    del kept
    allocator.take(90_000)


def test_the_limit_holds(allocator):
    allocator.limit = 10_000
    first = allocator.take(4096)
    second = allocator.take(4096)
    with pytest.raises(
        DeviceMemoryError, match=r"numbacnn holds 8,192, 0 of them for reuse, its limit is 10,000"
    ):
        allocator.take(4096)
    del first
    assert allocator.take(8192 - 3000).size <= 5904, "what was held made room"
    assert allocator.taken_bytes <= 10_000
    assert second.size == 4096
    assert "limit=10000" in repr(allocator)


def test_the_limit_starts_from_the_settings(monkeypatch):
    monkeypatch.setattr(config, "device_limit_bytes", 12345)
    assert Allocator(0).limit == 12345


def test_clear_gives_memory_back(allocator, simulator):
    blocks = dict(simulator._blocks)
    kept = allocator.take(5000)
    allocator.take(7000)
    busy = Stream()
    lease = allocator.take(9000)
    lease.use(busy)
    simulator.held.add(busy.handle)
    del lease
    allocator.clear()
    assert set(simulator._blocks) - set(blocks) == {kept.address}
    assert (allocator.held_bytes, allocator.taken_bytes) == (0, size_class(5000))


def test_a_block_freed_while_its_thread_holds_the_lock_is_not_lost(allocator):
    """As when the garbage collector runs inside the allocator."""
    lease = allocator.take(5000)
    with allocator._lock:
        del lease
    allocator.take(5000)
    assert (allocator.hits, allocator.misses) == (1, 1)


def test_arrays_in_cycles_come_back(allocator):
    loop = [allocator.take(5000)]
    loop.append(loop)
    del loop
    gc.collect()
    allocator.take(5000)
    assert (allocator.hits, allocator.misses) == (1, 1)


def test_threads_never_share_a_block(allocator):
    errors = []

    def work(mark):
        rng = np.random.default_rng(mark)
        kept = []
        with Stream() if mark % 2 else _driver.on(0):
            for _ in range(100):
                lease = allocator.take(int(rng.integers(4096, 5000)))
                array = DeviceArray(lease, lease.address, (1024,), F32)
                array.write(np.full(1024, mark, F32))
                kept.append(array)
                if len(kept) > 4:
                    kept.pop(int(rng.integers(5)))
                if not all((a.numpy() == mark).all() for a in kept):
                    errors.append(mark)

    threads = [threading.Thread(target=work, args=(mark,)) for mark in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert allocator.hits + allocator.misses == 600
    allocator.clear()
    assert allocator.taken_bytes == 0


# --- page-locked memory


def test_pinned_arrays_are_sent_from_where_they_lie(simulator, monkeypatch):
    sources = []
    original = simulator.copy

    def copy_(target, source, nbytes, stream):
        sources.append(source)
        original(target, source, nbytes, stream)

    monkeypatch.setattr(simulator, "copy", copy_)
    array = pinned((4, 3), np.float64)
    array[...] = ramp(4, 3)
    part = array[1:3]
    assert from_numpy(array).numpy().tolist() == ramp(4, 3).tolist()
    assert from_numpy(part).numpy().tolist() == ramp(4, 3)[1:3].tolist()
    assert sources[0] == array.ctypes.data
    assert sources[2] == part.ctypes.data
    plain = ramp(4, 3)
    from_numpy(plain)
    assert sources[4] != plain.ctypes.data


@pytest.mark.parametrize("dtype", DTYPES)
def test_pinned_arrays_have_shape_and_type(dtype):
    for shape in [(), (0, 3), (5,), (2, 3, 4)]:
        array = pinned(shape, dtype)
        assert array.shape == shape and array.dtype == dtype
        array[...] = 1
        assert array.flags.carray


def test_pinned_memory_is_reused_after_its_copy(simulator, monkeypatch):
    pool = PinnedPool()
    monkeypatch.setattr(_staging, "pinned_pool", pool)
    stream = Stream()
    simulator.held.add(stream.handle)
    array = pinned((2000,), F32)
    address = array.ctypes.data
    from_numpy(array, stream=stream)
    del array
    assert pinned((2000,), F32).ctypes.data != address
    simulator.held.clear()
    again = [pinned((2000,), F32), pinned((2000,), F32)]
    assert address in [a.ctypes.data for a in again]
    assert (pool.hits, pool.misses) == (2, 2)


def test_staging_memory_is_reused_after_its_copy(simulator, monkeypatch):
    pool = PinnedPool()
    monkeypatch.setattr(_staging, "pinned_pool", pool)
    stream = Stream()
    simulator.held.add(stream.handle)
    with stream:
        from_numpy(ramp(2000))
        from_numpy(ramp(2000))
        assert pool.misses == 2
        simulator.held.clear()
        for _ in range(5):
            from_numpy(ramp(2000))
    assert pool.misses == 2


def test_pinned_memory_kept_is_bounded(simulator, monkeypatch):
    monkeypatch.setattr("numbacnn.kernels.cuda._allocator._PINNED_KEPT", 10_000)
    pool, before = PinnedPool(), len(simulator._pinned)
    leases = [pool.take(4096) for _ in range(5)]
    leases[0].use(_driver.current_stream())
    leases.clear()
    pool.take(4096)
    assert len(simulator._pinned) - before == 2
    assert pool.held_bytes == 4096

"""Tensors at the edge to NumPy and DLPack, and the pool their memory comes from."""

import gc
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numbacnn.config import config
from numbacnn.errors import ArgumentError, DeviceError, DTypeError, ShapeError
from numbacnn.memory import BufferPool, buffer_pool, size_class
from numbacnn.tensor import Tensor, as_tensor, empty

F32, F64 = np.dtype(np.float32), np.dtype(np.float64)
DTYPES = [np.float32, np.float64, np.int64, np.int32, np.uint8, np.bool_]


def ramp(*shape, dtype=np.float32):
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


# --- from and to arrays


@pytest.mark.parametrize("dtype", DTYPES)
def test_contiguous_arrays_are_not_copied(dtype):
    array = np.ones((2, 3), dtype)
    for tensor in (Tensor(array), as_tensor(array), as_tensor(Tensor(array))):
        assert tensor.numpy() is array
        assert (tensor.shape, tensor.dtype, tensor.ndim, tensor.size) == ((2, 3), array.dtype, 2, 6)
        assert (tensor.nbytes, tensor.device, len(tensor)) == (array.nbytes, "cpu", 2)


def read_only():
    array = ramp(3, 4)
    array.flags.writeable = False
    return array


def misaligned():
    return np.frombuffer(bytearray(49), np.uint8)[1:].view(np.float32).reshape(3, 4)


@pytest.mark.parametrize(
    "array",
    [
        ramp(3, 8)[:, ::2],
        np.asfortranarray(ramp(3, 4)),
        ramp(3, 4)[::-1],
        ramp(3, 4).astype(">f4"),
        read_only(),
        misaligned(),
    ],
    ids=["strided", "fortran", "reversed", "big-endian", "read-only", "misaligned"],
)
def test_other_arrays_are_copied_to_what_kernels_take(array):
    tensor = as_tensor(array)
    assert not np.shares_memory(tensor.numpy(), array)
    np.testing.assert_array_equal(tensor.numpy(), array)
    assert tensor.dtype == F32
    assert tensor.numpy().flags.carray
    assert tensor.numpy().dtype.isnative


def test_subclasses_become_plain_arrays_over_the_same_memory(tmp_path):
    mapped = np.memmap(tmp_path / "data", np.float32, "w+", shape=(2, 3))
    tensor = as_tensor(mapped)
    assert type(tensor.numpy()) is np.ndarray
    assert np.shares_memory(tensor.numpy(), mapped)


def test_nested_lists_and_numbers_are_read():
    assert as_tensor([[1.0, 2.0]]).numpy().tolist() == [[1, 2]]
    assert as_tensor([1, 2]).dtype == np.int64
    assert as_tensor(1.5).shape == ()
    assert as_tensor([1, 2], np.float32).dtype == F32


@pytest.mark.parametrize("dtype", [np.float16, np.complex64, object, "U3", "datetime64[s]"])
def test_other_element_types_are_refused(dtype):
    with pytest.raises(DTypeError, match=r"^images: expected float32, float64 or integers, got .* from nd"):
        as_tensor(np.zeros(3, dtype), name="images")
    with pytest.raises(DTypeError, match="Tensor: expected"):
        Tensor(np.zeros(3, dtype))
    if dtype is np.float16:
        with pytest.raises(DTypeError, match=r"only GPUs take it: device=\"cuda\""):
            as_tensor(np.zeros(3, dtype))
    for convert in (lambda: empty(3, dtype), lambda: Tensor(np.zeros(3)).astype(dtype)):
        with pytest.raises(DTypeError, match="integers or booleans"):
            convert()


def test_ragged_lists_are_refused():
    with pytest.raises(ArgumentError, match=r"^labels: expected something that reads as an array, got list"):
        as_tensor([[1], [1, 2]], name="labels")


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:-1", "CUDA", "cpu:0", 0, ("cuda", 0)])
def test_other_devices_are_refused(device):
    array = np.zeros(3)
    for attempt in (
        lambda: Tensor(array, device),
        lambda: Tensor(array).to(device),
        lambda: as_tensor(array, device=device),
        lambda: empty(3, device=device),
    ):
        with pytest.raises(DeviceError, match="device: expected 'cpu', 'cuda' or 'cuda:1', got"):
            attempt()


def test_the_cpu_is_a_device():
    tensor = Tensor(np.zeros(3), "cpu")
    assert tensor.to("cpu") is tensor
    assert as_tensor(tensor, device="cpu") is tensor
    assert as_tensor(tensor, np.int32, device="cpu").dtype == np.int32
    assert empty(3, device="cpu").device == "cpu"
    assert not hasattr(tensor, "__cuda_array_interface__")


class Exporter:
    """Exports DLPack as a library on some device would."""

    def __init__(self, kind, error=None):
        self.array, self.kind, self.error = ramp(2, 3), kind, error

    def __dlpack_device__(self):
        return (self.kind, 0)

    def __dlpack__(self, **options):
        if self.error:
            raise self.error
        return self.array.__dlpack__(**options)


def test_dlpack_is_read_without_copying():
    exporter = Exporter(1)
    tensor = as_tensor(exporter)
    np.testing.assert_array_equal(tensor.numpy(), exporter.array)
    if tensor.numpy().base is not None:  # NumPy 1 marks what it imports read-only, which takes a copy
        assert np.shares_memory(tensor.numpy(), exporter.array)


def test_dlpack_of_other_devices_is_refused():
    with pytest.raises(DeviceError, match="CPU or an NVIDIA GPU, got DLPack device 8 from Exporter; copy it"):
        as_tensor(Exporter(8))


def test_dlpack_that_its_owner_refuses_is_reported():
    with pytest.raises(ArgumentError, match="BufferError: requires grad"):
        as_tensor(Exporter(1, BufferError("requires grad")))


def test_tensors_export_dlpack():
    tensor = as_tensor(ramp(2, 3))
    exported = np.from_dlpack(tensor)
    assert np.shares_memory(exported, tensor.numpy())
    assert tensor.__dlpack_device__() == (1, 0)


def test_pytorch_shares_memory_both_ways():
    torch = pytest.importorskip("torch")
    source = torch.arange(6.0).reshape(2, 3)
    tensor = as_tensor(source)
    tensor.numpy()[0, 0] = 7
    assert source[0, 0] == 7
    back = torch.from_dlpack(tensor)
    back[0, 1] = 9
    assert source[0, 1] == 9
    with pytest.raises(ArgumentError, match=r"\.detach\(\)"):
        as_tensor(source.clone().requires_grad_())
    np.testing.assert_array_equal(as_tensor(source.T).numpy(), source.T.numpy())


def test_numpy_reads_tensors():
    tensor = as_tensor(ramp(2, 3))
    assert np.asarray(tensor) is tensor.numpy()
    assert not np.shares_memory(np.array(tensor), tensor.numpy())
    assert np.asarray(tensor, np.float64).dtype == F64
    np.testing.assert_array_equal(np.add(tensor, 1), ramp(2, 3) + 1)
    assert tensor.__array__(copy=False) is tensor.numpy()
    with pytest.raises(ValueError, match="needs a copy"):
        tensor.__array__(np.float64, copy=False)


# --- methods


def test_indexing_shares_memory_where_the_result_is_contiguous():
    array = ramp(4, 3, 2)
    tensor = Tensor(array)
    assert np.shares_memory(tensor[1:3].numpy(), array)
    assert not np.shares_memory(tensor[:, 1].numpy(), array)
    for index in (0, slice(1, 3), (slice(None), 1), (Ellipsis, 0), [2, 0], array[:, 0, 0] > 6, None):
        np.testing.assert_array_equal(tensor[index].numpy(), array[index])
        assert tensor[index].numpy().flags.carray
    assert tensor[1, 2, 0].shape == ()
    with pytest.raises(IndexError):
        tensor[4]


def test_iteration_runs_over_the_first_axis():
    rows = list(Tensor(ramp(3, 2)))
    assert [row.numpy().tolist() for row in rows] == [[0, 1], [2, 3], [4, 5]]


def test_reshape_shares_memory_and_refuses_another_size():
    tensor = as_tensor(ramp(2, 6))
    for shape in [(3, 4), (-1,), (2, 2, 3)]:
        assert np.shares_memory(tensor.reshape(*shape).numpy(), tensor.numpy())
        assert tensor.reshape(shape).shape == tensor.reshape(*shape).shape
    assert tensor.reshape(4, -1).shape == (4, 3)
    with pytest.raises(ShapeError, match=r"reshape: expected a shape of 12 elements, got \(5, 2\)"):
        tensor.reshape(5, 2)


def test_item_is_a_python_number():
    assert type(as_tensor(ramp(1, 1)).item()) is float
    assert type(as_tensor([3]).item()) is int
    with pytest.raises(ShapeError, match="item: expected a tensor of one element"):
        as_tensor([1, 2]).item()


@pytest.mark.parametrize("dtype", DTYPES)
def test_astype_and_copy(dtype):
    tensor = as_tensor(ramp(30, 50))
    converted = tensor.astype(dtype)
    np.testing.assert_array_equal(converted.numpy(), ramp(30, 50).astype(dtype))
    assert converted.astype(dtype) is converted
    copied = converted.copy()
    np.testing.assert_array_equal(copied.numpy(), converted.numpy())
    assert not np.shares_memory(copied.numpy(), converted.numpy())


def test_repr_shows_values_shape_type_and_device():
    assert repr(as_tensor(ramp(2))) == "Tensor([0., 1.], shape=(2,), dtype=float32, device='cpu')"


@pytest.mark.parametrize(
    "shape", [(), 0, 3, (0, 4), (17,), (31, 33), (64, 1024), [2, np.int64(600)], np.array([3, 500])]
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_empty_is_aligned_and_writable(shape, dtype):
    tensor = empty(shape, dtype)
    assert tensor.shape == np.empty(shape).shape
    assert tensor.dtype == dtype
    tensor.numpy()[...] = 1
    assert tensor.numpy().flags.carray
    if tensor.nbytes >= 4096:
        assert tensor.numpy().__array_interface__["data"][0] % 64 == 0


@pytest.mark.parametrize("shape", [-1, (2, -3), (-2, -3), (2.0, 3), "ab", (None,)])
def test_empty_refuses_negative_or_broken_extents(shape):
    with pytest.raises(ShapeError, match="empty: expected extents of 0 or more"):
        empty(shape)


# --- the pool


@pytest.fixture
def pool():
    return BufferPool()


@given(st.integers(4096, 1 << 40))
def testsize_classes_waste_an_eighth_at_most(nbytes):
    size = size_class(nbytes)
    assert nbytes <= size <= nbytes * 9 / 8
    assert size % 64 == 0
    assert size_class(size) == size


def test_a_loop_takes_no_fresh_memory_after_its_first_turn(pool):
    def turn():
        a = pool.array((64, 24, 24, 6), F32)
        b = pool.array((64, 12, 12, 6), F32)
        a[...] = 1
        b[...] = a[:, ::2, ::2]
        c = pool.array((64, 24, 24, 6), F32)
        c[...] = a
        return float(b.sum()) + float(c.sum())

    first = turn()
    assert (pool.hits, pool.misses) == (0, 3)
    for _ in range(10):
        assert turn() == first
    assert (pool.hits, pool.misses) == (30, 3)


def test_other_shapes_and_types_of_a_size_share_a_block(pool):
    addresses = set()
    for shape, dtype in [((64, 64), F32), ((32, 64), F64), ((16384,), np.dtype(np.uint8)), ((4, 1024), F32)]:
        array = pool.array(shape, dtype)
        assert (array.shape, array.dtype) == (shape, dtype)
        addresses.add(array.__array_interface__["data"][0])
        del array
    assert len(addresses) == 1
    assert pool.misses == 1


def test_a_free_block_serves_a_lease_of_half_its_size_but_not_of_less(pool):
    large, size = pool.array((1 << 20,), F32), size_class(1 << 22)
    address = large.__array_interface__["data"][0]
    del large
    small = pool.array((1 << 18,), F32)  # a quarter
    assert (pool.misses, pool.held_bytes) == (2, size)
    half = pool.array((1 << 19,), F32)
    assert half.__array_interface__["data"][0] == address
    assert (pool.misses, pool.held_bytes) == (2, 0)
    other = pool.array((1 << 20,), F32)  # now there is none of its own size
    assert pool.misses == 3
    del half
    assert pool.held_bytes == size  # as large as before
    del other, small
    held = pool.held_bytes
    exact = pool.array((1 << 18,), F32)  # a block of the size itself goes first
    assert held - pool.held_bytes == size_class(1 << 20)
    assert exact.size == 1 << 18


def test_a_view_keeps_its_block(pool):
    array = pool.array((100, 100), F32)
    array[...] = 5
    corner = array[1:3, 1:3].T
    del array
    assert pool.held_bytes == 0
    other = pool.array((100, 100), F32)
    other[...] = 9
    assert pool.misses == 2
    assert corner.tolist() == [[5, 5], [5, 5]]
    del corner
    assert pool.held_bytes == size_class(40_000)


def test_the_array_of_a_dead_tensor_keeps_its_block():
    array = empty((100, 100)).numpy()
    array[...] = 5
    others = [empty((100, 100)) for _ in range(20)]
    for other in others:
        other.numpy()[...] = 9
    assert (array == 5).all()


def test_small_arrays_bypass_the_pool(pool):
    small = pool.array((1023,), F32)
    del small
    assert (pool.hits, pool.misses, pool.held_bytes) == (0, 0, 0)
    pool.array((1024,), F32)
    assert pool.misses == 1


def test_held_memory_stays_under_the_limit_and_the_oldest_goes_first(pool, monkeypatch):
    monkeypatch.setattr(config, "pool_limit_bytes", 100_000)
    sizes = [8192, 16384, 32768, 65536]
    arrays = [pool.array((size,), np.dtype(np.uint8)) for size in sizes]
    for k in range(len(sizes)):
        arrays[k] = None
        assert pool.held_bytes <= 100_000
    assert pool.held_bytes == 65536 + 32768
    huge = pool.array((200_000,), np.dtype(np.uint8))
    del huge
    assert pool.held_bytes == 65536 + 32768, "a block beyond the limit displaces nothing"
    for size, hit in [(65536, True), (32768, True), (16384, False)]:
        before = pool.hits
        pool.array((size,), np.dtype(np.uint8))
        assert (pool.hits > before) is hit


def test_clear_gives_memory_back(pool):
    kept = pool.array((5000,), F32)
    kept[...] = 3
    pool.array((5000,), F32)
    assert pool.held_bytes > 0
    pool.clear()
    assert pool.held_bytes == 0
    assert (kept == 3).all()
    pool.array((5000,), F32)
    assert pool.misses == 3
    assert repr(pool) == f"BufferPool(hits=0, misses=3, held_bytes={size_class(20_000)})"


def test_a_poisoned_pool_hands_out_nan(pool):
    pool.poison = True
    for shape in [(), (5,), (100, 100)]:
        for dtype in (F32, F64):
            assert np.isnan(pool.array(shape, dtype)).all()
    reused = pool.array((100, 100), F32)
    assert pool.hits > 0
    assert np.isnan(reused).all()


def test_memory_that_runs_out_is_taken_from_what_is_held(pool, monkeypatch):
    pool.array((5000,), F32)
    attempts = []
    block = sys.modules["numbacnn.memory"]._Block

    def scarce(size):
        attempts.append(pool.held_bytes)
        if pool.held_bytes:
            raise MemoryError
        return block(size)

    monkeypatch.setattr("numbacnn.memory._Block", scarce)
    assert pool.array((50_000,), F32).shape == (50_000,)
    assert attempts == [size_class(20_000), 0]


def test_a_block_freed_while_its_thread_holds_the_lock_is_not_lost(pool):
    """As when the garbage collector runs inside the pool."""
    array = pool.array((5000,), F32)
    with pool._lock:
        del array
        assert pool.held_bytes == 0
    pool.array((5000,), F32)
    assert (pool.hits, pool.misses) == (1, 1)


def test_arrays_in_cycles_come_back(pool):
    loop = [pool.array((5000,), F32)]
    loop.append(loop)
    del loop
    gc.collect()
    assert pool.held_bytes == size_class(20_000)


def test_threads_never_share_a_block(pool):
    errors = []

    def work(mark):
        rng = np.random.default_rng(mark)
        kept = []
        for _ in range(300):
            array = pool.array((int(rng.integers(1100, 1300)),), F32)
            array[...] = mark
            kept.append(array)
            if len(kept) > 4:
                kept.pop(int(rng.integers(5)))
            if not all((a == mark).all() for a in kept):
                errors.append(mark)

    threads = [threading.Thread(target=work, args=(mark,)) for mark in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert pool.hits + pool.misses == 8 * 300
    total = sum(len(blocks) * size for size, blocks in pool._bins.items())
    assert pool.held_bytes == total


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_child_forked_while_the_lock_is_held_can_allocate():
    code = """
import os, warnings
warnings.simplefilter("ignore")
from numbacnn.memory import buffer_pool
from numbacnn.tensor import empty
kept = empty(5000); kept.numpy()[...] = 3
empty(5000)
with buffer_pool._lock:
    child = os.fork()
    if child == 0:
        fresh = empty(5000); fresh.numpy()[...] = 4
        ok = (kept.numpy() == 3).all() and buffer_pool.held_bytes == 0
        del kept
        os._exit(0 if ok and buffer_pool.held_bytes > 0 else 1)
    assert os.waitpid(child, 0)[1] == 0
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_tensors_lease_from_the_pool_of_the_process():
    before = buffer_pool.hits + buffer_pool.misses
    tensor = empty((100, 100))
    tensor.copy()
    tensor.astype(np.float64)
    assert buffer_pool.hits + buffer_pool.misses == before + 3


def test_scratch_is_a_threads_own(pool):
    size = 3000
    mine = pool.scratch(size, F32)
    assert mine.size >= size and mine.dtype == F32
    assert pool.scratch(size // 2, F32) is mine
    assert not np.shares_memory(mine, pool.scratch(size, np.dtype(np.float64)))
    others = []
    thread = threading.Thread(target=lambda: others.append(pool.scratch(size, F32)))
    thread.start()
    thread.join()
    assert not np.shares_memory(mine, others[0])
    assert (pool.hits, pool.misses) == (0, 0)


def test_large_scratch_is_leased(pool):
    first = pool.scratch(1 << 20, F32)
    assert first.shape == (1 << 20,) and pool.misses == 1
    assert not np.shares_memory(first, pool.scratch(1 << 20, F32))


def test_poisoned_scratch_shows_reads_of_what_was_never_written(pool):
    pool.scratch(3000, F32)[:] = 1
    pool.poison = True
    assert np.isnan(pool.scratch(3000, F32)).all()

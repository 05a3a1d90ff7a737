"""Arrays exchanged with other libraries, by DLPack and by the CUDA array interface."""

import ctypes
import gc
import threading

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbacnn.errors import ArgumentError, DeviceError, DTypeError
from numbacnn.kernels.cuda import _driver, dlpack
from numbacnn.kernels.cuda._driver import Stream
from numbacnn.kernels.cuda.foreign import from_foreign
from numbacnn.kernels.cuda.memory import from_numpy

BF16 = np.dtype(ml_dtypes.bfloat16)
CODES = {
    "float16": (2, 16), "float32": (2, 32), "float64": (2, 64), BF16: (4, 16), "bool": (6, 8),
    "uint8": (1, 8), "uint16": (1, 16), "uint64": (1, 64),
    "int8": (0, 8), "int16": (0, 16), "int32": (0, 32), "int64": (0, 64),
}  # fmt: skip
DELETERS = []
VERSIONS = [None, (0, 8), (1, 0), (2, 3)]


def ramp(*shape, dtype=np.float32):
    return np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)


def opened(capsule):
    """The structure in a capsule, and whether it is versioned."""
    name = dlpack._name_of(capsule)
    return dlpack._KINDS[name].from_address(dlpack._pointer_of(capsule, name)), name == b"dltensor_versioned"


class Other:
    """Another library's array over a device array of ours: exports DLPack, counts calls of its deleter."""

    def __init__(self, array, version=(1, 0), strides=None, change=None, old=False):
        self.array, self.version, self.strides, self.change, self.old = array, version, strides, change, old
        self.deleted = self.exported = 0
        self.streams = []

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()

    def __dlpack__(self, stream=None, **options):
        if self.old and options:
            raise TypeError("unexpected keyword 'max_version'")
        self.streams.append(stream)
        capsule = self.array.__dlpack__(stream=stream, max_version=self.version)
        managed, _ = opened(capsule)
        inner = dlpack._Deleter(managed.deleter)

        @dlpack._Deleter
        def deleter(address):
            self.deleted += 1
            inner(address)

        DELETERS.append(deleter)  # which outlives the exporter, as a library's does
        managed.deleter = ctypes.cast(deleter, ctypes.c_void_p)
        if self.strides is not None:
            self.memory = (ctypes.c_int64 * len(self.strides))(*self.strides)
            managed.dl_tensor.strides = ctypes.cast(self.memory, ctypes.POINTER(ctypes.c_int64))
        if self.change:
            self.change(managed)
        return capsule


# --- exporting


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("dtype", CODES)
def test_a_capsule_says_what_the_array_is(dtype, version):
    array = from_numpy(ramp(2, 3, 4, dtype=dtype))
    capsule = array.__dlpack__(max_version=version)
    managed, versioned = opened(capsule)
    assert versioned is (version is not None and version >= (1, 0))
    if versioned:
        assert (managed.major, managed.minor, managed.flags) == (1, 0, 0)
    tensor = managed.dl_tensor
    assert tensor.data == array.pointer
    assert (tensor.device.device_type, tensor.device.device_id) == (2, 0) == array.__dlpack_device__()
    assert (tensor.dtype.code, tensor.dtype.bits, tensor.dtype.lanes) == (*CODES[dtype], 1)
    assert (tensor.ndim, tensor.byte_offset) == (3, 0)
    assert [tensor.shape[k] for k in range(3)] == [2, 3, 4]
    assert [tensor.strides[k] for k in range(3)] == [12, 4, 1]


def test_a_capsule_that_nobody_takes_lets_go():
    before = len(dlpack._exported)
    array = from_numpy(ramp(3))
    capsules = [array.__dlpack__(), array.__dlpack__(max_version=(1, 1))]
    assert len(dlpack._exported) == before + 2
    del capsules
    assert len(dlpack._exported) == before


def test_a_capsule_keeps_the_memory():
    array = from_numpy(ramp(3000))
    address = array.pointer
    other = from_foreign(Other(array))
    del array
    gc.collect()
    for _ in range(3):
        assert from_numpy(np.zeros(3000, np.float32)).pointer != address
    assert other.numpy().tolist() == ramp(3000).tolist()


def test_a_copy_is_made_on_demand():
    array = from_numpy(ramp(3))
    managed, _ = opened(capsule := array.__dlpack__(copy=True, max_version=(1, 0)))
    assert managed.dl_tensor.data != array.pointer
    assert managed.flags == 2
    del capsule
    managed, _ = opened(capsule := array.__dlpack__(copy=False, dl_device=(2, 0)))
    assert managed.dl_tensor.data == array.pointer


def test_another_device_is_refused():
    with pytest.raises(BufferError, match=r"on DLPack device \(2, 0\): copy it by"):
        from_numpy(ramp(3)).__dlpack__(dl_device=(1, 0))
    with pytest.raises(BufferError, match="no element type for complex64"):
        from_numpy(np.zeros(3, np.complex64)).__dlpack__()


def test_the_consumers_stream_waits(simulator, monkeypatch):
    waits = []
    monkeypatch.setattr(simulator, "wait", lambda stream, event: waits.append((stream, event.stream)))
    array = from_numpy(ramp(3))
    stream = Stream()
    with stream:
        array.__dlpack__()
        array.__dlpack__(stream=1)
        array.__dlpack__(stream=-1)
        array.__dlpack__(stream=stream.handle)
        array.__dlpack__(stream=77)
    assert waits == [(1, stream.handle), (1, stream.handle), (77, stream.handle)]
    with pytest.raises(ArgumentError, match="a handle of 1 or more"):
        array.__dlpack__(stream=0)


def test_memory_given_away_waits_for_the_consumers_stream(simulator):
    array = from_numpy(ramp(3000))
    address = array.pointer
    capsule = array.__dlpack__(stream=77)
    simulator.held.add(77)
    del array, capsule
    assert from_numpy(ramp(3000)).pointer != address
    simulator.held.clear()
    addresses = [array.pointer for array in [from_numpy(ramp(3000)) for _ in range(2)]]
    assert address in addresses


def test_memory_given_to_a_stream_that_is_no_more_waits_for_all_work(simulator, monkeypatch):
    waited = []
    record = simulator.record

    def dead(event, stream):
        if stream == 77:
            raise DeviceError("invalid handle")
        record(event, stream)

    monkeypatch.setattr(simulator, "record", dead)
    monkeypatch.setattr(simulator, "synchronize", lambda: waited.append(True))
    array = from_numpy(ramp(3000))
    address = array.pointer
    capsule = array.__dlpack__(stream=77)
    del array, capsule
    assert not waited
    assert address in [array.pointer for array in [from_numpy(ramp(3000)) for _ in range(2)]]
    assert waited == [True]


# --- importing


@settings(max_examples=4)
@given(
    st.lists(st.integers(0, 4), max_size=4).map(tuple),
    st.sampled_from(list(CODES)),
    st.sampled_from(VERSIONS),
    st.booleans(),
)
def test_dlpack_there_and_back(shape, dtype, version, old):
    source = from_numpy(ramp(*shape, dtype=dtype))
    exporter = Other(source, version, old=old)
    array = from_foreign(exporter)
    assert (array.shape, array.dtype, array.device) == (source.shape, source.dtype, source.device)
    assert array.numpy().tobytes() == source.numpy().tobytes()
    if array.size:
        assert array.pointer == source.pointer
        array.fill_zero()
        assert not source.numpy().astype(bool).any()
    assert exporter.streams == [1]
    assert exporter.deleted == 0
    part = array.reshape(-1)
    del array
    gc.collect()
    assert exporter.deleted == 0
    del part
    gc.collect()
    assert exporter.deleted == 1
    from_numpy(ramp(1))
    assert exporter.deleted == 1


def test_the_owner_is_let_go_after_the_work_that_reads_it(simulator):
    stream = Stream()
    exporter = Other(from_numpy(ramp(3)))
    array = from_foreign(exporter)
    with stream:
        array.pointer
    simulator.held.add(stream.handle)
    del array
    assert exporter.deleted == 0
    from_numpy(ramp(1))
    assert exporter.deleted == 0
    simulator.held.clear()
    from_numpy(ramp(1))
    assert exporter.deleted == 1


def test_the_owner_may_be_let_go_by_any_thread():
    exporters = [Other(from_numpy(ramp(3))) for _ in range(8)]
    arrays = [from_foreign(each) for each in exporters]
    thread = threading.Thread(target=arrays.clear)
    thread.start()
    thread.join()
    assert [each.deleted for each in exporters] == [1] * 8


def test_an_offset_and_missing_strides_are_read():
    def shift(managed):
        managed.dl_tensor.byte_offset = 8
        managed.dl_tensor.shape[0] = 2
        managed.dl_tensor.strides = None

    array = from_foreign(Other(from_numpy(ramp(4)), change=shift))
    assert array.numpy().tolist() == [2, 3]


def test_strides_of_single_elements_do_not_matter():
    array = from_foreign(Other(from_numpy(ramp(1, 3, 1)), strides=(77, 1, 55)))
    assert array.numpy().tolist() == ramp(1, 3, 1).tolist()


def test_transposed_memory_is_refused_and_stays_the_exporters():
    exporter = Other(from_numpy(ramp(2, 3)), strides=(1, 2))
    with pytest.raises(
        ArgumentError, match=r"x: expected contiguous memory in C order, got Other .*\.contiguous"
    ):
        from_foreign(exporter, "x")
    gc.collect()
    assert exporter.deleted == 0, "the capsule's own destructor lets go"
    assert all(entry[3] is not exporter.array for entry in dlpack._exported.values())


def test_read_only_memory_is_copied():
    def lock(managed):
        managed.flags = 1

    source = from_numpy(ramp(3))
    exporter = Other(source, change=lock)
    array = from_foreign(exporter)
    assert array.pointer != source.pointer
    assert array.numpy().tolist() == [0, 1, 2]
    assert exporter.deleted == 1


def _type(code, bits, lanes=1):
    def change(managed):
        managed.dl_tensor.dtype = dlpack._DLDataType(code, bits, lanes)

    return change


@pytest.mark.parametrize("kind", [(5, 64), (2, 32, 4), (0, 4), (3, 64), (8, 8), (2, 8)])
def test_other_element_types_are_refused(kind):
    with pytest.raises(
        DTypeError, match="images: expected floats, integers or booleans, got DLPack type code"
    ):
        from_foreign(Other(from_numpy(ramp(4)), change=_type(*kind)), "images")


def test_other_devices_and_versions_are_refused():
    class Metal:
        def __dlpack_device__(self):
            return 8, 0

    with pytest.raises(DeviceError, match="an NVIDIA GPU, got DLPack device 8 from Metal"):
        from_foreign(Metal())

    def elsewhere(managed):
        managed.dl_tensor.device.device_id = 1

    with pytest.raises(DeviceError, match=r"memory of 'cuda:0', got DLPack device \(2, 1\)"):
        from_foreign(Other(from_numpy(ramp(4)), change=elsewhere))

    def newer(managed):
        managed.major = 9

    with pytest.raises(ArgumentError, match=r"DLPack of version 1, got version 9\.0"):
        from_foreign(Other(from_numpy(ramp(4)), change=newer))


def test_an_exporter_that_refuses_is_reported():
    class Refusing(Other):
        def __dlpack__(self, **options):
            raise BufferError("requires grad")

    with pytest.raises(ArgumentError, match=r"BufferError: requires grad\); .*\.detach\(\)"):
        from_foreign(Refusing(None_ := from_numpy(ramp(1))))
    assert None_.size == 1


def test_a_used_capsule_is_refused():
    class Twice(Other):
        def __dlpack__(self, **options):
            return self.capsule

    exporter = Twice(from_numpy(ramp(3)))
    exporter.capsule = Other.__dlpack__(exporter, stream=1)
    array = from_foreign(exporter)
    with pytest.raises(ArgumentError, match="a fresh DLPack capsule, got b'used_dltensor_versioned'"):
        from_foreign(exporter)
    del array
    assert exporter.deleted == 1


# --- the CUDA array interface


class Interface:
    """An array with nothing but the interface."""

    def __init__(self, array, **changes):
        self.array = array
        self.__cuda_array_interface__ = {**array.__cuda_array_interface__, **changes}


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int64", "uint8", "bool"])
def test_the_interface_says_what_the_array_is(dtype):
    array = from_numpy(ramp(2, 3, dtype=dtype))
    facts = array.__cuda_array_interface__
    assert facts == {
        "shape": (2, 3),
        "typestr": np.dtype(dtype).str,
        "data": (array.pointer, False),
        "strides": None,
        "stream": 1,
        "version": 3,
    }
    stream = Stream()
    with stream:
        assert array.__cuda_array_interface__["stream"] == stream.handle


def test_the_interface_has_no_bfloat16():
    array = from_numpy(ramp(2, dtype=BF16))
    assert not hasattr(array, "__cuda_array_interface__")
    with pytest.raises(AttributeError, match="exchange it by DLPack"):
        array.__cuda_array_interface__


def test_the_interface_is_imported_without_copying():
    source = from_numpy(ramp(2, 3))
    other = Interface(source)
    array = from_foreign(other)
    assert (array.pointer, array.shape, array.dtype) == (source.pointer, (2, 3), source.dtype)
    array.fill_zero()
    assert not source.numpy().any()
    strided = from_foreign(Interface(source, strides=(12, 4), stream=None))
    assert strided.pointer == source.pointer
    empty = from_foreign(Interface(from_numpy(ramp(0, 3)), strides=(9, 9)))
    assert empty.shape == (0, 3)


def test_the_interface_keeps_its_owner():
    import weakref

    other = Interface(from_numpy(ramp(2, 3)))
    alive = weakref.ref(other)
    array = from_foreign(other)
    del other
    gc.collect()
    assert alive() is not None
    del array
    gc.collect()
    assert alive() is None


def test_the_interfaces_stream_is_waited_for(simulator, monkeypatch):
    waits = []
    monkeypatch.setattr(simulator, "wait", lambda stream, event: waits.append((stream, event.stream)))
    source = from_numpy(ramp(3))
    from_foreign(Interface(source, stream=77))
    from_foreign(Interface(source, stream=None))
    assert waits == [(1, 77)]
    with pytest.raises(ArgumentError, match="a handle of 1 or more"):
        from_foreign(Interface(source, stream=0))


def test_the_interfaces_read_only_memory_is_copied():
    source = from_numpy(ramp(3))
    array = from_foreign(Interface(source, data=(source.pointer, True)))
    assert array.pointer != source.pointer
    assert array.numpy().tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "changes", [{"typestr": "<c8"}, {"typestr": "<V2"}, {"typestr": ">f4"}, {"typestr": "x"}]
)
def test_the_interfaces_other_types_are_refused(changes):
    with pytest.raises(DTypeError, match="expected floats, integers or booleans"):
        from_foreign(Interface(from_numpy(ramp(3)), **changes))


def test_the_interfaces_masks_structs_and_strides_are_refused():
    source = from_numpy(ramp(2, 3))
    with pytest.raises(DTypeError):
        from_foreign(Interface(source, mask=source))
    with pytest.raises(DTypeError):
        from_foreign(Interface(source, descr=[("a", "<f2"), ("b", "<f2")]))
    with pytest.raises(ArgumentError, match="contiguous memory in C order"):
        from_foreign(Interface(source, strides=(4, 8)))


def test_an_address_of_the_host_is_refused(simulator):
    host = np.zeros(3, np.float32)
    with pytest.raises(DeviceError, match="memory of an NVIDIA GPU, got address"):
        from_foreign(Interface(from_numpy(ramp(3)), data=(host.ctypes.data, False)))


def test_memory_of_the_other_device_is_found_there(simulator):
    source = from_numpy(ramp(3), device=1)
    for other in (Interface(source), Other(source)):
        array = from_foreign(other)
        assert array.device == 1
        assert array.numpy().tolist() == [0, 1, 2]
    assert _driver.device().index == 0


@pytest.mark.parametrize("library", ["torch", "cupy"])
def test_real_libraries_share_memory_both_ways(library):
    """On a GPU."""
    other = pytest.importorskip(library)
    if _driver.simulated() or (library == "torch" and not other.cuda.is_available()):
        pytest.skip("needs a GPU")
    source = other.arange(6, dtype=other.float32, **({"device": "cuda"} if library == "torch" else {}))
    array = from_foreign(source)
    array.fill_zero()
    assert float(source.sum()) == 0
    back = other.from_dlpack(array)
    back += 3
    assert array.numpy().tolist() == [3] * 6

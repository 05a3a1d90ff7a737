"""What is missing is said in one line: packages, driver, GPU, or a newer driver. By faked bindings."""

import enum
import sys
import types

import pytest

from numbacnn.cli.doctor import facts
from numbacnn.errors import DeviceError, DeviceMemoryError
from numbacnn.kernels.cuda import _allocator, _cuda_driver, _driver, _staging, memory
from numbacnn.tensor import Tensor, as_tensor


class CUresult(enum.IntEnum):
    CUDA_SUCCESS = 0
    CUDA_ERROR_OUT_OF_MEMORY = 2
    CUDA_ERROR_NO_DEVICE = 100
    CUDA_ERROR_NOT_READY = 600
    CUDA_ERROR_ILLEGAL_ADDRESS = 700


class Attribute:
    CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR = 9
    CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR = 0
    CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT = 132
    CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN = 232448


class Bindings(types.ModuleType):
    """What `_cuda_driver` uses to open a driver and to ask about a GPU."""

    def __init__(self, version=13000, count=1, error=None):
        super().__init__("cuda.bindings.driver")
        self.version, self.count, self.error = version, count, error
        self.CUresult, self.CUdevice_attribute = CUresult, Attribute
        self.CU_MEMHOSTALLOC_PORTABLE = 1

    def cuDriverGetVersion(self):  # noqa: N802
        if self.error:
            raise self.error
        return CUresult.CUDA_SUCCESS, self.version

    def cuInit(self, flags):  # noqa: N802
        return (CUresult.CUDA_SUCCESS if self.count else CUresult.CUDA_ERROR_NO_DEVICE,)

    def cuDeviceGetCount(self):  # noqa: N802
        return CUresult.CUDA_SUCCESS, self.count

    def cuDeviceGet(self, index):  # noqa: N802
        return CUresult.CUDA_SUCCESS, index

    def cuDeviceGetAttribute(self, attribute, device):  # noqa: N802
        return CUresult.CUDA_SUCCESS, attribute

    def cuDeviceGetName(self, length, device):  # noqa: N802
        return CUresult.CUDA_SUCCESS, b"GPU of paper\0" + b" " * (length - 13)

    def cuDeviceTotalMem(self, device):  # noqa: N802
        return CUresult.CUDA_SUCCESS, 24 << 30

    def cuDevicePrimaryCtxRetain(self, device):  # noqa: N802
        return CUresult.CUDA_SUCCESS, "context"

    def cuCtxSetCurrent(self, context):  # noqa: N802
        return (CUresult.CUDA_SUCCESS,)

    def cuCtxSynchronize(self):  # noqa: N802
        return (CUresult.CUDA_SUCCESS,)

    def cuMemGetInfo(self):  # noqa: N802
        return CUresult.CUDA_SUCCESS, 1000, 24 << 30

    def cuMemAlloc(self, nbytes):  # noqa: N802
        return CUresult.CUDA_ERROR_OUT_OF_MEMORY, None

    def cuMemHostAlloc(self, nbytes, flags):  # noqa: N802
        return CUresult.CUDA_ERROR_OUT_OF_MEMORY, None

    def cuStreamSynchronize(self, stream):  # noqa: N802
        return (CUresult.CUDA_ERROR_ILLEGAL_ADDRESS,)

    def cuGetErrorString(self, code):  # noqa: N802
        return CUresult.CUDA_SUCCESS, b"an illegal address was read"


@pytest.fixture
def no_simulator(monkeypatch):
    monkeypatch.setattr(_driver, "_state", _driver._State())
    monkeypatch.setattr(_cuda_driver, "_cu", None)
    monkeypatch.setattr(_allocator, "_allocators", {})
    monkeypatch.setattr(_staging, "pinned_pool", _allocator.PinnedPool())
    monkeypatch.setenv("NUMBA_ENABLE_CUDASIM", "0")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return monkeypatch


@pytest.fixture
def fake(no_simulator):
    """Install bindings of a version over a driver."""

    def install(bindings_version="13.0.3", **driver):
        package, bindings = types.ModuleType("cuda"), types.ModuleType("cuda.bindings")
        package.__path__, bindings.__path__ = [], []
        bindings.__version__ = bindings_version
        bindings.driver = Bindings(**driver)
        package.bindings = bindings
        for module in (package, bindings, bindings.driver):
            no_simulator.setitem(sys.modules, module.__name__, module)
        return bindings.driver

    return install


def refusal():
    """The message, the same however one comes to the device."""
    with pytest.raises(DeviceError) as raised:
        _driver.device()
    for attempt in (
        lambda: Tensor([1.0]).to("cuda"),
        lambda: memory.empty((3,), "f4"),
        _driver.current_stream,
    ):
        with pytest.raises(DeviceError) as again:
            attempt()
        assert str(again.value) == str(raised.value)
    line = str(raised.value)
    assert "\n" not in line and line.startswith("cuda: expected ")
    assert facts()["CUDA driver"] == "not usable"
    assert line in facts()["GPU"]
    return line


def test_no_packages(no_simulator):
    for name in ("cuda", "cuda.bindings"):
        no_simulator.setitem(sys.modules, name, None)
    line = refusal()
    assert 'pip install "numbacnn[cuda13]"' in line and "numbacnn[cuda12]" in line


def test_no_driver(fake):
    fake(error=RuntimeError("Failed to dlopen libcuda.so.1"))
    assert "expected an NVIDIA driver, got Failed to dlopen libcuda.so.1" in refusal()


def test_the_toolkits_stub_is_no_driver(fake):
    fake(version=0)
    assert "expected an NVIDIA driver" in refusal()


def test_no_gpu(fake):
    fake(count=0)
    assert "expected an NVIDIA GPU, got none; compute on the CPU" in refusal()


def test_hidden_gpu(fake, monkeypatch):
    fake(count=0)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "CUDA_VISIBLE_DEVICES=''" in refusal()


def test_too_old_a_driver(fake):
    fake(version=12040)
    line = refusal()
    assert "expected a driver for CUDA 13, got one for CUDA 12.4" in line and "numbacnn[cuda12]" in line


def test_the_older_packages_take_the_older_driver(fake):
    fake("12.9.4", version=12040)
    assert _driver.device().name == "GPU of paper"


def test_a_gpu_is_described(fake):
    fake(count=2, version=13010)
    device = _driver.device()
    assert device == _driver.Device(0, "GPU of paper", (9, 0), 132, 232448, 24 << 30)
    found = facts()
    assert found["CUDA driver"] == "for CUDA 13.1"
    assert found["GPU"].startswith(
        "cuda:0 GPU of paper, compute capability 9.0, 132 multiprocessors, 24.0 GiB; cuda:1"
    )


def test_a_failing_call_is_named_with_its_reason(fake):
    fake()
    with pytest.raises(DeviceError, match=r"cuStreamSynchronize.*CUDA_ERROR_ILLEGAL_ADDRESS \(an illegal"):
        _driver.current_stream().synchronize()


def test_memory_that_runs_out_is_named(fake):
    fake()
    with pytest.raises(DeviceMemoryError, match=r"expected 400 bytes on 'cuda:0', got 1,000 free of 25,769"):
        memory.empty((100,), "f4")
    with pytest.raises(DeviceMemoryError, match="page-locked"):
        memory.pinned((100,), "f4")


def test_doctor_tells_of_the_simulator(monkeypatch):
    monkeypatch.setattr(_driver, "_state", _driver._State())
    monkeypatch.setenv("NUMBA_ENABLE_CUDASIM", "1")
    assert "simulated" in facts()["GPU"]
    assert "numba-cuda" in facts()["cuda extra"] and "ml-dtypes" in facts()["cuda extra"]


def test_another_librarys_array_names_what_is_missing(no_simulator):
    class OnGPU:
        def __dlpack_device__(self):
            return (2, 0)

        def __dlpack__(self, **options):
            raise AssertionError("must not be called")

    for name in ("cuda", "cuda.bindings"):
        no_simulator.setitem(sys.modules, name, None)
    with pytest.raises(DeviceError, match=r"numbacnn\[cuda13\]"):
        as_tensor(OnGPU())

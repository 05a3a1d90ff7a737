"""Tensors on a device, and operands that have to lie together."""

import threading

import ml_dtypes
import numpy as np
import pytest

from numbacnn.errors import ArgumentError, DeviceError, DTypeError, ShapeError
from numbacnn.functional._checks import fresh, operands
from numbacnn.kernels.cuda import _driver, memory
from numbacnn.kernels.cuda.cast import cast
from numbacnn.kernels.cuda.memory import DeviceArray
from numbacnn.tensor import Tensor, as_tensor, empty

from .arrays import computed
from .test_foreign import Interface, Other

BF16 = np.dtype(ml_dtypes.bfloat16)
FLOATS = ["float32", "float64", "float16", BF16]


def ramp(*shape, dtype=np.float32):
    return np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)


# --- to and from


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32", "uint8", "bool"])
def test_there_and_back(dtype):
    array = ramp(2, 3, dtype=dtype)
    there = Tensor(array).to("cuda")
    assert (there.device, there.shape, there.dtype) == ("cuda", (2, 3), array.dtype)
    assert (there.ndim, there.size, there.nbytes, len(there)) == (2, 6, array.nbytes, 2)
    assert there.to("cuda") is there and there.to("cuda:0") is there
    for back in (
        there.to("cpu"),
        Tensor(there, "cpu"),
        as_tensor(there, device="cpu"),
        Tensor(there.numpy()),
    ):
        assert back.device == "cpu"
        assert back.numpy().dtype == array.dtype
        np.testing.assert_array_equal(back.numpy(), array)


def test_devices_are_named(simulator):
    tensor = Tensor(ramp(3), "cuda:1")
    assert tensor.device == "cuda:1"
    assert tensor[1:].device == tensor.copy().device == tensor.astype("float16").device == "cuda:1"
    assert tensor.to("cuda").device == Tensor(ramp(3), "cuda:0").device == "cuda"
    assert empty(3, device="cuda:1").device == "cuda:1"
    assert Tensor(tensor).device == as_tensor(tensor).device == "cuda:1"
    assert _driver.device().index == 0
    with pytest.raises(DeviceError, match="device: expected 'cuda:0' to 'cuda:1', got 'cuda:2'"):
        tensor.to("cuda:2")


def test_numpy_is_a_copy_on_a_device():
    tensor = Tensor(ramp(3), "cuda")
    tensor.numpy()[:] = 9
    assert tensor.numpy().tolist() == [0, 1, 2]


def test_nothing_leaves_a_device_by_accident():
    tensor = Tensor(ramp(3), "cuda")
    for attempt in (
        lambda: np.asarray(tensor),
        lambda: np.add(tensor, 1),
        lambda: np.array(tensor, np.float64),
        lambda: tensor.__array__(copy=True),
    ):
        with pytest.raises(DeviceError, match=r"array: expected memory on the CPU, got 'cuda'; call \.numpy"):
            attempt()


def test_repr_shows_no_values():
    assert repr(Tensor(ramp(2), "cuda")) == "Tensor(shape=(2,), dtype=float32, device='cuda')"


# --- methods


def test_reshape_item_copy():
    tensor = Tensor(ramp(2, 6), "cuda")
    assert tensor.reshape(3, -1).numpy().tolist() == ramp(3, 4).tolist()
    assert tensor.reshape((12,))._array.pointer == tensor._array.pointer
    with pytest.raises(ShapeError, match="reshape: expected a shape of 12 elements"):
        tensor.reshape(5, 2)
    assert tensor[1,][5:].item() == 11.0
    assert type(Tensor([3], "cuda").item()) is int
    with pytest.raises(ShapeError, match="item: expected a tensor of one element"):
        tensor.item()
    copied = tensor.copy()
    copied._array.fill_zero()
    assert tensor.numpy().tolist() == ramp(2, 6).tolist()


def test_parts_of_the_first_axis():
    tensor = Tensor(ramp(4, 3), "cuda")
    assert tensor[1].numpy().tolist() == [3, 4, 5]
    assert tensor[1:3]._array.pointer == tensor._array.pointer + 12
    assert [row.numpy()[0] for row in tensor] == [0, 3, 6, 9]
    for index in ((slice(None), 1), slice(None, None, 2), [0, 1]):
        with pytest.raises(ArgumentError, match="a number or a slice of step 1 along the first axis"):
            tensor[index]
    with pytest.raises(IndexError):
        tensor[4]


@pytest.mark.parametrize("source", [*FLOATS, "int64", "int32", "uint8", "bool"])
@pytest.mark.parametrize("target", FLOATS)
def test_cast_rounds_as_numpy_does(source, target):
    rng = np.random.default_rng(3)
    values = rng.normal(0, 100, (7, 40)).astype(np.float32).astype(source)
    assert computed(cast, (values,), values.shape, target).tobytes() == values.astype(target).tobytes()


@pytest.mark.parametrize("target", FLOATS)
def test_astype(target):
    tensor = Tensor(ramp(3, 5), "cuda")
    converted = tensor.astype(target)
    assert converted.device == "cuda" and converted.dtype == target
    assert converted.astype("float32").numpy().tolist() == ramp(3, 5).tolist()
    assert converted.astype(target) is converted
    empty_ = Tensor(ramp(0, 5), "cuda").astype(target)
    assert (empty_.shape, empty_.dtype) == ((0, 5), target)


def test_astype_refuses_what_only_the_cpu_does():
    tensor = Tensor(ramp(3), "cuda")
    with pytest.raises(DTypeError, match="astype: expected on a GPU, a floating-point type, got int32"):
        tensor.astype(np.int32)
    with pytest.raises(DTypeError, match="integers or booleans, got complex64"):
        tensor.astype(np.complex64)


def test_halves_are_for_devices():
    values = np.float16([1, 2])
    for make in (
        lambda: as_tensor(values, device="cuda"),
        lambda: Tensor(values, "cuda"),
        lambda: as_tensor([1.0, 2.0], "float16", device="cuda"),
    ):
        tensor = make()
        assert tensor.dtype == np.float16 and tensor.numpy().tolist() == [1, 2]
    assert as_tensor([1.5], "bfloat16", device="cuda").numpy().dtype == BF16
    assert Tensor(np.ones(2, BF16), "cuda").dtype == BF16
    assert empty((2, 3), "bfloat16", "cuda").dtype == BF16
    half = Tensor(values, "cuda")
    for attempt in (
        lambda: half.to("cpu"),
        lambda: Tensor(half, "cpu"),
        lambda: Tensor(values),
        lambda: as_tensor(half, device="cpu"),
        lambda: empty(3, np.float16),
        lambda: empty(3, "bfloat16"),
        lambda: Tensor([1.0]).astype("bfloat16"),
    ):
        with pytest.raises(DTypeError, match=r'only GPUs take it: device="cuda"'):
            attempt()
    assert half.astype(np.float32).to("cpu").numpy().tolist() == [1, 2]
    assert as_tensor(half, np.float32, device="cpu").numpy().tolist() == [1, 2]


def test_as_tensor_converts_where_that_is_possible():
    for dtype in ("int64", "float64", "bool"):
        tensor = as_tensor([1.5, 0.0], dtype, device="cuda")
        assert tensor.numpy().tolist() == np.array([1.5, 0.0]).astype(dtype).tolist()
    there = Tensor(ramp(3), "cuda")
    assert as_tensor(there, "int64", device="cpu").numpy().tolist() == [0, 1, 2]
    assert as_tensor(there, "float64", device="cuda").dtype == np.float64
    assert as_tensor(there, "float32", device="cuda") is there
    with pytest.raises(DTypeError, match="got complex128 from ndarray"):
        as_tensor(np.zeros(2, complex), device="cuda")


# --- other libraries


@pytest.mark.parametrize("kind", [Other, Interface])
def test_arrays_of_other_libraries_are_taken_where_they_lie(kind):
    source = memory.from_numpy(ramp(2, 3))
    for tensor in (as_tensor(kind(source)), Tensor(kind(source)), as_tensor(kind(source), device="cuda")):
        assert tensor.device == "cuda"
        assert tensor._array.pointer == source.pointer
    assert as_tensor(kind(source), device="cpu").numpy().tolist() == ramp(2, 3).tolist()
    assert Tensor(kind(source), "cpu").device == "cpu"


def test_tensors_are_exported():
    tensor = Tensor(ramp(2, 3), "cuda")
    assert tensor.__dlpack_device__() == (2, 0)
    assert tensor.__cuda_array_interface__["data"] == (tensor._array.pointer, False)
    again = as_tensor(Other(tensor))
    assert again._array.pointer == tensor._array.pointer
    assert Tensor(tensor._array)._array is tensor._array


def test_what_other_libraries_lay_out_otherwise_is_refused():
    source = memory.from_numpy(ramp(2, 3))
    with pytest.raises(ArgumentError, match="images: expected contiguous memory"):
        as_tensor(Interface(source, strides=(4, 8)), name="images")


# --- operands


def test_operands_on_a_device_come_as_they_are():
    x, w = Tensor(ramp(2, 3), "cuda"), Tensor(ramp(3), "cuda")
    arrays = operands("add", ("x", "w", "b"), x, w, None)
    assert arrays == [x._array, w._array, None]
    foreign = Interface(memory.from_numpy(ramp(2, 3)))
    (array,) = operands("add", ("x",), foreign)
    assert type(array) is DeviceArray
    for dtype in FLOATS:
        assert operands("add", ("x",), x.astype(dtype))[0].dtype == dtype


def test_operands_on_several_devices_are_refused(simulator):
    here, there, other = Tensor(ramp(3)), Tensor(ramp(3), "cuda"), Tensor(ramp(3), "cuda:1")
    cases = [
        (here, there, "'cpu'", "'cuda'"),
        (there, here, "'cuda'", "'cpu'"),
        (there, other, "'cuda'", "'cuda:1'"),
        (there, ramp(3), "'cuda'", "'cpu'"),
        (there, [1.0, 2.0], "'cuda'", "'cpu'"),
    ]
    for x, b, expected, got in cases:
        with pytest.raises(
            DeviceError, match=rf"stem: expected b on {expected}, where x is, got {got}; move"
        ):
            operands("stem", ("x", "w", "b"), x, None, b)


def test_operands_share_a_type_on_a_device_too():
    x = Tensor(ramp(3), "cuda")
    with pytest.raises(DTypeError, match="stem: expected w of float32, the type of x, got float16"):
        operands("stem", ("x", "w"), x, x.astype("float16"))
    with pytest.raises(DTypeError, match="stem: expected x of float32 or float64, got int64"):
        operands("stem", ("x",), Tensor([1, 2], "cuda"))


def test_operations_run_where_their_operands_lie(simulator):
    x = Tensor(ramp(3), "cuda:1")

    def work():
        (array,) = operands("relu", ("x",), x)
        assert _driver.device().index == 1
        y = fresh((2, 2), array)
        assert (y.device, y.dtype, y.shape) == (1, np.float32, (2, 2))
        array.pointer

    errors = []
    thread = threading.Thread(target=lambda: errors.append(_raised(work)))
    thread.start()
    thread.join()
    assert errors == [None]
    y = fresh((4,), x._array)
    assert y.device == 1


def _raised(work):
    try:
        return work()
    except Exception as error:
        return error


def test_fresh_memory_lies_where_the_pattern_does():
    (array,) = operands("relu", ("x",), Tensor(ramp(3), "cuda").astype("bfloat16"))
    assert fresh((3,), array).dtype == BF16
    assert type(fresh((3,), ramp(3))) is np.ndarray

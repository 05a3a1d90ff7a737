"""Recorded work does the same again, with memory of its own, and refuses what cannot be recorded."""

import gc

import numpy as np
import pytest

from numbacnn.errors import ArgumentError, DeviceError
from numbacnn.kernels.cuda import _driver, elementwise, memory
from numbacnn.kernels.cuda._graph import capture


def put(values):
    return memory.from_numpy(np.asarray(values, np.float32))


def build(x):
    y = memory.empty(x.shape, x.dtype)
    middle = memory.empty(x.shape, x.dtype)
    elementwise.relu_forward(x, middle)
    elementwise.add(middle, x, y)
    return y


def test_nothing_is_done_before_the_launch_and_each_launch_reads_its_inputs_anew():
    x = put([1, -2, 3])
    build(x)
    with capture() as graph:
        y = build(x)
    assert np.isnan(y.numpy()).all()
    graph.launch()
    np.testing.assert_array_equal(y.numpy(), [2, -2, 6])
    x.write(np.array([-1, 2, 0.5], np.float32))
    np.testing.assert_array_equal(y.numpy(), [2, -2, 6])
    with _driver.Stream():
        graph.launch()
        np.testing.assert_array_equal(y.numpy(), [-1, 4, 1])


def test_copies_and_zeros_on_the_device_are_recorded():
    x = put([1, 2])
    with capture() as graph:
        y, z = x.copy(), x.copy()
        z.fill_zero()
    graph.launch()
    x.write(np.array([5, 6], np.float32))
    graph.launch()
    assert y.numpy().tolist() == [5, 6] and z.numpy().tolist() == [0, 0]


def test_memory_freed_within_a_capture_is_used_again_there_and_nowhere_else():
    x = put(np.arange(600))
    build(x)
    with capture() as graph:
        addresses = set()
        for _ in range(4):
            block = memory.empty((600,), np.float32)
            elementwise.relu_forward(x, block)
            addresses.add(block._address)
            del block
        y = build(x)
    assert len(addresses) == 1
    mine = {address for address, _ in graph._pool._blocks}
    assert addresses < mine
    others = [memory.empty((600,), np.float32) for _ in range(8)]
    assert not mine & {other._address for other in others}
    graph.launch()
    expected = y.numpy()
    for other in others:
        other.fill_zero()
    graph.launch()
    np.testing.assert_array_equal(y.numpy(), expected)


def test_arrays_that_a_graph_reads_live_as_long_as_it():
    x = put(np.arange(600))
    with capture() as graph:
        y = build(x)
    address = x._address
    del x
    gc.collect()
    taken = [put(np.full(600, np.nan)) for _ in range(4)]
    assert address not in {array._address for array in taken}
    graph.launch()
    np.testing.assert_array_equal(y.numpy(), 2 * np.arange(600))


def test_memory_comes_back_when_graph_and_results_are_dead_and_its_launches_done(simulator):
    x = put(np.arange(600))
    with capture() as graph:
        y = build(x)
    blocks = {address for address, _ in graph._pool._blocks}
    stream = _driver.Stream()
    with stream:
        graph.launch()
    simulator.held.add(stream.handle)

    def taken():
        arrays = [memory.empty((600,), np.float32) for _ in range(6)]
        return blocks & {array._address for array in arrays}

    del graph
    gc.collect()
    assert not taken(), "a result still lies there"
    del y
    gc.collect()
    assert not taken(), "the launch is not done"
    stream.synchronize()
    assert taken()


@pytest.mark.parametrize(
    "work",
    [
        lambda x: x.numpy(),
        lambda x: put([1.0]),
        lambda x: x.write(np.zeros(3, np.float32)),
        lambda x: _driver.current_stream().synchronize(),
        lambda x: _driver.current_stream().wait(_driver.default_stream(0)),
        lambda x: memory.read_into(x, memory.pinned((3,), np.float32)),
    ],
    ids=["numpy", "from_numpy", "write", "synchronize", "wait", "read_into"],
)
def test_what_cannot_be_recorded_is_refused_and_the_stream_is_as_before(work):
    x = put([1, 2, 3])
    with pytest.raises(DeviceError, match="capture"), capture() as graph:
        work(x)
    assert _driver.current_stream() is _driver.default_stream(0)
    with pytest.raises(DeviceError, match="a finished capture"):
        graph.launch()
    build(x).numpy()


def test_captures_are_not_nested_and_graphs_stay_on_their_device():
    x = put([1, 2, 3])
    with capture() as graph:
        build(x)
        with pytest.raises(ArgumentError, match="no capture under way"), capture():
            pass
    if _driver.device_count() > 1:
        with _driver.on(1), pytest.raises(DeviceError, match="where it was captured"):
            graph.launch()

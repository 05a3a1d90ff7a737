"""What `explain` says is what runs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import numbacnn
from numbacnn import config, functional
from numbacnn.errors import ArgumentError, DTypeError, ShapeError
from numbacnn.kernels.cpu import passes
from numbacnn.kernels.cpu.choice import PASSES
from numbacnn.memory import buffer_pool
from tests.strategies import conv_cases, dtypes


@given(conv_cases(most_channels=40), st.sampled_from(PASSES), dtypes, st.integers(1, 64), st.booleans())
def test_every_convolution_is_explained(case, pass_, dtype, threads, kept):
    dims = case.dims
    told = numbacnn.explain(
        dims.input_shape,
        dims.kernel_shape,
        pass_=pass_,
        dtype=dtype,
        threads=threads,
        kept=kept,
        **case.options,
    )
    assert told.operations == 2 * dims.macs
    assert told.parts >= 0 and told.workspace_bytes >= 0
    assert (told.predicted_peak > 0) == (dims.macs > 0)
    assert "float64" not in str(told) or dtype == np.float64
    assert len(str(told).splitlines()) == 9


@pytest.mark.parametrize(
    ("x_shape", "w_shape", "options", "algorithm"),
    [
        ((1, 9, 28, 28, 64), (3, 3, 3, 64, 64), {"padding": 1}, "winograd F(4x4, 3x3)"),
        ((1, 56, 56, 64), (3, 3, 64, 64), {"padding": 1}, "winograd F(4x4, 3x3)"),
        ((1, 28, 28, 64), (5, 5, 64, 64), {"padding": 2}, "winograd F(2x2, 5x5)"),
        ((1, 28, 28, 64), (3, 1, 64, 64), {}, "winograd F(4x1, 3x1)"),
        ((1, 900, 64), (3, 64, 64), {}, "winograd F(1x4, 1x3)"),
        ((1, 56, 56, 64), (1, 1, 64, 64), {"stride": 2}, "direct"),
        ((1, 56, 56, 64), (3, 3, 1, 64), {"padding": 1, "groups": 64}, "depthwise"),
        ((1, 1, 1, 64), (1, 1, 64, 64), {}, "product"),
    ],
)
def test_algorithms_are_named(x_shape, w_shape, options, algorithm):
    for pass_ in PASSES:
        assert numbacnn.explain(x_shape, w_shape, pass_=pass_, **options).algorithm == algorithm


def test_float64_and_a_setting_keep_to_the_direct_method(monkeypatch):
    shapes = (1, 56, 56, 64), (3, 3, 64, 64)
    assert numbacnn.explain(*shapes, dtype="float64").algorithm == "direct"
    monkeypatch.setattr(config, "winograd", False)
    assert numbacnn.explain(*shapes).algorithm == "direct"


@pytest.mark.slow
def test_the_workspace_is_what_is_leased(monkeypatch):
    x, w = np.ones((1, 30, 30, 32), np.float32), np.ones((3, 3, 32, 48), np.float32)
    leased = []
    array = buffer_pool.array

    def recorded(shape, dtype):
        leased.append(int(np.prod(shape)) * dtype.itemsize)
        return array(shape, dtype)

    monkeypatch.setattr(passes.buffer_pool, "array", recorded)
    functional.conv_forward(x, w)
    told = numbacnn.explain(x.shape, w.shape)
    assert sorted(leased) == sorted([28 * 28 * 48 * 4, told.workspace_bytes, told.packed_bytes])


def test_refusals():
    shapes = (1, 8, 8, 3), (3, 3, 3, 4)
    with pytest.raises(ArgumentError, match="expected a pass of forward, data, weights, got 'bias'"):
        numbacnn.explain(*shapes, pass_="bias")
    with pytest.raises(DTypeError, match="expected float32 or float64, got int32"):
        numbacnn.explain(*shapes, dtype=np.int32)
    with pytest.raises(ArgumentError, match="threads of 1 or more, got 0"):
        numbacnn.explain(*shapes, threads=0)
    with pytest.raises(ShapeError, match="explain: expected 3 input channels"):
        numbacnn.explain((1, 8, 8, 4), shapes[1])

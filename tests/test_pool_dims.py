"""Windows placed one by one, and the tables of all windows, against counting; every refusal."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numbacnn.dims import PoolDims
from numbacnn.errors import ArgumentError, ShapeError
from numbacnn.pool_dims import WindowDims, axes, fractional_starts, scaled_size
from tests.strategies import pool_cases, window_dims


@given(pool_cases() | window_dims())
def test_tables_list_the_taps_that_meet_a_pixel(case):
    if isinstance(case, WindowDims):
        for axis, starts, counts in zip(axes(case), case.starts_, case.counts_, strict=True):
            assert [(s.start, s.taps, s.first, s.padded) for s in axis.spans] == [
                (a, k, 0, k) for a, k in zip(starts, counts, strict=True)
            ]
        return
    dims = case.dims
    for i, axis in enumerate(axes(dims)):
        assert len(axis.spans) == dims.out_[i]
        for o, span in enumerate(axis.spans):
            places = [
                o * dims.stride_[i] - dims.pad_lo_[i] + t * dims.dilation_[i] for t in range(dims.k_[i])
            ]
            met = [p for p in places if 0 <= p < dims.in_[i]]
            assert [span.start + t * axis.dilation for t in range(span.taps)] == met
            assert span.first == sum(p < 0 for p in places)
            assert span.padded == sum(p < dims.in_[i] + dims.pad_hi_[i] for p in places)


@given(st.integers(1, 40), st.integers(1, 40))
def test_adaptive_windows_cover_the_input_and_are_nearly_equal(size, out):
    dims = WindowDims.adaptive((2, size, 3), out)
    spans = axes(dims)[0].spans
    assert dims.output_shape == (2, out, 3)
    for i, span in enumerate(spans):
        assert span.start == int(np.floor(i * size / out + 1e-9))
        assert span.start + span.taps == int(np.ceil((i + 1) * size / out - 1e-9))
    covered = {p for span in spans for p in range(span.start, span.start + span.taps)}
    assert covered == set(range(size))


@given(st.data(), st.integers(1, 40), st.floats(0, 1, exclude_max=True))
def test_disjoint_fractional_windows_tile_the_input(data, size, sample):
    out = data.draw(st.integers(1, size))
    dims = WindowDims.fractional((1, size, 1), out, (sample,))
    pixels = [p for a, k in zip(dims.starts_[0], dims.counts_[0], strict=True) for p in range(a, a + k)]
    assert pixels == list(range(size))
    # steps take two neighbouring values
    assert set(dims.counts_[0][:-1]) <= {size // out, size // out + 1}


@given(st.data(), st.integers(1, 40), st.floats(0, 1, exclude_max=True))
def test_fractional_windows_of_a_size_begin_and_end_with_the_input(data, size, sample):
    kernel = data.draw(st.integers(1, size))
    out = data.draw(st.integers(1, size - kernel + 1))
    starts = fractional_starts(size, out, sample, kernel)
    assert starts[-1] == size - kernel
    assert out == 1 or starts[0] == 0
    assert len(set(starts)) == out
    assert list(starts) == sorted(starts)


def test_equal_arguments_give_the_same_object():
    assert WindowDims.adaptive([1, 5, 6, 2], [2, 3]) is WindowDims.adaptive((1, 5, 6, 2), (2, 3))
    assert axes(PoolDims.of((1, 5, 2), 2)) is axes(PoolDims.of((1, 5, 2), 2))


@pytest.mark.parametrize("size", [0, -1, (2,), 1.5, "2", None, (2, 0)])
def test_adaptive_sizes_refused(size):
    with pytest.raises(ArgumentError, match="down: expected output_size as one integer or 2, each 1 or more"):
        WindowDims.adaptive((1, 5, 6, 2), size, name="down")


@pytest.mark.parametrize("shape", [(5, 2), (1, 2, 3, 4, 5, 6), (1, 0, 3)])
def test_shapes_refused(shape):
    with pytest.raises(ShapeError, match=r"1 to 3 spatial axes|positive sizes"):
        WindowDims.adaptive(shape, 1)
    with pytest.raises(ShapeError, match=r"1 to 3 spatial axes|positive sizes"):
        WindowDims.fractional(shape, 1, (0.5,))


@pytest.mark.parametrize("samples", [(0.5,), (0.5, 1.0), (0.5, -0.1), (0.5, np.nan), 0.5, "ab"])
def test_samples_refused(samples):
    with pytest.raises(ArgumentError, match="expected samples as 2 numbers from 0 to below 1"):
        WindowDims.fractional((1, 5, 6, 2), 2, samples)


def test_more_outputs_than_places_are_refused():
    with pytest.raises(ShapeError, match="at most one output per place"):
        WindowDims.fractional((1, 5, 2), 6, (0.5,))
    with pytest.raises(ShapeError, match="at most one output per place"):
        WindowDims.fractional((1, 5, 2), 5, (0.5,), 2)


@pytest.mark.parametrize("ratio", [0, 1.5, -0.5, np.nan, (0.5,), "1"])
def test_ratios_refused(ratio):
    with pytest.raises(ArgumentError, match="expected output_ratio as one number or 2"):
        scaled_size("down", (5, 6), ratio)
    assert scaled_size("down", (5, 6), (0.5, 0.01)) == (2, 1)

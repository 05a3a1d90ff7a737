"""How work is cut: bands cover all pixels once, long rows are shared, tables stay small, offsets are wide."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numbacnn.dims import ConvDims
from numbacnn.kernels.cpu import plan
from numbacnn.kernels.cpu.cut import bands
from numbacnn.kernels.cpu.outer_plan import outer_plan
from numbacnn.kernels.cpu.phases import blocked_window
from numbacnn.kernels.cpu.plan import correlation_plan

LANES = 8


@given(st.tuples(*[st.integers(0, 9)] * 3, st.integers(0, 60)), st.integers(1, 200))
def test_bands_cover_every_pixel_once_and_are_about_as_large_as_asked(sizes, pixels):
    seen = np.zeros(sizes, int)
    cut = bands(sizes, pixels)
    for band in cut:
        seen[tuple(slice(a, a + n) for a, n in zip(band.starts, band.sizes, strict=True))] += 1
        assert band.pixels == math.prod(band.sizes) <= max(pixels * 1.5, 1)
    assert (seen == 1).all()
    for axis in range(4):  # of the axes around the cut one there is one each, those within are whole
        if any(band.sizes[axis] not in (1, sizes[axis]) for band in cut):
            assert all(band.sizes[:axis] == (1,) * axis for band in cut)
            assert all(band.sizes[axis + 1 :] == sizes[axis + 1 :] for band in cut)


@pytest.mark.parametrize(
    ("x_shape", "w_shape"),
    [
        ((1, 1, 16000, 64), (1, 3, 64, 64)),
        ((1, 16000, 1, 64), (3, 1, 64, 64)),
        ((1, 16000, 64), (3, 64, 64)),
        ((1, 900, 64), (2, 64, 32)),
    ],
)
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("threads", [2, 8])
def test_long_rows_give_every_thread_an_equal_share(x_shape, w_shape, padding, threads):
    dims = ConvDims.of(x_shape, w_shape, padding=padding)
    for backward in (False, True):
        parts = correlation_plan(dims, backward, LANES, threads).parts
        counts = parts[:, plan.COUNT]
        rounds = -(-len(counts) // threads)
        assert len(counts) >= threads
        assert counts.sum() / (threads * rounds * counts.max()) > 0.75
    cut = outer_plan(dims, LANES, 4, threads)
    assert cut.bands[:, plan.COUNT].max() < 600, "a row's panel of the gradient would leave L1"


def test_tables_of_a_volume_have_no_entry_per_pixel():
    dims = ConvDims.of((2, 40, 128, 128, 16), (3, 3, 3, 16, 16), padding=1)
    pixels = math.prod(dims.out_)
    for made in (correlation_plan(dims, False, LANES, 2), outer_plan(dims, LANES, 4, 2)):
        tables = [value for value in vars(made).values() if isinstance(value, np.ndarray)]
        assert len(tables) >= 8
        assert sum(table.size for table in tables) < pixels / 10


def test_places_past_2_31_elements_are_right():
    dims = ConvDims.of((3, 2**15, 2**10, 64), (1, 1, 64, 32), 2)
    parts = correlation_plan(dims, False, LANES, 2).parts
    last = parts[-1]
    assert parts.dtype == np.int64
    assert last[plan.PLACE0] + last[plan.COUNT] * 32 == math.prod(dims.output_shape)
    image, row, column = np.unravel_index(parts[:, plan.PLACE0] // 32, (3, *dims.out_))
    sources = ((image * 2**15 + 2 * row) * 2**10 + 2 * column) * 64
    assert sources.max() > 2**31
    np.testing.assert_array_equal(parts[:, plan.SOURCE0], sources)


@given(*[st.integers(1, 6)] * 3, st.integers(0, 6), st.integers(1, 12), st.booleans())
def test_a_blocks_window_is_from_the_first_to_the_last_pixel_met(k, stride, dilation, low, pixels, backward):
    if backward:
        pixels *= stride
    dims = ConvDims(
        1, 1, 1, (1, 1, 90), (1, 1, k), (1, 1, stride), (1, 1, dilation), (0, 0, low), (0, 0, 0), 1
    )
    if backward:
        places = [p + low - t * dilation for p in range(pixels) for t in range(k)]
        met = [place // stride for place in places if place % stride == 0]
    else:
        met = [p * stride - low + t * dilation for p in range(pixels) for t in range(k)]
    assert blocked_window(dims, backward, pixels) == (min(met), max(met))

"""Pooling kernels in the simulator against the reference: geometry, types, NaN and ties, large windows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbacnn.dims import PoolDims
from numbacnn.kernels import reference
from numbacnn.kernels.cuda import pool
from numbacnn.pool_dims import PoolGeometry, WindowDims
from tests.cuda.arrays import computed
from tests.cuda.ways import TYPES, WAYS, close, dtypes, geometries, made, ways
from tests.kernels.test_pool import fill, values
from tests.strategies import arrays, seeds


def check_max(dims: PoolGeometry, seed: int, dtype: np.dtype, kind: str = "normal") -> None:
    """Maxima and places exactly, and gradients within rounding, are the reference's."""
    x, dy = fill(kind, seed, dims.input_shape, dims.output_shape, dtype=dtype)
    y = computed(pool.max_pool_forward, (dims, x), dims.output_shape, dtype)
    expected = np.empty(dims.output_shape)
    reference.max_pool_forward(dims, x, expected)
    np.testing.assert_array_equal(y.astype(np.float64), expected)
    indices = computed(pool.max_pool_indices, (dims, x, y), dims.output_shape, np.int64)
    found = np.empty(dims.output_shape, np.int64)
    reference.max_pool_indices(dims, x, y, found)
    np.testing.assert_array_equal(indices, found)
    dx = computed(pool.max_pool_backward, (dims, x, y, dy), dims.input_shape, dtype)
    slope = np.empty(dims.input_shape)
    reference.max_pool_backward(dims, x, y, dy, slope)
    close(dx, slope)


def check_average(dims: PoolGeometry, seed: int, dtype: np.dtype, options: tuple[bool, float]) -> None:
    x, dy = arrays(seed, dims.input_shape, dims.output_shape, dtype=dtype)

    def forward(x, y):
        pool.avg_pool_forward(dims, x, y, *options)

    def backward(dy, dx):
        pool.avg_pool_backward(dims, dy, dx, *options)

    y, dx = np.empty(dims.output_shape), np.empty(dims.input_shape)
    reference.avg_pool_forward(dims, x, y, *options)
    reference.avg_pool_backward(dims, dy, dx, *options)
    close(computed(forward, (x,), dims.output_shape, dtype), y)
    close(computed(backward, (dy,), dims.input_shape, dtype), dx)


options_ = st.sampled_from([(False, 0.0), (True, 0.0), (False, 3.5)])


@settings(max_examples=20)
@given(geometries(), seeds, dtypes, values, ways)
def test_max_pooling_of_any_geometry_is_the_references(dims, seed, dtype, kind, way):
    with made(way):
        check_max(dims, seed, dtype, kind)


@settings(max_examples=20)
@given(geometries(), seeds, dtypes, options_, ways)
def test_average_pooling_of_any_geometry_is_the_references(dims, seed, dtype, options, way):
    with made(way):
        check_average(dims, seed, dtype, options)


# Large windows of few outputs: whole images, edges in the padding, overlaps, channels past a block's lanes.
LARGE = [
    PoolDims.of((2, 7, 5, 8), (7, 5)),  # whole images
    PoolDims.of((1, 9, 8, 3), (6, 5), (3, 4), ((2, 1), (0, 3)), ceil_mode=True),
    PoolDims.of((1, 9, 132), 5, 6, dilation=2),
    PoolDims.of((1, 3, 4, 5, 2), (2, 4, 5), (1, 1, 1)),
    WindowDims.adaptive((1, 7, 6, 12), (2, 1)),
]


@pytest.mark.parametrize("dims", LARGE, ids=lambda dims: str(dims.input_shape))
@pytest.mark.parametrize("way", ["blocks", "splits"])
def test_large_windows_are_the_references_in_any_way(dims, way):
    with made(way):
        check_max(dims, 3, np.dtype(np.float32), "ties")
        check_average(dims, 3, np.dtype(np.float32), (True, 0.0))


@pytest.mark.parametrize("shape", [(5, 4, 3, 3), (3, 4, 8), (2, 3, 2, 3, 5)], ids=str)
@pytest.mark.parametrize("way", ["images", "launches"])
def test_several_images_are_the_references(shape, way):
    """As many as a thread takes, and one left."""
    dims = PoolDims.of(shape, 2, 1, 1)
    with made(way):
        check_max(dims, 3, np.dtype(np.float32), "ties")
        check_average(dims, 3, np.dtype(np.float32), (True, 0.0))


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("way", ["blocks", "splits"])
def test_large_windows_of_any_type_tell_nan_and_infinity_apart(dtype, way):
    dims = PoolDims.of((1, 5, 7, 8), (4, 5), (1, 2))
    with made(way):
        check_max(dims, 1, dtype, "wild")
        check_average(dims, 1, dtype, (False, 0.0))


def test_a_large_image_is_cut_by_sizes_alone():
    """The whole of an image by several blocks, which the other tests reach by changed bounds only."""
    dims = PoolDims.of((1, 50, 50, 1), 50)
    check_max(dims, 4, np.dtype(np.float32), "ties")
    check_average(dims, 4, np.dtype(np.float32), (False, 0.0))


@settings(max_examples=8)
@given(geometries(most_channels=5), st.booleans(), seeds)
def test_average_pooling_and_its_gradient_are_adjoint(dims, count_include_pad, seed):
    x, dy = arrays(seed, dims.input_shape, dims.output_shape)

    def forward(x, y):
        pool.avg_pool_forward(dims, x, y, count_include_pad, 0.0)

    def backward(dy, dx):
        pool.avg_pool_backward(dims, dy, dx, count_include_pad, 0.0)

    y = computed(forward, (x,), dims.output_shape, np.float64)
    dx = computed(backward, (dy,), dims.input_shape, np.float64)
    assert np.vdot(x, dx) == pytest.approx(np.vdot(y, dy), abs=1e-9)


def test_ties_go_to_the_first_pixel_and_nan_wins():
    dims = PoolDims.of((1, 2, 4, 1), 2)
    x = np.array([1.0, 3.0, 0.0, np.nan, 3.0, 3.0, np.nan, 9.0]).reshape(dims.input_shape)
    dy = np.array([5.0, 7.0]).reshape(dims.output_shape)
    for way in WAYS:
        with made(way):
            y = computed(pool.max_pool_forward, (dims, x), dims.output_shape, np.float64)
            np.testing.assert_array_equal(y.ravel(), [3, np.nan])
            dx = computed(pool.max_pool_backward, (dims, x, y, dy), dims.input_shape, np.float64)
            assert dx.ravel().tolist() == [0, 5, 0, 7, 0, 0, 0, 0]

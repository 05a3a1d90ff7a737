"""Pooling by p-norms in the simulator against the reference: geometry, exponents, types, large windows."""

import numpy as np
import pytest
from hypothesis import given, settings

from numbacnn.dims import PoolDims
from numbacnn.kernels import reference
from numbacnn.kernels.cuda import lp_pool
from numbacnn.pool_dims import PoolGeometry
from tests.cuda.arrays import computed
from tests.cuda.ways import WAYS, close, dtypes, geometries, made, ways
from tests.kernels.test_lp_pool import exponents
from tests.strategies import arrays, seeds

FACTOR = 8.0  # powers of a rounded norm


def norms(dims: PoolGeometry, x: np.ndarray, p: float) -> np.ndarray:
    return computed(lambda x, y: lp_pool.lp_pool_forward(dims, x, y, p), (x,), dims.output_shape, x.dtype)


def slopes(dims: PoolGeometry, x: np.ndarray, y: np.ndarray, dy: np.ndarray, p: float) -> np.ndarray:
    def backward(x, y, dy, dx):
        lp_pool.lp_pool_backward(dims, x, y, dy, dx, p)

    return computed(backward, (x, y, dy), dims.input_shape, x.dtype)


def check_norm(dims: PoolGeometry, seed: int, dtype: np.dtype, p: float) -> None:
    """Forward pass and gradient are the reference's, with windows of zeros among them."""
    x, dy = arrays(seed, dims.input_shape, dims.output_shape, dtype=dtype)
    x[np.random.default_rng(seed).random(x.shape) < 0.5] = 0
    x[..., 0] = 0
    norm, slope = np.empty(dims.output_shape), np.empty(dims.input_shape)
    reference.lp_pool_forward(dims, x, norm, p)
    y = norms(dims, x, p)
    close(y, norm, FACTOR)
    reference.lp_pool_backward(dims, x, y, dy, slope, p)
    close(slopes(dims, x, y, dy, p), slope, FACTOR)


@settings(max_examples=20)
@given(geometries(most=600), seeds, dtypes, exponents, ways)
def test_norms_of_any_geometry_are_the_references(dims, seed, dtype, p, way):
    with made(way):
        check_norm(dims, seed, dtype, p)


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0, 2.5])
@pytest.mark.parametrize("way", ["blocks", "splits"])
def test_large_windows_are_the_references_in_any_way(way, p):
    dims = PoolDims.of((1, 5, 7, 8), (4, 5), (1, 2), ((1, 0), (0, 1)))
    with made(way):
        check_norm(dims, 2, np.dtype(np.float32), p)


@settings(max_examples=8)
@given(geometries(most_channels=4, most=500), seeds, exponents)
def test_the_gradient_is_the_slope(dims, seed, p):
    x, direction, dy = arrays(seed, dims.input_shape, dims.input_shape, dims.output_shape)
    x += np.sign(x)  # away from 0, where magnitudes have a corner
    direction *= 1e-6
    rise = np.vdot(norms(dims, x + direction, p) - norms(dims, x - direction, p), dy) / 2
    dx = slopes(dims, x, norms(dims, x, p), dy, p)
    assert np.vdot(dx, direction) == pytest.approx(rise, rel=1e-4, abs=1e-12)


@pytest.mark.parametrize("way", WAYS)
def test_large_exponents_keep_the_range_of_float64(way):
    dims = PoolDims.of((1, 8, 1), 4)
    x = np.array([0, 1e-3, 0, 1e-3, 0, 2.0, 0, 1000.0], np.float32).reshape(dims.input_shape)
    with made(way):
        y = norms(dims, x, 60.0)
    np.testing.assert_allclose(y.ravel(), [1e-3 * 2 ** (1 / 60), 1000.0], rtol=1e-6)


def test_nan_stays_and_infinity_is_the_norm():
    dims = PoolDims.of((1, 6, 1), 2)
    x = np.array([1.0, np.nan, -np.inf, 1.0, 3.0, -4.0]).reshape(dims.input_shape)
    for p, last in ((1.0, 7.0), (2.0, 5.0), (3.0, 91 ** (1 / 3))):
        np.testing.assert_allclose(norms(dims, x, p).ravel(), [np.nan, np.inf, last])

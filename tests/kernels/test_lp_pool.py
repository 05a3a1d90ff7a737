"""Pooling by p-norms against the reference, over geometry, exponents and channels, and its slope."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numbacnn.dims import PoolDims
from numbacnn.kernels import reference
from numbacnn.kernels.cpu import lp_pool
from numbacnn.pool_dims import PoolGeometry, WindowDims
from tests.kernels.guard import assert_same_bits, written
from tests.strategies import arrays, dtypes, pool_cases, seeds, window_dims

#: Relative to the largest: rounding of sums, and of powers of a rounded norm.
TOLERANCE = {np.dtype(np.float32): 8e-6, np.dtype(np.float64): 4e-14}

exponents = st.sampled_from([1.0, 2.0, 3.0, 4.0, 1.5, 7.3])
geometries = pool_cases(most_channels=70).map(lambda case: case.dims) | window_dims(most_channels=20)


def check_norm(dims: PoolGeometry, seed: int, dtype: type, p: float) -> None:
    """Forward pass and gradient are the reference's, with windows of zeros among them."""
    x, dy = arrays(seed, dims.input_shape, dims.output_shape, dtype=dtype)
    x[np.random.default_rng(seed).random(x.shape) < 0.5] = 0
    x[..., 0] = 0

    def forward(x, y):
        lp_pool.lp_pool_forward(dims, x, y, p)

    def backward(x, y, dy, dx):
        lp_pool.lp_pool_backward(dims, x, y, dy, dx, p)

    norm, slope = np.empty(dims.output_shape), np.empty(dims.input_shape)
    reference.lp_pool_forward(dims, x, norm, p)
    y = written(forward, x, shapes=dims.output_shape, dtype=dtype)
    close(y, norm)
    reference.lp_pool_backward(dims, x, y, dy, slope, p)
    close(written(backward, x, y, dy, shapes=dims.input_shape, dtype=dtype), slope)


def close(got: np.ndarray, expected: np.ndarray) -> None:
    size = np.abs(expected).max(initial=0)
    np.testing.assert_allclose(got, expected, rtol=0, atol=TOLERANCE[got.dtype] * size)


@given(geometries, seeds, dtypes, exponents)
def test_norms_of_any_geometry_are_the_references(dims, seed, dtype, p):
    check_norm(dims, seed, dtype, p)


LARGE = [
    PoolDims.of((2, 90, 40, 40), (3, 2), (2, 1), ((1, 0), (0, 1))),
    PoolDims.of((1, 20, 21, 22, 6), 3, 2, 1, ceil_mode=True),
    PoolDims.of((4, 9000, 3), 4),
    WindowDims.adaptive((1, 150, 140, 5), (2, 1)),
]


@pytest.mark.parametrize("dims", LARGE, ids=lambda dims: str(dims.input_shape))
@pytest.mark.parametrize("p", [1.0, 2.0, 2.5])
def test_bits_do_not_depend_on_the_threads_or_the_run(dims, p):
    x, dy = arrays(5, dims.input_shape, dims.output_shape, dtype=np.float32)
    check_norm(dims, 6, np.float32, p)

    def results():
        y, dx = np.empty_like(dy), np.empty_like(x)
        lp_pool.lp_pool_forward(dims, x, y, p)
        lp_pool.lp_pool_backward(dims, x, y, dy, dx, p)
        return [y, dx]

    assert_same_bits(results)


@given(pool_cases(), exponents)
def test_the_gradient_is_the_slope(case, p):
    dims = case.dims
    x, direction, dy = arrays(case.seed, dims.input_shape, dims.input_shape, dims.output_shape)
    x += np.sign(x)  # away from 0, where magnitudes have a corner
    direction *= 1e-6

    def norm(x):
        y = np.empty(dims.output_shape)
        lp_pool.lp_pool_forward(dims, x, y, p)
        return y

    dx = np.empty(dims.input_shape)
    lp_pool.lp_pool_backward(dims, x, norm(x), dy, dx, p)
    rise = np.vdot(norm(x + direction) - norm(x - direction), dy) / 2
    assert np.vdot(dx, direction) == pytest.approx(rise, rel=1e-4, abs=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_exponents_keep_the_range_of_float64(dtype):
    dims = PoolDims.of((1, 4, 1), 2)
    x = np.array([1e-3, 1e-3, 2.0, 1000.0], dtype).reshape(dims.input_shape)
    y = np.empty(dims.output_shape, dtype)
    lp_pool.lp_pool_forward(dims, x, y, 60.0)
    np.testing.assert_allclose(y.ravel(), [1e-3 * 2 ** (1 / 60), 1000.0], rtol=1e-6)


def test_nan_stays_and_infinity_is_the_norm():
    dims = PoolDims.of((1, 6, 1), 2)
    x = np.array([1.0, np.nan, -np.inf, 1.0, 3.0, -4.0]).reshape(dims.input_shape)
    for p, last in ((1.0, 7.0), (2.0, 5.0), (3.0, 91 ** (1 / 3))):
        y = np.empty(dims.output_shape)
        lp_pool.lp_pool_forward(dims, x, y, p)
        np.testing.assert_allclose(y.ravel(), [np.nan, np.inf, last])

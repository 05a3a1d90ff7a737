"""Weighted average pooling against the reference and its adjoint."""

import numpy as np
import pytest
from hypothesis import given

from numbacnn.dims import PoolDims
from numbacnn.kernels import reference
from numbacnn.kernels.cpu import weighted_pool
from tests.kernels.guard import assert_same_bits, written
from tests.strategies import arrays, dtypes, pool_cases

TOLERANCE = {np.dtype(np.float32): 2e-6, np.dtype(np.float64): 4e-15}


def weights_of(dims: PoolDims, seed: int) -> tuple[tuple[float, ...], ...]:
    rng = np.random.default_rng(seed)
    return tuple(tuple((0.1 + rng.random(k)).tolist()) for k in dims.k_)


def check(dims: PoolDims, seed: int, dtype: type) -> None:
    weights = weights_of(dims, seed)
    x, dy = arrays(seed, dims.input_shape, dims.output_shape, dtype=dtype)

    def forward(x, y):
        weighted_pool.weighted_pool_forward(dims, x, y, weights)

    def backward(dy, dx):
        weighted_pool.weighted_pool_backward(dims, dy, dx, weights)

    y, dx = np.empty(dims.output_shape), np.empty(dims.input_shape)
    reference.weighted_pool_forward(dims, x, y, weights)
    reference.weighted_pool_backward(dims, dy, dx, weights)
    for got, expected in (
        (written(forward, x, shapes=dims.output_shape, dtype=dtype), y),
        (written(backward, dy, shapes=dims.input_shape, dtype=dtype), dx),
    ):
        atol = TOLERANCE[np.dtype(dtype)] * np.abs(expected).max(initial=0)
        np.testing.assert_allclose(got, expected, rtol=0, atol=atol)


@given(pool_cases(most_channels=70), dtypes)
def test_averages_of_any_geometry_are_the_references(case, dtype):
    check(case.dims, case.seed, dtype)


@given(pool_cases(most_channels=20))
def test_the_average_and_its_gradient_are_adjoint(case):
    dims, weights = case.dims, weights_of(case.dims, case.seed)
    x, dy = arrays(case.seed, dims.input_shape, dims.output_shape)
    y, dx = np.empty(dims.output_shape), np.empty(dims.input_shape)
    weighted_pool.weighted_pool_forward(dims, x, y, weights)
    weighted_pool.weighted_pool_backward(dims, dy, dx, weights)
    assert np.vdot(x, dx) == pytest.approx(np.vdot(y, dy), abs=1e-9)


def test_bits_do_not_depend_on_the_threads_or_the_run():
    dims = PoolDims.of((1, 20, 31, 32, 5), (3, 4, 5), (1, 2, 1), 1, ceil_mode=True)
    weights = weights_of(dims, 0)
    check(dims, 0, np.float32)
    x, dy = arrays(1, dims.input_shape, dims.output_shape, dtype=np.float32)

    def results():
        y, dx = np.empty_like(dy), np.empty_like(x)
        weighted_pool.weighted_pool_forward(dims, x, y, weights)
        weighted_pool.weighted_pool_backward(dims, dy, dx, weights)
        return [y, dx]

    assert_same_bits(results)
